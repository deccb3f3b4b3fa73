//! From nothing to installed, and on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use testbed::Trace;

use crate::cluster::{Bed, render, root};
use crate::logins;
use crate::restarts;
use crate::stored;
use crate::stores::{Stores, drop_index};

const INSTALL: Duration = Duration::from_mins(6);
const RERUN: Duration = Duration::from_mins(2);

#[tokio::test]
async fn the_quickstart_lives() {
    let bed = Bed::clean();
    let job = one_apply_installs_everything(&bed).await;
    the_same_apply_is_the_same_job(&bed, &job);
    logins::try_all(&bed).await;
    the_run_is_one_trace_without_a_gap(&bed).await;
    stored::everywhere(&bed, &job).await;
    a_second_run_writes_nothing(&bed).await;
    a_check_finds_everything_current(&bed).await;
    what_was_deleted_is_made_again_and_nothing_else(&bed).await;
    two_jobs_at_once_both_succeed(&bed).await;
    a_new_configuration_changes_only_what_it_is_about(&bed).await;
    restarts::a_pod_that_dies_is_followed_by_one_that_finishes(&bed).await;
}

async fn one_apply_installs_everything(bed: &Bed) -> String {
    let path = root().join("manifests/bootstrap.yaml");
    let manifest = std::fs::read_to_string(&path).expect("the manifest");
    bed.kubectl(&["apply", "-f", &path.display().to_string()]);
    let job = bed.job_of(&manifest);
    bed.succeeded(&job, INSTALL).await;
    let record = bed.record();
    assert_eq!(record["exit"], 0, "{record}");
    assert!(
        ids(&record, "failed").is_empty() && ids(&record, "skipped").is_empty(),
        "{record}"
    );
    let checks = record["steps"].as_array().expect("steps").iter();
    let checks = checks.filter(|step| {
        step["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("validation/"))
    });
    assert!(checks.count() >= 8, "{record}");
    let sentence = record["sentence"].as_str().expect("a sentence");
    assert_eq!(
        bed.log(&job).lines().last(),
        Some(sentence),
        "the log ends with the sentence"
    );
    events_and_termination_say_the_same(bed, &job, sentence);
    println!("installed in {} s: {sentence}", record["seconds"]);
    for phase in record["phases"].as_array().expect("phases") {
        println!("  {} {} s", phase["name"], phase["seconds"]);
    }
    job
}

fn events_and_termination_say_the_same(bed: &Bed, job: &str, sentence: &str) {
    let events = bed.get(&[
        "events",
        "--field-selector",
        &format!("involvedObject.name={job}"),
    ]);
    let events = events["items"].as_array().cloned().unwrap_or_default();
    let said = events.iter().any(|event| {
        event["message"].as_str().or_else(|| event["note"].as_str()) == Some(sentence)
    });
    assert!(said, "no Event on the Job says {sentence:?}: {events:?}");
    let label = format!("batch.kubernetes.io/job-name={job}");
    let pods = bed.get(&["pods", "-l", &label]);
    let state = &pods["items"][0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["message"], sentence, "{state}");
}

fn the_same_apply_is_the_same_job(bed: &Bed, job: &str) {
    let path = root().join("manifests/bootstrap.yaml");
    bed.kubectl(&["apply", "-f", &path.display().to_string()]);
    let jobs = bed.get(&["jobs"]);
    let names: Vec<&Value> = jobs["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["metadata"]["name"])
        .collect();
    assert_eq!(names, [job]);
}

async fn the_run_is_one_trace_without_a_gap(bed: &Bed) {
    let record = bed.record();
    let id = record["traceId"].as_str().expect("a trace");
    let jaeger = format!("http://127.0.0.1:{}", bed.forward("jaeger", 16686));
    let trace = Trace::of_jaeger(&jaeger, id)
        .await
        .expect("the trace of the run");
    let known: BTreeSet<&str> = trace.spans.iter().map(|span| span.id.as_str()).collect();
    let orphans: Vec<_> = trace
        .spans
        .iter()
        .filter(|span| !span.parent.is_empty() && !known.contains(span.parent.as_str()))
        .map(|span| &span.name)
        .collect();
    assert!(
        orphans.is_empty(),
        "spans whose parent was lost: {orphans:?}"
    );
    let roots = trace
        .spans
        .iter()
        .filter(|span| span.parent.is_empty())
        .count();
    assert_eq!(roots, 1, "one run is one tree");
    let root = &trace.spans[0];
    assert_eq!(root.name, "RUN lens");
    for step in record["steps"].as_array().expect("steps") {
        let mut path = step["id"].as_str().expect("an id");
        let attempts = step["attempts"].as_u64().expect("a number");
        let span = trace
            .find(path)
            .unwrap_or_else(|| panic!("no span of step {path}"));
        let children = trace
            .children(span)
            .filter(|child| child.name == "attempt")
            .count();
        assert_eq!(children as u64, attempts, "attempts of {path}");
        let mut child = span;
        while let Some((above, _)) = path.rsplit_once('/') {
            let group = trace
                .find(above)
                .unwrap_or_else(|| panic!("no span of {above}"));
            assert_eq!(child.parent, group.id, "{path} is not below {above}");
            (path, child) = (above, group);
        }
        assert_eq!(child.parent, root.id, "{path} is not below the run");
    }
    println!("the trace has {} spans", trace.spans.len());
}

async fn a_second_run_writes_nothing(bed: &Bed) {
    let before = Stores::look(bed).await;
    bed.rerun("again");
    bed.succeeded("again", RERUN).await;
    let record = bed.record();
    assert_eq!(ids(&record, "changed"), Vec::<String>::new());
    assert!(
        record["sentence"]
            .as_str()
            .is_some_and(|it| it.contains(" 0 changed")),
        "{record}"
    );
    assert_eq!(before, Stores::look(bed).await, "a server saw a write");
    println!("a second run took {} s", record["seconds"]);
}

async fn a_check_finds_everything_current(bed: &Bed) {
    let before = Stores::look(bed).await;
    let checking = bed.rerun_as("checking", "check");
    bed.kubectl_with(&["apply", "-f", "-"], &checking);
    bed.succeeded("checking", RERUN).await;
    assert_eq!(before, Stores::look(bed).await, "a check has written");
    assert_eq!(bed.record()["mode"], "run", "a check leaves no record");
}

async fn what_was_deleted_is_made_again_and_nothing_else(bed: &Bed) {
    drop_index(bed, "lens-logs-000001").await;
    bed.rerun("repair");
    bed.succeeded("repair", RERUN).await;
    let changed = ids(&bed.record(), "changed");
    assert_eq!(
        changed.len(),
        2,
        "the index and the document in it: {changed:?}"
    );
    assert!(
        changed.iter().all(|id| id.starts_with("search/")),
        "{changed:?}"
    );
}

async fn two_jobs_at_once_both_succeed(bed: &Bed) {
    bed.rerun("twin-one");
    bed.rerun("twin-two");
    bed.succeeded("twin-one", RERUN).await;
    bed.succeeded("twin-two", RERUN).await;
}

async fn a_new_configuration_changes_only_what_it_is_about(bed: &Bed) {
    let caller = "0af7651916cd43dd8448eb211c80319c";
    let manifest = render(&[
        "--set",
        "values.cluster.name=renamed",
        "--set",
        &format!("traceparent=00-{caller}-b7ad6b7169203331-01"),
    ]);
    bed.kubectl_with(&["apply", "-f", "-"], &manifest);
    let job = bed.job_of(&manifest);
    bed.succeeded(&job, RERUN).await;
    let record = bed.record();
    assert_eq!(record["traceId"], caller, "the pod's annotation is heeded");
    let changed = ids(&record, "changed");
    assert!(!changed.is_empty(), "the name of the cluster is used");
    let about: Vec<&String> = changed
        .iter()
        .filter(|id| !id.contains("configmap-prometheus") && !id.contains("otel-collector"))
        .collect();
    assert!(
        about.is_empty(),
        "these do not depend on the name of the cluster: {about:?}"
    );
}

/// The ids of the steps with an outcome.
fn ids(record: &Value, outcome: &str) -> Vec<String> {
    let steps = record["steps"].as_array().expect("steps").iter();
    let steps = steps.filter(|step| step["outcome"] == outcome);
    steps
        .filter_map(|step| step["id"].as_str().map(str::to_owned))
        .collect()
}
