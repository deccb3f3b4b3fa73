//! A collector that goes away while the run goes on: all arrives, and once.

use std::time::Duration;

use testbed::{OwnedOtelcol, Proxy, unique};

use crate::child::Driver;
use crate::received::{Collector, Received};

/// Longer than a server that hangs is waited for in these tests.
const HANGING: Duration = Duration::from_secs(20);

fn driver(id: &str, endpoint: &str, protocol: &str) -> Driver {
    Driver::start(
        "steered",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
        ],
    )
}

/// The end of a run whose collector is there again: all of it has arrived.
async fn ends_whole(mut driver: Driver, collector: &Collector, id: &str) -> (Received, String) {
    driver.go_on().await;
    let said = driver.end().await;
    println!("{id}: {}", said.delivery);
    assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
    let count = said.all_spans();
    let received = collector.with_spans(id, count).await;
    received.assert_whole(count);
    received.assert_looks(&said);
    (received, said.delivery)
}

async fn proxy(collector: &Collector, protocol: &str) -> Proxy {
    let backend = collector.endpoint(protocol).trim_start_matches("http://");
    Proxy::start(backend).await.expect("a proxy")
}

/// Longer than what counts as late, also if the first request is made late on a busy machine;
/// `OUTAGE_SECONDS=300` takes its time.
#[expect(
    clippy::disallowed_methods,
    reason = "what a test is told about itself is no setting of the program"
)]
fn outage() -> Duration {
    let told = std::env::var("OUTAGE_SECONDS").ok();
    let told = told.map(|it| it.parse().expect("OUTAGE_SECONDS is a number"));
    Duration::from_secs(told.unwrap_or(8))
}

async fn late(protocol: &str) {
    let (id, collector) = (unique("later"), Collector::new());
    let mut proxy = proxy(&collector, protocol).await;
    proxy.refuse().await;
    let mut driver = driver(&id, &format!("http://{}", proxy.address()), protocol);
    driver.lasts(outage()).await;
    proxy.allow().await.expect("the port is still ours");
    // The run still goes on, and what was made before is there.
    let early = |received: &Received| {
        let names = received.names();
        let is_there = names.contains("infrastructure/collector");
        is_there.then_some(()).ok_or_else(|| format!("{names:?}"))
    };
    let received = collector.when(&id, early).await;
    assert!(!received.names().contains("RUN lens"));
    let (_, delivery) = ends_whole(driver, &collector, &id).await;
    assert!(delivery.contains(", the first "), "{delivery}");
    assert!(delivery.contains("s late"), "{delivery}");
}

#[tokio::test]
async fn a_late_collector_gets_all_while_the_run_goes_on_by_http() {
    late("http/protobuf").await;
}

#[tokio::test]
async fn a_late_collector_gets_all_while_the_run_goes_on_by_grpc() {
    late("grpc").await;
}

async fn killed(protocol: &str) {
    let id = unique("killed");
    let mut server = OwnedOtelcol::new().expect("a collector");
    let collector = Collector::at(server.address().clone());
    let mut driver = driver(&id, collector.endpoint(protocol), protocol);
    let mut seen = 0;
    for _ in 0..3 {
        server.start().await.expect("it comes up");
        let more = |received: &Received| match received.spans.len() {
            now if now > seen => Ok(()),
            now => Err(format!("{now} spans")),
        };
        seen = collector.when(&id, more).await.spans.len();
        server.kill();
        // Spans are made that nobody takes.
        driver.until("looked after: ").await;
        driver.until("looked after: ").await;
    }
    server.start().await.expect("it comes up");
    ends_whole(driver, &collector, &id).await;
}

#[tokio::test]
async fn a_collector_that_is_killed_three_times_gets_all_by_http() {
    killed("http/protobuf").await;
}

#[tokio::test]
async fn a_collector_that_is_killed_three_times_gets_all_by_grpc() {
    killed("grpc").await;
}

async fn refusing(protocol: &str) {
    let id = unique("refusing");
    let mut server = OwnedOtelcol::new().expect("a collector");
    let collector = Collector::at(server.address().clone());
    server.start_refusing().await.expect("it comes up");
    let mut driver = driver(&id, collector.endpoint(protocol), protocol);
    driver.lasts(Duration::from_secs(3)).await;
    server.start().await.expect("it comes up");
    ends_whole(driver, &collector, &id).await;
}

#[tokio::test]
async fn a_collector_without_memory_gets_all_later_by_http() {
    refusing("http/protobuf").await;
}

#[tokio::test]
async fn a_collector_without_memory_gets_all_later_by_grpc() {
    refusing("grpc").await;
}

async fn hanging(protocol: &str) {
    let (id, collector) = (unique("hanging"), Collector::new());
    let proxy = proxy(&collector, protocol).await;
    proxy.delay(HANGING);
    let mut driver = driver(&id, &format!("http://{}", proxy.address()), protocol);
    driver.lasts(Duration::from_secs(3)).await;
    proxy.delay(Duration::ZERO);
    // What hangs in the proxy never comes out of it.
    proxy.cut().await;
    ends_whole(driver, &collector, &id).await;
}

#[tokio::test]
async fn a_collector_that_hung_gets_all_by_http() {
    hanging("http/protobuf").await;
}

#[tokio::test]
async fn a_collector_that_hung_gets_all_by_grpc() {
    hanging("grpc").await;
}
