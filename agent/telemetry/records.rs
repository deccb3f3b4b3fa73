//! Log records, on their way to the spool.

use super::gather::{Gather, Item, scope};
use super::pipe::Flush;
use bytes::Bytes;
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LogRecord as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A log record and the part of the program that made it.
pub(super) struct Record {
    target: String,
    record: LogRecord,
}

/// Hands log records on.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) gather: Arc<Gather<Record>>,
}

impl LogProcessor for Records {
    fn emit(&self, record: &mut SdkLogRecord, _scope: &InstrumentationScope) {
        // The bridge leaves the time of the event open; it was just now.
        if let (None, Some(observed)) = (record.timestamp(), record.observed_timestamp()) {
            record.set_timestamp(observed);
        }
        self.gather.add(Record {
            target: record
                .target()
                .map_or_else(String::new, ToString::to_string),
            record: LogRecord::from(&*record),
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.gather.flush();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.force_flush()
    }
}

impl Item for Record {
    fn size(&self) -> usize {
        self.record.encoded_len()
    }

    fn encode(items: Vec<Self>, resource: Resource) -> Bytes {
        let mut by_target: BTreeMap<String, Vec<LogRecord>> = BTreeMap::new();
        for item in items {
            by_target.entry(item.target).or_default().push(item.record);
        }
        let scopes = by_target
            .into_iter()
            .map(|(target, log_records)| ScopeLogs {
                scope: Some(scope(&target)),
                log_records,
                ..ScopeLogs::default()
            });
        let resource_logs = ResourceLogs {
            resource: Some(resource),
            scope_logs: scopes.collect(),
            ..ResourceLogs::default()
        };
        ExportLogsServiceRequest {
            resource_logs: vec![resource_logs],
        }
        .encode_to_vec()
        .into()
    }
}
