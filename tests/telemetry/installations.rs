//! The dashboard "Installations" and the alert, asked of the real Prometheus and the real Jaeger about
//! real runs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use serde_json::{Value, json};
use testbed::{Attempt, Env, eventually, unique};

use crate::child::Driver;
use crate::received::{Collector, list, text};

/// How the queries choose all that Firstlight sends; the test asks only for what it has sent itself.
const OURS: &str = r#"job=~"(.+/)?firstlight""#;
const SOON: Duration = Duration::from_secs(30);

/// Prometheus and Jaeger as Grafana asks them.
struct Grafana {
    http: reqwest::Client,
    prometheus: String,
    jaeger: String,
    /// What the runs of this test call their service's namespace.
    namespace: String,
}

impl Grafana {
    fn new() -> Self {
        let env = Env::load().expect("the test bed is up");
        // A provider that is set already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            http: http.expect("a client"),
            prometheus: env.prometheus().expect("Prometheus is up").url,
            jaeger: env.jaeger().expect("Jaeger is up").query_url,
            namespace: unique("installations"),
        }
    }

    async fn ask(&self, address: &str, parameters: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(address, parameters).expect("a URL");
        let answer = self.http.get(url).send().await.expect("an answer");
        answer.json().await.expect("the answer is JSON")
    }

    /// The series that answer a query, with the words of Grafana filled in.
    async fn query(&self, query: &str) -> Vec<Value> {
        let query = self.filled(query);
        let address = format!("{}/api/v1/query", self.prometheus);
        let answer = self.ask(&address, &[("query", &query)]).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        list(&answer["data"]["result"]).to_vec()
    }

    /// The same over the last ten minutes.
    async fn range(&self, query: &str) -> Vec<Value> {
        let query = self.filled(query);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs();
        let (start, end) = ((now - 600).to_string(), (now + 1).to_string());
        let parameters = [
            ("query", query.as_str()),
            ("start", &start),
            ("end", &end),
            ("step", "1"),
        ];
        let address = format!("{}/api/v1/query_range", self.prometheus);
        let answer = self.ask(&address, &parameters).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        list(&answer["data"]["result"]).to_vec()
    }

    fn filled(&self, query: &str) -> String {
        assert!(query.contains(OURS), "{query}");
        query
            .replace(OURS, &format!("job=\"{}/firstlight\"", self.namespace))
            .replace("$__range", "1h")
            .replace("$bundle", ".*")
    }

    /// The traces that a search of Grafana's Jaeger datasource finds.
    async fn traces(&self, service: &str, tags: &Value) -> Vec<String> {
        let address = format!("{}/api/traces", self.jaeger);
        let tags = tags.to_string();
        let parameters = [
            ("service", service),
            ("tags", tags.as_str()),
            ("lookback", "1h"),
            ("limit", "20"),
        ];
        let found = self.ask(&address, &parameters).await;
        let traces = list(&found["data"]).iter();
        traces.map(|trace| text(&trace["traceID"])).collect()
    }

    /// A run of the driver, and what the collector has got of it once Prometheus has it too.
    async fn run(&self, collector: &Collector, profile: &str) -> Sent {
        let mark = unique("run");
        let attributes = format!("service.namespace={},test.run={mark}", self.namespace);
        let driver = Driver::start(
            profile,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint("grpc")),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_RESOURCE_ATTRIBUTES", &attributes),
            ],
        );
        driver.end().await;
        let received = collector.with_spans(&mark, 10).await;
        let root = received.span("RUN lens");
        let attributes = crate::received::attributes(root);
        let duration = &received.metrics["cicd.pipeline.run.duration"]["histogram"]["dataPoints"];
        let sent = Sent {
            run: attributes["cicd.pipeline.run.id"].clone(),
            trace: text(&root["traceId"]),
            seconds: duration[0]["sum"].as_f64().expect("a number"),
        };
        let query = format!(
            "cicd_pipeline_run_duration_seconds_sum{{{OURS},instance=\"{}\"}}",
            sent.run
        );
        let there = eventually("the run in Prometheus", SOON, async || {
            match self.query(&query).await.as_slice() {
                [] => Attempt::NotYet("nothing".to_owned()),
                found => Attempt::Done(number(&found[0])),
            }
        });
        let stored = there.await.unwrap_or_else(|error| panic!("{error}"));
        assert_same(stored, sent.seconds);
        sent
    }
}

/// What one run has sent.
struct Sent {
    run: String,
    trace: String,
    seconds: f64,
}

/// The dashboard of this repository.
struct Board(Value);

impl Board {
    fn load() -> Self {
        let path = root().join("dashboards/lens/installation.json");
        let text = std::fs::read_to_string(path).expect("the dashboard");
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    fn panels(&self) -> &[Value] {
        list(&self.0["panels"])
    }

    fn panel(&self, title: &str) -> &Value {
        let mut panels = self.panels().iter();
        let panel = panels.find(|panel| panel["title"] == title && panel["type"] != "row");
        panel.unwrap_or_else(|| panic!("no panel {title:?}"))
    }

    /// The query of a panel that has one.
    fn query(&self, title: &str) -> String {
        text(&self.panel(title)["targets"][0]["expr"])
    }

    /// What the link of a run's id looks for, in the words of Grafana's Jaeger datasource.
    fn link(&self) -> String {
        let overrides = list(&self.panel("Last runs")["fieldConfig"]["overrides"]);
        let run = overrides
            .iter()
            .find(|it| it["matcher"]["options"] == "Run");
        let url = text(&run.expect("the run's id")["properties"][0]["value"][0]["url"]);
        let url = Url::parse("http://grafana")
            .and_then(|grafana| grafana.join(&url))
            .expect("a URL");
        let mut pairs = url.query_pairs();
        let left = pairs.find(|(name, _)| name == "left").expect("a query").1;
        let left: Value = serde_json::from_str(&left).expect("JSON");
        text(&left["queries"][0]["tags"])
    }
}

#[tokio::test]
async fn every_panel_tells_of_real_runs() {
    let (grafana, collector, board) = (Grafana::new(), Collector::new(), Board::load());
    // One that finds a difference after a run that left none, and one that must look again.
    let well = [
        grafana.run(&collector, "again").await,
        grafana.run(&collector, "flaky").await,
    ];
    let failed = grafana.run(&collector, "failing").await;
    every_panel_has_an_answer(&grafana, &board).await;
    the_numbers_are_those_of_the_runs(&grafana, &board, &well).await;
    the_failure_is_named(&grafana, &board, &failed).await;
    a_run_leads_to_its_trace(&grafana, &board, &failed).await;

    let alarms = grafana.query(&alert()).await;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0]["metric"]["instance"], failed.run.as_str());
    assert_eq!(only(&grafana.query(&board.query("Last run")).await), "0");
    grafana.run(&collector, "well").await;
    assert_eq!(grafana.query(&alert()).await, [] as [Value; 0]);
    assert_eq!(only(&grafana.query(&board.query("Last run")).await), "1");
}

async fn every_panel_has_an_answer(grafana: &Grafana, board: &Board) {
    let mut asked = 0;
    for panel in board.panels() {
        for target in list(&panel["targets"]) {
            if target["datasource"]["uid"] != "prometheus" {
                continue;
            }
            let query = text(&target["expr"]);
            let found = match &target["range"] {
                Value::Bool(true) => grafana.range(&query).await,
                _ => grafana.query(&query).await,
            };
            assert!(
                !found.is_empty(),
                "{}: nothing answers {query}",
                panel["title"]
            );
            asked += 1;
        }
    }
    assert!(asked >= 18, "{asked} queries");
}

async fn the_numbers_are_those_of_the_runs(grafana: &Grafana, board: &Board, runs: &[Sent; 2]) {
    for (title, expected) in [("Runs", "3"), ("Failed runs", "1"), ("Under way", "0")] {
        assert_eq!(
            only(&grafana.query(&board.query(title)).await),
            expected,
            "{title}"
        );
    }
    let [one, other] = [runs[0].seconds, runs[1].seconds];
    let median = number(&grafana.query(&board.query("Median")).await[0]);
    assert_same(median, f64::midpoint(one, other));
    let slow = number(&grafana.query(&board.query("95 %")).await[0]);
    let (least, most) = (one.min(other), one.max(other));
    assert_same(slow, least + 0.95 * (most - least));
    let retries = grafana.query(&board.query("Retries")).await;
    assert_eq!(
        retries[0]["metric"]["cicd_pipeline_task_name"],
        "schema/server"
    );
    let drift = grafana.range(&board.query("Drift")).await;
    let found: Vec<String> = drift.iter().map(|run| text(&run["values"][0][1])).collect();
    assert_eq!(found, ["1"], "{drift:?}");
    let ended = grafana.query(&board.query("Last runs")).await;
    assert_eq!(ended.len(), 3, "{ended:?}");
    // A step is never longer than waiting and working together.
    let targets = &board.panel("Waiting and working, by step")["targets"];
    let [waiting, working] = [&targets[0], &targets[1]].map(|target| text(&target["expr"]));
    let slowest = grafana.query(&board.query("Slowest steps")).await;
    assert!(slowest.len() >= 3, "{slowest:?}");
    let parts = [grafana.query(&waiting).await, grafana.query(&working).await];
    for part in &parts {
        assert_eq!(part.len(), slowest.len(), "{part:?}");
        assert!(part.iter().all(|step| number(step) >= 0.0), "{part:?}");
    }
    let waited = |step: &Value| {
        step["metric"]["cicd_pipeline_task_name"] == "infrastructure/collector"
            && number(step) > 0.0
    };
    assert!(parts[0].iter().any(waited), "{:?}", parts[0]);
}

async fn the_failure_is_named(grafana: &Grafana, board: &Board, failed: &Sent) {
    let by_step = grafana.query(&board.query("Failures by step")).await;
    assert_eq!(only(&by_step), "1");
    let labels = json!({ "cicd_pipeline_task_name": "schema/migrate", "error_type": "broken" });
    assert_eq!(by_step[0]["metric"], labels);
    let with_run = grafana.query(&board.query("The failures")).await;
    assert_eq!(with_run[0]["metric"]["instance"], failed.run.as_str());
}

async fn a_run_leads_to_its_trace(grafana: &Grafana, board: &Board, run: &Sent) {
    let tag = board.link().replace("${__value.raw}", &run.run);
    let (name, value) = tag.split_once('=').expect("a tag");
    let found = eventually("the trace of the run", SOON, async || {
        let found = grafana.traces("firstlight", &json!({ name: value })).await;
        if found.is_empty() {
            return Attempt::NotYet("nothing".to_owned());
        }
        Attempt::Done(found)
    });
    let found = found.await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found, [run.trace.as_str()]);
    let panel = &board.panel("Traces")["targets"][0];
    let all = grafana.traces(&text(&panel["service"]), &json!({})).await;
    assert!(!all.is_empty(), "the panel shows traces");
}

/// The expression of the alert that the quickstart's Prometheus has.
fn alert() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
        .args(["render", "--profile", "quickstart", "--namespace", "lens"])
        .current_dir(root())
        .output()
        .expect("the agent starts");
    let rendered = String::from_utf8(output.stdout).expect("text");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
    let mut rules = documents.iter().map(|it| &it["data"]["installation.yml"]);
    let rules = rules.find_map(Value::as_str).expect("the rules");
    let rules: Value = serde_saphyr::from_str(rules).expect("YAML");
    let rule = &rules["groups"][0]["rules"][0];
    assert_eq!(rule["alert"], "LastInstallationFailed");
    text(&rule["expr"])
}

/// The value of the only series, as Prometheus writes it.
fn only(found: &[Value]) -> String {
    assert_eq!(found.len(), 1, "{found:?}");
    text(&found[0]["value"][1])
}

fn number(series: &Value) -> f64 {
    text(&series["value"][1]).parse().expect("a number")
}

/// The same but for the last digits of a sum.
fn assert_same(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
