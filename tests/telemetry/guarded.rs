//! A collector behind TLS, and one that wants to know who speaks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use testbed::{Attempt, Authority, Otelcol, Signed, eventually, program, unique};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::child::{Driver, Said};
use crate::received::{Collector, Received, attributes};

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// A collector of one test. It ends with the test.
pub(crate) struct Guarded {
    folder: TempDir,
    /// By gRPC and by HTTP; the second pair wants a certificate of the client.
    ports: [u16; 4],
    pub(crate) collector: Collector,
    _child: Child,
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new().expect("an authority");
        put(&folder, "ca.crt", &authority.pem());
        pair(
            &folder,
            "server",
            &authority.sign(&["localhost"]).expect("a certificate"),
        );
        pair(
            &folder,
            "client",
            &authority.sign(&["firstlight"]).expect("a certificate"),
        );
        let other = Authority::new().expect("an authority");
        put(&folder, "other.crt", &other.pem());
        pair(
            &folder,
            "stranger",
            &other.sign(&["firstlight"]).expect("a certificate"),
        );
        let ports = ports().await;
        let received = folder.path().join("received.jsonl");
        put(&folder, "otelcol.yaml", &config(folder.path(), ports));
        let program = program("otelcol").expect("the collector is built");
        let child = Command::new(program)
            .arg("--config")
            .arg(folder.path().join("otelcol.yaml"))
            // That it refuses strangers is what the tests want.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the collector starts");
        for port in ports {
            listens(port).await;
        }
        let collector = Collector::of(Otelcol {
            otlp_grpc: String::new(),
            otlp_http: String::new(),
            received_file: received,
        });
        Self {
            folder,
            ports,
            collector,
            _child: child,
        }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn endpoint(&self, protocol: &str, asks: bool) -> String {
        let at = usize::from(protocol != "grpc") + 2 * usize::from(asks);
        format!("https://localhost:{}", self.ports[at])
    }

    /// A run against the one of the two that asks for a certificate, or not.
    async fn run(&self, protocol: &str, asks: bool, more: &[(&str, &str)]) -> (String, Said) {
        let id = unique("guarded");
        let attribute = format!("test.run={id}");
        let endpoint = self.endpoint(protocol, asks);
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_RESOURCE_ATTRIBUTES", attribute.as_str()),
        ];
        variables.extend(more);
        let said = Driver::start("fine", &variables).end().await;
        (id, said)
    }

    async fn arrives(&self, protocol: &str, asks: bool, more: &[(&str, &str)]) {
        let (id, said) = self.run(protocol, asks, more).await;
        assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
        self.collector.with_spans(&id, 1).await;
    }

    /// Nothing arrives, and the one warning says why.
    async fn is_refused(&self, protocol: &str, asks: bool, more: &[(&str, &str)], why: &str) {
        let (_, said) = self.run(protocol, asks, more).await;
        let warnings = serde_json::to_string(&said.at("WARN")).expect("JSON");
        assert!(said.delivery.contains("0 of "), "{}", said.delivery);
        assert!(
            warnings.contains(why),
            "{protocol}: no {why:?} in {warnings}"
        );
    }
}

fn put(folder: &TempDir, name: &str, text: &str) {
    fs::write(folder.path().join(name), text).expect("a file");
}

fn pair(folder: &TempDir, name: &str, signed: &Signed) {
    put(folder, &format!("{name}.crt"), signed.certificate());
    put(folder, &format!("{name}.key"), signed.key());
}

pub(crate) async fn ports() -> [u16; 4] {
    let mut listeners = Vec::new();
    for _ in 0..4 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listeners.push(listener);
    }
    let port = |at: usize| listeners[at].local_addr().expect("an address").port();
    [port(0), port(1), port(2), port(3)]
}

pub(crate) async fn listens(port: u16) {
    let attempt = async || match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(_) => Attempt::Done(()),
        Err(error) => Attempt::NotYet(error.to_string()),
    };
    let up = eventually("the collector's port", Duration::from_secs(30), attempt).await;
    up.unwrap_or_else(|error| panic!("{error}"));
}

fn config(folder: &Path, ports: [u16; 4]) -> String {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let (certificate, key) = (path("server.crt"), path("server.key"));
    let tls = format!(
        "cert_file: {}, key_file: {}",
        certificate.display(),
        key.display()
    );
    let asks = format!("{tls}, client_ca_file: {}", path("ca.crt").display());
    let [grpc, http, asking_grpc, asking_http] = ports;
    let protocols = |tls: &str, grpc: u16, http: u16| {
        format!(
            "protocols: {{ grpc: {{ endpoint: 127.0.0.1:{grpc}, include_metadata: true, tls: {{ {tls} }} }}, \
             http: {{ endpoint: 127.0.0.1:{http}, include_metadata: true, tls: {{ {tls} }} }} }}"
        )
    };
    format!(
        "receivers:
  otlp: {{ {} }}
  otlp/asks: {{ {} }}
processors:
  resource:
    attributes:
      - {{ key: sent.header, from_context: metadata.x-token, action: upsert }}
      - {{ key: sent.authorization, from_context: metadata.authorization, action: upsert }}
exporters:
  file: {{ path: {}, flush_interval: 200ms, append: true }}
service:
  telemetry: {{ metrics: {{ level: none }}, logs: {{ level: error }} }}
  pipelines:
    traces: &all {{ receivers: [otlp, otlp/asks], processors: [resource], exporters: [file] }}
    metrics: *all
    logs: *all
",
        protocols(&tls, grpc, http),
        protocols(&asks, asking_grpc, asking_http),
        path("received.jsonl").display(),
    )
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_is_named() {
    let guarded = Guarded::start().await;
    let (ca, other) = (guarded.file("ca.crt"), guarded.file("other.crt"));
    for protocol in PROTOCOLS {
        let named = ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.as_str());
        guarded.arrives(protocol, false, &[named]).await;
        let wrong = ("OTEL_EXPORTER_OTLP_CERTIFICATE", other.as_str());
        let why = "invalid peer certificate";
        guarded.is_refused(protocol, false, &[wrong], why).await;
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let guarded = Guarded::start().await;
    let file = |name: &str| guarded.file(name);
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let (stranger, its_key) = (file("stranger.crt"), file("stranger.key"));
    let named = ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.as_str());
    let identity = |certificate, key| {
        [
            named,
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key),
        ]
    };
    for protocol in PROTOCOLS {
        let ours = identity(&certificate, &key);
        guarded.arrives(protocol, true, &ours).await;
        // The server's word may be lost with the connection that it closes.
        let refused = "telemetry: 0 of ";
        guarded.is_refused(protocol, true, &[named], refused).await;
        let theirs = identity(&stranger, &its_key);
        guarded.is_refused(protocol, true, &theirs, refused).await;
    }
}

#[tokio::test]
async fn each_signal_has_a_way_of_its_own() {
    let guarded = Guarded::start().await;
    let (id, plain) = (unique("guarded"), Collector::new());
    let file = |name: &str| guarded.file(name);
    let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
    let (traces, logs) = (
        guarded.endpoint("grpc", true),
        guarded.endpoint("http", false),
    );
    let (metrics, logs) = (
        format!("{}/v1/metrics", plain.endpoint("http/protobuf")),
        format!("{logs}/v1/logs"),
    );
    let attribute = format!("test.run={id}");
    let variables = [
        ("OTEL_RESOURCE_ATTRIBUTES", attribute.as_str()),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &ca),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", &certificate),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &key),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &logs),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", &ca),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &metrics),
    ];
    let said = Driver::start("fine", &variables).end().await;
    assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new());
    let only = async |collector: &Collector, wanted: &[&str]| {
        let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
        let enough = |received: &Received| match received.signals() {
            signals if signals == wanted => Ok(()),
            signals => Err(format!("{signals:?}")),
        };
        collector.when(&id, enough).await;
    };
    only(&guarded.collector, &["logs", "traces"]).await;
    only(&plain, &["metrics"]).await;
}

#[tokio::test]
async fn headers_are_sent_and_never_told() {
    let guarded = Guarded::start().await;
    let ca = guarded.file("ca.crt");
    for protocol in PROTOCOLS {
        let variables = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=not%20this%20one"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "X-Token=top%2C%20secret,x-other=1",
            ),
            ("FIRSTLIGHT_LOG_LEVEL", "trace"),
        ];
        let (id, said) = guarded.run(protocol, false, &variables).await;
        let received = guarded.collector.with_spans(&id, 1).await;
        assert_eq!(
            attributes(&received.resources[0])["sent.header"],
            "top, secret"
        );
        for line in &said.lines {
            assert!(
                !line.contains("secret") && !line.contains("not this one"),
                "{line}"
            );
        }
    }
}
