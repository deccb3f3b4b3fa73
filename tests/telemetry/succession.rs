//! Who comes after whom: pods that die before anything of them is on record, that give up before
//! their run, or that live on although another has taken their place.

use crate::received::Collector;
use crate::restarts::{assert_dead, job, runs, whole, write_colour};

#[tokio::test]
async fn whoever_lives_on_leaves_the_trace_to_who_has_the_lock_now() {
    let collector = Collector::new();
    let mut job = job("overtaken", 1, collector.endpoint("http/protobuf"));
    let spool = tempfile::tempdir().expect("a folder");
    job.set("FIRSTLIGHT_SPOOL_DIR", &spool.path().display().to_string());
    // Longer than the test waits for its end.
    job.set("FIRSTLIGHT_TELEMETRY_GRACE", "10m");
    let mut one = job.start("overtaken-1");
    one.until(&["second/web", "waiting for"]).await;
    job.has_open("1", "second/web").await;
    // As if its node were lost: the API server knows no such pod any more, and it goes on.
    job.delete("pod", "overtaken-1");
    let mut two = job.start("overtaken-2");
    two.until(&["second/web", "waiting for"]).await;
    assert_eq!(one.end().await, 75, "{}", one.said.join("\n"));
    let left = "left to the run that has the lock next";
    let said = one.said.iter().any(|line| line.contains(left));
    assert!(said, "{}", one.said.join("\n"));
    let kept = std::fs::read_dir(spool.path()).expect("a folder");
    let kept = kept.map(|it| it.expect("a file").file_name());
    let kept: Vec<_> = kept
        .filter(|name| name.to_string_lossy().starts_with("undelivered"))
        .collect();
    assert!(
        kept.is_empty(),
        "to replay it would say otherwise: {kept:?}"
    );
    job.make_ready("web");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));
    let received = whole(&collector, &job, 2).await;
    let said = "the pod overtaken-1 was deleted";
    assert_dead(runs(&received)[0], "deleted", said);
}

#[tokio::test]
async fn whoever_lost_the_lock_to_nobody_waits_for_nobody() {
    let collector = Collector::new();
    let mut job = job("deserted", 1, collector.endpoint("http/protobuf"));
    // Longer than the test waits for its end.
    job.set("FIRSTLIGHT_TELEMETRY_GRACE", "10m");
    let mut one = job.start("deserted-1");
    one.until(&["second/web", "waiting for"]).await;
    job.has_open("1", "second/web").await;
    job.delete("lease", "firstlight-deserted");
    assert_eq!(one.end().await, 75, "{}", one.said.join("\n"));
    let left = "left to the run that has the lock next";
    let said = one.said.iter().any(|line| line.contains(left));
    assert!(said, "{}", one.said.join("\n"));
}

#[tokio::test]
async fn whoever_gives_up_before_its_run_hides_nobody() {
    let collector = Collector::new();
    let job = job("hidden", 1, collector.endpoint("http/protobuf"));
    job.hold_up_progress(true).await;
    let mut one = job.start("hidden-1");
    one.until(&["create ConfigMap"]).await;
    one.kill().await;
    job.ended("hidden-1", "Error", 137);
    job.hold_up_progress(false).await;
    // What is news to the inventory is put on record before the run, and cannot be.
    write_colour(&job, "new");
    job.claim_inventory(999);
    let mut two = job.start("hidden-2");
    assert_eq!(two.end().await, 75, "{}", two.said.join("\n"));
    job.ended("hidden-2", "Error", 75);
    job.claim_inventory(0);
    let mut three = job.start("hidden-3");
    three.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(three.end().await, 0, "{}", three.said.join("\n"));
    let received = whole(&collector, &job, 2).await;
    let said = "the pod hidden-1 ended with exit code 137";
    assert_eq!(received.all("first/colours").len(), 1, "the last one's");
    assert_dead(runs(&received)[0], "exit_code_137", said);
    let record = job.record();
    assert_eq!(record["attempt"], 2, "{record}");
    assert_eq!(
        record["after"],
        "the pod hidden-1 ended with exit code 137 after 41.0s"
    );
}

#[tokio::test]
async fn killed_three_times_before_anything_is_on_record() {
    let collector = Collector::new();
    let job = job("hasty", 1, collector.endpoint("http/protobuf"));
    job.hold_up_progress(true).await;
    for number in 1..=3 {
        write_colour(&job, &format!("new-{number}"));
        let name = format!("hasty-{number}");
        let mut pod = job.start(&name);
        pod.until(&["create ConfigMap"]).await;
        pod.kill().await;
        job.ended(&name, "Error", 137);
    }
    job.hold_up_progress(false).await;
    let mut last = job.start("hasty-4");
    last.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(last.end().await, 0, "{}", last.said.join("\n"));
    let received = whole(&collector, &job, 4).await;
    assert_eq!(received.all("first/colours").len(), 1, "the last one's");
    for (number, run) in (1..=3).zip(runs(&received)) {
        let said = format!("attempt {number} was cut short: the pod hasty-{number} ended");
        assert_dead(run, "exit_code_137", &said);
    }
}
