//! The lock of a run.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use firstlight::engine::{
    Class, Event, EventKind, Failure as _, Mode, Plan, Reporter, Reporters, Resource,
};
use firstlight::providers::kubernetes::{
    Deletion, Entry, Error, Fence, GeneratedSecret, Held, Holder, Inventory, Lease, RunRecord,
};
use serde_json::{Value, json};
use testbed::{Attempt, Proxy, eventually};

use super::bed::{Bed, object};
use super::widgets::Many;
use crate::law;

fn holder(pod: &str, uid: Option<&str>) -> Holder {
    Holder {
        pod: pod.to_owned(),
        uid: uid.map(str::to_owned),
        job: Some(format!("job-of-{pod}")),
        ..Holder::default()
    }
}

async fn acquire(bed: &Bed, pod: &str, uid: Option<&str>) -> Result<Held, Error> {
    Lease::acquire(&bed.client, "firstlight-lens", holder(pod, uid)).await
}

/// A pod that no node runs; its uid.
async fn pod(bed: &Bed, name: &str) -> String {
    let spec = json!({ "containers": [{ "name": "agent", "image": "example.com/agent" }] });
    let pods = bed.core("pods", "");
    let pod = json!({ "metadata": { "name": name }, "spec": spec });
    let pod = bed.post(pods.trim_end_matches('/'), pod).await;
    pod["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

async fn refused(bed: &Bed, pod: &str) -> String {
    let Err(error) = acquire(bed, pod, Some("2")).await else {
        panic!("it is held");
    };
    assert_eq!(error.class(), Class::Busy);
    assert!(matches!(error, Error::Held { .. }), "{error}");
    error.to_string()
}

fn path(bed: &Bed) -> String {
    let namespace = &bed.namespace;
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/firstlight-lens")
}

#[tokio::test]
async fn it_is_held_by_one_until_released() {
    let bed = Bed::new().await;
    let uid = pod(&bed, "a").await;
    let held = acquire(&bed, "a", Some(&uid)).await.expect("it is free");
    assert_eq!(held.fence(), Fence(0));
    let said = refused(&bed, "b").await;
    let namespace = &bed.namespace;
    let expected = format!(
        "another run is at work: pod a of Job job-of-a holds Lease {namespace}/firstlight-lens since 2"
    );
    assert!(said.starts_with(&expected), "{said}");
    held.release().await.expect("released");
    let next = acquire(&bed, "b", Some("2")).await.expect("it is free");
    assert_eq!(next.fence(), Fence(1));
}

#[tokio::test]
async fn it_is_taken_over_when_the_pod_has_gone_ended_or_is_another() {
    let bed = Bed::new().await;
    let uid = pod(&bed, "a").await;
    let _dead = acquire(&bed, "a", Some(&uid)).await.expect("it is free");
    refused(&bed, "b").await;
    bed.delete(&bed.core("pods", "a")).await;
    let second = pod(&bed, "b").await;
    let taken = acquire(&bed, "b", Some(&second)).await;
    assert_eq!(taken.expect("taken over").fence(), Fence(1));

    let status = bed.core("pods", "b") + "/status";
    bed.patch(&status, json!({ "status": { "phase": "Failed" } }))
        .await;
    let third = pod(&bed, "c").await;
    let taken = acquire(&bed, "c", Some(&third)).await;
    assert_eq!(taken.expect("taken over").fence(), Fence(2));

    bed.delete(&bed.core("pods", "c")).await;
    pod(&bed, "c").await;
    let taken = acquire(&bed, "d", None).await;
    assert_eq!(taken.expect("taken over").fence(), Fence(3));
}

#[tokio::test]
async fn it_is_taken_over_when_it_has_run_out() {
    let bed = Bed::new().await;
    let _hung = acquire(&bed, "laptop", None).await.expect("it is free");
    refused(&bed, "b").await;
    let past = json!({ "spec": { "renewTime": "2026-01-01T00:00:00.000000Z" } });
    bed.patch(&path(&bed), past).await;
    let taken = acquire(&bed, "b", None).await;
    assert_eq!(taken.expect("taken over").fence(), Fence(1));
}

#[tokio::test]
async fn of_two_at_once_one_gets_it() {
    let bed = Bed::new().await;
    for _ in 0..5 {
        let (one, other) = tokio::join!(acquire(&bed, "a", None), acquire(&bed, "b", None));
        let (held, error) = match (one, other) {
            (Ok(held), Err(error)) | (Err(error), Ok(held)) => (held, error),
            (Ok(_), Ok(_)) => panic!("both hold it"),
            (Err(one), Err(other)) => panic!("nobody holds it: {one}; {other}"),
        };
        assert_eq!(error.class(), Class::Busy, "{error}");
        held.release().await.expect("released");
    }
}

#[tokio::test]
async fn its_holder_learns_that_it_is_lost() {
    let bed = Bed::new().await;
    let held = acquire(&bed, "a", None).await.expect("it is free");
    steal(&bed).await;
    // A renewal comes every ten seconds; a watch is faster.
    let lost = tokio::time::timeout(Duration::from_secs(5), held.lost()).await;
    let lost = lost.expect("it hears of it").to_string();
    assert!(lost.starts_with("lost the lock to thief (Lease "), "{lost}");
    held.release().await.expect("nothing to release");
    let lease = bed.get(&path(&bed)).await;
    assert_eq!(lease["spec"]["holderIdentity"], "thief");
}

#[tokio::test]
async fn it_is_renewed_while_it_is_held() {
    let bed = Bed::new().await;
    let held = acquire(&bed, "a", None).await.expect("it is free");
    let before = bed.get(&path(&bed)).await["spec"]["renewTime"].clone();
    let renewed = testbed::eventually("a renewal", Duration::from_secs(30), async || {
        let lease = bed.get(&path(&bed)).await;
        if lease["spec"]["renewTime"] == before {
            testbed::Attempt::NotYet(format!("last renewed {before}"))
        } else {
            testbed::Attempt::Done(lease)
        }
    });
    let lease = renewed.await.expect("renewed");
    assert_eq!(lease["spec"]["leaseTransitions"], 0);
    // Somebody else's write to it does not lose it.
    let label = json!({ "metadata": { "labels": { "seen": "yes" } } });
    bed.patch(&path(&bed), label).await;
    held.release().await.expect("released");
    let lease = bed.get(&path(&bed)).await;
    assert_eq!(lease["spec"].get("holderIdentity"), None);
}

#[tokio::test]
async fn an_outage_of_twenty_seconds_does_not_lose_it() {
    // The longest time from a renewal to the outage, and the outage.
    const AWAY: Duration = Duration::from_secs(10 + 20);
    let bed = Bed::new().await;
    let mut proxy = Proxy::start(bed.address()).await.expect("a proxy");
    let client = bed.at(&format!("https://{}", proxy.address())).await;
    let held = Lease::acquire(&client, "firstlight-lens", holder("a", None)).await;
    let held = held.expect("it is free");
    let before = bed.get(&path(&bed)).await["spec"]["renewTime"].clone();
    let began = Instant::now();
    proxy.refuse().await;
    proxy.cut().await;
    let passed = eventually(
        "the outage is long enough",
        2 * AWAY,
        async || match began.elapsed() {
            passed if passed >= AWAY => Attempt::Done(()),
            passed => Attempt::NotYet(format!("{passed:?}")),
        },
    );
    passed.await.expect("time passes");
    assert!(held.loss().is_none(), "{:?}", held.loss());
    proxy.allow().await.expect("the port is still ours");
    let renewed = eventually("a renewal", Duration::from_secs(10), async || {
        let renewed = bed.get(&path(&bed)).await["spec"]["renewTime"].clone();
        if renewed == before {
            Attempt::NotYet(format!("last renewed {before}"))
        } else {
            Attempt::Done(())
        }
    });
    renewed.await.expect("it goes on");
    assert!(held.loss().is_none(), "{:?}", held.loss());
    law::changes(object(client, config("after"), false, false)).await;
}

#[tokio::test]
async fn without_an_answer_it_is_given_up_in_time() {
    // Others may take it a minute after its last renewal; a change under way is let go on for 20 s.
    const GIVEN_UP: Duration = Duration::from_secs(40);
    const ANSWERS: Duration = Duration::from_secs(2);
    let bed = Bed::new().await;
    let proxy = Proxy::start(bed.address()).await.expect("a proxy");
    let client = bed.at(&format!("https://{}", proxy.address())).await;
    let held = Lease::acquire(&client, "firstlight-lens", holder("a", None)).await;
    let held = held.expect("it is free");
    let began = Instant::now();
    // Connections stay, and nothing is heard on them.
    proxy.delay(Duration::from_mins(5));
    let lost = held.lost().await;
    let after = began.elapsed();
    assert!(lost.to_string().contains("could not be renewed"), "{lost}");
    assert!(after < GIVEN_UP + ANSWERS, "{after:?}");
}

const THIEF: &str = "thief";

async fn steal(bed: &Bed) {
    let thief = json!({ "metadata": { "annotations": null }, "spec": { "holderIdentity": THIEF } });
    bed.patch(&path(bed), thief).await;
}

fn config(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "sky": "blue" } })
}

/// The first change that it plans is not made any more.
async fn is_not_made(resource: impl Resource<Error = Error>) {
    let seen = resource.observe().await.expect("it may still look");
    let Ok(Plan::Change(changes)) = resource.plan(&seen) else {
        panic!("there is something to change");
    };
    let change = changes.into_iter().next().expect("a plan is never empty");
    let refused = resource.apply(change).await.expect_err("the lock is lost");
    assert_eq!(refused.kind(), "kubernetes.lost", "{refused}");
    assert_eq!(refused.class(), Class::Busy);
}

#[tokio::test]
async fn whoever_has_lost_it_writes_nothing_more() {
    let bed = Bed::new().await;
    // What there is an earlier run has made.
    let earlier = bed.administrator().await;
    let inventory = Inventory::new(earlier.clone(), "lens");
    let one = [Entry::of_document(&config("one"), false)];
    inventory.announce(&one, Fence(0)).await.expect("written");
    law::changes(object(earlier, config("one"), false, false)).await;
    let known = inventory.settle(&one, Fence(0)).await.expect("written");
    let known = known.entries;

    let held = acquire(&bed, "a", None).await.expect("it is free");
    steal(&bed).await;
    held.lost().await;
    let all = bed.core("configmaps", "");
    let before = bed.get(all.trim_end_matches('/')).await["items"].clone();
    let client = || bed.client.clone();
    is_not_made(Deletion::new(client(), known[0].clone(), false)).await;
    is_not_made(bed.object(config("two"))).await;
    let mut changed = config("one");
    changed["data"]["sky"] = "red".into();
    is_not_made(bed.object(changed)).await;
    let keys = BTreeMap::from([("password".to_owned(), 16)]);
    let secret = GeneratedSecret::new(client(), "login", keys, BTreeMap::new());
    is_not_made(secret).await;
    let two = [Entry::of_document(&config("two"), false)];
    let announced = Inventory::new(client(), "lens");
    let announced = announced.announce(&two, held.fence()).await;
    let announced = announced.expect_err("the lock is lost");
    assert_eq!(announced.kind(), "kubernetes.lost", "{announced}");
    let record = RunRecord::new(client(), "lens");
    let record = record.write("{}", held.fence()).await;
    let record = record.expect_err("the lock is lost");
    assert_eq!(record.kind(), "kubernetes.lost", "{record}");
    assert_eq!(bed.get(all.trim_end_matches('/')).await["items"], before);

    // To look and to try is free, and another run is none of its affair.
    law::fresh(bed.object(config("two")).rehearse(true)).await;
    let other = bed.administrator().await;
    law::changes(object(other, config("two"), false, false)).await;
}

/// When each change was begun, and which steps say that the lock is lost.
#[derive(Default)]
struct Heard {
    began: Mutex<Vec<SystemTime>>,
    lost: Mutex<HashSet<String>>,
}

impl Reporter for Heard {
    fn report(&self, event: &Event<'_>) {
        match &event.kind {
            EventKind::StepChanged { took, .. } => {
                self.began.lock().expect("no panic").push(event.at - *took);
            }
            EventKind::StepWaiting { step, waiting, .. }
                if waiting.what.starts_with("lost the lock to thief") =>
            {
                self.lost.lock().expect("no panic").insert(step.to_string());
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_in_the_middle_it_is_the_end_of_all_writes() {
    const COUNT: usize = 1000;
    let bed = Bed::new().await;
    let held = acquire(&bed, "a", None).await.expect("it is free");
    let heard = Arc::new(Heard::default());
    let mut many = Many::new();
    for name in (0..COUNT).map(|number| format!("number-{number}")) {
        many.step(&name, bed.object(config(&name)));
    }
    let reporters = Reporters::new().with(Arc::clone(&heard) as Arc<dyn Reporter>);
    // Nobody stops this run, so that only the lock does.
    let run = tokio::spawn(many.run(Mode::Apply, reporters));
    let made = || heard.began.lock().expect("no panic").len();
    let patience = Duration::from_mins(1);
    let middle = eventually("the middle", patience, async || match made() {
        0..20 => Attempt::NotYet("fewer than 20 are made".to_owned()),
        _ => Attempt::Done(()),
    });
    middle.await.expect("it begins");
    steal(&bed).await;
    held.lost().await;
    let known = SystemTime::now();
    let all = eventually("all others hear of it", patience, async || {
        let lost = heard.lost.lock().expect("no panic").len();
        if made() + lost == COUNT {
            Attempt::Done(lost)
        } else {
            Attempt::NotYet(format!("{} are made, {lost} know", made()))
        }
    });
    let left = all.await.expect("each step either is made or says why not");
    run.abort();
    assert!(left > 0, "it was lost too late");
    let late = heard.began.lock().expect("no panic").clone();
    assert!(
        late.iter().all(|began| *began <= known),
        "{late:?} {known:?}"
    );
    let path = bed.core("configmaps", "?labelSelector=");
    let there = bed.get(&path).await["items"].as_array().map_or(0, Vec::len);
    // The namespace has one of its own (kube-root-ca.crt) where a controller runs.
    assert!(there <= made() + 1, "{there} of {}", made());
    println!(
        "{} of {COUNT} were made before, {left} not any more",
        made()
    );
}
