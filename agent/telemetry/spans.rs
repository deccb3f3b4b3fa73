//! Ended spans, on their way to the spool.
//!
//! A processor of our own, because the SDK's batch processor throws spans away when many end at
//! once, because the root has to become a child of the caller's span, and because it is to be known
//! which spans are open.

use super::bounds::{add_link, shorten};
use super::gather::{FIXED, Gather, Item, NUMBER};
use super::identity::Above;
use super::live::Live;
use super::pipe::Flush;
use super::post::Post;
use super::progress::Open;
use crate::settings::Limits;
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
    pub(super) above: Arc<Above>,
    /// None where nobody goes on if this process dies.
    pub(super) open: Option<Arc<Open>>,
    pub(super) live: Arc<Live>,
    pub(super) limits: Limits,
}

impl SpanProcessor for Spans {
    fn on_start(&self, span: &mut Span, _context: &Context) {
        if let (Some(open), Some(span)) = (&self.open, span.exported_data()) {
            open.begun(span);
        }
    }

    fn on_end(&self, mut span: SpanData) {
        self.place(&mut span);
        // The SDK bounds how many attributes there are, and not how long they are.
        let length = self.limits.span_value_length;
        shorten(&mut span.attributes, length);
        for event in &mut span.events.events {
            shorten(&mut event.attributes, length);
        }
        match &self.open {
            Some(open) => open.ended(span, |span| self.gather.add(span)),
            None => self.gather.add(span),
        }
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
    fn place(&self, span: &mut SpanData) {
        if span.parent_span_id == SpanId::INVALID {
            self.above.adopt(span);
            if let Some(link) = self.live.link() {
                add_link(&mut span.links, link, self.limits);
            }
        }
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
