//! A Job whose pod is killed and whose next pod goes on: still one trace, without orphans and
//! without open ends, in which each span has one content.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use testbed::Proxy;

use crate::job::Job;
use crate::received::{Collector, Received, attributes, list, text};

const ERROR: u64 = 2;

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: example.com/web }] }
";

const PHASES: &str = "  - name: first
    steps:
      - apply: { path: manifests/colours }
  - name: second
    steps:
      - apply: { path: manifests/web.yaml }
";

/// A Job that makes this many things and then waits for a Deployment.
pub(crate) fn job(name: &str, things: usize, endpoint: &str) -> Job {
    let job = Job::new(name, PHASES, endpoint);
    for number in 0..things {
        write_colour(&job, &number.to_string());
    }
    job.write("manifests/web.yaml", WEB);
    job
}

pub(crate) fn write_colour(job: &Job, name: &str) {
    let colour = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: colour-{name} }}\ndata: {{ sky: blue }}\n"
    );
    job.write(&format!("manifests/colours/colour-{name}.yaml"), &colour);
}

/// The spans of the runs, in the order of their attempts.
pub(crate) fn runs(received: &Received) -> Vec<&Value> {
    let is_run = |span: &&Value| text(&span["name"]).starts_with("RUN ");
    let mut runs: Vec<&Value> = received.spans.values().filter(is_run).collect();
    runs.sort_by_key(|run| attempt(run));
    runs
}

fn attempt(run: &Value) -> u32 {
    let attempt = attributes(run).remove("firstlight.attempt");
    attempt.and_then(|it| it.parse().ok()).expect("an attempt")
}

/// Waits for this many runs and looks at all that came with them.
pub(crate) async fn whole(collector: &Collector, job: &Job, attempts: u32) -> Received {
    let received = collector.when(job.mark(), |received| {
        let found: Vec<u32> = runs(received).into_iter().map(attempt).collect();
        if found == (1..=attempts).collect::<Vec<_>>() {
            Ok(())
        } else {
            Err(format!(
                "{} spans with the attempts {found:?}",
                received.spans.len()
            ))
        }
    });
    let received = received.await;
    assert_one_trace(&received);
    received
}

/// One trace with one root; each parent is there. That no span has two contents is seen when they
/// are read.
fn assert_one_trace(received: &Received) {
    let traces: BTreeSet<String> = received
        .spans
        .values()
        .map(|it| text(&it["traceId"]))
        .collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    for span in received.spans.values() {
        let parent = text(&span["parentSpanId"]);
        let is_first = text(&span["name"]).starts_with("RUN ") && attempt(span) == 1;
        assert_eq!(
            parent.is_empty(),
            is_first,
            "the root is the first attempt: {span}"
        );
        assert!(
            is_first || received.spans.contains_key(&parent),
            "an orphan: {span}"
        );
        let ended: u64 = text(&span["endTimeUnixNano"])
            .parse()
            .expect("it has ended");
        let began: u64 = text(&span["startTimeUnixNano"])
            .parse()
            .expect("it has begun");
        assert!(ended >= began, "{span}");
    }
    let runs = runs(received);
    for later in &runs[1..] {
        assert_eq!(later["parentSpanId"], runs[0]["spanId"], "{later}");
    }
}

/// The spans that the death of a pod has ended.
fn cut_short<'a>(received: &'a Received, kind: &str) -> Vec<&'a Value> {
    let is_cut =
        |span: &&Value| attributes(span).get("error.type").map(String::as_str) == Some(kind);
    received.spans.values().filter(is_cut).collect()
}

/// How many steps or groups of this name have ended by themselves.
fn steps(received: &Received, name: &str) -> usize {
    let is_it = |span: &&Value| {
        let result = attributes(span).remove("cicd.pipeline.task.run.result");
        text(&span["name"]).ends_with(name) && result.as_deref() == Some("success")
    };
    received.spans.values().filter(is_it).count()
}

fn names(spans: &[&Value]) -> BTreeSet<String> {
    spans.iter().map(|span| text(&span["name"])).collect()
}

pub(crate) fn assert_dead(run: &Value, kind: &str, said: &str) {
    assert_eq!(run["status"]["code"], ERROR, "{run}");
    let message = text(&run["status"]["message"]);
    assert!(message.contains(said), "{message}");
    let attributes = attributes(run);
    assert_eq!(attributes["error.type"], kind);
    assert_eq!(attributes["cicd.pipeline.result"], "error");
}

/// Which pods sent the spans.
fn pods(received: &Received) -> BTreeSet<String> {
    let resources = received.resources.iter();
    resources
        .filter_map(|it| attributes(it).remove("k8s.pod.name"))
        .collect()
}

#[tokio::test]
async fn killed_while_it_waits() {
    let collector = Collector::new();
    let job = job("waits", 2, collector.endpoint("http/protobuf"));
    let mut one = job.start("waits-1");
    one.until(&["second/web", "waiting for"]).await;
    job.has_open("1", "second/web").await;
    one.kill().await;
    job.ended("waits-1", "OOMKilled", 137);
    let mut two = job.start("waits-2");
    two.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));

    let received = whole(&collector, &job, 2).await;
    let runs = runs(&received);
    let said = "attempt 1 was cut short: the pod waits-1 was OOMKilled after 41.0s";
    assert_dead(runs[0], "OOMKilled", said);
    assert_eq!(runs[1]["status"]["code"].as_u64().unwrap_or_default(), 0);
    let cut = names(&cut_short(&received, "OOMKilled"));
    for open in ["RUN waits", "second", "second/web"] {
        assert!(cut.contains(open), "{open} was open: {cut:?}");
    }
    for ended in ["first", "colour-0", "colour-1"] {
        assert!(!cut.contains(ended), "{ended} had ended: {cut:?}");
        assert_eq!(steps(&received, ended), 2, "{ended} once in each attempt");
    }
    assert_eq!(
        pods(&received),
        ["waits-1", "waits-2"].map(str::to_owned).into()
    );

    let record = job.record();
    assert_eq!(record["attempt"], 2, "{record}");
    assert_eq!(record["after"], "the pod waits-1 was OOMKilled after 41.0s");
    assert_eq!(record["traceId"], runs[0]["traceId"]);
    let named = "attempt 2: the pod waits-1 was OOMKilled after 41.0s";
    assert!(
        two.said.iter().any(|line| line.contains(named)),
        "{}",
        two.said.join("\n")
    );
    assert_eq!(
        job.progress()["binaryData"],
        Value::Null,
        "nothing is left to be kept"
    );
}

#[tokio::test]
async fn killed_while_the_collector_is_away() {
    let collector = Collector::new();
    let mut job = job("away", 3, "http://127.0.0.1:1");
    let mut one = job.start("away-1");
    one.until(&["second/web", "waiting for"]).await;
    job.has_open("1", "second/web").await;
    one.kill().await;
    job.delete("pod", "away-1");
    job.send_to(collector.endpoint("http/protobuf"));
    let mut two = job.start("away-2");
    two.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));

    let received = whole(&collector, &job, 2).await;
    assert_dead(runs(&received)[0], "deleted", "the pod away-1 was deleted");
    for ended in ["colour-0", "colour-1", "colour-2"] {
        assert_eq!(
            steps(&received, ended),
            2,
            "{ended} had ended and was not lost"
        );
    }
    let calls = received.spans.values().filter(|span| span["kind"] == 3);
    assert!(calls.count() > 6, "calls are kept too");
}

#[tokio::test]
async fn killed_before_it_has_the_lock() {
    let collector = Collector::new();
    let mut job = job("early", 1, collector.endpoint("http/protobuf"));
    let mut proxy = Proxy::start(job.api_server()).await.expect("a proxy");
    job.ask_at(&proxy.address().to_string());
    proxy.refuse().await;
    let mut one = job.start("early-1");
    one.until(&["waiting for answers of the API server"]).await;
    one.kill().await;
    job.ended("early-1", "Error", 137);
    proxy.allow().await.expect("the port is still ours");
    let mut two = job.start("early-2");
    two.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));
    let received = whole(&collector, &job, 1).await;
    assert_eq!(pods(&received), ["early-2".to_owned()].into());
    assert_eq!(job.record()["attempt"], Value::Null, "nobody had begun");
}

#[tokio::test]
async fn killed_between_two_steps_in_its_first_second() {
    let collector = Collector::new();
    let job = job("between", 1, collector.endpoint("http/protobuf"));
    let mut one = job.start("between-1");
    one.until(&["first/colours", "current after"]).await;
    one.kill().await;
    job.ended("between-1", "Error", 137);
    let mut two = job.start("between-2");
    two.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));
    let received = whole(&collector, &job, 2).await;
    assert_dead(
        runs(&received)[0],
        "exit_code_137",
        "ended with exit code 137",
    );
}

#[tokio::test]
async fn killed_three_times_in_the_middle_of_its_writes() {
    let collector = Collector::new();
    let mut job = job("writes", 1, collector.endpoint("http/protobuf"));
    let proxy = Proxy::start(job.api_server()).await.expect("a proxy");
    job.ask_at(&proxy.address().to_string());
    proxy.delay(Duration::from_millis(75));
    // One waits, so that the group of all is open however long it takes to put that on record.
    let later = format!("{}-later", job.namespace);
    job.write(
        "manifests/colours/colour-last.yaml",
        &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: colour-last, namespace: {later} }}\n"),
    );
    for number in 1..=3 {
        for thing in 0..100 {
            write_colour(&job, &format!("{number}-{thing}"));
        }
        let name = format!("writes-{number}");
        let mut pod = job.start(&name);
        pod.until(&["create ConfigMap"]).await;
        job.has_open(&number.to_string(), "first/colours").await;
        pod.kill().await;
        job.ended(&name, "Error", 137);
    }
    proxy.delay(Duration::ZERO);
    job.create_namespace(&later);
    let mut last = job.start("writes-4");
    last.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(last.end().await, 0, "{}", last.said.join("\n"));
    let received = whole(&collector, &job, 4).await;
    for run in &runs(&received)[..3] {
        assert_dead(run, "exit_code_137", "ended with exit code 137");
    }
    let ended = received.spans.values().filter(|span| {
        let is_step = text(&span["name"]).contains("colour-");
        is_step && attributes(span).contains_key("firstlight.outcome")
    });
    let ended = ended.count();
    assert!(
        ended > 302,
        "{ended}: what had ended in a dead attempt is there too"
    );
}

#[tokio::test]
async fn killed_at_the_very_end_before_the_record() {
    let collector = Collector::new();
    let mut job = job("end", 1, collector.endpoint("http/protobuf"));
    let proxy = Proxy::start(job.api_server()).await.expect("a proxy");
    job.ask_at(&proxy.address().to_string());
    let mut one = job.start("end-1");
    one.until(&["second/web", "waiting for"]).await;
    job.has_open("1", "second/web").await;
    job.make_ready("web");
    one.until(&["second/web", "current"]).await;
    proxy.delay(Duration::from_millis(400));
    one.until(&["run ended: "]).await;
    one.kill().await;
    job.ended("end-1", "Error", 137);
    proxy.delay(Duration::ZERO);
    let mut two = job.start("end-2");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));
    let received = whole(&collector, &job, 2).await;
    assert_dead(runs(&received)[0], "exit_code_137", "the pod end-1 ended");
    assert_eq!(job.record()["attempt"], 2);
}

#[tokio::test]
async fn the_pod_after_one_that_gave_up_is_in_the_same_trace() {
    let collector = Collector::new();
    let job = job("gave-up", 1, collector.endpoint("http/protobuf"));
    job.write(
        "manifests/web.yaml",
        &WEB.replace("image: example.com/web", "image: \"\""),
    );
    let mut one = job.start("gave-up-1");
    assert_ne!(one.end().await, 0, "its image is missing");
    job.ended("gave-up-1", "Error", 78);
    job.write("manifests/web.yaml", WEB);
    let mut two = job.start("gave-up-2");
    two.until(&["second/web", "waiting for"]).await;
    job.make_ready("web");
    assert_eq!(two.end().await, 0, "{}", two.said.join("\n"));
    let received = whole(&collector, &job, 2).await;
    let runs = runs(&received);
    assert_eq!(attributes(runs[0])["cicd.pipeline.result"], "failure");
    assert_eq!(job.record()["attempt"], 2);
    assert!(list(&runs[1]["links"]).len() <= 1, "{}", runs[1]);
}
