//! The inventory, and the laws of what deletes.

use std::time::Duration;

use firstlight::engine::{Class, Failure as _, Plan, Resource as _};
use firstlight::providers::kubernetes::{Client, Deletion, Entry, Fence, Inventory, Prune};
use serde_json::{Value, json};
use testbed::{Attempt, eventually};

use super::bed::{Bed, object};
use super::widgets::Widgets;
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

/// A run of another bundle in the same namespace.
async fn run_of(bed: &Bed, bundle: &str) -> (Client, Inventory) {
    let client = bed.administrator().await;
    client.act_for(bundle);
    (client.clone(), Inventory::new(client, bundle))
}

async fn apply(client: &Client, inventory: &Inventory) {
    let entries = [entry("one")];
    let announced = inventory.announce(&entries, Fence(0)).await;
    announced.expect("written");
    law::changes(object(client.clone(), document("one"), false, false)).await;
    law::unchanged(object(client.clone(), document("one"), false, false)).await;
    let settled = inventory.settle(&entries, Fence(0)).await;
    settled.expect("written");
}

#[tokio::test]
async fn a_bundle_deletes_nothing_that_another_applies() {
    let bed = Bed::new().await;
    let (first, of_first) = run_of(&bed, "first").await;
    apply(&first, &of_first).await;
    let (second, of_second) = run_of(&bed, "second").await;
    // Cut short before it wrote: only the name is on record.
    of_second
        .announce(&[entry("one")], Fence(0))
        .await
        .expect("written");
    let prune = |client: &Client, bundle| Prune::new(client.clone(), bundle, Vec::new(), true);
    law::unchanged(prune(&second, "second")).await;

    let mut other = document("one");
    other["data"]["a"] = json!("2");
    let taken = object(second, other, false, false).observe().await;
    let taken = taken.expect_err("it is of the first bundle");
    let expected = format!(
        "ConfigMap {0}/one was not made by this bundle but by bundle {0}.first, and data.a would change",
        bed.namespace
    );
    assert_eq!(taken.to_string(), expected);

    // With equal values it belongs to both, and neither deletes it.
    let (second, of_second) = run_of(&bed, "second").await;
    apply(&second, &of_second).await;
    for bundle in ["first", "second"] {
        let (client, inventory) = run_of(&bed, bundle).await;
        law::unchanged(object(client.clone(), document("one"), false, false)).await;
        law::unchanged(prune(&run_of(&bed, bundle).await.0, bundle)).await;
        for entry in inventory.read().await.expect("an answer") {
            let client = run_of(&bed, bundle).await.0;
            law::unchanged(Deletion::new(client, entry, true)).await;
        }
    }
    let path = bed.core("configmaps", "one");
    let mark = &bed.get(&path).await["metadata"]["annotations"]["firstlight.dev/owner"];
    let namespace = &bed.namespace;
    assert_eq!(
        mark,
        &json!(format!("{namespace}.first,{namespace}.second"))
    );
}

#[tokio::test]
async fn what_was_made_before_there_were_marks_is_marked_once_and_deleted() {
    let bed = Bed::new().await;
    owned(&bed, &["one"]).await;
    let (client, inventory) = run_of(&bed, "lens").await;
    apply(&client, &inventory).await;
    let other = run_of(&bed, "lens").await.0;
    let deleted = law::changes(Prune::new(other, "lens", Vec::new(), false)).await;
    assert_eq!(deleted, [format!("delete ConfigMap {}/one", bed.namespace)]);
}

#[tokio::test]
async fn what_others_have_made_is_never_deleted_after_a_run_that_was_cut_short() {
    let bed = Bed::new().await;
    let configmaps = bed.core("configmaps", "");
    let path = configmaps.trim_end_matches('/');
    let mut other = document("one");
    other["data"]["a"] = json!("0");
    bed.post(path, other).await;
    bed.post(path, document("two")).await;
    let entries = [entry("one"), entry("two"), entry("three")];
    // It writes, and never gets to its end.
    let (client, inventory) = run_of(&bed, "lens").await;
    let announced = inventory.announce(&entries, Fence(0)).await;
    announced.expect("written");
    for name in ["one", "two", "three"] {
        let object = object(client.clone(), document(name), true, false);
        law::changes(object.adopt(true)).await;
    }
    let (client, inventory) = run_of(&bed, "lens").await;
    let announced = inventory.announce(&entries, Fence(0)).await;
    announced.expect("written");
    for name in ["one", "two", "three"] {
        law::unchanged(object(client.clone(), document(name), true, false)).await;
    }
    let settled = inventory.settle(&entries, Fence(0)).await;
    let settled = settled.expect("written");
    let adopted: Vec<bool> = settled.entries.iter().map(|entry| entry.adopted).collect();
    assert_eq!(adopted, [true, true, false]);

    let client = run_of(&bed, "lens").await.0;
    let deleted = law::changes(Prune::new(client, "lens", Vec::new(), true)).await;
    let expected = format!("delete ConfigMap {}/three", bed.namespace);
    assert_eq!(deleted, [expected]);
}

#[tokio::test]
async fn an_object_of_a_version_that_is_retired_is_deleted_in_another() {
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let client = run_of(&bed, "lens").await.0;
    law::changes(object(client.clone(), widgets.document("a"), false, false)).await;
    let made = bed.get(&widgets.path("a")).await;
    let entry = Entry {
        api_version: format!("{}/v1alpha1", widgets.group),
        uid: made["metadata"]["uid"].as_str().map(str::to_owned),
        ..Entry::of_document(&widgets.document("a"), false)
    };
    let other = run_of(&bed, "lens").await.0;
    let deleted = law::changes(Deletion::new(other, entry, false)).await;
    assert_eq!(deleted, [format!("delete Widget {}/a", bed.namespace)]);
}

#[tokio::test]
async fn what_may_not_be_deleted_is_named_and_the_others_go() {
    let bed = Bed::new().await;
    let of = |kind: &str, name: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } });
    let documents = [
        of("ConfigMap", "one"),
        of("ConfigMap", "two"),
        of("Secret", "three"),
        of("ServiceAccount", "four"),
    ];
    let (client, inventory) = run_of(&bed, "lens").await;
    let entries = documents.each_ref().map(|it| Entry::of_document(it, false));
    let announced = inventory.announce(&entries, Fence(0)).await;
    announced.expect("written");
    for document in documents {
        law::changes(object(client.clone(), document, false, false)).await;
    }
    let settled = inventory.settle(&entries, Fence(0)).await;
    settled.expect("written");

    let all = |verbs: Value| json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": verbs });
    let delete = |resources: Value, names: Value| json!({ "apiGroups": [""], "resources": resources, "resourceNames": names, "verbs": ["delete"] });
    let limited = bed.user_with(json!([
        all(json!(["get", "list", "watch"])),
        delete(json!(["configmaps"]), json!(["two"])),
        delete(json!(["secrets", "serviceaccounts"]), json!([])),
    ]));
    let limited = limited.await;
    limited.act_for("lens");
    let record = Inventory::new(limited.clone(), "lens");
    let missing = record.missing_rights(&entries[1..], false).await;
    let missing = missing.expect("an answer");
    let [right] = &missing[..] else {
        panic!("{missing:?}");
    };
    let what = (right.verb, right.resource.as_str(), right.name.as_deref());
    assert_eq!(what, ("delete", "configmaps", Some("one")));

    let prune = Prune::new(limited, "lens", Vec::new(), false);
    let (class, said, hints) = law::fails(prune).await;
    assert_eq!(class, Class::Forbidden, "{said}");
    let expected = format!(
        "not allowed to delete what has left the bundle: ConfigMap {}/one; 1 more stays, which is deleted only after that",
        bed.namespace
    );
    assert_eq!(said, expected);
    assert!(hints[0].starts_with("grant `delete`"), "{hints:?}");
    bed.get(&bed.core("configmaps", "one")).await;
    bed.get(&bed.core("serviceaccounts", "four")).await;
    for (kind, name) in [("configmaps", "two"), ("secrets", "three")] {
        let path = bed.core(kind, name);
        let gone = bed
            .ask(http::Method::GET, &path, "application/json", None)
            .await;
        assert!(gone.is_err(), "{name} is still there");
    }
}
