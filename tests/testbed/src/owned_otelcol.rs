//! An OpenTelemetry Collector that one test kills, starts again, and lets refuse.

use crate::address::Otelcol;
use crate::error::InFile;
use crate::launch::Launch;
use crate::owned::Owned;
use crate::{Attempt, Error, builds, http, place, ports, unique};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const READY: Duration = Duration::from_mins(1);

/// A collector that writes what it gets to a file, which all of its lives share.
///
/// It ends when this is dropped or this process ends.
#[derive(Debug)]
pub struct OwnedOtelcol {
    folder: PathBuf,
    address: Otelcol,
    process: Option<Owned>,
}

impl OwnedOtelcol {
    /// One that is not up yet, on ports that stay its own.
    ///
    /// # Errors
    /// When there is no port or no folder for it.
    pub fn new() -> Result<Self, Error> {
        let folder = place::make_data(&place::state())?.join(unique("otelcol"));
        fs::create_dir_all(&folder).file("make", &folder)?;
        let address = Otelcol {
            otlp_grpc: format!("http://127.0.0.1:{}", ports::free()?),
            otlp_http: format!("http://127.0.0.1:{}", ports::free()?),
            received_file: folder.join("received.jsonl"),
        };
        fs::write(&address.received_file, "").file("write", &address.received_file)?;
        Ok(Self {
            folder,
            address,
            process: None,
        })
    }

    /// Where it is, and what it has received.
    #[must_use]
    pub fn address(&self) -> &Otelcol {
        &self.address
    }

    /// Starts it; what it has received in earlier lives stays.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when it was not built; what it said when it does not come up.
    pub async fn start(&mut self) -> Result<(), Error> {
        self.launch("", 200).await
    }

    /// Starts it with so little memory that it refuses all that it is sent.
    ///
    /// # Errors
    /// As [`OwnedOtelcol::start`].
    pub async fn start_refusing(&mut self) -> Result<(), Error> {
        self.launch("memory_limiter", 503).await
    }

    /// Kills it, without a word. What it has taken is written down: the file is not buffered.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it with this processor, and waits until it answers a span with this status.
    async fn launch(&mut self, processor: &str, status: u16) -> Result<(), Error> {
        self.kill();
        let config = self.folder.join("otelcol.yaml");
        fs::write(&config, self.config(processor)).file("write", &config)?;
        let launch = Launch::new(builds::program("otelcol")?)
            .argument("--config")
            .argument(&config);
        let log = self.folder.join("log");
        let mut process = Owned::start("otelcol", &launch, "KILL", &log, None)?;
        let client = http::client(None)?;
        let request = client
            .post(format!("{}/v1/traces", self.address.otlp_http))
            .json(&span());
        let ask = async || answers(&request, status).await;
        process.ready(READY, ask).await?;
        self.process = Some(process);
        Ok(())
    }

    fn config(&self, processor: &str) -> String {
        let port = |url: &str| url.trim_start_matches("http://").to_owned();
        format!(
            "receivers:
  otlp: {{ protocols: {{ grpc: {{ endpoint: '{grpc}' }}, http: {{ endpoint: '{http}' }} }} }}
processors:
  memory_limiter: {{ check_interval: 50ms, limit_mib: 1 }}
exporters:
  # What rotates is written at once, to the end of what is there.
  file: {{ path: {received}, rotation: {{ max_megabytes: 1000 }} }}
service:
  telemetry: {{ metrics: {{ level: none }}, logs: {{ level: warn }} }}
  pipelines:
    traces: &all {{ receivers: [otlp], processors: [{processor}], exporters: [file] }}
    metrics: *all
    logs: *all
",
            grpc = port(&self.address.otlp_grpc),
            http = port(&self.address.otlp_http),
            received = self.address.received_file.display(),
        )
    }
}

impl Drop for OwnedOtelcol {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A span of its own: an empty request is taken by a collector that refuses.
fn span() -> Value {
    let span = json!({
        "traceId": "00000000000000000000000000000001",
        "spanId": "0000000000000001",
        "name": "is it there",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
    });
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] })
}

async fn answers(request: &RequestBuilder, status: u16) -> Attempt<()> {
    let Some(request) = request.try_clone() else {
        return Attempt::Never("the request cannot be sent twice".to_owned());
    };
    match request.send().await {
        Ok(answer) if answer.status() == status => Attempt::Done(()),
        Ok(answer) => Attempt::NotYet(format!("it answered {}", answer.status())),
        Err(error) => Attempt::not_yet(&error),
    }
}
