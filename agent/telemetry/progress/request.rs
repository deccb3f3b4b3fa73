//! Spans as export requests, and what is done to a request whose maker is dead.

use super::Death;
use crate::settings::Limits;
use crate::telemetry::gather::{BYTES, ITEMS};
use crate::telemetry::records::cut;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode,
};
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

/// The spans of a request, ended as their process was, in requests of the usual size; each with how
/// many there are. They are bounded here, because the SDK does so only when a span ends.
pub(super) fn closed(request: &[u8], death: &Death, limits: Limits) -> Option<Vec<(Bytes, u64)>> {
    let request = ExportTraceServiceRequest::decode(request).ok()?;
    let mut closed = Vec::new();
    for mut resource in request.resource_spans {
        for mut scope in std::mem::take(&mut resource.scope_spans) {
            let mut spans = std::mem::take(&mut scope.spans);
            for span in &mut spans {
                close(span, death);
                bound(span, limits);
            }
            for spans in portions(spans) {
                let count = spans.len() as u64;
                let scope = scope.clone();
                let scope_spans = vec![ScopeSpans { spans, ..scope }];
                let resource = resource.clone();
                let resource_spans = vec![ResourceSpans {
                    scope_spans,
                    ..resource
                }];
                let request = ExportTraceServiceRequest { resource_spans };
                closed.push((request.encode_to_vec().into(), count));
            }
        }
    }
    Some(closed)
}

/// As many of them together as a collector takes at once.
fn portions(spans: Vec<Span>) -> Vec<Vec<Span>> {
    let mut portions: Vec<Vec<Span>> = Vec::new();
    let mut bytes = 0;
    for span in spans {
        let size = span.encoded_len();
        match portions.last_mut() {
            Some(last) if last.len() < ITEMS && bytes + size <= BYTES => {
                last.push(span);
                bytes += size;
            }
            _ => {
                portions.push(vec![span]);
                bytes = size;
            }
        }
    }
    portions
}

fn bound(span: &mut Span, limits: Limits) {
    let length = limits.span_value_length;
    let dropped = bound_all(&mut span.attributes, limits.span_attributes, length);
    span.dropped_attributes_count += dropped;
    for event in &mut span.events {
        let dropped = bound_all(&mut event.attributes, limits.event_attributes, length);
        event.dropped_attributes_count += dropped;
    }
}

/// Keeps so many, each so long; how many were too many.
fn bound_all(attributes: &mut Vec<KeyValue>, most: u32, length: usize) -> u32 {
    let made = attributes.len();
    attributes.truncate(most as usize);
    for attribute in attributes.iter_mut() {
        let value = attribute.value.as_mut().and_then(|it| it.value.as_mut());
        if let Some(any_value::Value::StringValue(text)) = value {
            let kept = cut(text, length).len();
            text.truncate(kept);
        }
    }
    u32::try_from(made - attributes.len()).unwrap_or(u32::MAX)
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

    fn closed_at(seconds: u64, request: &[u8], limits: Limits) -> Vec<(Bytes, u64)> {
        closed(request, &death(seconds), limits).expect("a request")
    }

    #[test]
    fn what_was_open_ends_with_its_process() {
        let all = closed_at(41, &some(), Limits::default());
        let [(request, 3)] = all.as_slice() else {
            panic!("one request of three spans: {}", all.len());
        };
        let span = read(request).remove(0);
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
        assert_eq!(all, closed_at(41, &some(), Limits::default()));
    }

    #[test]
    fn nothing_ends_before_it_began() {
        let (request, _) = closed_at(1, &some(), Limits::default()).remove(0);
        let span = read(&request).remove(0);
        assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano);
    }

    #[test]
    fn many_are_closed_in_requests_of_the_usual_size() {
        let spans = |names: &[&str]| {
            let spans = (1..).zip(names);
            let spans = spans.map(|(id, name)| span(id, name, Kind::Internal));
            encoded(spans.collect(), &Resource::builder_empty().build())
        };
        let sizes = |request: &[u8]| -> Vec<u64> {
            let all = closed_at(41, request, Limits::default());
            all.iter().map(|(_, count)| *count).collect()
        };
        assert_eq!(sizes(&spans(&["step"; 600])), [256, 256, 88]);
        let long = "x".repeat(600 * 1024);
        assert_eq!(sizes(&spans(&[&long, "step", &long])), [2, 1]);
    }

    #[test]
    fn what_is_closed_is_as_large_as_is_said() {
        let limits = Limits {
            span_attributes: 2,
            span_value_length: 3,
            ..Limits::default()
        };
        let (request, _) = closed_at(41, &some(), limits).remove(0);
        let span = read(&request).remove(0);
        let texts = span.attributes.iter().map(|it| {
            let value = it.value.as_ref().and_then(|it| it.value.as_ref());
            match value {
                Some(any_value::Value::StringValue(text)) => text.as_str(),
                other => panic!("no text: {other:?}"),
            }
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["a", "OOM"]);
        assert_eq!(span.dropped_attributes_count, 1);
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
        assert_eq!(closed(not, &death(1), Limits::default()), None);
        assert_eq!(without_calls(not), None);
    }
}
