//! The tree of spans, the log records and the metrics of a run.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::unique;

use crate::child::{Driver, Said};
use crate::received::{Collector, Received, attributes, list, text};

/// The spans of a run that succeeds: the run, two phases, two steps, two looks of each, one wait,
/// one call.
const SPANS: usize = 11;

/// What other tracers have said of the caller's trace.
pub(crate) const STATE: &str = "vendor=a1,other=b2";

const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// A trace of the caller, new for each test.
pub(crate) struct Caller {
    pub(crate) trace: String,
    pub(crate) span: &'static str,
}

impl Caller {
    pub(crate) fn new() -> Self {
        let trace = format!("{:032x}", rand::random_range(1..=u128::MAX));
        Self {
            trace,
            span: "b7ad6b7169203331",
        }
    }

    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

async fn run(
    collector: &Collector,
    profile: &str,
    protocol: &str,
    run: &str,
    caller: &Caller,
) -> Said {
    let driver = Driver::start(
        profile,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint(protocol)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={run}")),
            ("FIRSTLIGHT_POD_NAME", "lens-1"),
            ("TRACEPARENT", &caller.traceparent()),
            ("TRACESTATE", STATE),
        ],
    );
    driver.end().await
}

/// Every span has its parent in the trace, but the root, whose parent is the caller's.
pub(crate) fn assert_one_tree(received: &Received, caller: &Caller) {
    assert_one_tree_of(received, caller, "RUN lens");
}

/// The same of another root.
pub(crate) fn assert_one_tree_of(received: &Received, caller: &Caller, root: &str) {
    let mut roots = Vec::new();
    for span in received.spans.values() {
        assert_eq!(text(&span["traceId"]), caller.trace, "{span}");
        let state = text(&span["traceState"]);
        assert!(state.is_empty() || state == STATE, "{span}");
        let parent = text(&span["parentSpanId"]);
        if parent == caller.span {
            roots.push(text(&span["name"]));
        } else {
            assert!(received.spans.contains_key(&parent), "an orphan: {span}");
        }
    }
    assert_eq!(roots, [root]);
}

async fn everything_arrives(protocol: &str) {
    let (id, caller, collector) = (unique("run"), Caller::new(), Collector::new());
    let said = run(&collector, "fine", protocol, &id, &caller).await;
    assert!(
        said.delivery.contains(" spans delivered, "),
        "{}",
        said.delivery
    );
    let received = collector.with_spans(&id, SPANS).await;
    assert_eq!(received.without_marks(), SPANS, "{:?}", received.names());
    assert_one_tree(&received, &caller);

    let call = received.span("PUT /things/{name}");
    assert_eq!(
        received.path(call),
        [
            "PUT /things/{name}",
            "attempt",
            "schema/database",
            "schema",
            "RUN lens"
        ]
    );
    assert_eq!(call["kind"], CLIENT);
    assert_eq!(received.span("RUN lens")["kind"], SERVER);
    let resource = attributes(&received.resources[0]);
    assert_eq!(resource["service.name"], "firstlight");
    assert_eq!(resource["k8s.pod.name"], "lens-1");
    assert_wait(&received);
    for span in received.spans.values() {
        assert_eq!(text(&span["traceState"]), STATE, "{span}");
        if ["started", "wait", "attempt"].contains(&span["name"].as_str().unwrap_or_default()) {
            assert_eq!(span["kind"], INTERNAL, "{span}");
        }
    }
    assert_logs(&received, &said, &caller);
    assert_metrics(&received);
}

/// The wait stands beside the looks, and says what for.
fn assert_wait(received: &Received) {
    let wait = received.span("wait");
    let path = [
        "wait",
        "infrastructure/collector",
        "infrastructure",
        "RUN lens",
    ];
    assert_eq!(received.path(wait), path);
    let said = attributes(wait);
    let reason = "thing collector: 0 of 1 ready";
    assert_eq!(said["firstlight.wait.target"], "infrastructure/collector");
    assert_eq!(said["firstlight.wait.reason"], reason);
    assert_eq!(said["firstlight.wait.class"], "unavailable");
    assert_eq!(said["firstlight.outcome"], "ended");
    let events = list(&wait["events"]);
    assert_eq!(events.len(), 1, "{wait}");
    assert_eq!(events[0]["name"], "wait.reason");
    assert_eq!(attributes(&events[0])["firstlight.wait.reason"], reason);
    let looks = received.all("attempt");
    let time = |span: &Value, end: &str| text(&span[end]).parse::<u64>().expect("a time");
    let lasts = time(wait, "startTimeUnixNano")..=time(wait, "endTimeUnixNano");
    assert!(
        lasts.contains(&time(looks[1], "startTimeUnixNano")),
        "{wait}"
    );
    let outcomes = looks.iter().map(|look| {
        let said = attributes(look);
        let word = |key| said.get(key).cloned().unwrap_or_default();
        (word("cicd.pipeline.task.name"), word("firstlight.outcome"))
    });
    let expected = [
        ("infrastructure/collector", "waiting"),
        ("infrastructure/collector", "unchanged"),
        ("schema/database", "changed"),
        ("schema/database", "changed"),
    ];
    let expected = expected.map(|(step, word)| (step.to_owned(), word.to_owned()));
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
}

/// Every record names a span of the trace, has a time, and is on the standard output too.
fn assert_logs(received: &Received, said: &Said, caller: &Caller) {
    let mut bodies = BTreeSet::new();
    for (target, record) in &received.records {
        assert!(target.starts_with("firstlight"), "{target}: {record}");
        assert_eq!(text(&record["traceId"]), caller.trace, "{record}");
        assert!(
            received.spans.contains_key(&text(&record["spanId"])),
            "{record}"
        );
        assert!(!text(&record["timeUnixNano"]).is_empty(), "{record}");
        bodies.insert(text(&record["body"]["stringValue"]));
    }
    let lines = said.log();
    for line in &lines {
        assert_eq!(line["trace_id"], caller.trace, "{line}");
        assert!(
            bodies.contains(&text(&line["message"])),
            "not exported: {line}"
        );
    }
    let looking: Vec<&Value> = lines
        .iter()
        .filter(|line| line["message"] == "looking")
        .collect();
    let steps: BTreeSet<_> = looking.iter().map(|line| text(&line["step"])).collect();
    assert_eq!(
        steps,
        BTreeSet::from([
            "infrastructure/collector".to_owned(),
            "schema/database".to_owned()
        ])
    );
    let waited = received
        .records
        .iter()
        .find(|(_, record)| record["eventName"] == "step.waiting");
    let (_, waited) = waited.expect("a wait is told");
    assert_eq!(
        waited["body"]["stringValue"],
        "waiting for thing collector: 0 of 1 ready"
    );
    assert_eq!(attributes(waited)["step"], "infrastructure/collector");
}

fn assert_metrics(received: &Received) {
    let names: BTreeSet<_> = received.metrics.keys().map(String::as_str).collect();
    let wanted = [
        "cicd.pipeline.run.active",
        "cicd.pipeline.run.duration",
        "firstlight.step.changes",
        "firstlight.step.duration",
        "firstlight.step.wait",
    ];
    assert_eq!(names, BTreeSet::from(wanted));
    let run = &received.metrics["cicd.pipeline.run.duration"];
    assert_eq!(run["unit"], "s");
    let points = list(&run["histogram"]["dataPoints"]);
    let point = attributes(&points[0]);
    assert_eq!(point["cicd.pipeline.name"], "lens");
    assert_eq!(point["cicd.pipeline.result"], "success");
    assert_eq!(text(&points[0]["count"]), "1");
    let active = list(&received.metrics["cicd.pipeline.run.active"]["sum"]["dataPoints"]);
    assert_eq!(text(&active[0]["asInt"]), "0", "the run has ended");
    let steps = list(&received.metrics["firstlight.step.duration"]["histogram"]["dataPoints"]);
    assert_eq!(steps.len(), 2, "{steps:?}");
}

#[tokio::test]
async fn everything_arrives_by_http() {
    everything_arrives("http/protobuf").await;
}

#[tokio::test]
async fn everything_arrives_by_grpc() {
    everything_arrives("grpc").await;
}

#[tokio::test]
async fn a_failed_run_shows_where_and_why() {
    let (id, caller, collector) = (unique("run"), Caller::new(), Collector::new());
    let said = run(&collector, "failing", "http/protobuf", &id, &caller).await;
    let received = collector
        .when(&id, |received| {
            let failed = received.metrics.contains_key("cicd.pipeline.run.errors");
            let ended = received.names().contains("RUN lens");
            if failed && ended {
                Ok(())
            } else {
                Err(format!("{:?}", received.names()))
            }
        })
        .await;
    assert_one_tree(&received, &caller);
    for name in ["RUN lens", "schema/migrate"] {
        let span = received.span(name);
        assert_eq!(span["status"]["code"], ERROR, "{span}");
        assert_eq!(attributes(span)["error.type"], "broken", "{span}");
        let status = text(&span["status"]["message"]);
        assert!(status.contains("thing migrate is broken"), "{status}");
    }
    assert!(received.span("schema/database")["status"]["code"].is_null());
    // What was not tried is in the trace too, and is no failure.
    let skipped = received.span("applications/grafana");
    assert!(skipped["status"]["code"].is_null(), "{skipped}");
    let told = attributes(skipped);
    assert_eq!(told["firstlight.outcome"], "skipped");
    assert_eq!(told["cicd.pipeline.task.run.result"], "skip");
    assert_eq!(told["firstlight.skipped.because"], "schema/migrate failed");
    let group = received.span("schema");
    assert_eq!(group["status"]["message"], "schema/migrate failed");
    assert_eq!(attributes(group)["error.type"], "step_failed");
    let errors = said.at("ERROR");
    assert_eq!(errors[0]["step"], "schema/migrate");
    assert_eq!(errors[0]["fields"]["hint"], "mend it");
    let errors = list(&received.metrics["cicd.pipeline.run.errors"]["sum"]["dataPoints"]);
    assert_eq!(attributes(&errors[0])["error.type"], "broken");
}
