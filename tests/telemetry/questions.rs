//! The queries of docs/telemetry.md, answered by a real Prometheus after real runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Env, eventually, unique};

use crate::child::Driver;
use crate::received::{Collector, list, text};

const PAGE: &str = include_str!("../../docs/telemetry.md");

/// The queries of the page, by the comment in their first line.
fn queries() -> BTreeMap<&'static str, &'static str> {
    let blocks = PAGE.split("```promql\n").skip(1);
    blocks
        .map(|block| {
            let query = block.split("```").next().unwrap_or_default();
            let title = query.lines().next().unwrap_or_default();
            (title.trim_start_matches("# "), query)
        })
        .collect()
}

/// One installation after another of one bundle.
struct Installations {
    bundle: String,
    prometheus: String,
    client: reqwest::Client,
}

impl Installations {
    fn new() -> Self {
        let prometheus = Env::load().and_then(|env| env.prometheus());
        let client = reqwest::Client::builder().tls_certs_only([]).build();
        Self {
            bundle: unique("asked"),
            prometheus: prometheus.expect("Prometheus is up").url,
            client: client.expect("a client"),
        }
    }

    /// How long the run took, in seconds.
    async fn run(&self, profile: &str) -> f64 {
        let collector = Collector::new();
        let variables = [
            ("FIRSTLIGHT_BUNDLE", self.bundle.as_str()),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
        ];
        let said = Driver::start(profile, &variables).end().await;
        said.run.as_secs_f64()
    }

    /// The values of a query of the page for this bundle, once they are as they should be.
    async fn ask(&self, title: &str, enough: impl Fn(&[f64]) -> bool) -> Vec<f64> {
        // The runs of other tests are on the same server, and slower than ten of ours.
        let ours = format!("_sum{{cicd_pipeline_name=\"{}\"}}[", self.bundle);
        let query = match queries()[title] {
            query if query.contains("topk") => query.replace("_sum[", &ours),
            query => query.to_owned(),
        };
        let attempt = async || match self.values(&query).await {
            Ok(values) if enough(&values) => Attempt::Done(values),
            Ok(values) => Attempt::NotYet(format!("{values:?}")),
            Err(error) => Attempt::NotYet(error),
        };
        let what = format!("the answer to {query}");
        let values = eventually(&what, Duration::from_mins(1), attempt).await;
        values.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn values(&self, query: &str) -> Result<Vec<f64>, String> {
        let url = format!("{}/api/v1/query", self.prometheus);
        let url = reqwest::Url::parse_with_params(&url, [("query", query)]).expect("a URL");
        let asked = self.client.get(url).send().await;
        let answer = asked.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        let ours = |one: &&Value| one["metric"]["cicd_pipeline_name"] == self.bundle;
        let found = list(&answer["data"]["result"]).iter().filter(ours);
        Ok(found
            .map(|one| text(&one["value"][1]).parse().expect("a number"))
            .collect())
    }
}

#[tokio::test]
async fn an_alert_fires_while_the_last_installation_is_one_that_failed() {
    let installations = Installations::new();
    installations.run("failing").await;
    installations.ask("alert", |values| values.len() == 1).await;
    installations.run("fine").await;
    installations.ask("alert", <[f64]>::is_empty).await;
    installations.run("refused").await;
    installations.ask("alert", |values| values.len() == 1).await;
    let age = installations.ask("age", |values| values.len() == 1).await;
    assert!((0.0..120.0).contains(&age[0]), "{age:?}");
    let errors = installations
        .ask("errors", |values| values.len() == 2)
        .await;
    assert_eq!(errors, [1.0, 1.0]);
}

#[tokio::test]
async fn panels_show_how_long_installations_take() {
    let installations = Installations::new();
    let mut took = [
        installations.run("fine").await,
        installations.run("flaky").await,
    ];
    let mut durations = installations
        .ask("durations", |values| values.len() == 2)
        .await;
    took.sort_by(f64::total_cmp);
    durations.sort_by(f64::total_cmp);
    for (took, told) in took.iter().zip(&durations) {
        assert!((took - told).abs() < 0.1, "{took} {told}");
    }
    let most = installations
        .ask("nine of ten", |values| values.len() == 1)
        .await;
    assert!(most[0] > 0.0 && most[0] <= 60.0, "{most:?}");
    let steps = installations
        .ask("slowest steps", |values| !values.is_empty())
        .await;
    assert!(steps.iter().all(|seconds| *seconds < 60.0), "{steps:?}");
    let share = installations
        .ask("share of waiting", |values| values.len() == 1)
        .await;
    assert!(share[0] > 0.0 && share[0] < 1.0, "{share:?}");
}
