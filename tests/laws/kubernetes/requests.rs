//! What a run asks of the API server for its own sake: its lock, its inventory and its record.

use std::sync::Arc;

use firstlight::providers::kubernetes::{
    Entry, Error, Fence, Free, Holder, Inventory, Lease, RunRecord,
};
use serde_json::{Value, json};

use super::bed::Bed;
use super::front::{Front, LOST};

/// A run's view of the API server: everything that it asks is counted.
struct Counted {
    bed: Arc<Bed>,
    front: Front,
    client: firstlight::providers::kubernetes::Client,
}

impl Counted {
    async fn new() -> Self {
        let bed = Arc::new(Bed::new().await);
        let front = Front::start(Arc::clone(&bed)).await;
        let client = bed.at(&front.address()).await;
        Self { bed, front, client }
    }

    async fn find(&self, pod: &str) -> Free {
        let holder = Holder {
            pod: pod.to_owned(),
            ..Holder::default()
        };
        let free = Lease::find(&self.client, "firstlight-lens", holder).await;
        free.expect("nobody holds it")
    }

    fn inventory(&self) -> Inventory {
        Inventory::new(self.client.clone(), "lens")
    }

    fn record(&self) -> RunRecord {
        RunRecord::new(self.client.clone(), "lens")
    }

    /// The requests since the last time, each by its method and the last word of its path; without
    /// the looks whether somebody else has made the objects.
    fn asked(&self) -> Vec<String> {
        let came = self.front.came();
        self.front.turn_away("", &[]);
        let short = |line: &String| {
            let method = line.split(' ').next().unwrap_or_default();
            let name = line.rsplit('/').next().unwrap_or_default();
            format!("{method} {name}")
        };
        let asked = came.iter().map(short);
        asked
            .filter(|it| !["GET configmaps", "GET one", "GET two"].contains(&it.as_str()))
            .collect()
    }

    async fn data(&self, name: &str) -> Value {
        let path = self.bed.core("configmaps", name);
        self.bed.get(&path).await["data"].clone()
    }
}

fn entry(name: &str) -> Entry {
    let document = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    Entry::of_document(&document, false)
}

fn sorted(mut asked: Vec<String>) -> Vec<String> {
    asked.sort();
    asked
}

#[tokio::test]
async fn of_its_lock_its_inventory_and_its_record_each_is_read_once() {
    let run = Counted::new().await;
    let desired = [entry("one"), entry("two")];
    for (number, writes) in [(0, true), (1, false)] {
        let (inventory, record) = (run.inventory(), run.record());
        let read = async {
            let (inventory, record) = tokio::join!(inventory.look(), record.read());
            inventory.and(record.map(drop))
        };
        let taken = run.find("a").await.take_reading(read).await;
        let (held, read) = taken.expect("it is free");
        read.expect("an answer");
        assert_eq!(held.fence(), Fence(number));
        let began = run.asked();
        let fence = held.fence();
        inventory.announce(&desired, fence).await.expect("written");
        let announced = run.asked();
        let settled = inventory.settle(&desired, fence).await;
        assert_eq!(settled.expect("written").entries.len(), 2);
        record.write("{}", fence).await.expect("written");
        held.release().await.expect("released");
        let ended = run.asked();
        if writes {
            assert_eq!(announced, ["POST configmaps"]);
            assert_eq!(ended, ["POST configmaps", "PATCH firstlight-lens"]);
            continue;
        }
        let expected = [
            "GET firstlight-lens",
            "GET firstlight-lens",
            "GET firstlight-lens-inventory-0",
            "PATCH firstlight-lens",
        ];
        assert_eq!(sorted(began), expected);
        assert!(announced.is_empty(), "{announced:?}");
        assert_eq!(ended, ["PATCH firstlight-lens", "PATCH firstlight-lens"]);
    }
}

#[tokio::test]
async fn what_others_have_written_meanwhile_is_read_again() {
    let run = Counted::new().await;
    let record = run.record();
    record.write("{}", Fence(3)).await.expect("written");
    let lease = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases/firstlight-lens",
        run.bed.namespace
    );
    let held = run.find("a").await.take().await.expect("it is free");
    let label = json!({ "metadata": { "labels": { "seen": "yes" } } });
    run.bed.patch(&lease, label.clone()).await;
    held.release().await.expect("released");
    let released = run.bed.get(&lease).await;
    assert_eq!(released["spec"].get("holderIdentity"), None);

    let path = run.bed.core("configmaps", "firstlight-lens");
    run.bed.patch(&path, label).await;
    let write = async |record: &RunRecord, text: &str, fence| {
        let written = record.write(text, fence).await;
        let faster = written.expect_err("somebody was faster");
        assert!(matches!(faster, Error::Conflict { .. }), "{faster}");
        record.write(text, fence).await
    };
    let written = write(&record, "{\"run\":2}", Fence(3)).await;
    written.expect("written");
    assert_eq!(
        run.data("firstlight-lens").await["record.json"],
        "{\"run\":2}"
    );
    // A later holder's word is not written over, whoever of the two was read.
    let later = run.record();
    later.write("{\"run\":4}", Fence(4)).await.expect("written");
    let late = write(&record, "{\"run\":3}", Fence(3)).await;
    let late = late.expect_err("a later holder has written").to_string();
    assert!(late.contains("holder 4 of the lock"), "{late}");
    run.bed.delete(&path).await;
    let written = write(&later, "{\"run\":5}", Fence(4)).await;
    written.expect("written");
    assert_eq!(
        run.data("firstlight-lens").await["record.json"],
        "{\"run\":5}"
    );
}

#[tokio::test]
async fn what_others_have_added_to_the_inventory_meanwhile_is_not_written_over() {
    let run = Counted::new().await;
    let (ours, theirs) = (run.inventory(), run.inventory());
    ours.announce(&[entry("one")], Fence(3))
        .await
        .expect("written");
    let both = [entry("one"), entry("two")];
    theirs.announce(&both, Fence(3)).await.expect("written");
    let three = [entry("one"), entry("three")];
    let faster = ours.announce(&three, Fence(3)).await;
    let faster = faster.expect_err("it was computed from what is not so any more");
    assert!(matches!(faster, Error::Conflict { .. }), "{faster}");
    ours.announce(&three, Fence(3)).await.expect("written");
    let known = theirs.read().await.expect("an answer");
    let mut names: Vec<&str> = known.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "three", "two"]);
}

#[tokio::test]
async fn a_lock_that_another_takes_between_look_and_claim_is_not_ours() {
    let run = Counted::new().await;
    let first = run.find("a").await.take().await.expect("it is free");
    first.release().await.expect("released");
    let (ours, theirs) = (run.find("b").await, run.find("c").await);
    let theirs = theirs.take().await.expect("they were faster");
    let Err(refused) = ours.take().await else {
        panic!("both hold it");
    };
    assert!(refused.to_string().contains("c holds Lease"), "{refused}");
    theirs.release().await.expect("released");
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_no_failure_when_it_is_asked_again() {
    let run = Counted::new().await;
    let held = run.find("a").await.take().await.expect("it is free");
    run.front
        .turn_away_about("PATCH", "/leases/", &[(1, LOST, None)]);
    held.release().await.expect_err("nobody has heard of it");
    held.release().await.expect("it is given back");
    let next = run.find("b").await.take().await.expect("it is free");
    assert_eq!(next.fence(), Fence(1));
}
