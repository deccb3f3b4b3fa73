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

fn wait(trace: &str, ids: (&str, &str), time: (u64, u64), reason: &str) -> Value {
    let told = attributes(&[
        ("firstlight.wait.target", "first/web"),
        ("firstlight.wait.reason", reason),
    ]);
    let more = json!({ "attributes": told });
    span(trace, ids.0, ids.1, "wait", time, &more)
}

/// A span that ended badly, with attributes besides those that it has.
fn failed(mut span: Value, message: &str, more: &[(&str, &str)]) -> Value {
    span["status"] = json!({"code": 2, "message": message});
    with(span, more)
}

/// A span with these attributes instead of those that it has by their names.
fn with(mut span: Value, more: &[(&str, &str)]) -> Value {
    let Some(told) = span["attributes"].as_array_mut() else {
        panic!("no attributes: {span}");
    };
    told.retain(|one| more.iter().all(|(key, _)| one["key"] != *key));
    if let Value::Array(more) = attributes(more) {
        told.extend(more);
    }
    span
}

fn line(spans: &[Value]) -> String {
    let resource = json!({"attributes": attributes(&[("service.version", "9.9")])});
    let scope = json!([{ "spans": spans }]);
    let export = json!({"resourceSpans": [{"resource": resource, "scopeSpans": scope}]});
    format!("{export}\n")
}

const S: u64 = 1_000_000_000;

/// Two looks and what was waited for between them.
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
        wait("b", ("b5", "b1"), (102 * S, 108 * S), "pod web-0"),
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
    assert!(page.contains("pod web-0"), "what was waited for is shown");
    let chosen = reading(&[&text], Some("a")).expect("a story");
    assert_eq!(chosen.ending, Ending::Failed);
    let wrong = reading(&[&text], Some("c")).expect_err("not a run");
    let SourceError::NoSuchTrace { known, .. } = wrong else {
        panic!("{wrong}");
    };
    assert_eq!(known, ["a", "b"]);
}

const CUT_SHORT: &str = "attempt 1 was cut short: the pod lens-a was OOMKilled";

/// A pod that was killed while it was at its second step, which it could not end.
fn killed() -> Vec<Value> {
    let death = ("error.type", "OOMKilled");
    let told = [
        ("firstlight.attempt", "1"),
        ("cicd.pipeline.result", "error"),
        death,
    ];
    let mut spans = newest();
    spans[0] = failed(spans[0].clone(), CUT_SHORT, &told);
    let mut open = step("b", ("b6", "b0"), "first/db", (109 * S, 110 * S), "");
    let told = open["attributes"].as_array_mut().expect("attributes");
    told.retain(|one| one["key"] != "firstlight.outcome");
    spans.push(failed(open, CUT_SHORT, &[death]));
    spans
}

#[test]
fn attempts_of_one_run_are_one_run_with_the_end_of_the_last() {
    let mut spans = killed();
    let second = run("b", "b9", "b0", (120 * S, 130 * S), "success");
    spans.push(with(second, &[("firstlight.attempt", "2")]));
    for (id, name) in [("b8", "first/web"), ("b7", "first/db")] {
        let time = (121 * S, 122 * S);
        spans.push(step("b", (id, "b9"), name, time, "unchanged"));
    }
    let story = reading(&[&line(&spans)], None).expect("a story");
    assert_eq!(story.ending, Ending::Current);
    let record = &story.record;
    assert!(
        record.sentence.starts_with("lens is current: 2 steps"),
        "{record:?}"
    );
    assert_eq!(
        (record.attempt, record.after.as_deref()),
        (Some(2), Some(CUT_SHORT))
    );
    assert!((record.seconds - 30.0).abs() < 1e-9);
    let outcomes: Vec<&str> = record.steps.iter().map(|it| &*it.outcome).collect();
    assert_eq!(outcomes, ["unchanged", "unchanged"]);
    let web = &record.steps[0];
    assert_eq!(
        (web.seconds, web.waited),
        (21.0, 6.0),
        "nobody waited between the pods"
    );
    let pods: Vec<_> = story
        .attempts
        .iter()
        .map(|it| (&*it.name, it.said.as_deref(), it.failed))
        .collect();
    assert_eq!(
        pods,
        [
            ("attempt 1", Some(CUT_SHORT), true),
            ("attempt 2", Some("everything is current"), false),
        ]
    );
    let page = page(&story).expect("a page");
    assert!(
        page.contains(&format!("<span class=\"said\">{CUT_SHORT}")),
        "{page}"
    );
    assert!(!page.contains("What failed"), "{page}");
}

#[test]
fn an_attempt_that_is_under_way_leaves_the_end_open() {
    let story = reading(&[&line(&killed())], None).expect("a story");
    assert_eq!(story.ending, Ending::Failed, "nobody goes on with it");
    assert_eq!(story.record.sentence, CUT_SHORT);
    let mut spans = killed();
    spans.push(step(
        "b",
        ("b8", "b9"),
        "first/db",
        (121 * S, 122 * S),
        "changed",
    ));
    let story = reading(&[&line(&spans)], None).expect("a story");
    assert_eq!(story.ending, Ending::Open);
    assert_eq!(story.attempts.len(), 1, "{:?}", story.attempts);
    let db = story.record.steps.iter().find(|it| it.id == "first/db");
    assert_eq!(db.map(|it| &*it.outcome), Some("changed"));
}

#[test]
fn an_attempt_of_which_only_the_lock_knew_is_one() {
    let mut spans = killed();
    let told = spans[0]["attributes"].as_array_mut().expect("attributes");
    told.retain(|one| one["key"] != "cicd.pipeline.run.id");
    spans.truncate(1);
    spans.push(run("b", "b9", "b0", (120 * S, 130 * S), "success"));
    let story = reading(&[&line(&spans)], None).expect("a story");
    assert_eq!(story.attempts.len(), 2, "{:?}", story.attempts);
    assert_eq!((story.ending, &*story.record.run), (Ending::Current, "b9"));
}

#[test]
fn a_step_that_was_not_tried_has_its_reason_and_no_time() {
    let mut spans = newest();
    let why = [("firstlight.skipped.because", "first/web failed")];
    let time = (109 * S, 109 * S + 5_000);
    let skipped = step("b", ("b6", "b0"), "first/db", time, "skipped");
    spans.push(with(skipped, &why));
    let other = step("b", ("b7", "b0"), "second/db", time, "skipped");
    spans.push(with(other, &[why[0], ("firstlight.phase", "second")]));
    let story = reading(&[&line(&spans)], None).expect("a story");
    let db = &story.record.steps[1];
    assert_eq!((db.offset, db.seconds), (None, 0.0));
    assert_eq!(db.reason.as_deref(), Some("first/web failed"));
    let second = &story.record.phases[1];
    assert_eq!((&*second.outcome, second.offset), ("skipped", None));
    let page = page(&story).expect("a page");
    assert!(page.contains("Not tried: first&#x2f;web failed"), "{page}");
    assert!(!page.contains("no reason is on record"), "{page}");
}

#[test]
fn who_is_told_to_stop_after_a_failure_has_failed() {
    for (error, ending) in [("stopped", Ending::Stopped), ("timed_out", Ending::Failed)] {
        let mut spans = newest();
        spans[0] = failed(
            run("b", "b0", "", (100 * S, 110 * S), "cancellation"),
            "told to stop",
            &[],
        );
        let web = step("b", ("b1", "b0"), "first/web", (101 * S, 109 * S), "failed");
        spans[1] = failed(web, "it", &[("error.type", error)]);
        let story = reading(&[&line(&spans)], None).expect("a story");
        assert_eq!(story.ending, ending, "{error}");
    }
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
