//! The servers that are up do what their addresses promise.

use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testbed::{Attempt, Env, Error, eventually, unique};

const SOON: Duration = Duration::from_secs(30);

fn env() -> Env {
    Env::load().expect("a test bed")
}

fn client() -> reqwest::Client {
    // Fails only where a provider is set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .tls_certs_only([])
        .build()
        .expect("a client")
}

async fn get(url: &str) -> Result<Value, String> {
    let response = client().get(url).send().await;
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status();
    let text = response.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {text}"));
    }
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
}

async fn post(url: &str, body: &Value) {
    let answer = client().post(url).json(body).send().await;
    let answer = answer.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

fn now() -> String {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.expect("a clock after 1970").as_nanos().to_string()
}

#[test]
fn each_has_an_address() -> Result<(), Error> {
    let env = env();
    env.postgres()?;
    env.opensearch()?;
    let secure = env.opensearch_secure()?;
    assert!(secure.user.is_some() && secure.password.is_some() && secure.ca_file.is_some());
    env.jaeger()?;
    env.otelcol()?;
    env.prometheus()?;
    env.grafana()?;
    assert!(env.api_server()?.kubeconfig.is_file());
    assert!(env.cluster()?.kubeconfig.is_file());
    Ok(())
}

#[tokio::test]
async fn a_span_goes_through_the_collector_to_its_file_and_to_jaeger() -> Result<(), Error> {
    let (collector, jaeger) = (env().otelcol()?, env().jaeger()?);
    let (service, at) = (unique("service"), now());
    let trace = format!("{:0>32}", &at[..at.len().min(32)]);
    let span = json!({ "traceId": trace, "spanId": &trace[16..], "name": "one", "kind": 1,
        "startTimeUnixNano": at, "endTimeUnixNano": at });
    let resource = json!({ "attributes": [
        { "key": "service.name", "value": { "stringValue": service } } ] });
    let url = format!("{}/v1/traces", collector.otlp_http);
    let request = json!({ "resourceSpans": [
        { "resource": resource, "scopeSpans": [{ "spans": [span] }] }] });
    post(&url, &request).await;

    let url = format!("{}/api/v3/traces/{trace}", jaeger.query_url);
    eventually("the span in Jaeger", SOON, async || match get(&url).await {
        Ok(_) => Attempt::Done(()),
        Err(because) => Attempt::NotYet(because),
    })
    .await?;
    eventually(
        "the span in the file",
        SOON,
        async || match std::fs::read_to_string(&collector.received_file) {
            Ok(text) if text.contains(&service) => Attempt::Done(()),
            Ok(text) => Attempt::NotYet(format!("{} bytes without it", text.len())),
            Err(error) => Attempt::not_yet(&error),
        },
    )
    .await
}

#[tokio::test]
async fn a_metric_goes_through_the_collector_to_prometheus() -> Result<(), Error> {
    let (collector, prometheus) = (env().otelcol()?, env().prometheus()?);
    let metric = unique("metric");
    let point = json!({ "timeUnixNano": now(), "asInt": "7" });
    let request = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [
        { "name": metric, "gauge": { "dataPoints": [point] } } ] }] }] });
    post(&format!("{}/v1/metrics", collector.otlp_http), &request).await;

    let url = format!("{}/api/v1/query?query={metric}", prometheus.url);
    eventually("the metric in Prometheus", SOON, async || {
        match get(&url).await {
            Ok(answer) if answer["data"]["result"][0]["value"][1] == "7" => Attempt::Done(()),
            Ok(answer) => Attempt::NotYet(answer.to_string()),
            Err(because) => Attempt::NotYet(because),
        }
    })
    .await
}
