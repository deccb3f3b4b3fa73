//! The lock of a run.

use std::time::Duration;

use firstlight::engine::{Class, Failure as _};
use firstlight::providers::kubernetes::{Error, Fence, Held, Holder, Lease};
use serde_json::json;

use super::bed::Bed;

fn holder(pod: &str, uid: Option<&str>) -> Holder {
    Holder {
        pod: pod.to_owned(),
        uid: uid.map(str::to_owned),
        job: Some(format!("job-of-{pod}")),
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
    let thief =
        json!({ "metadata": { "annotations": null }, "spec": { "holderIdentity": "thief" } });
    bed.patch(&path(&bed), thief).await;
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
