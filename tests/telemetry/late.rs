//! A collector that comes up only when the run is over: nothing is lost.

use testbed::{Proxy, unique};

use crate::child::Driver;
use crate::received::Collector;

async fn nothing_is_lost(protocol: &str) {
    let id = unique("late");
    let collector = Collector::new();
    let backend = collector.endpoint(protocol);
    let backend = backend.strip_prefix("http://").expect("plain HTTP");
    let mut proxy = Proxy::start(backend).await.expect("a proxy");
    proxy.refuse().await;
    let mut driver = Driver::start(
        "held",
        &[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("http://{}", proxy.address()),
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
        ],
    );
    driver.until("run ended: ").await;
    proxy.allow().await.expect("the port is still ours");
    driver.go_on().await;
    let said = driver.end().await;

    let count = said.all_spans();
    assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
    let received = collector.with_spans(&id, count).await;
    received.assert_whole(count);
    received.assert_looks(&said);
    assert!(
        received.names().contains("infrastructure/collector"),
        "the first phase is there"
    );
    assert!(received.names().contains("RUN lens"), "the root is there");
}

#[tokio::test]
async fn nothing_is_lost_by_http() {
    nothing_is_lost("http/protobuf").await;
}

#[tokio::test]
async fn nothing_is_lost_by_grpc() {
    nothing_is_lost("grpc").await;
}
