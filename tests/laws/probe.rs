//! The laws of checks: they have nothing to change, so what is left is that a yes is current, a no is
//! waited for with its reason, no answer is waited for, and a question that can never be answered
//! fails at once. A check proves by its type that it never writes.

use std::time::{SystemTime, UNIX_EPOCH};

use firstlight::engine::{Class, Failure, Resource};
use firstlight::providers::probe::{Client, HttpCheck, PromqlCheck, TraceCheck};
use serde_json::json;
use testbed::{Env, Jaeger, Proxy, unique};

use crate::law;

fn client() -> Client {
    law::install_tls();
    Client::new(None).expect("a client")
}

fn env() -> Env {
    Env::load().expect("the test bed is up")
}

fn jaeger() -> Jaeger {
    env().jaeger().expect("Jaeger is up")
}

fn prometheus() -> String {
    env().prometheus().expect("Prometheus is up").url
}

/// A proxy before a server, and its URL.
async fn proxied(url: &str) -> (Proxy, String) {
    let backend = url.strip_prefix("http://").expect("plain HTTP");
    let proxy = Proxy::start(backend).await.expect("a proxy");
    let url = format!("http://{}", proxy.address());
    (proxy, url)
}

fn http(url: &str, status: u16, contains: Option<&str>) -> HttpCheck {
    HttpCheck {
        client: client(),
        url: url.to_owned(),
        status,
        contains: contains.map(ToOwned::to_owned),
    }
}

fn promql(url: &str, query: &str) -> PromqlCheck {
    PromqlCheck {
        client: client(),
        url: url.to_owned(),
        query: query.to_owned(),
    }
}

/// Sends one point of a counter to Prometheus, as an application would.
async fn send_metric(url: &str, name: &str) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let point = json!({ "timeUnixNano": now.as_nanos().to_string(), "asInt": "1" });
    let metric = json!({ "name": name, "gauge": { "dataPoints": [point] } });
    let body = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [metric] }] }] });
    let to = format!("{url}/api/v1/otlp/v1/metrics");
    let sent = reqwest::Client::new()
        .post(to)
        .json(&body)
        .send()
        .await
        .expect("an answer");
    let status = sent.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        sent.text().await.unwrap_or_default()
    );
}

#[tokio::test]
async fn an_http_answer_is_compared() {
    let url = format!("{}/-/ready", prometheus());
    law::unchanged(http(&url, 200, Some("Ready"))).await;
    law::unchanged(http(&format!("{}/nowhere", prometheus()), 404, None)).await;

    let (class, seen) = law::last_seen(http(&url, 204, None)).await;
    assert_eq!(class, Class::Unmet);
    assert!(seen.contains("answers 200, expected 204"), "{seen}");

    let (class, seen) = law::last_seen(http(&url, 200, Some("Asleep"))).await;
    assert_eq!(class, Class::Unmet);
    assert!(seen.contains("without \"Asleep\" in it"), "{seen}");

    let (class, text, _) = law::fails(http("prometheus:9090/-/ready", 200, None)).await;
    assert_eq!(class, Class::Invalid);
    assert!(text.contains("is not an http or https URL"), "{text}");
}

#[tokio::test]
async fn a_metric_is_found_once_it_is_there() {
    let url = prometheus();
    let name = unique("probe").replace('-', "_");
    let (class, seen) = law::last_seen(promql(&url, &name)).await;
    assert_eq!(class, Class::Unmet);
    assert_eq!(seen, format!("PromQL {name:?} has no result at {url}"));
    send_metric(&url, &name).await;
    law::settles(promql(&url, &format!("{name} == 1"))).await;
    law::unchanged(promql(&url, "vector(1)")).await;
}

#[tokio::test]
async fn a_query_that_cannot_be_read_fails_at_once() {
    let (class, text, hints) = law::fails(promql(&prometheus(), "sum(")).await;
    assert_eq!(class, Class::Invalid);
    assert!(text.contains("parse error"), "{text}");
    assert_eq!(hints, ["correct the query in the bundle"]);
}

#[tokio::test]
async fn a_sent_trace_is_found_through_the_collector() {
    let collector = env().otelcol().expect("the collector is up");
    let jaeger = jaeger();
    law::settles(TraceCheck::sending(
        client(),
        &jaeger.query_url,
        &collector.otlp_http,
    ))
    .await;
    law::settles(TraceCheck::sending(
        client(),
        &jaeger.query_url,
        &jaeger.otlp_http,
    ))
    .await;
}

#[tokio::test]
async fn the_runs_own_trace_is_waited_for() {
    let url = jaeger().query_url;
    let id = "0123456789abcdef0123456789abcdef";
    let (class, seen) =
        law::last_seen(TraceCheck::of_run(client(), &url, Some(id.to_owned()))).await;
    assert_eq!(class, Class::Unmet);
    assert_eq!(
        seen,
        format!("trace {id} of this run is not yet found at {url}")
    );

    let (class, text, hints) = law::fails(TraceCheck::of_run(client(), &url, None)).await;
    assert_eq!(
        (class, text.as_str()),
        (Class::Invalid, "this run is not traced")
    );
    assert!(
        hints[0].contains("OTEL_EXPORTER_OTLP_ENDPOINT"),
        "{hints:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for() {
    let (mut proxy, url) = proxied(&prometheus()).await;
    proxy.refuse().await;
    law::waits(http(&url, 200, None)).await;
    law::waits(promql(&url, "up")).await;
    law::waits(TraceCheck::of_run(client(), &url, Some("ab".to_owned()))).await;
    law::waits(TraceCheck::sending(client(), &jaeger().query_url, &url)).await;
    proxy.allow().await.expect("the port is still ours");
    law::unchanged(promql(&url, "vector(1)")).await;
}

#[tokio::test]
async fn a_span_that_could_not_be_sent_is_sent_again() {
    let jaeger = jaeger();
    let (mut proxy, url) = proxied(&jaeger.otlp_http).await;
    proxy.refuse().await;
    let check = TraceCheck::sending(client(), &jaeger.query_url, &url);
    let error = check.observe().await.expect_err("it cannot be sent");
    assert_eq!(error.class(), Class::Unavailable, "{error}");
    proxy.allow().await.expect("the port is still ours");
    law::settles(check).await;
}
