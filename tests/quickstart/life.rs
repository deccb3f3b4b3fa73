//! From nothing to installed, and on.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Trace, eventually};

use crate::cluster::{Bed, NAMESPACE, render, root};
use crate::logins;
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
    a_pod_that_dies_in_the_middle_of_the_schema_is_followed_by_one_that_finishes(&bed).await;
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
    let manifest = render(&["--set", "values.cluster.name=renamed"]);
    bed.kubectl_with(&["apply", "-f", "-"], &manifest);
    let job = bed.job_of(&manifest);
    bed.succeeded(&job, RERUN).await;
    let changed = ids(&bed.record(), "changed");
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

async fn a_pod_that_dies_in_the_middle_of_the_schema_is_followed_by_one_that_finishes(bed: &Bed) {
    let manifest = slow_schema(bed);
    bed.kubectl_with(&["apply", "-f", "-"], &slow_rights(&manifest));
    bed.kubectl_with(&["apply", "-f", "-"], &manifest);
    let label = "batch.kubernetes.io/job-name=slow";
    let victim = eventually("the third migration runs", RERUN, async || {
        let pods = bed.get(&["pods", "-l", label]);
        let Some(pod) = pods["items"][0]["metadata"]["name"].as_str() else {
            return Attempt::NotYet("no pod".to_owned());
        };
        if pods["items"][0]["status"]["phase"] != "Running" {
            return Attempt::NotYet(pods["items"][0]["status"].to_string());
        }
        let log = bed.kubectl(&["-n", NAMESPACE, "logs", pod]);
        if log.contains("V0002") {
            Attempt::Done(pod.to_owned())
        } else {
            Attempt::NotYet(log)
        }
    });
    let victim = victim.await.expect("a pod to kill");
    bed.kubectl(&[
        "-n",
        NAMESPACE,
        "delete",
        "pod",
        &victim,
        "--grace-period=0",
        "--force",
    ]);
    bed.succeeded("slow", RERUN).await;
    let log = bed.log("slow");
    assert!(
        !log.contains("V0001"),
        "what was applied is not applied again: {log}"
    );
    assert!(log.contains("V0006"), "{log}");
}

/// A Job with a bundle of its own, whose migrations take their time.
fn slow_schema(bed: &Bed) -> String {
    let image = bed.get(&["cronjob", "firstlight"])["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        ["containers"][0]["image"]
        .clone();
    let template = include_str!("slow-schema.yaml");
    template.replace("IMAGE", image.as_str().expect("an image"))
}

/// The Roles that `firstlight rbac` prints for that bundle.
fn slow_rights(manifest: &str) -> String {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifest).expect("YAML");
    let bundle = tempfile::tempdir().expect("a folder");
    for (key, text) in documents[0]["data"].as_object().expect("files") {
        let folder = match key.as_str() {
            "bundle.yaml" => "manifests",
            _ => "sql",
        };
        let folder = bundle.path().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(key), text.as_str().expect("text")).expect("a file");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
        .args([
            "rbac",
            "--namespace",
            NAMESPACE,
            "--service-account",
            "slow",
        ])
        .arg("--bundle")
        .arg(bundle.path())
        .output()
        .expect("the agent starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The ids of the steps with an outcome.
fn ids(record: &Value, outcome: &str) -> Vec<String> {
    let steps = record["steps"].as_array().expect("steps").iter();
    let steps = steps.filter(|step| step["outcome"] == outcome);
    steps
        .filter_map(|step| step["id"].as_str().map(str::to_owned))
        .collect()
}
