//! Events as log records, on their way to the spool.

use super::gather::{FIXED, Gather, Item, NUMBER};
use super::identity::scope;
use super::logs::Told;
use super::pipe::Flush;
use super::post::Post;
use crate::settings::RecordLimits;
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry_otlp::{ExporterBuildError, LogExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, LogProcessor, SdkLogRecord, SdkLogger};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;

/// Where events are entered as records.
pub(super) struct Book {
    pub(super) logger: SdkLogger,
    pub(super) limits: RecordLimits,
}

impl Book {
    /// Makes a record of the event. The logger finds trace and span by itself.
    pub(super) fn enter(&self, told: &Told<'_>) {
        let mut record = self.logger.create_log_record();
        let metadata = told.metadata;
        // An event without a name of its own has the place in the code instead.
        if !metadata.name().starts_with("event ") {
            record.set_event_name(metadata.name());
        }
        record.set_target(metadata.target());
        record.set_timestamp(told.at);
        record.set_observed_timestamp(told.at);
        record.set_severity_text(metadata.level().as_str());
        record.set_severity_number(severity(*metadata.level()));
        record.set_body(told.fields.message.clone().into());
        let step = told.step.as_deref().map(|step| ("step", self.text(step)));
        let fields = told.fields.all.iter();
        let fields = fields.map(|(name, value)| (*name, self.any(value)));
        let all = step.into_iter().chain(fields);
        record.add_attributes(all.take(self.limits.attributes));
        self.logger.emit(record);
    }

    fn any(&self, value: &Value) -> AnyValue {
        match value {
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => number.into(),
                (None, Some(number)) => number.into(),
                (None, None) => number.to_string().into(),
            },
            Value::String(text) => self.text(text),
            other => other.to_string().into(),
        }
    }

    fn text(&self, text: &str) -> AnyValue {
        cut(text, self.limits.value_length).to_owned().into()
    }
}

/// The beginning of a text, so many characters at most.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most);
    end.map_or(text, |(end, _)| &text[..end])
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

/// Hands log records on.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) gather: Arc<Gather<SdkLogRecord>>,
}

impl LogProcessor for Records {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
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
        // The exporter puts in the part of the program that spoke.
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
