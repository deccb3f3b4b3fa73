//! Files that are read, of which some are not what they should be.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::report::{Ending, SourceError, Story, Wanted, page, read};

/// A span, in nanoseconds.
fn span(trace: &str, id: &str, parent: &str, name: &str, time: (u64, u64), more: &Value) -> Value {
    let mut span = json!({
        "traceId": trace, "spanId": id, "parentSpanId": parent, "name": name,
        "startTimeUnixNano": time.0.to_string(), "endTimeUnixNano": time.1.to_string(),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        span[key] = value.clone();
    }
    span
}

fn attributes(pairs: &[(&str, &str)]) -> Value {
    let pair = |(key, value): &(&str, &str)| json!({"key": key, "value": {"stringValue": value}});
    Value::Array(pairs.iter().map(pair).collect())
}

fn run(trace: &str, id: &str, parent: &str, time: (u64, u64), result: &str) -> Value {
    let told = attributes(&[
        ("cicd.pipeline.run.id", id),
        ("cicd.pipeline.name", "lens"),
        ("cicd.pipeline.action.name", "RUN"),
        ("cicd.pipeline.result", result),
    ]);
    let more = json!({ "attributes": told });
    span(trace, id, parent, "RUN lens", time, &more)
}

fn step(trace: &str, ids: (&str, &str), name: &str, time: (u64, u64), outcome: &str) -> Value {
    let told = attributes(&[
        ("cicd.pipeline.task.name", name),
        ("firstlight.phase", "first"),
        ("firstlight.kind", "memory.thing"),
        ("firstlight.outcome", outcome),
    ]);
    let more = json!({ "attributes": told });
    span(trace, ids.0, ids.1, name, time, &more)
}

fn line(spans: &[Value]) -> String {
    let resource = json!({"attributes": attributes(&[("service.version", "9.9")])});
    let scope = json!([{ "spans": spans }]);
    let export = json!({"resourceSpans": [{"resource": resource, "scopeSpans": scope}]});
    format!("{export}\n")
}

const S: u64 = 1_000_000_000;

/// Two looks with a pause between them.
fn newest() -> Vec<Value> {
    vec![
        run("b", "b0", "", (100 * S, 110 * S), "success"),
        step(
            "b",
            ("b1", "b0"),
            "first/web",
            (101 * S, 109 * S),
            "changed",
        ),
        span("b", "b2", "b1", "attempt", (101 * S, 102 * S), &json!({})),
        span(
            "b",
            "b3",
            "b2",
            "PATCH /web",
            (101 * S, 102 * S),
            &json!({}),
        ),
        span("b", "b4", "b1", "attempt", (108 * S, 109 * S), &json!({})),
    ]
}

fn reading(texts: &[&str], trace: Option<&str>) -> Result<Story, SourceError> {
    let folder = TempDir::new().expect("a folder");
    let write = |(at, text): (usize, &&str)| -> PathBuf {
        let path = folder.path().join(format!("{at}.json"));
        std::fs::write(&path, text).expect("a file");
        path
    };
    let files: Vec<PathBuf> = texts.iter().enumerate().map(write).collect();
    read(Wanted {
        files: &files,
        trace,
    })
}

#[test]
fn the_newest_run_is_shown_and_others_are_told_of() {
    let old = run("a", "a0", "", (S, 2 * S), "failure");
    let foreign = json!({"traceId": "c", "spanId": "c0", "name": "GET /", "startTimeUnixNano": 900 * S, "endTimeUnixNano": 901 * S});
    let text = format!("{}{}{}", line(&newest()), line(&[foreign]), line(&[old]));
    let story = reading(&[&text], None).expect("a story");
    assert_eq!(story.record.trace_id.as_deref(), Some("b"));
    assert_eq!(story.ending, Ending::Current);
    assert_eq!(story.record.agent, "9.9");
    let web = &story.record.steps[0];
    assert_eq!((web.offset, web.seconds, web.waited), (Some(1.0), 8.0, 6.0));
    assert_eq!(web.attempts, 2);
    let notes = story.notes.join(" ");
    assert!(notes.contains("1 more traces of runs"), "{notes}");
    let page = page(&story).expect("a page");
    assert!(page.contains("PATCH &#x2f;web"), "calls are shown");
    let chosen = reading(&[&text], Some("a")).expect("a story");
    assert_eq!(chosen.ending, Ending::Failed);
    let wrong = reading(&[&text], Some("c")).expect_err("not a run");
    let SourceError::NoSuchTrace { known, .. } = wrong else {
        panic!("{wrong}");
    };
    assert_eq!(known, ["a", "b"]);
}

#[test]
fn attempts_of_one_run_are_one_run() {
    let mut spans = newest();
    let killed =
        json!({"status": {"code": 2}, "attributes": attributes(&[("error.type", "OOMKilled")])});
    spans[1]["status"] = killed["status"].clone();
    spans.push(run("b", "b9", "b0", (120 * S, 130 * S), "success"));
    spans.push(step(
        "b",
        ("b8", "b9"),
        "first/web",
        (121 * S, 122 * S),
        "unchanged",
    ));
    let story = reading(&[&line(&spans)], None).expect("a story");
    assert_eq!(story.attempts.len(), 2);
    assert_eq!(story.record.steps.len(), 1);
    assert_eq!(story.record.steps[0].outcome, "unchanged");
    assert!((story.record.seconds - 30.0).abs() < 1e-9);
    assert_eq!(story.ending, Ending::Current);
}

#[test]
fn a_run_whose_end_did_not_arrive_has_none() {
    let spans = newest();
    let story = reading(&[&line(&spans[1..])], None).expect("a story");
    assert_eq!(story.ending, Ending::Open);
    assert!(story.notes.join(" ").contains("had not ended"));
}

#[test]
fn spans_that_go_in_circles_do_no_harm() {
    let mut spans = newest();
    spans[2]["parentSpanId"] = json!("b3");
    spans[1]["parentSpanId"] = json!("b1");
    reading(&[&line(&spans)], None).expect("a story");
}

#[test]
fn what_is_broken_is_named_with_its_line() {
    let fine = line(&newest());
    let broken = format!("{fine}{{\"resourceSpans\": [\"cicd.pipeline.\" \n{fine}");
    let error = reading(&[&broken], None).expect_err("broken");
    assert!(error.to_string().starts_with("line 2 of "), "{error}");
    let cut = format!("{fine}{}", &fine[..fine.len() / 2]);
    let story = reading(&[&cut], None).expect("a story");
    assert!(story.notes.join(" ").contains("cut off"));
}

#[test]
fn a_trace_over_many_lines_is_read_as_well() {
    let value: Value = serde_json::from_str(&line(&newest())).expect("JSON");
    let pretty = serde_json::to_string_pretty(&json!({ "result": value })).expect("JSON");
    let story = reading(&[&pretty], None).expect("a story");
    assert_eq!(story.record.steps.len(), 1);
}

#[test]
fn a_record_and_a_trace_must_be_of_one_run() {
    let record = |trace: &str| {
        json!({
            "run": "r", "bundle": "lens", "profile": null, "namespace": "n", "agent": "0",
            "mode": "run", "traceId": trace, "started": "2026-11-21T13:51:43Z", "seconds": 10,
            "exit": 0, "sentence": "as on record", "phases": [], "steps": [],
        })
        .to_string()
    };
    let trace = line(&newest());
    let story = reading(&[&trace, &record("b")], None).expect("a story");
    assert_eq!(story.record.sentence, "as on record");
    assert!(story.moments.contains_key("first/web"));
    let other = reading(&[&record("z"), &trace], None).expect_err("another run");
    assert!(matches!(other, SourceError::NoSuchTrace { .. }), "{other}");
    let twice = reading(&[&trace, &trace], None).expect_err("two traces");
    assert!(matches!(twice, SourceError::NotOneRun { .. }), "{twice}");
}
