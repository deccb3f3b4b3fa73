//! What leaves the program: its trace goes along with each request, and secrets go nowhere.
//!
//! The built program works on real servers; what it sends them is written down on the way.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use testbed::{Api, Env, unique};

use crate::received::{Collector, Received, attributes, list, text};
use crate::tree::{Caller, STATE, assert_one_tree_of};
use crate::wire::Wire;

const BUNDLE: &str = "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: { name: shop }
servers:
  postgres: { host: POSTGRES_HOST, port: POSTGRES_PORT, user: POSTGRES_USER, password: { secret: login, key: postgres }, tls: { mode: disable } }
  opensearch: { url: 'http://OPENSEARCH' }
  grafana: { url: 'http://GRAFANA', user: GRAFANA_USER, password: { secret: login, key: grafana } }
phases:
  - name: secrets
    steps:
      - secret: { name: login, values: { postgres: POSTGRES_PASSWORD, grafana: GRAFANA_PASSWORD, role: SECRET-role } }
      - apply: { path: manifests/key.yaml }
  - name: data
    steps:
      - apply: { path: manifests/settings.yaml, traceparent: true }
      - role: { name: NAME, login: true, password: { secret: login, key: role } }
      - database: { name: NAME-data }
      - migrate: { path: sql, database: NAME-data }
        needs: [NAME-data]
  - name: search
    steps: [{ search: { path: manifests/search } }]
  - name: dashboards
    steps: [{ grafana: { path: dashboards } }]
  - name: validation
    steps:
      - name: statements-say-their-trace
        check: { sql: { database: NAME-data, atLeast: 1, query: \"select count(*) from seen where query like '%' || 'traceparent=' || chr(39) || '00-TRACE-%'\" } }
      - name: questions-say-their-trace
        check: { sql: { database: NAME-data, atLeast: 1, query: \"select count(*) from pg_stat_activity where pid = pg_backend_pid() and query like '%' || 'traceparent=' || chr(39) || '00-%'\" } }
      - name: healthy
        check: { http: { url: 'http://GRAFANA/api/health?token=SECRET-token', contains: ok } }
";
const SETTINGS: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { color: COLOR }
";
const KEY: &str = "apiVersion: v1
kind: Secret
metadata: { name: key }
stringData: { key: SECRET-object-COLOR }
";
const SEED: &str = "CREATE TABLE accounts (name text PRIMARY KEY);
INSERT INTO accounts VALUES ('SECRET-literal');
CREATE TABLE seen AS SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid();
";

const CLIENT: u64 = 3;

/// A bundle for real servers, with a mark in all that is secret.
struct Bed {
    folder: TempDir,
    api: Api,
    kubeconfig: std::path::PathBuf,
    wires: [Wire; 2],
    mark: String,
    caller: Caller,
    variables: Vec<(&'static str, String)>,
}

impl Bed {
    async fn new() -> Self {
        let env = Env::load().expect("the test bed is up");
        let cluster = env.api_server().expect("an API server is up");
        let (name, caller) = (unique("out"), Caller::new());
        let api = Api::of(&cluster, &name).await.expect("a client");
        let namespace = serde_json::json!({ "metadata": { "name": name } });
        let made = api.post("/api/v1/namespaces", &namespace).await;
        made.expect("a namespace");
        let (postgres, grafana) = (env.postgres(), env.grafana());
        let (postgres, grafana) = (postgres.expect("Postgres"), grafana.expect("Grafana"));
        let opensearch = env.opensearch().expect("OpenSearch is up");
        let wires = [
            Wire::to(&opensearch.url).await,
            Wire::to(&grafana.url).await,
        ];
        let mark = unique("planted");
        let variables = vec![
            ("POSTGRES_HOST", postgres.host),
            ("POSTGRES_PORT", postgres.port.to_string()),
            ("POSTGRES_USER", postgres.user),
            ("POSTGRES_PASSWORD", postgres.password),
            ("GRAFANA_USER", grafana.user),
            ("GRAFANA_PASSWORD", grafana.password),
            ("OPENSEARCH", wires[0].address.to_string()),
            ("GRAFANA", wires[1].address.to_string()),
            ("TRACE", caller.trace.clone()),
            ("SECRET", mark.clone()),
            ("NAME", name),
        ];
        let bed = Self {
            folder: tempfile::tempdir().expect("a folder"),
            api,
            kubeconfig: cluster.kubeconfig,
            wires,
            mark,
            caller,
            variables,
        };
        bed.write_all("red");
        bed
    }

    fn write_all(&self, color: &str) {
        let dashboard = r#"{ "uid": "NAME-board", "title": "NAME", "panels": [] }"#;
        for (path, content) in [
            ("manifests/bundle.yaml", BUNDLE),
            ("manifests/settings.yaml", SETTINGS),
            ("manifests/key.yaml", KEY),
            (
                "manifests/search/pipelines/NAME.json",
                r#"{ "processors": [] }"#,
            ),
            (
                "dashboards/folders.yaml",
                "folders: [{ uid: NAME, title: NAME }]\n",
            ),
            ("dashboards/NAME/NAME-board.json", dashboard),
            ("sql/V0001__seed.sql", SEED),
        ] {
            self.write(path, &content.replace("COLOR", color));
        }
    }

    fn write(&self, path: &str, content: &str) {
        let filled = |text: &str| {
            let pairs = self.variables.iter();
            pairs.fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
        };
        let path = self.folder.path().join(filled(path));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, filled(content)).expect("a file");
    }

    /// Runs a command as a part of the caller's trace, to a good end.
    fn run(&self, command: &str, collector: &Collector, id: &str) -> Output {
        let endpoint = collector.endpoint("http/protobuf");
        let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
            .args([command, "-o", "json"])
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", self.folder.path())
            .env("FIRSTLIGHT_NAMESPACE", self.api.namespace())
            .env("FIRSTLIGHT_LOG", "json")
            .env("FIRSTLIGHT_LOG_LEVEL", "debug")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_RESOURCE_ATTRIBUTES", format!("test.run={id}"))
            .env("TRACEPARENT", self.caller.traceparent())
            .env("TRACESTATE", STATE)
            .output()
            .expect("the program runs");
        let said = shown(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(!said.contains(&self.mark), "a secret is shown: {said}");
        output
    }

    async fn traced_run(&self, collector: &Collector) -> Received {
        let id = unique("out");
        self.run("run", collector, &id);
        let received = collector
            .when(&id, |received| {
                let is_whole = received.names().contains("RUN shop");
                let names = || format!("{:?}", received.names());
                if is_whole { Ok(()) } else { Err(names()) }
            })
            .await;
        assert_one_tree_of(&received, &self.caller, "RUN shop");
        let whole = format!("{received:?}");
        assert!(!whole.contains(&self.mark), "a secret is exported");
        self.assert_calls(&received);
        received
    }

    /// Each call is named by a bounded word, and says whom it has asked.
    fn assert_calls(&self, received: &Received) {
        let calls = received
            .spans
            .values()
            .filter(|span| span["kind"] == CLIENT);
        let mut systems = BTreeSet::new();
        for span in calls {
            let (said, name) = (attributes(span), text(&span["name"]));
            assert!(said.contains_key("server.address"), "{span}");
            systems.insert(said.get("db.system.name").cloned().unwrap_or_default());
            if let Some(method) = said.get("http.request.method") {
                assert_eq!(name, format!("{method} {}", said["url.template"]), "{span}");
                assert!(!name.contains(self.api.namespace()), "{span}");
                assert!(!said["url.full"].contains('?'), "{span}");
                assert!(said.contains_key("http.response.status_code"), "{span}");
            } else {
                let summary = said.get("db.query.summary").map(String::as_str);
                assert_eq!(name, summary.unwrap_or("connect"), "{span}");
            }
        }
        let all = ["", "opensearch", "postgresql"].map(str::to_owned);
        assert_eq!(systems, all.into(), "the servers that were asked");
    }

    async fn mark_of_settings(&self) -> (String, String) {
        let namespace = self.api.namespace();
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/settings");
        let object = self.api.get(&path).await.expect("it is there");
        let metadata = &object["metadata"];
        let mark = &metadata["annotations"]["firstlight.dev/traceparent"];
        (text(mark), text(&metadata["resourceVersion"]))
    }

    /// Each request names the span of it.
    fn assert_headers(&self, received: &Received) {
        for wire in &self.wires {
            let requests = wire.requests();
            assert!(!requests.is_empty(), "nothing was asked");
            for request in requests {
                let header = |name: &str| {
                    let mut lines = request.iter().skip(1);
                    lines.find_map(|line| line.strip_prefix(&format!("{name}: ")))
                };
                let place = header("traceparent").unwrap_or_else(|| panic!("{request:?}"));
                let parts: Vec<&str> = place.split('-').collect();
                assert_eq!(parts[1], self.caller.trace, "{place}");
                let span = &received.spans[parts[2]];
                assert!(text(&span["name"]).contains(" /"), "{span}");
                assert_eq!(header("tracestate"), Some(STATE), "{request:?}");
            }
        }
    }
}

fn shown(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_say_their_trace_and_nothing_says_a_secret() {
    let (bed, collector) = (Bed::new().await, Collector::new());
    let first = bed.traced_run(&collector).await;
    bed.assert_headers(&first);
    let health = format!("http://{}/api/health", bed.wires[1].address);
    let calls = first.all("GET /api/health");
    assert!(!calls.is_empty());
    for call in calls {
        assert_eq!(attributes(call)["url.full"], health);
    }
    let (mark, version) = bed.mark_of_settings().await;
    assert!(mark.contains(&bed.caller.trace), "{mark}");

    // A run that changes nothing leaves the mark of the one that did, and points to it.
    let second = bed.traced_run(&collector).await;
    assert_eq!(bed.mark_of_settings().await, (mark.clone(), version));
    let links = list(&second.span("RUN shop")["links"]);
    assert_eq!(links[0]["spanId"], first.span("RUN shop")["spanId"]);
    assert_eq!(links[0]["traceId"], Value::from(bed.caller.trace.clone()));

    // One that changes it marks it anew; what is secret is no more shown when it changes.
    bed.write_all("blue");
    bed.run("plan", &collector, &unique("plan"));
    bed.traced_run(&collector).await;
    let (renewed, _) = bed.mark_of_settings().await;
    assert!(
        renewed.contains(&bed.caller.trace) && renewed != mark,
        "{renewed}"
    );
}
