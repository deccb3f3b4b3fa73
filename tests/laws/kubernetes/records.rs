//! What a run leaves in the cluster.

use std::time::SystemTime;

use firstlight::engine::{Class, Failure as _};
use firstlight::providers::kubernetes::{Error, Fence, Job, JobEvent, RunRecord, Severity};
use serde_json::json;

use super::bed::Bed;

#[tokio::test]
async fn the_record_of_the_last_run_is_kept() {
    let bed = Bed::new().await;
    let record = RunRecord::new(bed.client.clone(), "lens");
    assert_eq!(record.read().await.expect("an answer"), None);
    for text in [r#"{"run":1}"#, r#"{"run":2}"#] {
        record.write(text, Fence(0)).await.expect("written");
        let found = record.read().await.expect("an answer");
        assert_eq!(found.as_deref(), Some(text));
    }
    let path = bed.core("configmaps", "firstlight-lens");
    let edited = json!({ "data": { "record.json": "edited" } });
    bed.patch(&path, edited).await;
    conflicts(record.write(r#"{"run":3}"#, Fence(2)).await);
    record
        .write(r#"{"run":3}"#, Fence(2))
        .await
        .expect("written");
    // A run that lost its lock without knowing must not speak last.
    let late = record.write(r#"{"run":2}"#, Fence(1)).await;
    let late = late.expect_err("a later holder has written");
    assert_eq!(late.class(), Class::Busy);
    assert!(late.to_string().contains("holder 2 of the lock"), "{late}");
    let kept = record.read().await.expect("an answer");
    assert_eq!(kept.as_deref(), Some(r#"{"run":3}"#));

    let error = record.write(&"x".repeat(1 << 20), Fence(2)).await;
    let error = error.expect_err("too large");
    assert_eq!(error.class(), Class::Bug);
    assert!(error.to_string().contains("1048576 bytes"), "{error}");
    record
        .write(&"x".repeat(900 << 10), Fence(2))
        .await
        .expect("it just fits");
}

/// What follows from what was read is to be thought over by who has read it.
fn conflicts(written: Result<(), Error>) {
    let conflict = written.expect_err("it is not as it was read");
    assert!(matches!(conflict, Error::Conflict { .. }), "{conflict}");
}

#[tokio::test]
async fn an_event_is_seen_on_the_job() {
    let bed = Bed::new().await;
    let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", bed.namespace);
    let containers = json!([{ "name": "agent", "image": "example.com/agent" }]);
    let template = json!({ "spec": { "restartPolicy": "Never", "containers": containers } });
    let job = json!({ "metadata": { "name": "bootstrap" }, "spec": { "template": template } });
    let job = bed.post(&jobs, job).await;
    let uid = job["metadata"]["uid"].as_str().map(str::to_owned);
    let name = "bootstrap".to_owned();
    let events = JobEvent::new(
        bed.client.clone(),
        Some(Job {
            name,
            uid: uid.clone(),
        }),
    );
    let now = SystemTime::now();
    let long = "schema/migrate failed: ".repeat(100);
    let sent = events.send(Severity::Warning, "Failed", &long, now).await;
    sent.expect("sent");
    // As one does whose answer was lost.
    let again = events.send(Severity::Warning, "Failed", &long, now).await;
    again.expect("it is there already");

    let uid = uid.expect("a uid");
    let of_the_job = format!("?fieldSelector=involvedObject.uid={uid}");
    let found = bed.get(&bed.core("events", &of_the_job)).await;
    let found = found["items"].as_array().expect("a list").clone();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["reason"], "Failed");
    assert_eq!(found[0]["type"], "Warning");
}

#[tokio::test]
async fn outside_of_a_job_no_event_is_sent() {
    let bed = Bed::new().await;
    let reader = bed.reader().await;
    let events = JobEvent::new(reader, None);
    let sent = events.send(Severity::Normal, "Completed", "done", SystemTime::now());
    sent.await.expect("nothing to send");
}
