//! Ended spans, on their way to the spool.
//!
//! A processor of our own, because the SDK's batch processor throws a batch away that could not
//! be delivered within about a second.

use super::gather::{Gather, Item, scope};
use super::identity::Parent;
use super::pipe::Flush;
use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry::trace::SpanId;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanProcessor};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;

/// Hands ended spans on.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) gather: Arc<Gather<Span>>,
    pub(super) parent: Option<Parent>,
}

impl SpanProcessor for Spans {
    fn on_start(&self, _span: &mut opentelemetry_sdk::trace::Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        // The engine knows nothing of the caller's span, so its root becomes a child of it here.
        if let Some(parent) = self
            .parent
            .filter(|_| span.parent_span_id == SpanId::INVALID)
        {
            span.parent_span_id = parent.span;
            span.parent_span_is_remote = true;
        }
        self.gather.add(span.into());
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.gather.flush();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.force_flush()
    }
}

impl Item for Span {
    fn size(&self) -> usize {
        self.encoded_len()
    }

    fn encode(spans: Vec<Self>, resource: Resource) -> Bytes {
        let scope_spans = ScopeSpans {
            scope: Some(scope("firstlight")),
            spans,
            ..ScopeSpans::default()
        };
        let resource_spans = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![resource_spans],
        }
        .encode_to_vec()
        .into()
    }
}
