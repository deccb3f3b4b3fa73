//! A run that still goes on, as Jaeger shows it.

use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Env, eventually};

use crate::child::Driver;
use crate::received::{Received, attributes};
use crate::tree::{Caller, assert_one_tree};

/// Jaeger, and what it has of one trace.
struct Viewer {
    client: reqwest::Client,
    url: String,
}

impl Viewer {
    fn new(query_url: &str, trace: &str) -> Self {
        // It is there already if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        Self {
            client: client.build().expect("a client"),
            url: format!("{query_url}/api/v3/traces/{trace}"),
        }
    }

    /// What Jaeger shows of the trace, once it is enough.
    async fn when(&self, enough: impl Fn(&Received) -> Result<(), String>) -> Received {
        let attempt = async || {
            let received = match self.look().await {
                Ok(received) => received,
                Err(error) => return Attempt::NotYet(error.to_string()),
            };
            match enough(&received) {
                Ok(()) => Attempt::Done(received),
                Err(because) => Attempt::NotYet(because),
            }
        };
        let seen = eventually(&self.url, Duration::from_mins(1), attempt).await;
        seen.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn look(&self) -> Result<Received, reqwest::Error> {
        let answer = self.client.get(&self.url).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let mut received = Received::default();
        received.add(&answer["result"]);
        Ok(received)
    }
}

/// What is said to have started: the steps and groups, and the run, which has no such name.
fn started(received: &Received) -> Vec<String> {
    let marks = received.all("started").into_iter();
    let names = marks.map(|mark| {
        let name = attributes(mark).remove("cicd.pipeline.task.name");
        name.unwrap_or_else(|| "the run".to_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_has_ended_and_what_is_running_is_seen_while_the_run_goes_on() {
    let caller = Caller::new();
    let jaeger = Env::load().and_then(|env| env.jaeger());
    let jaeger = jaeger.expect("Jaeger is up");
    let viewer = Viewer::new(&jaeger.query_url, &caller.trace);
    let mut driver = Driver::start(
        "watched",
        &[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                &format!("{}/v1/traces", jaeger.otlp_http),
            ),
            ("TRACEPARENT", &caller.traceparent()),
        ],
    );

    let running = ["infrastructure", "infrastructure/gate", "the run"];
    let seen = viewer
        .when(|received| {
            let is_enough = started(received) == running && !received.all("wait").is_empty();
            let names = || format!("{:?}, started: {:?}", received.names(), started(received));
            if is_enough { Ok(()) } else { Err(names()) }
        })
        .await;
    assert!(
        seen.names().contains("infrastructure/collector"),
        "it has ended"
    );
    for open in ["RUN lens", "infrastructure", "infrastructure/gate"] {
        assert!(!seen.names().contains(open), "{open} is still open");
    }

    driver.go_on().await;
    driver.end().await;
    let whole = viewer
        .when(|received| {
            let is_whole = received.names().contains("RUN lens");
            if is_whole {
                Ok(())
            } else {
                Err("no root".to_owned())
            }
        })
        .await;
    assert_one_tree(&whole, &caller);
    assert_eq!(started(&whole), running, "each is marked once");
    // The first reason was another one, so it is a slice of its own.
    let gate = &whole.span("infrastructure/gate")["spanId"];
    let mut waits = whole.all("wait");
    waits.retain(|wait| wait["parentSpanId"] == *gate);
    let mut reasons: Vec<_> = waits
        .iter()
        .map(|wait| attributes(wait).remove("firstlight.wait.reason"))
        .collect();
    // On a busy machine one of them may have had its time.
    reasons.dedup();
    let reason = |there| Some(format!("thing gate: {there} of 2 ready"));
    assert_eq!(reasons, [reason(0), reason(1)]);
}
