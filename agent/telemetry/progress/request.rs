//! Spans as export requests, and what is done to a request whose maker is dead.

use super::Death;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::SpanKind, status::StatusCode};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a process that is killed has as its result, by the conventions.
const RESULT: &str = "error";

/// Spans of one resource as a request.
pub(super) fn encoded(spans: Vec<SpanData>, resource: &Resource) -> Bytes {
    let resource = ResourceAttributesWithSchema::from(resource);
    let resource_spans = group_spans_by_resource_and_scope(spans, &resource);
    ExportTraceServiceRequest { resource_spans }
        .encode_to_vec()
        .into()
}

/// How many spans a request holds; none for what is no request.
pub(super) fn count(request: &[u8]) -> Option<u64> {
    let mut request = ExportTraceServiceRequest::decode(request).ok()?;
    Some(spans(&mut request).count() as u64)
}

/// The spans of a request, ended as their process was; and how many they are.
pub(super) fn closed(request: &[u8], death: &Death) -> Option<(Bytes, u64)> {
    let mut request = ExportTraceServiceRequest::decode(request).ok()?;
    let mut count = 0;
    for span in spans(&mut request) {
        close(span, death);
        count += 1;
    }
    Some((request.encode_to_vec().into(), count))
}

/// A request without the calls to servers, which have no spans below them; and how many were left
/// out.
pub(super) fn without_calls(request: &[u8]) -> Option<(Bytes, u64)> {
    let mut request = ExportTraceServiceRequest::decode(request).ok()?;
    let mut left_out = 0;
    for scope in request
        .resource_spans
        .iter_mut()
        .flat_map(|it| &mut it.scope_spans)
    {
        let before = scope.spans.len();
        scope.spans.retain(|span| span.kind() != SpanKind::Client);
        left_out += (before - scope.spans.len()) as u64;
    }
    Some((request.encode_to_vec().into(), left_out))
}

fn spans(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
    let scopes = request
        .resource_spans
        .iter_mut()
        .flat_map(|it| &mut it.scope_spans);
    scopes.flat_map(|scope| &mut scope.spans)
}

fn close(span: &mut Span, death: &Death) {
    span.end_time_unix_nano = nanos(death.at).max(span.start_time_unix_nano);
    span.status = Some(Status {
        code: StatusCode::Error.into(),
        message: death.said.clone(),
    });
    set(span, "error.type", &death.kind);
    let has = |key: &str| span.attributes.iter().any(|it| it.key == key);
    if has("cicd.pipeline.task.name") {
        set(span, "cicd.pipeline.task.run.result", RESULT);
    } else if has("cicd.pipeline.name") {
        set(span, "cicd.pipeline.result", RESULT);
    }
}

fn set(span: &mut Span, key: &str, value: &str) {
    span.attributes.retain(|it| it.key != key);
    span.attributes.push(KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    });
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{
        SpanContext, SpanId, SpanKind as Kind, Status as Ending, TraceFlags, TraceId, TraceState,
    };
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use std::time::Duration;

    /// A span that began ten seconds after 1970 and took none.
    pub(in crate::telemetry::progress) fn span(id: u64, name: &str, kind: Kind) -> SpanData {
        let at = UNIX_EPOCH + Duration::from_secs(10);
        let trace = TraceId::from_bytes([7; 16]);
        let id = SpanId::from_bytes(id.to_be_bytes());
        SpanData {
            span_context: SpanContext::new(
                trace,
                id,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.to_owned().into(),
            start_time: at,
            end_time: at,
            attributes: vec![opentelemetry::KeyValue::new("cicd.pipeline.task.name", "a")],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Ending::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    fn death(seconds: u64) -> Death {
        Death {
            kind: "OOMKilled".to_owned(),
            said: "the pod a was OOMKilled".to_owned(),
            at: UNIX_EPOCH + Duration::from_secs(seconds),
        }
    }

    fn read(request: &[u8]) -> Vec<Span> {
        let mut request = ExportTraceServiceRequest::decode(request).expect("a request");
        spans(&mut request).map(|span| span.clone()).collect()
    }

    fn some() -> Bytes {
        let spans = vec![
            span(1, "phase", Kind::Internal),
            span(2, "GET /", Kind::Client),
            span(3, "step", Kind::Internal),
        ];
        encoded(spans, &Resource::builder_empty().build())
    }

    #[test]
    fn what_was_open_ends_with_its_process() {
        let (request, count) = closed(&some(), &death(41)).expect("a request");
        assert_eq!(count, 3);
        let span = read(&request).remove(0);
        assert_eq!(span.end_time_unix_nano, 41_000_000_000);
        let status = span.status.expect("a status");
        assert_eq!(status.message, "the pod a was OOMKilled");
        assert_eq!(status.code(), StatusCode::Error);
        let keys: Vec<&str> = span.attributes.iter().map(|it| it.key.as_str()).collect();
        let expected = [
            "cicd.pipeline.task.name",
            "error.type",
            "cicd.pipeline.task.run.result",
        ];
        assert_eq!(keys, expected);
        // The same twice is the same: two who close it do not differ.
        assert_eq!(closed(&some(), &death(41)), closed(&some(), &death(41)));
    }

    #[test]
    fn nothing_ends_before_it_began() {
        let (request, _) = closed(&some(), &death(1)).expect("a request");
        let span = read(&request).remove(0);
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano);
    }

    #[test]
    fn calls_can_be_left_out() {
        let (request, left_out) = without_calls(&some()).expect("a request");
        let names: Vec<String> = read(&request).into_iter().map(|it| it.name).collect();
        assert_eq!((names, left_out), (vec!["phase".into(), "step".into()], 1));
        assert_eq!((count(&some()), count(&request)), (Some(3), Some(2)));
    }

    #[test]
    fn what_is_no_request_is_not_taken_for_one() {
        let not = b"\xff\xff not protobuf";
        assert_eq!(count(not), None);
        assert_eq!(closed(not, &death(1)), None);
        assert_eq!(without_calls(not), None);
    }
}
