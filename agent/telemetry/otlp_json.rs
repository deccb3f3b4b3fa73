//! OTLP/JSON lines, as the file exporter of a collector writes them too.

use crate::settings::Signal;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::Serialize;

/// An export request, encoded as it goes over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) signal: Signal,
    pub(super) bytes: Bytes,
    /// How many spans, records or metrics it holds.
    pub(super) items: u64,
}

/// Why something is no line, or cannot be made one.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("it is no OTLP/JSON")]
    Json(#[from] serde_json::Error),
    #[error("it has no resourceSpans, resourceLogs or resourceMetrics")]
    NoSignal,
    #[error("it is no OTLP request")]
    Protobuf(#[from] prost::DecodeError),
}

/// Which signal a line is of.
#[derive(Deserialize)]
struct Keys {
    #[serde(rename = "resourceSpans")]
    spans: Option<IgnoredAny>,
    #[serde(rename = "resourceLogs")]
    records: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics")]
    metrics: Option<IgnoredAny>,
}

/// One line without its end.
///
/// # Errors
/// When the bytes are no request of this signal.
pub(super) fn line(signal: Signal, bytes: &[u8]) -> Result<String, LineError> {
    match signal {
        Signal::Traces => written::<ExportTraceServiceRequest>(bytes),
        Signal::Logs => written::<ExportLogsServiceRequest>(bytes),
        Signal::Metrics => written::<ExportMetricsServiceRequest>(bytes),
    }
}

/// The request that a line holds.
///
/// # Errors
/// When the line is not one.
pub(super) fn request(line: &str) -> Result<Request, LineError> {
    let keys: Keys = serde_json::from_str(line)?;
    let (signal, (bytes, items)) = if keys.spans.is_some() {
        (Signal::Traces, read(line, spans)?)
    } else if keys.records.is_some() {
        (Signal::Logs, read(line, records)?)
    } else if keys.metrics.is_some() {
        (Signal::Metrics, read(line, metrics)?)
    } else {
        return Err(LineError::NoSignal);
    };
    Ok(Request {
        signal,
        bytes,
        items: items as u64,
    })
}

fn written<M: Message + Default + Serialize>(bytes: &[u8]) -> Result<String, LineError> {
    Ok(serde_json::to_string(&M::decode(bytes)?)?)
}

fn read<M: Message + DeserializeOwned>(
    line: &str,
    count: impl Fn(&M) -> usize,
) -> Result<(Bytes, usize), LineError> {
    let request: M = serde_json::from_str(line)?;
    Ok((Bytes::from(request.encode_to_vec()), count(&request)))
}

fn spans(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|it| &it.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

fn records(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request.resource_logs.iter().flat_map(|it| &it.scope_logs);
    scopes.map(|scope| scope.log_records.len()).sum()
}

fn metrics(request: &ExportMetricsServiceRequest) -> usize {
    let resources = request.resource_metrics.iter();
    let scopes = resources.flat_map(|it| &it.scope_metrics);
    scopes.map(|scope| scope.metrics.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a collector's file exporter writes it: nothing that is empty.
    const SPANS: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"firstlight"}}]},"scopeSpans":[{"scope":{"name":"firstlight"},"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","parentSpanId":"","name":"RUN lens","kind":2,"startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000002","status":{}},{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203332","name":"x","status":{"code":2,"message":"no"},"events":[{"timeUnixNano":"1700000000000000001","name":"e","attributes":[{"key":"n","value":{"intValue":"5"}}]}]}]}]}]}"#;
    const RECORDS: &str = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"1","severityNumber":9,"severityText":"INFO","body":{"stringValue":"hello"},"traceId":"","spanId":""}]}]}]}"#;
    const METRICS: &str = r#"{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[{"name":"a","sum":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"3"}],"aggregationTemporality":2,"isMonotonic":true}},{"name":"b","histogram":{"dataPoints":[{"timeUnixNano":"2","count":"1","sum":0.5,"bucketCounts":["1","0"],"explicitBounds":[1]}],"aggregationTemporality":2}}]}]}]}"#;

    #[test]
    fn lines_of_all_signals_are_read_and_written() {
        for (text, signal, items) in [
            (SPANS, Signal::Traces, 2),
            (RECORDS, Signal::Logs, 1),
            (METRICS, Signal::Metrics, 2),
        ] {
            let read = request(text).expect("a line");
            assert_eq!((read.signal, read.items), (signal, items));
            let again = line(signal, &read.bytes).expect("a request");
            assert!(!again.contains('\n'));
            assert_eq!(request(&again).expect("a line"), read);
        }
    }

    #[test]
    fn what_is_no_line_is_told() {
        for (text, wanted) in [
            ("", "it is no OTLP/JSON"),
            ("{\"resourceSpans\":[{\"scop", "it is no OTLP/JSON"),
            (
                "{\"resourceSpans\":[{\"scopeSpans\":7}]}",
                "it is no OTLP/JSON",
            ),
            (
                "{}",
                "it has no resourceSpans, resourceLogs or resourceMetrics",
            ),
        ] {
            assert_eq!(request(text).expect_err(text).to_string(), wanted);
        }
        let error = line(Signal::Traces, b"\xff").expect_err("no request");
        assert_eq!(error.to_string(), "it is no OTLP request");
    }
}
