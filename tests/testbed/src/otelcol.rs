//! An OpenTelemetry Collector that keeps what it got in a file, and passes it on.

use crate::address::Otelcol;
use crate::builds::Builds;
use crate::launch::Launch;
use crate::room::Room;
use crate::{Attempt, Error, http, jaeger, prometheus};
use std::time::Duration;

const READY: Duration = Duration::from_mins(1);

pub(crate) async fn start(room: &Room<'_>, builds: &Builds) -> Result<Otelcol, Error> {
    let program = builds.program(room, "otelcol", "OTELCOL_VERSION").await?;
    let server = Otelcol {
        otlp_grpc: format!("http://127.0.0.1:{}", room.port("otlp-grpc")?),
        otlp_http: format!("http://127.0.0.1:{}", room.port("otlp-http")?),
        received_file: room.folder().join("received.jsonl"),
    };
    let config = room.file("otelcol.yaml", &config(room, &server)?)?;
    let launch = Launch::new(program).argument("--config").argument(config);
    let child = room.start(&launch)?;
    room.ready(child, READY, async || ask(&server).await)
        .await?;
    Ok(server)
}

/// Each exporter has a queue of its own, so a backend that is away costs the sender nothing.
fn config(room: &Room<'_>, server: &Otelcol) -> Result<String, Error> {
    let prometheus = prometheus::address(&room.of("prometheus"))?;
    Ok(format!(
        "receivers:
  otlp: {{ protocols: {{ grpc: {{ endpoint: 127.0.0.1:{grpc} }}, http: {{ endpoint: 127.0.0.1:{http} }} }} }}
exporters:
  file: {{ path: {received}, flush_interval: 200ms, append: true }}
  otlp_grpc/jaeger: {{ endpoint: '{jaeger}', tls: {{ insecure: true }} }}
  otlp_http/prometheus: {{ metrics_endpoint: {prometheus}/api/v1/otlp/v1/metrics }}
service:
  telemetry: {{ metrics: {{ level: none }}, logs: {{ level: warn }} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [file, otlp_grpc/jaeger] }}
    metrics: {{ receivers: [otlp], exporters: [file, otlp_http/prometheus] }}
    logs: {{ receivers: [otlp], exporters: [file] }}
",
        grpc = room.port("otlp-grpc")?,
        http = room.port("otlp-http")?,
        received = server.received_file.display(),
        jaeger = jaeger::address(&room.of("jaeger"))?.otlp_grpc,
        prometheus = prometheus.url,
    ))
}

/// Whether it takes spans.
pub(crate) async fn ask(server: &Otelcol) -> Attempt<()> {
    match http::client(None) {
        Ok(client) => http::all([http::no_spans(&client, &server.otlp_http)]).await,
        Err(error) => Attempt::never(&error),
    }
}
