//! One event is one line and one record.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::unique;

use crate::child::{Driver, Said};
use crate::received::{Collector, Received, attributes, text};

/// The lines that are told before the end of the export, which the last ones are about.
fn lines(said: &Said) -> Vec<Value> {
    let mut lines = said.log();
    lines.retain(|line| {
        line["target"] != "firstlight" || !text(&line["message"]).starts_with("telemetry: ")
    });
    lines
}

/// A run with these variables, and at least as many records as lines.
async fn run(protocol: &str, more: &[(&str, &str)]) -> (Said, Received) {
    let (id, collector) = (unique("told"), Collector::new());
    let attribute = format!("test.run={id}");
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint(protocol)),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_RESOURCE_ATTRIBUTES", attribute.as_str()),
    ];
    variables.extend(more);
    let said = Driver::start("failing", &variables).end().await;
    let (wanted, spans) = (lines(&said).len(), said.spans().0);
    let enough = |received: &Received| match (received.records.len(), received.spans.len()) {
        (records, count) if records >= wanted && count >= spans => Ok(()),
        (records, count) => Err(format!(
            "{records} of {wanted} records, {count} of {spans} spans"
        )),
    };
    let received = collector.when(&id, enough).await;
    (said, received)
}

/// What is the same in a line and in a record, as one text.
fn of_line(line: &Value) -> String {
    let time: jiff::Timestamp = text(&line["time"]).parse().expect("a time");
    let fields = line["fields"].as_object().cloned().unwrap_or_default();
    let mut fields: Vec<String> = fields
        .into_iter()
        .map(|(name, value)| format!("{name}={}", plain(&value)))
        .collect();
    fields.extend(line["step"].as_str().map(|step| format!("step={step}")));
    fields.sort();
    format!(
        "{} {} {} {} {} {} {fields:?}",
        time.as_microsecond(),
        text(&line["level"]),
        text(&line["target"]),
        text(&line["trace_id"]),
        text(&line["span_id"]),
        text(&line["message"]),
    )
}

fn of_record((target, record): &(String, Value)) -> String {
    let nanos: i64 = text(&record["timeUnixNano"]).parse().expect("a time");
    let fields = attributes(record).into_iter();
    let mut fields: Vec<String> = fields
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    fields.sort();
    format!(
        "{} {} {target} {} {} {} {fields:?}",
        nanos / 1_000,
        text(&record["severityText"]),
        text(&record["traceId"]),
        text(&record["spanId"]),
        text(&record["body"]["stringValue"]),
    )
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

async fn lines_and_records_are_the_same(protocol: &str, level: &str) {
    let (said, received) = run(protocol, &[("FIRSTLIGHT_LOG_LEVEL", level)]).await;
    let mut lines: Vec<String> = lines(&said).iter().map(of_line).collect();
    let mut records: Vec<String> = received.records.iter().map(of_record).collect();
    lines.sort();
    records.sort();
    assert!(lines.len() > 10, "{lines:#?}");
    assert_eq!(lines, records);
}

#[tokio::test]
async fn lines_and_records_are_the_same_by_http() {
    lines_and_records_are_the_same("http/protobuf", "info").await;
}

#[tokio::test]
async fn lines_and_records_are_the_same_by_grpc() {
    lines_and_records_are_the_same("grpc", "firstlight=debug").await;
}

#[tokio::test]
async fn a_record_says_what_it_is_about() {
    let (_, received) = run("http/protobuf", &[]).await;
    let waited = received
        .records
        .iter()
        .find(|(_, record)| record["eventName"] == "step.waiting");
    let (target, waited) = waited.expect("a wait is told");
    assert_eq!(target, "firstlight");
    assert_eq!(
        waited["body"]["stringValue"],
        "waiting for thing collector: 0 of 1 ready"
    );
    assert_eq!(attributes(waited)["step"], "infrastructure/collector");
    assert_eq!(waited["severityNumber"], 9);
    for (_, record) in &received.records {
        let span = text(&record["spanId"]);
        assert!(received.spans.contains_key(&span), "of no span: {record}");
    }
    // What a provider says knows its step from the span around it.
    let looking = received
        .records
        .iter()
        .filter(|(_, record)| record["body"]["stringValue"] == "looking");
    let steps: BTreeSet<String> = looking
        .map(|(_, record)| attributes(record)["step"].clone())
        .collect();
    let all = [
        "infrastructure/collector",
        "schema/database",
        "schema/migrate",
    ];
    assert_eq!(steps, all.map(ToOwned::to_owned).into());
}

#[tokio::test]
async fn lines_of_text_name_the_trace_once() {
    let collector = Collector::new();
    let said = Driver::start(
        "fine",
        &[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
            ("FIRSTLIGHT_LOG", "text"),
        ],
    );
    let said = said.end().await;
    let traced: Vec<&String> = said
        .lines
        .iter()
        .filter(|line| line.contains(" trace="))
        .collect();
    assert_eq!(traced.len(), 1, "{traced:?}");
    assert!(traced[0].contains("run of 2 steps started"), "{traced:?}");
}
