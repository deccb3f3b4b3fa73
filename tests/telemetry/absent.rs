//! No collector, a dead one, one that hangs: the run does not care.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use testbed::unique;

use crate::child::{Driver, Said, millis};
use crate::driver::CALLS;
use crate::received::Collector;

/// The grace for a server that never answered is two seconds; a busy machine may add as much.
const BOUND: Duration = Duration::from_secs(4);

async fn run(profile: &str, endpoint: &str, protocol: &str) -> Said {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
    ];
    Driver::start(profile, &variables).end().await
}

/// A port where connections are taken and nothing is ever answered.
fn hanging() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

/// One warning, with the reason, after a bounded wait.
fn assert_told_once(said: &Said, reason: &str) {
    assert!(said.finish < BOUND, "the end took {:?}", said.finish);
    let warnings = said.at("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let message = warnings[0]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("telemetry: 0 of "), "{message}");
    assert!(message.contains(reason), "{message}");
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_said_of_it() {
    let said = Driver::start("fine", &[]).end().await;
    assert!(
        said.finish < Duration::from_millis(500),
        "{:?}",
        said.finish
    );
    for line in said.log() {
        assert!(line["trace_id"].is_null(), "{line}");
        assert!(!line.to_string().contains("telemetry"), "{line}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_once_at_the_end() {
    let (listener, url) = hanging();
    drop(listener);
    for protocol in ["http/protobuf", "grpc"] {
        assert_told_once(&run("fine", &url, protocol).await, "Connection refused");
    }
}

#[tokio::test]
async fn a_server_that_hangs_does_not_slow_the_run() {
    let (_listener, url) = hanging();
    for protocol in ["http/protobuf", "grpc"] {
        let said = run("busy", &url, protocol).await;
        assert!(said.finish < BOUND, "the end took {:?}", said.finish);
        assert!(
            said.run < Duration::from_secs(30),
            "the run took {:?}",
            said.run
        );
    }
}

#[tokio::test]
async fn many_quick_steps_are_no_reason_to_ask_more_often() {
    let (listener, url) = hanging();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    // Whoever connects is turned away at once. The thread ends with the process.
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    for protocol in ["http/protobuf", "grpc"] {
        let before = asked.load(Ordering::SeqCst);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("FIRSTLIGHT_LOG_LEVEL", "warn"),
        ];
        let mut driver = Driver::start("held many 5000", &variables);
        let run = millis(&driver.until("run ended: ").await);
        let asked = asked.load(Ordering::SeqCst) - before;
        println!("{asked} connections in {run:?} by {protocol}");
        // Spans and metrics: after 0, 0.25, 0.75 and 1.75 seconds, and then every two.
        let most = 2 * (4 + run.as_secs() / 2);
        assert!((1..=most).contains(&asked), "{asked} in {run:?}");
    }
}

#[tokio::test]
async fn a_wrong_variable_is_told_and_the_run_goes_on() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318");
    let said = Driver::start("fine", &[endpoint]).end().await;
    let warnings = said.at("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(
        warnings[0]["message"],
        "environment variable OTEL_EXPORTER_OTLP_ENDPOINT is wrong: collector:4318 does not begin with \
         http:// or https://; it is ignored"
    );

    let certificate = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.crt");
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1");
    let said = Driver::start("fine", &[endpoint, certificate, ("TRACEPARENT", "x")])
        .end()
        .await;
    let warnings = serde_json::to_string(&said.at("WARN")).expect("JSON");
    assert!(warnings.contains("TRACEPARENT is wrong"), "{warnings}");
    assert!(
        warnings.contains("failed to read /nowhere/ca.crt"),
        "{warnings}"
    );
}

#[tokio::test]
async fn a_burst_of_spans_arrives_whole() {
    let id = unique("burst");
    let collector = Collector::new();
    let driver = Driver::start(
        "busy",
        &[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
        ],
    );
    let said = driver.end().await;
    assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
    // The calls, the looks around them, and what every run has; and three marks if it takes longer
    // than a second.
    let least = CALLS + 10;
    let received = collector.with_spans(&id, least).await;
    assert!(received.names().contains("RUN lens"));
    assert_eq!(received.without_marks(), least);
    let all = received.spans.len();
    assert!(
        said.delivery.contains(&format!("{all} of {all} spans")),
        "{}",
        said.delivery
    );
}
