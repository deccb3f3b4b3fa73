//! The tree of spans, the log records and the metrics of a run.

use testbed::unique;

use crate::child::{Driver, Said};
use crate::received::{Collector, Received, attributes, text};

/// The spans of a run that succeeds: the run, two phases, two steps, the looks of each, one call.
const SPANS: usize = 10;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// A trace of the caller, new for each test.
struct Caller {
    trace: String,
    span: &'static str,
}

impl Caller {
    fn new() -> Self {
        let trace = format!("{:032x}", rand::random_range(1..=u128::MAX));
        Self {
            trace,
            span: "b7ad6b7169203331",
        }
    }

    fn traceparent(&self) -> String {
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
        ],
    );
    driver.end().await
}

/// Every span has its parent in the trace, but the root, whose parent is the caller's.
fn assert_one_tree(received: &Received, caller: &Caller) {
    let mut roots = Vec::new();
    for span in received.spans.values() {
        assert_eq!(text(&span["traceId"]), caller.trace, "{span}");
        let parent = text(&span["parentSpanId"]);
        if parent == caller.span {
            roots.push(text(&span["name"]));
        } else {
            assert!(received.spans.contains_key(&parent), "an orphan: {span}");
        }
    }
    assert_eq!(roots, ["RUN lens"]);
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
    assert_eq!(received.spans.len(), SPANS, "{:?}", received.names());
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
    let errors = said.at("ERROR");
    assert_eq!(errors[0]["step"], "schema/migrate");
    assert_eq!(errors[0]["fields"]["hint"], "mend it");
}
