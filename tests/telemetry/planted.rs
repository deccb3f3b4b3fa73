//! Runs that fail where an error quotes what was sent: no secret is in anything that they leave.
//!
//! Whatever is secret has one mark in it. It is looked for in what the commands print, in the log,
//! the termination message, the page, the telemetry that could not be delivered, and in all that is
//! on record in the cluster.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Api, Cluster, Env, PostgresServer, Webhook, unique};

use crate::echo::Echo;
use crate::job::unpacked;
use crate::received::{list, text};

/// Every server refuses what it is given and quotes it.
const REFUSED: &str = "  postgres: { host: HOST, port: PORT, user: USER, password: { secret: login, key: wrong }, tls: { mode: disable } }
  opensearch: { url: 'http://ECHO', user: lens, password: { secret: login, key: opensearch } }
  grafana: { url: 'http://ECHO', user: lens, password: { secret: login, key: grafana } }
phases:
  - name: secrets
    steps:
      - secret: { name: login, values: { wrong: MARK-wrong, opensearch: MARK-opensearch, grafana: MARK-grafana } }
  - name: schema
    steps: [{ role: { name: nobody } }]
  - name: search
    needs: [secrets]
    steps: [{ search: { path: manifests/search } }]
  - name: dashboards
    needs: [secrets]
    steps: [{ grafana: { path: dashboards } }]
  - name: objects
    needs: [secrets]
    steps:
      - apply: { path: manifests/secret.yaml }
      - apply: { path: manifests/docker.yaml }
      - apply: { path: manifests/settings.yaml }
  - name: checks
    needs: [secrets]
    steps:
      - name: token
        timeout: 1s
        check: { http: { url: 'http://ECHO/health?token=MARK-token' } }
";
const SECRET: &str = "apiVersion: v1
kind: Secret
metadata: { name: pin }
stringData: { pin: '{{ values.pin }}' }
";
const DOCKER: &str = "apiVersion: v1
kind: Secret
metadata: { name: docker }
type: kubernetes.io/dockerconfigjson
stringData: { .dockerconfigjson: MARK-docker }
";
const SETTINGS: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { color: red }
";
const DATASOURCES: &str = "datasources:
  - uid: postgres
    name: Postgres
    type: postgres
    access: proxy
    url: postgres:5432
    secureJsonData: { password: { secret: login, key: grafana } }
";
/// What fails of it, and a word of the reason.
const REFUSALS: [(&str, &str); 7] = [
    ("schema/postgres-server", "28P01"),
    ("search/search/pipeline-lens", "Basic (sensitive)"),
    (
        "dashboards/dashboards/datasource-postgres",
        "\"password\":\"(sensitive)\"",
    ),
    ("objects/secret", "as they may quote a secret"),
    ("objects/docker", "as they may quote a secret"),
    ("objects/settings", "no (sensitive) here"),
    ("checks/token", "token=(sensitive)"),
];

/// Statements that fail, each with its code.
const STATEMENTS: [(&str, &str); 12] = [
    ("22P02", "SELECT 'MARK'::int"),
    ("22P02", "SELECT '{ \"a\": MARK }'::json"),
    ("22P02", "SELECT '[{ \"a\": \"MARK\" }'::int[]"),
    (
        "22001",
        "CREATE TABLE t (a varchar(3)); INSERT INTO t VALUES ('MARK')",
    ),
    ("22023", "SET work_mem = 'MARK'"),
    (
        "23505",
        "CREATE TABLE t (a text PRIMARY KEY); INSERT INTO t VALUES ('MARK'), ('MARK')",
    ),
    (
        "23514",
        "CREATE TABLE t (a text CHECK (a < 'a')); DO $$ BEGIN INSERT INTO t VALUES ('zMARK'); END $$",
    ),
    ("42601", "SELECT 1 WHERE 'MARK' 'MARK'"),
    ("42703", "SELECT nothing, 'MARK', $x$MARK$x$"),
    ("42883", "SELECT nothing('MARK', E'\\\\MARK')"),
    (
        "42P01",
        "DO $$ BEGIN EXECUTE format('INSERT INTO nowhere VALUES (%L)', 'MARK'); END $$",
    ),
    ("42710", "CREATE ROLE postgres PASSWORD 'MARK'"),
];

/// A bundle that fails as the Job of a cluster, and what is said of that.
struct Planted {
    cluster: Cluster,
    postgres: PostgresServer,
    folder: TempDir,
    namespace: String,
    job: String,
    mark: String,
    echo: Echo,
    /// Each with where it stands.
    said: Vec<(String, String)>,
}

impl Planted {
    async fn new(name: &str) -> Self {
        let env = Env::load().expect("the test bed is up");
        let cluster = env.api_server().expect("an API server");
        let namespace = unique(name);
        let mut planted = Self {
            postgres: env.postgres().expect("a Postgres"),
            folder: tempfile::tempdir().expect("a folder"),
            job: String::new(),
            mark: unique("planted"),
            echo: Echo::start().await,
            said: Vec::new(),
            cluster,
            namespace,
        };
        let namespace = json!({ "metadata": { "name": planted.namespace } });
        let api = planted.api().await;
        api.post("/api/v1/namespaces", &namespace)
            .await
            .expect("a namespace");
        let path = format!("/apis/batch/v1/namespaces/{}/jobs", planted.namespace);
        let container = json!({ "name": "firstlight", "image": "example.com/firstlight" });
        let template = json!({ "spec": { "restartPolicy": "Never", "containers": [container] } });
        let job = json!({ "metadata": { "name": "firstlight" }, "spec": { "template": template } });
        let job = api.post(&path, &job).await.expect("a Job");
        planted.job = text(&job["metadata"]["uid"]);
        planted
    }

    async fn api(&self) -> Api {
        Api::of(&self.cluster, &self.namespace)
            .await
            .expect("a client")
    }

    fn write(&self, path: &str, content: &str) {
        let filled = content
            .replace("HOST", &self.postgres.host)
            .replace("PORT", &self.postgres.port.to_string())
            .replace("USER", &self.postgres.user)
            .replace("ECHO", &self.echo.address.to_string())
            .replace("MARK", &self.mark);
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, filled).expect("a file");
    }

    fn write_bundle(&self, servers_and_phases: &str) {
        let head = "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: { name: shop }\n";
        self.write(
            "manifests/bundle.yaml",
            &format!("{head}servers:\n{servers_and_phases}"),
        );
    }

    fn path(&self, path: &str) -> String {
        self.folder.path().join(path).display().to_string()
    }

    /// Runs a command, keeps what it says, and gives its exit code and what it prints.
    fn run(&mut self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().expect("the program runs");
        let Output {
            stdout,
            stderr,
            status,
        } = output;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let command = arguments.join(" ");
        self.said
            .push((format!("stdout of {command}"), stdout.clone()));
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        self.said.push((format!("stderr of {command}"), stderr));
        (status.code(), stdout)
    }

    /// As the pod of the Job, with all of the log, and telemetry that nobody takes.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
        command
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", self.folder.path())
            .env("FIRSTLIGHT_NAMESPACE", &self.namespace)
            .env("FIRSTLIGHT_SET", format!("pin={}-pin", self.mark))
            .env("FIRSTLIGHT_LOG", "json")
            .env("FIRSTLIGHT_LOG_LEVEL", "debug")
            .env("FIRSTLIGHT_JOB_NAME", "firstlight")
            .env("FIRSTLIGHT_JOB_UID", &self.job)
            .env("FIRSTLIGHT_TERMINATION_LOG", self.path("left/termination"))
            .env("FIRSTLIGHT_SPOOL_DIR", self.path("left/spool"))
            .env("FIRSTLIGHT_TELEMETRY_GRACE", "1s")
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("http://{}", self.echo.address),
            )
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization=Bearer%20{}", self.mark),
            );
        command
    }

    /// A run that must fail at these steps for these reasons, and all commands that tell of it.
    async fn fails(&mut self, steps: &[(String, String)]) {
        std::fs::create_dir_all(self.path("left/spool")).expect("a folder");
        let (code, record) = self.run(&["run", "-o", "json"]);
        assert_eq!(code, Some(78), "{:?}", self.said);
        let record: Value = serde_json::from_str(&record).expect("a record");
        for (id, reason) in steps {
            let mut all = list(&record["steps"]).iter();
            let step = all
                .find(|step| step["id"] == **id)
                .unwrap_or_else(|| panic!("{id}: {record}"));
            assert_eq!(step["outcome"], "failed", "{step}: {record}");
            assert!(text(&step["reason"]).contains(reason), "{reason}: {step}");
        }
        let telemetry = self.keep_files(Path::new(&self.path("left")));
        for signal in ["resourceSpans", "resourceLogs", "resourceMetrics"] {
            assert!(telemetry.contains(signal), "{signal}");
        }
        self.write("left/telemetry.jsonl", &telemetry);
        let telemetry = self.path("left/telemetry.jsonl");
        let failed = steps[0].0.replace('/', "&#x2f;");
        for source in [&["report"][..], &["report", &telemetry]] {
            let page = self.run(source).1;
            assert!(page.contains(&failed), "{page}");
        }
        for command in ["plan", "check"] {
            let plan = self.run(&[command]).1;
            let phase = steps[0].0.split('/').next().unwrap_or_default();
            assert!(plan.contains(phase), "{plan}");
            self.run(&[command, "-o", "json"]);
        }
        self.run(&["status", "-o", "json"]);
        self.run(&["lint"]);
        self.run(&["rbac"]);
        self.keep_objects().await;
        self.assert_clean();
    }

    /// All files below a folder, the spool's among them; those of telemetry.
    fn keep_files(&mut self, folder: &Path) -> String {
        let mut telemetry = String::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                telemetry += &self.keep_files(&path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                telemetry += &text;
            }
            self.said.push((path.display().to_string(), text));
        }
        telemetry
    }

    /// All that is on record, and what became of the objects.
    async fn keep_objects(&mut self) {
        let api = self.api().await;
        let namespace = &self.namespace;
        for group in [
            format!("/api/v1/namespaces/{namespace}/configmaps"),
            format!("/api/v1/namespaces/{namespace}/events"),
            format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
        ] {
            let found = api.get(&group).await.expect("a list");
            for item in list(&found["items"]) {
                let packed = item["binaryData"].as_object().into_iter().flatten();
                for (key, packed) in packed {
                    let bytes = unpacked(packed.as_str().unwrap_or_default());
                    assert!(!bytes.is_empty(), "{key} cannot be unpacked: {item}");
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.said
                        .push((format!("{key} of {}", item["metadata"]["name"]), text));
                }
            }
            assert!(!list(&found["items"]).is_empty(), "nothing at {group}");
            self.said.push((group, found.to_string()));
        }
    }

    fn assert_clean(&self) {
        let encoded = ["pin", "docker", "wrong", "opensearch", "grafana"]
            .map(|key| STANDARD.encode(format!("{}-{key}", self.mark)));
        for (place, text) in &self.said {
            for secret in encoded.iter().chain([&self.mark]) {
                let found = text.find(secret.as_str());
                let around = found.map(|at| {
                    let before: String = text[..at].chars().rev().take(200).collect();
                    before.chars().rev().collect::<String>()
                });
                assert_eq!(around, None, "a secret is in {place}, behind these words");
            }
        }
    }

    /// Lets the API server ask a webhook about all objects of a kind here, which it denies with these
    /// words.
    async fn deny(&self, resource: &str, words: &str) -> String {
        let webhook = Webhook::new().expect("a webhook");
        webhook.say(Some(words));
        webhook.open().expect("its port is still free");
        let name = format!("{}-{resource}", self.namespace);
        let here = json!({ "kubernetes.io/metadata.name": self.namespace });
        let wanted = json!({ "checked": "yes" });
        let hook = json!({ "metadata": { "name": name }, "webhooks": [{
            "name": "pins.firstlight.test", "clientConfig": webhook.client_config(),
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource],
                        "operations": ["CREATE", "UPDATE"] }],
            "namespaceSelector": { "matchLabels": here },
            "objectSelector": { "matchLabels": wanted },
            "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        }] });
        self.api()
            .await
            .post(HOOKS, &hook)
            .await
            .expect("a webhook");
        format!("{HOOKS}/{name}")
    }
}

const HOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_quote_what_they_refuse_reveal_nothing() {
    let mut planted = Planted::new("refused").await;
    planted.write_bundle(REFUSED);
    let checked =
        |object: &str| object.replace("metadata: { ", "metadata: { labels: { checked: 'yes' }, ");
    planted.write("manifests/secret.yaml", &checked(SECRET));
    planted.write("manifests/docker.yaml", DOCKER);
    planted.write("manifests/settings.yaml", &checked(SETTINGS));
    planted.write(
        "manifests/search/pipelines/lens.json",
        r#"{ "processors": [] }"#,
    );
    planted.write("dashboards/datasources.yaml", DATASOURCES);
    let mark = planted.mark.clone();
    let hooks = [
        planted
            .deny("secrets", &format!("no {mark}-pin here"))
            .await,
        planted
            .deny("configmaps", &format!("no {mark}-grafana here"))
            .await,
    ];
    let steps = REFUSALS.map(|(id, reason)| (id.to_owned(), reason.to_owned()));
    planted.fails(&steps).await;
    for hook in hooks {
        planted
            .api()
            .await
            .delete(&hook)
            .await
            .expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_fail_reveal_no_string() {
    let mut planted = Planted::new("literals").await;
    let name = planted.namespace.clone();
    let mut bundle = REFUSED
        .split("phases:")
        .next()
        .expect("servers")
        .replace("wrong", "right");
    write!(
        bundle,
        "phases:
  - name: secrets
    steps: [{{ secret: {{ name: login, values: {{ right: \"{}\" }} }} }}]
",
        planted.postgres.password
    )
    .expect("text");
    let mut steps = Vec::new();
    for (at, (code, sql)) in STATEMENTS.iter().enumerate() {
        planted.write(&format!("sql/{at}/V1__one.sql"), &format!("{sql};\n"));
        write!(
            bundle,
            "  - name: schema{at}
    needs: [secrets]
    steps:
      - database: {{ name: {name}-{at} }}
      - name: files
        needs: [{name}-{at}]
        migrate: {{ path: sql/{at}, database: {name}-{at} }}
"
        )
        .expect("text");
        steps.push((format!("schema{at}/files"), format!("({code})")));
    }
    bundle.push_str(
        "  - name: checks
    needs: [secrets]
    steps:
      - name: asked
        timeout: 8s
        check: { sql: { database: postgres, atLeast: 1, query: \"select count(*) from pg_tables where tablename = 'MARK'\" } }
",
    );
    steps.push(("checks/asked".to_owned(), "tablename = '…'".to_owned()));
    planted.write_bundle(&bundle);
    planted.fails(&steps).await;
}
