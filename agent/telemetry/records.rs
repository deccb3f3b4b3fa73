//! Log records, on their way to the spool.

use super::gather::{FIXED, Gather, Item, NUMBER};
use super::identity::scope;
use super::pipe::Flush;
use super::post::Post;
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _};
use opentelemetry_otlp::{ExporterBuildError, LogExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, LogProcessor, SdkLogRecord};
use std::sync::Arc;
use std::time::Duration;

/// Hands log records on.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) gather: Arc<Gather<SdkLogRecord>>,
}

impl LogProcessor for Records {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        // The bridge leaves the time of the event open; it was just now.
        if let (None, Some(observed)) = (record.timestamp(), record.observed_timestamp()) {
            record.set_timestamp(observed);
        }
        self.gather.add(record.clone());
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.gather.flush();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.force_flush()
    }
}

impl Item for SdkLogRecord {
    type Exporter = LogExporter;

    fn exporter(post: Arc<Post>, resource: &Resource) -> Result<LogExporter, ExporterBuildError> {
        let mut exporter = post.used_by(LogExporter::builder().with_http()).build()?;
        exporter.set_resource(resource);
        Ok(exporter)
    }

    fn size(&self) -> usize {
        let attributes = self
            .attributes_iter()
            .map(|(key, value)| NUMBER + key.as_str().len() + size(value));
        FIXED + self.body().map_or(0, size) + attributes.sum::<usize>()
    }

    fn export(records: Vec<Self>, exporter: &LogExporter, post: &Post) {
        // The bridge's scope has no name; the exporter puts in the part of the program that spoke.
        let scope = scope();
        let batch: Vec<_> = records.iter().map(|record| (record, &scope)).collect();
        post.take(records.len() as u64, exporter.export(LogBatch::new(&batch)));
    }
}

fn size(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.as_str().len(),
        AnyValue::Bytes(bytes) => bytes.len(),
        AnyValue::ListAny(list) => list.iter().map(|it| NUMBER + size(it)).sum(),
        AnyValue::Map(map) => map
            .iter()
            .map(|(key, value)| NUMBER + key.as_str().len() + size(value))
            .sum(),
        _ => NUMBER,
    }
}
