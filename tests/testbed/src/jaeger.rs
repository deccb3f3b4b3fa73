//! Jaeger 2 with everything in memory.

use crate::address::Jaeger;
use crate::builds::Builds;
use crate::launch::Launch;
use crate::room::Room;
use crate::{Attempt, Error, http};
use std::time::Duration;

const READY: Duration = Duration::from_mins(1);

pub(crate) async fn start(room: &Room<'_>, builds: &Builds) -> Result<Jaeger, Error> {
    let program = builds.program(room, "jaeger", "JAEGER_VERSION").await?;
    let server = address(room)?;
    let config = room.file("jaeger.yaml", &config(room)?)?;
    let launch = Launch::new(program)
        .argument("--config")
        .argument(format!("file:{}", config.display()))
        // Its own spans would go where another server may listen.
        .variable("OTEL_TRACES_SAMPLER", "always_off");
    let child = room.start(&launch)?;
    room.ready(child, READY, async || ask(&server).await)
        .await?;
    Ok(server)
}

/// Its ports are fixed before it runs, so that the collector can be told them.
pub(crate) fn address(room: &Room<'_>) -> Result<Jaeger, Error> {
    let url = |what| Ok::<_, Error>(format!("http://127.0.0.1:{}", room.port(what)?));
    Ok(Jaeger {
        query_url: url("query")?,
        otlp_grpc: url("otlp-grpc")?,
        otlp_http: url("otlp-http")?,
    })
}

fn config(room: &Room<'_>) -> Result<String, Error> {
    let at = |what| Ok::<_, Error>(format!("127.0.0.1:{}", room.port(what)?));
    Ok(format!(
        "extensions:
  jaeger_storage: {{ backends: {{ memory: {{ memory: {{ max_traces: 10000 }} }} }} }}
  jaeger_query:
    storage: {{ traces: memory }}
    http: {{ endpoint: {query} }}
    grpc: {{ endpoint: {query_grpc} }}
receivers:
  otlp: {{ protocols: {{ grpc: {{ endpoint: {grpc} }}, http: {{ endpoint: {http} }} }} }}
exporters:
  jaeger_storage_exporter: {{ trace_storage: memory }}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {{ metrics: {{ level: none }}, logs: {{ level: warn }} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [jaeger_storage_exporter] }}
",
        query = at("query")?,
        query_grpc = at("query-grpc")?,
        grpc = at("otlp-grpc")?,
        http = at("otlp-http")?,
    ))
}

/// Whether it takes spans and answers questions about them.
pub(crate) async fn ask(server: &Jaeger) -> Attempt<()> {
    let client = match http::client(None) {
        Ok(client) => client,
        Err(error) => return Attempt::never(&error),
    };
    http::all([
        http::no_spans(&client, &server.otlp_http),
        client.get(format!("{}/api/v3/services", server.query_url)),
    ])
    .await
}
