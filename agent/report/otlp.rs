//! OTLP/JSON as collectors, Jaeger and the agent itself write it: as much of it as a page needs.
//!
//! Written by many programs, so read with patience: numbers may be texts, and what is absent is
//! empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One export: a line of a file, or what Jaeger answers.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Export {
    resource_spans: Vec<ResourceSpans>,
    resource_logs: Vec<ResourceLogs>,
    /// Jaeger's answer has it one level deeper.
    result: Option<Box<Export>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs {
    #[serde(default)]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Debug, Default, Deserialize)]
struct Resource {
    #[serde(default, deserialize_with = "attributes")]
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs {
    #[serde(default)]
    log_records: Vec<Log>,
}

/// By name; every value as text.
pub(super) type Attributes = BTreeMap<String, String>;

/// A span.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    pub(super) trace_id: String,
    #[serde(rename = "spanId")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) parent_span_id: String,
    #[serde(default)]
    pub(super) name: String,
    /// In nanoseconds since 1970.
    #[serde(default, deserialize_with = "number")]
    pub(super) start_time_unix_nano: u64,
    #[serde(default, deserialize_with = "number")]
    pub(super) end_time_unix_nano: u64,
    #[serde(default, deserialize_with = "attributes")]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) events: Vec<SpanEvent>,
    #[serde(default)]
    pub(super) status: Status,
    /// Of the process that made it.
    #[serde(skip)]
    pub(super) resource: Attributes,
}

/// Something that happened in a span.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SpanEvent {
    #[serde(default, deserialize_with = "attributes")]
    pub(super) attributes: Attributes,
}

/// How a span ended.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    pub(super) message: String,
}

impl Status {
    /// Whether it failed; the code is a number, or its name.
    pub(super) fn is_error(&self) -> bool {
        self.code == 2 || self.code == "STATUS_CODE_ERROR"
    }
}

/// A log record.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Log {
    #[serde(default)]
    pub(super) trace_id: String,
    #[serde(default)]
    pub(super) event_name: String,
    #[serde(default, deserialize_with = "any")]
    pub(super) body: String,
    #[serde(default, deserialize_with = "attributes")]
    pub(super) attributes: Attributes,
}

impl Export {
    /// Whether there is anything of OTLP in it at all.
    pub(super) fn keys() -> [&'static str; 3] {
        [
            "\"resourceSpans\"",
            "\"resourceLogs\"",
            "\"resourceMetrics\"",
        ]
    }

    /// The spans and log records, each process's attributes with its spans.
    pub(super) fn into_parts(self) -> (Vec<Span>, Vec<Log>) {
        let mut spans = Vec::new();
        for one in self.resource_spans {
            for span in one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    resource: one.resource.attributes.clone(),
                    ..span
                });
            }
        }
        let scopes = self
            .resource_logs
            .into_iter()
            .flat_map(|one| one.scope_logs);
        let mut logs: Vec<Log> = scopes.flat_map(|scope| scope.log_records).collect();
        if let Some(deeper) = self.result {
            let (more_spans, more_logs) = deeper.into_parts();
            spans.extend(more_spans);
            logs.extend(more_logs);
        }
        (spans, logs)
    }
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(from)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom(format!("{value} is no time")))
}

fn any<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(text(&Value::deserialize(from)?))
}

fn attributes<'de, D: Deserializer<'de>>(from: D) -> Result<Attributes, D::Error> {
    #[derive(Deserialize)]
    struct Pair {
        key: String,
        #[serde(default)]
        value: Value,
    }
    let pairs = Vec::<Pair>::deserialize(from)?;
    Ok(pairs
        .into_iter()
        .map(|pair| (pair.key, text(&pair.value)))
        .collect())
}

/// The text of `{"stringValue": "…"}` and its kin.
fn text(value: &Value) -> String {
    let inner = value.as_object().and_then(|it| it.values().next());
    match inner {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_different_programs_write_is_read_alike() {
        let span = |time: &str, code: &str| {
            format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.version","value":{{"stringValue":"1"}}}}]}},"scopeSpans":[{{"scope":{{}},"spans":[{{"traceId":"t","spanId":"s","name":"n","startTimeUnixNano":{time},"status":{{"code":{code}}},"attributes":[{{"key":"a","value":{{"intValue":"3"}}}}]}}]}}]}}]}}"#
            )
        };
        let jaeger = format!("{{\"result\":{}}}", span("7", "\"STATUS_CODE_ERROR\""));
        for text in [span("\"7\"", "2"), jaeger] {
            let export: Export = serde_json::from_str(&text).expect("an export");
            let (spans, logs) = export.into_parts();
            assert!(logs.is_empty());
            assert_eq!(spans[0].start_time_unix_nano, 7);
            assert_eq!(spans[0].attributes["a"], "3");
            assert_eq!(spans[0].resource["service.version"], "1");
            assert!(spans[0].status.is_error());
        }
    }
}
