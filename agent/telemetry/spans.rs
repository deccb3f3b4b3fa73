//! Ended spans, on their way to the spool.
//!
//! A processor of our own, because the SDK's batch processor throws spans away when many end at
//! once, and because the root has to become a child of the caller's span.

use super::gather::{FIXED, Gather, Item, NUMBER};
use super::identity::Parent;
use super::live::Live;
use super::pipe::Flush;
use super::post::Post;
use opentelemetry::trace::SpanId;
use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use std::sync::Arc;
use std::time::Duration;

/// Hands ended spans on.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) gather: Arc<Gather<SpanData>>,
    pub(super) parent: Option<Parent>,
    pub(super) live: Arc<Live>,
}

impl SpanProcessor for Spans {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        if span.parent_span_id == SpanId::INVALID {
            self.place(&mut span);
        }
        self.gather.add(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.gather.flush();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.force_flush()
    }
}

impl Spans {
    /// The engine knows nothing of the caller's span and of the run before, so its root becomes a
    /// child of the one and points to the other here.
    fn place(&self, root: &mut SpanData) {
        if let Some(parent) = self.parent {
            root.parent_span_id = parent.span;
            root.parent_span_is_remote = true;
        }
        root.links.links.extend(self.live.link());
    }
}

impl Item for SpanData {
    type Exporter = SpanExporter;

    fn exporter(post: Arc<Post>, resource: &Resource) -> Result<SpanExporter, ExporterBuildError> {
        let mut exporter = post.used_by(SpanExporter::builder().with_http()).build()?;
        exporter.set_resource(resource);
        Ok(exporter)
    }

    fn size(&self) -> usize {
        let events = self
            .events
            .iter()
            .map(|event| FIXED + event.name.len() + size(&event.attributes));
        FIXED + self.name.len() + size(&self.attributes) + events.sum::<usize>()
    }

    fn export(spans: Vec<Self>, exporter: &SpanExporter, post: &Post) {
        post.take(spans.len() as u64, exporter.export(spans));
    }
}

fn size(attributes: &[KeyValue]) -> usize {
    let each = attributes.iter().map(|it| {
        let value = match &it.value {
            Value::String(text) => text.as_str().len(),
            Value::Array(Array::String(texts)) => {
                texts.iter().map(|text| NUMBER + text.as_str().len()).sum()
            }
            _ => NUMBER,
        };
        NUMBER + it.key.as_str().len() + value
    });
    each.sum()
}
