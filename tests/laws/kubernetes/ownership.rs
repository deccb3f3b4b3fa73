//! The inventory, and the laws of what deletes.

use std::time::Duration;

use firstlight::engine::{Class, Failure as _, Plan, Resource as _};
use firstlight::providers::kubernetes::{Deletion, Entry, Fence, Inventory, Prune};
use serde_json::{Value, json};
use testbed::{Attempt, eventually};

use super::bed::Bed;
use crate::law;

fn document(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "1" } })
}

fn entry(name: &str) -> Entry {
    Entry::of_document(&document(name), false)
}

/// Makes objects that the inventory knows.
async fn owned(bed: &Bed, names: &[&str]) -> Inventory {
    let inventory = Inventory::new(bed.client.clone(), "lens");
    let entries: Vec<Entry> = names.iter().map(|name| entry(name)).collect();
    inventory
        .announce(&entries, Fence(0))
        .await
        .expect("written");
    for name in names {
        law::changes(bed.object(document(name))).await;
    }
    inventory.settle(&entries, Fence(0)).await.expect("written");
    inventory
}

#[tokio::test]
async fn it_is_split_below_the_limit_and_read_as_one() {
    let bed = Bed::new().await;
    let inventory = Inventory::new(bed.client.clone(), "lens");
    let entries: Vec<Entry> = (0..12_000)
        .map(|at| entry(&format!("object-{at:05}")))
        .collect();
    inventory
        .announce(&entries, Fence(3))
        .await
        .expect("written");
    let read = inventory.read().await.expect("an answer");
    assert_eq!(read.len(), entries.len());
    let first = bed.core("configmaps", "firstlight-lens-inventory-0");
    assert_eq!(bed.get(&first).await["data"]["parts"], "2");
    bed.get(&bed.core("configmaps", "firstlight-lens-inventory-1"))
        .await;

    let late = inventory.announce(&[entry("late")], Fence(2)).await;
    let late = late.expect_err("a later holder has written");
    assert_eq!(late.class(), Class::Busy);
    assert_eq!(
        inventory.read().await.expect("an answer").len(),
        entries.len()
    );
    inventory.remove().await.expect("removed");
    let left = inventory.read().await.expect("an answer");
    assert!(left.is_empty(), "{} entries", left.len());
}

#[tokio::test]
async fn what_is_announced_again_is_not_written_again() {
    let bed = Bed::new().await;
    owned(&bed, &["one", "two"]).await;
    let path = bed.core("configmaps", "firstlight-lens-inventory-0");
    let before = bed.get(&path).await;
    owned_again(&bed, &["one", "two"]).await;
    assert_eq!(bed.get(&path).await, before);
}

async fn owned_again(bed: &Bed, names: &[&str]) {
    let inventory = Inventory::new(bed.client.clone(), "lens");
    let entries: Vec<Entry> = names.iter().map(|name| entry(name)).collect();
    inventory.announce(&entries, Fence(1)).await.expect("read");
    for name in names {
        law::unchanged(bed.object(document(name))).await;
    }
    inventory.settle(&entries, Fence(1)).await.expect("read");
}

#[tokio::test]
async fn pruning_keeps_the_laws() {
    let bed = Bed::new().await;
    owned(&bed, &["one", "two", "three"]).await;
    // Another run, which has not seen the objects.
    let other = bed.administrator().await;
    let prune = || Prune::new(other.clone(), "lens", vec![entry("one")], false);
    law::fresh(prune()).await;
    bed.get(&bed.core("configmaps", "two")).await;
    let mut deleted = law::changes(prune()).await;
    deleted.sort();
    let namespace = &bed.namespace;
    assert_eq!(
        deleted,
        [
            format!("delete ConfigMap {namespace}/three"),
            format!("delete ConfigMap {namespace}/two")
        ]
    );
    bed.get(&bed.core("configmaps", "one")).await;
    law::unchanged(Prune::new(
        bed.reader().await,
        "lens",
        vec![entry("one")],
        false,
    ))
    .await;
    // Of the same name, and not the one that we have made.
    let configmaps = bed.core("configmaps", "");
    bed.post(configmaps.trim_end_matches('/'), document("two"))
        .await;
    law::unchanged(prune()).await;
    bed.get(&bed.core("configmaps", "two")).await;
}

#[tokio::test]
async fn deletion_keeps_the_laws() {
    let bed = Bed::new().await;
    let inventory = owned(&bed, &["one", "two"]).await;
    let recorded = inventory.read().await.expect("an answer");
    let other = bed.administrator().await;
    let deletion = |name: &str| {
        let entry = recorded.iter().find(|entry| entry.name == name);
        Deletion::new(other.clone(), entry.expect("on record").clone(), false)
    };
    law::fresh(deletion("one")).await;
    law::changes(deletion("one")).await;
    law::unchanged(deletion("one")).await;
    law::two_at_once(|| deletion("two")).await;

    let kept = Entry {
        keep: true,
        ..recorded[0].clone()
    };
    law::changes(bed.object(document(&kept.name))).await;
    law::unchanged(Deletion::new(other.clone(), kept, false)).await;
}

#[tokio::test]
async fn a_held_deletion_is_waited_for_in_peace() {
    const SOON: Duration = Duration::from_secs(10);
    let bed = Bed::new().await;
    // A watch follows the first alone, then all that are known by then; the third comes late.
    let names = ["one", "two", "three"];
    let inventory = owned(&bed, &names).await;
    let recorded = inventory.read().await.expect("an answer");
    let other = bed.administrator().await;
    let mut held = Vec::new();
    for name in names {
        let path = bed.core("configmaps", name);
        let finalizers = json!({ "metadata": { "finalizers": ["firstlight.test/hold"] } });
        bed.patch(&path, finalizers).await;
        let entry = recorded.iter().find(|entry| entry.name == name);
        let deletion = Deletion::new(other.clone(), entry.expect("on record").clone(), false);
        let seen = deletion.observe().await.expect("an answer");
        let Ok(Plan::Change(changes)) = deletion.plan(&seen) else {
            panic!("it is to go");
        };
        for change in changes {
            deletion.apply(change).await.expect("its deletion starts");
        }
        held.push((path, deletion));
    }
    for (path, deletion) in held {
        let seen = eventually("a quiet wait", SOON, async || {
            let seen = deletion.observe().await.expect("an answer");
            let quiet = Duration::from_millis(300);
            match tokio::time::timeout(quiet, deletion.changed(&seen)).await {
                Err(_) => Attempt::Done(seen),
                Ok(()) => Attempt::NotYet("something woke it".to_owned()),
            }
        });
        let seen = seen.await.expect("nobody changes it");
        let free = json!({ "metadata": { "finalizers": null } });
        let (woken, _) = tokio::join!(
            tokio::time::timeout(SOON, deletion.changed(&seen)),
            bed.patch(&path, free),
        );
        woken.expect("its end wakes");
        law::unchanged(deletion).await;
    }
}
