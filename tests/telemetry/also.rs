//! What the collector of the quickstart sends to further stores: its configuration as the bundle
//! renders it, in a collector of the test.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Env, program, unique};
use tokio::process::Child;

use crate::child::{Driver, Said};
use crate::guarded::{self, Guarded};
use crate::received::{Collector, Received, attributes};

/// The folder of the pod that the authority is mounted into.
const MOUNT: &str = "/etc/otel-collector/also";
const SECRET: &str = "Bearer of=a, secret";

/// The quickstart's collector with these settings. It ends with the test.
struct Quickstart {
    _folder: TempDir,
    _child: Child,
    endpoint: String,
    /// What is in the place of the stack's own stores.
    stores: Collector,
}

impl Quickstart {
    /// Its files stand where those of the guarded collector are.
    async fn start(guarded: &Guarded, settings: &[String]) -> Self {
        let container = container(settings);
        let stores = Collector::new();
        let [grpc, http, health, _] = guarded::ports().await;
        let mut configuration = configuration(&container);
        place(&mut configuration, [grpc, http, health], &stores);
        let authority = guarded.file("ca.crt");
        let text = configuration
            .to_string()
            .replace(&format!("{MOUNT}/ca.crt"), &authority);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("otelcol.json");
        fs::write(&file, text).expect("a file");
        let cluster = Env::load().and_then(|env| env.api_server());
        let mut command =
            tokio::process::Command::new(program("otelcol").expect("the collector is built"));
        command
            .arg("--config")
            .arg(&file)
            .env("KUBECONFIG", cluster.expect("an API server").kubeconfig)
            // That a store is away is what a test wants.
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if reads_secret(&container) {
            command.env("ALSO_AUTHORIZATION", SECRET);
        }
        let child = command.spawn().expect("the collector starts");
        guarded::listens(http).await;
        Self {
            _folder: folder,
            _child: child,
            endpoint: format!("http://127.0.0.1:{http}"),
            stores,
        }
    }

    /// A run that reports to it, by the id that its telemetry carries.
    async fn run(&self) -> (String, Said) {
        let id = unique("also");
        let attribute = format!("test.run={id}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.endpoint.as_str()),
            ("OTEL_RESOURCE_ATTRIBUTES", &attribute),
        ];
        let said = Driver::start("fine", &variables).end().await;
        assert_eq!(said.at("WARN"), Vec::<Value>::new());
        (id, said)
    }
}

/// The container of the collector's Deployment.
fn container(settings: &[String]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
    command
        .args(["render", "--profile", "quickstart", "--output", "text"])
        .args(["--namespace", "also"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().expect("the agent starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let deployment = documents
        .iter()
        .find(|it| it["kind"] == "Deployment" && it["metadata"]["name"] == "otel-collector");
    let deployment = deployment.unwrap_or_else(|| {
        panic!("no collector: {}", String::from_utf8_lossy(&output.stderr));
    });
    deployment["spec"]["template"]["spec"]["containers"][0].clone()
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    let mut variables = container["env"].as_array()?.iter();
    variables.find(|it| it["name"] == name)
}

fn configuration(container: &Value) -> Value {
    let text = variable(container, "CONFIGURATION").and_then(|it| it["value"].as_str());
    serde_saphyr::from_str(text.expect("a configuration")).expect("YAML")
}

/// Whether the header comes from the Secret that the tests name.
fn reads_secret(container: &Value) -> bool {
    let Some(variable) = variable(container, "ALSO_AUTHORIZATION") else {
        return false;
    };
    let wanted = json!({ "secretKeyRef": { "name": "login", "key": "authorization" } });
    assert_eq!(variable["valueFrom"], wanted);
    true
}

/// Puts it on this machine: other ports, the API server by its file, other stores of the stack.
fn place(configuration: &mut Value, [grpc, http, health]: [u16; 3], stores: &Collector) {
    let at = |port: u16| json!(format!("127.0.0.1:{port}"));
    let (by_grpc, by_http) = (stores.endpoint("grpc"), stores.endpoint("http/protobuf"));
    for (pointer, value) in [
        ("/receivers/otlp/protocols/grpc/endpoint", at(grpc)),
        ("/receivers/otlp/protocols/http/endpoint", at(http)),
        ("/extensions/health_check/endpoint", at(health)),
        ("/exporters/otlp_grpc~1jaeger/endpoint", json!(by_grpc)),
        ("/exporters/otlp_http~1prometheus/endpoint", json!(by_http)),
        (
            "/exporters/otlp_http~1opensearch/logs_endpoint",
            json!(format!("{by_http}/v1/logs")),
        ),
        ("/service/telemetry/metrics", json!({ "level": "none" })),
    ] {
        let place = configuration.pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("no {pointer} in the configuration")) = value;
    }
    configuration["processors"]["k8s_attributes"]["auth_type"] = json!("kubeConfig");
}

/// As many spans as were made, and records and metrics of the run.
fn all(said: &Said) -> impl Fn(&Received) -> Result<(), String> {
    let count = said.all_spans();
    move |received| {
        let (spans, signals) = (received.spans.len(), received.signals().len());
        if spans < count || signals < 3 {
            return Err(format!("{spans} of {count} spans, {signals} of 3 signals"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn each_signal_also_goes_elsewhere_by_tls_with_headers() {
    let guarded = Guarded::start().await;
    let elsewhere = guarded.endpoint("http", false);
    let mut settings: Vec<String> = ["traces", "metrics", "logs"]
        .iter()
        .map(|signal| format!("collector.alsoTo.{signal}={elsewhere}"))
        .collect();
    settings.extend([
        "collector.alsoTo.headers.X-Token=a \"tenant\"".to_owned(),
        "collector.alsoTo.authorization.secret=login".to_owned(),
        "collector.alsoTo.ca.secret=authority".to_owned(),
    ]);
    let quickstart = Quickstart::start(&guarded, &settings).await;
    let (id, said) = quickstart.run().await;
    quickstart.stores.when(&id, all(&said)).await;
    let received = guarded.collector.when(&id, all(&said)).await;
    received.assert_whole(said.all_spans());
    for resource in &received.resources {
        let attributes = attributes(resource);
        assert_eq!(attributes["sent.header"], "a \"tenant\"");
        assert_eq!(attributes["sent.authorization"], SECRET);
        // Enriched on the way there too.
        assert_eq!(attributes["k8s.cluster.name"], "lens");
    }
}

#[tokio::test]
async fn a_further_store_that_is_away_keeps_nothing_from_the_stack() {
    let guarded = Guarded::start().await;
    // One that nobody listens at, and one whose authority is not trusted.
    let [nowhere, ..] = guarded::ports().await;
    let settings = [
        format!("collector.alsoTo.traces=http://127.0.0.1:{nowhere}"),
        format!("collector.alsoTo.logs={}", guarded.endpoint("http", false)),
    ];
    let quickstart = Quickstart::start(&guarded, &settings).await;
    let (id, said) = quickstart.run().await;
    let received = quickstart.stores.when(&id, all(&said)).await;
    received.assert_whole(said.all_spans());
    assert_eq!(guarded.collector.lines(&id), "");
}
