//! Whole pages, as text. How a browser shows them is tried in `tests/commands/report.rs`.

use super::*;
use crate::record::{ChangeRecord, FieldRecord, PhaseRecord, StepRecord};
use jiff::Timestamp;

fn step(id: &str, outcome: &str) -> StepRecord {
    StepRecord {
        id: id.to_owned(),
        kind: "kubernetes.object".to_owned(),
        outcome: outcome.to_owned(),
        optional: false,
        offset: Some(1.0),
        seconds: 2.0,
        waited: 0.5,
        attempts: 3,
        changes: Vec::new(),
        reason: None,
        error: None,
        excerpt: None,
        evidence: Vec::new(),
        hints: Vec::new(),
    }
}

fn record(steps: Vec<StepRecord>) -> RunRecord {
    let phase = PhaseRecord {
        name: "first".to_owned(),
        outcome: "changed".to_owned(),
        offset: Some(1.0),
        seconds: 2.0,
        steps: steps.len(),
        changed: 0,
    };
    RunRecord {
        run: "r1".to_owned(),
        bundle: "lens".to_owned(),
        profile: None,
        namespace: "lens".to_owned(),
        agent: "0.1.0".to_owned(),
        mode: "run".to_owned(),
        trace_id: None,
        attempt: None,
        after: None,
        span_id: None,
        started: Timestamp::UNIX_EPOCH,
        seconds: 4.0,
        exit: 0,
        sentence: "lens is current".to_owned(),
        phases: vec![phase],
        steps,
        digest: None,
        left: Vec::new(),
        telemetry: None,
    }
}

fn page_of(record: RunRecord) -> String {
    page(&Story::of(record, "a test")).expect("a page")
}

/// A step with this text wherever a text can be.
fn everywhere(id: &str, outcome: &str, text: &str) -> StepRecord {
    StepRecord {
        id: format!("first/{id}{text}"),
        kind: format!("check.{text}"),
        changes: vec![ChangeRecord {
            verb: text.to_owned(),
            target: text.to_owned(),
            fields: vec![FieldRecord {
                path: text.to_owned(),
                before: Some(text.to_owned()),
                after: Some(text.to_owned()),
                sensitive: false,
            }],
        }],
        reason: Some(text.to_owned()),
        error: Some(text.to_owned()),
        excerpt: Some(text.to_owned()),
        evidence: vec![text.to_owned()],
        hints: vec![text.to_owned()],
        ..step("", outcome)
    }
}

#[test]
fn what_looks_like_markup_is_text() {
    let evil = "</style></title>\"'><script>alert(1)</script><img src=x onerror=alert(2)>";
    let outcomes = ["failed", "skipped", "changed", "unchanged", evil];
    let steps = outcomes.map(|outcome| everywhere(outcome, outcome, evil));
    let mut record = record(steps.into());
    record.bundle = evil.to_owned();
    record.sentence = evil.to_owned();
    record.namespace = evil.to_owned();
    record.left = vec![evil.to_owned()];
    let mut story = Story::of(record, evil);
    let moment = Moment {
        name: evil.to_owned(),
        work: Work::Attempt,
        begin: 1.0,
        end: 2.0,
        said: Some(evil.to_owned()),
        failed: true,
        inside: Vec::new(),
    };
    story.attempts = vec![moment.clone()];
    let id = story.record.steps[0].id.clone();
    story.moments.insert(id, vec![moment]);
    let page = page(&story).expect("a page");
    for markup in ["<script", "<img", "</style></title>"] {
        assert!(!page.contains(markup), "{markup} in {page}");
    }
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[test]
fn nothing_is_loaded() {
    let page = page_of(record(vec![step("first/a", "changed")]));
    assert!(page.contains("default-src 'none'"));
    for load in ["src=", "url(", "@import", "<link", "http:", "https:"] {
        assert!(!page.contains(load), "{load}");
    }
}

#[test]
fn a_page_stays_short_and_says_what_it_leaves_out() {
    let many = |outcome: &str, text: &str| -> Vec<StepRecord> {
        let steps = 0..5_000;
        let step = |at: usize| everywhere(&at.to_string(), outcome, text);
        steps.map(step).collect()
    };
    let quiet: Vec<StepRecord> = (0..5_000)
        .map(|at| step(&format!("first/{at}"), "unchanged"))
        .collect();
    let page = page_of(record(quiet));
    assert!(page.len() <= bounds::LIMIT, "{}", page.len());
    assert!(page.contains("more steps: "), "the rest is summed up");
    assert!(page.contains("none of them took longer than 2.0s"));
    for outcome in ["failed", "changed", "skipped"] {
        let mut record = record(many(outcome, &"é<&\"".repeat(200)));
        record.sentence = "x".repeat(100_000);
        record.left = vec!["<".repeat(10_000); 500];
        let more = (0..500).map(|at| PhaseRecord {
            name: format!("{at}{}", "é".repeat(1_000)),
            ..record.phases[0].clone()
        });
        let more: Vec<PhaseRecord> = more.collect();
        record.phases.extend(more);
        let page = page_of(record);
        assert!(page.len() <= bounds::LIMIT, "{outcome}: {}", page.len());
        assert!(page.contains("more characters)"), "{outcome}");
    }
}

#[test]
fn what_is_sensitive_is_not_on_the_page_even_if_it_is_on_record() {
    let mut secret = everywhere("a", "changed", "open");
    let field = &mut secret.changes[0].fields[0];
    field.sensitive = true;
    field.before = Some("hunter2".to_owned());
    let page = page_of(record(vec![secret]));
    assert!(page.contains("(sensitive)"));
    assert!(!page.contains("hunter2"));
}

#[test]
fn a_failure_is_told_with_all_that_is_known() {
    let mut failed = step("first/schema", "failed");
    failed.reason = Some("migration V0002 failed".to_owned());
    failed.excerpt = Some("2 | selec 1\n  | ^^^^^".to_owned());
    failed.evidence = vec!["event Warning".to_owned()];
    failed.hints = vec!["mend the file".to_owned()];
    failed.error = Some("syntax_error".to_owned());
    let mut waits = step("first/search", "skipped");
    waits.reason = Some("needs first/schema, which failed".to_owned());
    waits.offset = None;
    let mut record = record(vec![failed, waits]);
    record.exit = 78;
    let page = page_of(record);
    for said in [
        "migration V0002 failed",
        "2 | selec 1\n  | ^^^^^",
        "event Warning",
        "Hint: mend the file",
        "syntax_error",
        "Not tried: needs first&#x2f;schema, which failed",
        "href=\"#failed-first&#x2f;schema\"",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
}

#[test]
fn a_record_that_was_shortened_is_called_so() {
    let mut record = record(vec![step("first/a", "changed")]);
    record.phases[0].steps = 9;
    let page = page_of(record);
    assert!(page.contains("it holds 1 of 9 steps"), "{page}");
    assert!(page.contains("8 not in the record"), "{page}");
}

/// The words on the badge.
fn verdict(record: RunRecord) -> &'static str {
    let story = Story::of(record, "a test");
    layout::view(&story, &bounds::LADDER[0]).head.verdict
}

#[test]
fn the_badge_says_what_the_exit_code_means_for_this_run() {
    let stopped = |outcome: &str, error: Option<&str>| StepRecord {
        error: error.map(str::to_owned),
        ..step("first/a", outcome)
    };
    for (mode, exit, step, said) in [
        ("preview", 0, step("first/a", "unchanged"), "plan"),
        ("preview", 2, step("first/a", "changed"), "plan"),
        ("run", 2, step("first/a", "changed"), "failed"),
        ("run", 75, stopped("failed", Some("stopped")), "stopped"),
        ("run", 75, stopped("skipped", None), "stopped"),
        ("run", 75, step("first/a", "unchanged"), "stopped"),
        ("run", 75, stopped("failed", Some("timed_out")), "failed"),
        ("preview", 1, step("first/a", "changed"), "not current"),
        ("preview", 1, step("first/a", "deferred"), "not current"),
        ("preview", 69, step("first/a", "deferred"), "cannot tell"),
        ("preview", 75, step("first/a", "deferred"), "cannot tell"),
        ("preview", 78, stopped("failed", Some("refused")), "failed"),
        ("run", 69, stopped("failed", Some("timed_out")), "failed"),
    ] {
        let what = format!("{mode} {exit} {step:?}");
        let record = RunRecord {
            mode: mode.to_owned(),
            exit,
            ..record(vec![step])
        };
        assert_eq!(verdict(record), said, "{what}");
    }
}

#[test]
fn a_check_that_failed_is_not_said_to_be_answered() {
    let mut silent = step("first/a", "failed");
    silent.kind = "check.http".to_owned();
    silent.reason = Some("connection refused".to_owned());
    let page = page_of(record(vec![silent]));
    assert!(
        page.contains("bad\">failed</td><td>connection refused"),
        "{page}"
    );
}
