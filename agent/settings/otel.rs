//! The standard `OTEL_…` variables.
//!
//! They are read here and not by the SDK, because the SDK leaves out many of them
//! (`OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, certificates, `TRACEPARENT`), and because
//! telemetry must not come alive unless an endpoint is named.

mod limits;
mod reader;
mod unheeded;

pub use limits::{Limits, RecordLimits};

use super::{SettingsError, variables};
use crate::secret::Sensitive;
use reader::Reader;
use std::path::PathBuf;
use std::time::Duration;

/// How often metrics are exported. The standard's minute would outlast most runs.
const METRIC_INTERVAL: Duration = Duration::from_secs(5);

/// What the standard variables say. A wrong one is set aside and kept as a mistake to be told,
/// because telemetry never fails a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Otel {
    /// The name of this service, if another than ours is wanted.
    pub service_name: Option<String>,
    /// Further attributes of the resource.
    pub resource_attributes: Vec<(String, String)>,
    /// Whether the trace is that of who started the run, and is handed on to servers.
    pub propagates: bool,
    /// The span that this run belongs to, as W3C Trace Context writes it.
    pub traceparent: Option<String>,
    /// What other tracers have added to it.
    pub tracestate: Option<String>,
    /// Whether the trace is recorded.
    pub sampler: Sampler,
    /// How often metrics are exported; zero for the default.
    pub metric_interval: Duration,
    /// How much of a span or a record is kept.
    pub limits: Limits,
    /// The variable that turns traces off, as it is set; none if nothing does.
    pub untraced_by: Option<&'static str>,
    /// Where spans go, if anywhere.
    pub traces: Option<Endpoint>,
    /// Where metrics go, if anywhere.
    pub metrics: Option<Endpoint>,
    /// Where log records go, if anywhere.
    pub logs: Option<Endpoint>,
    /// Variables that were set aside because they are wrong.
    pub mistakes: Vec<SettingsError>,
    /// A sentence for each variable that means nothing here.
    pub unheeded: Vec<String>,
}

/// One of the three kinds of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf by gRPC.
    Grpc,
    /// Protobuf by HTTP.
    #[default]
    HttpProtobuf,
}

/// Whether a trace is recorded. One process makes one trace, so this is decided once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the caller's decision counts, if `TRACEPARENT` brings one.
    pub follows_parent: bool,
    /// The share of traces that is recorded otherwise, from 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            follows_parent: true,
            ratio: 1.0,
        }
    }
}

/// Where one signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The full URL for HTTP, the base for gRPC.
    pub url: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What is sent along with each request.
    pub headers: Vec<(String, Sensitive)>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// The certificate authority to trust, as a PEM file; the system's unless given.
    pub certificate: Option<PathBuf>,
    /// Our own certificate and its key, as PEM files, for mutual TLS.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Signal {
    fn upper(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }
}

impl Otel {
    /// Reads the environment of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(variables())
    }

    /// Reads these variables; an empty one counts as not set, as the standard wants it.
    #[must_use]
    pub fn from_vars(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let set = variables
            .into_iter()
            .filter(|(_, value)| !value.trim().is_empty());
        let mut reader = Reader {
            set: set.collect(),
            mistakes: Vec::new(),
        };
        if reader.is_true("OTEL_SDK_DISABLED") {
            // The standard wants it so: propagators are not turned off with the rest.
            return Self {
                untraced_by: Some("OTEL_SDK_DISABLED=true"),
                ..Self::propagated(&mut reader)
            };
        }
        let has_none = reader.text("OTEL_TRACES_EXPORTER").as_deref() == Some("none");
        let otel = Self {
            service_name: reader.text("OTEL_SERVICE_NAME"),
            resource_attributes: reader.pairs("OTEL_RESOURCE_ATTRIBUTES"),
            sampler: reader.sampler(),
            metric_interval: reader
                .millis("OTEL_METRIC_EXPORT_INTERVAL")
                .unwrap_or(METRIC_INTERVAL),
            limits: Limits::read(&mut reader),
            untraced_by: has_none.then_some("OTEL_TRACES_EXPORTER=none"),
            traces: reader.endpoint(Signal::Traces),
            metrics: reader.endpoint(Signal::Metrics),
            logs: reader.endpoint(Signal::Logs),
            ..Self::propagated(&mut reader)
        };
        // Without an endpoint nobody wants telemetry, and nothing is said about it.
        if !reader.names_an_endpoint() {
            return otel;
        }
        reader.only_cumulative();
        Self {
            unheeded: unheeded::unheeded(&reader),
            mistakes: reader.mistakes,
            ..otel
        }
    }

    /// What comes in with the run and goes out with its requests, and nothing else.
    fn propagated(reader: &mut Reader) -> Self {
        if !reader.propagates() {
            return Self::default();
        }
        Self {
            propagates: true,
            traceparent: reader.text("TRACEPARENT"),
            tracestate: reader.header("TRACESTATE"),
            ..Self::default()
        }
    }

    /// Whether anything is exported.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some() || self.logs.is_some()
    }
}

#[cfg(test)]
mod tests;
