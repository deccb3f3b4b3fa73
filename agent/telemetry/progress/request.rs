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
