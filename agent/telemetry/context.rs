//! The trace context that comes in with the run and goes out with its requests.

use super::identity::Parent;
use crate::settings::Otel;
use crate::trace_context::TraceContext;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::str::FromStr;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What the caller has given us; what is no `traceparent` is not handed on, because a request that
/// cannot carry it would fail.
pub(super) fn of_caller(otel: &Otel) -> Option<TraceContext> {
    let traceparent = otel.traceparent.clone()?;
    Parent::parse(&traceparent)?;
    Some(TraceContext {
        traceparent,
        tracestate: otel.tracestate.clone(),
    })
}

/// That of the current span; none if it is not recorded.
pub(super) fn current() -> Option<TraceContext> {
    let context = Span::current().context();
    let span = context.span();
    let place = span.span_context();
    let state = place.trace_state().header();
    place.is_valid().then(|| TraceContext {
        traceparent: format!(
            "00-{}-{}-{:02x}",
            place.trace_id(),
            place.span_id(),
            place.trace_flags().to_u8()
        ),
        tracestate: Some(state).filter(|state| !state.is_empty()),
    })
}

/// Records all spans, and carries on what other tracers have said of the trace. Whether it is
/// recorded at all is decided before.
#[derive(Debug, Clone)]
pub(super) struct Carrying(TraceState);

impl Carrying {
    /// What is no trace state is dropped, as the standard wants it.
    pub(super) fn new(otel: &Otel) -> Self {
        let state = otel.traceparent.as_ref().and(otel.tracestate.as_deref());
        let state = state.and_then(|text| TraceState::from_str(text).ok());
        Self(state.unwrap_or_default())
    }
}

impl ShouldSample for Carrying {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: self.0.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_is_handed_on() {
        let handed_on = |text: &str| {
            let otel = Otel {
                traceparent: Some(text.to_owned()),
                ..Otel::default()
            };
            of_caller(&otel).map(|context| context.traceparent)
        };
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        assert_eq!(handed_on(right).as_deref(), Some(right));
        assert_eq!(handed_on("00-ab\ncd"), None);
    }
}
