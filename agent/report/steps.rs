//! The steps and phases of a trace, as they would be on record.

use std::collections::{BTreeMap, HashMap};

use super::logs::Logs;
use super::otlp::{Log, Span};
use super::trace::{ERROR, PHASE, TASK, Trace};
use super::waterfall::NOT_ENDED;
use super::{Moment, Work, moments};
use crate::record::{PhaseRecord, StepRecord};

const KIND: &str = "firstlight.kind";
const OUTCOME: &str = "firstlight.outcome";
const WAITED: &str = "firstlight.waited";
const BECAUSE: &str = "firstlight.skipped.because";
const SKIPPED: &str = "skipped";
/// The kind of what holds steps.
const GROUP: &str = "group";
/// How the log begins to tell of a failure that does not count.
const OPTIONAL: &str = "failed, but is optional: ";

/// The steps in the order in which they began, then those that never did.
pub(super) fn steps(
    trace: &Trace<'_>,
    tasks: &[&Span],
    logs: &Logs<'_>,
) -> (Vec<StepRecord>, HashMap<String, Vec<Moment>>) {
    let mut order: Vec<&str> = Vec::new();
    let mut by_id: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in tasks {
        if span.attributes.get(KIND).is_some_and(|kind| kind == GROUP) {
            continue;
        }
        let id = span.attributes.get(TASK).map_or("", String::as_str);
        let spans = by_id.entry(id).or_default();
        if spans.is_empty() {
            order.push(id);
        }
        spans.push(span);
    }
    let mut all = HashMap::new();
    let mut steps = Vec::new();
    for id in order {
        let spans = &by_id[id];
        let moments = moments::of_step(trace, spans);
        if let Some(step) = step(id, trace, spans, &moments, logs) {
            steps.push(step);
        }
        all.insert(id.to_owned(), moments);
    }
    let never = logs.ends.iter().filter(|(id, _)| !by_id.contains_key(id));
    steps.extend(never.map(|(id, end)| never_tried(id, end)));
    (steps, all)
}

fn step(
    id: &str,
    trace: &Trace<'_>,
    spans: &[&Span],
    moments: &[Moment],
    logs: &Logs<'_>,
) -> Option<StepRecord> {
    let (first, last) = (spans.first()?, spans.last()?);
    let begin = trace.seconds(first.start_time_unix_nano);
    let outcome = last.attributes.get(OUTCOME).map_or_else(
        || {
            if last.status.is_error() {
                "failed"
            } else {
                NOT_ENDED
            }
        },
        String::as_str,
    );
    // What a pod before has said of its own end says nothing of this one.
    let same = |end: &&Log| end.attributes.get("outcome").is_none_or(|it| it == outcome);
    let end = logs.end(id).filter(same);
    // The span of a step that was not tried tells why, and takes no time.
    let tried = outcome != SKIPPED;
    let status = Some(&last.status.message).filter(|said| !said.is_empty());
    let told = status.or_else(|| last.attributes.get(BECAUSE)).cloned();
    let said = end.map(|end| reason(&end.body)).or(told);
    let looks = moments::of(moments, Work::Attempt).count();
    let seconds = trace.seconds(last.end_time_unix_nano) - begin;
    Some(StepRecord {
        id: id.to_owned(),
        kind: last.attributes.get(KIND).cloned().unwrap_or_default(),
        outcome: outcome.to_owned(),
        optional: end.is_some_and(|end| end.body.starts_with(OPTIONAL)),
        offset: tried.then_some(begin),
        seconds: if tried { seconds } else { 0.0 },
        waited: if tried { waited(spans, moments) } else { 0.0 },
        attempts: u32::try_from(looks).unwrap_or(u32::MAX),
        changes: logs.changes(id),
        reason: said.filter(|_| matches!(outcome, "failed" | "deferred" | SKIPPED)),
        error: last.attributes.get(ERROR).cloned(),
        excerpt: None,
        evidence: Vec::new(),
        hints: end
            .and_then(|end| end.attributes.get("hint").cloned())
            .into_iter()
            .collect(),
    })
}

/// How long the step waited: each pod says it at the step's end, and one that died there cannot.
fn waited(spans: &[&Span], moments: &[Moment]) -> f64 {
    let told = |span: &&Span| span.attributes.get(WAITED)?.parse::<f64>().ok();
    let told: Option<f64> = spans.iter().map(told).sum();
    told.unwrap_or_else(|| moments::lasted(moments, Work::Wait))
}

/// The log says first how it ended, which the page says itself.
fn reason(body: &str) -> String {
    let heads = [
        OPTIONAL,
        "failed: ",
        "cannot be told yet: ",
        "skipped, because ",
    ];
    let rest = heads.iter().find_map(|head| body.strip_prefix(head));
    rest.unwrap_or(body).to_owned()
}

fn never_tried(id: &str, end: &Log) -> StepRecord {
    StepRecord {
        id: id.to_owned(),
        kind: String::new(),
        outcome: end
            .attributes
            .get("outcome")
            .cloned()
            .unwrap_or_else(|| SKIPPED.to_owned()),
        optional: false,
        offset: None,
        seconds: 0.0,
        waited: 0.0,
        attempts: 0,
        changes: Vec::new(),
        reason: Some(reason(&end.body)),
        error: None,
        excerpt: None,
        evidence: Vec::new(),
        hints: Vec::new(),
    }
}

/// The phases in the order in which they began.
pub(super) fn phases(trace: &Trace<'_>, tasks: &[&Span], steps: &[StepRecord]) -> Vec<PhaseRecord> {
    let mut names: Vec<&str> = Vec::new();
    let ids = tasks.iter().filter_map(|span| span.attributes.get(PHASE));
    let later = steps.iter().filter_map(|step| step.id.split('/').next());
    for name in ids.map(String::as_str).chain(later) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let has = |span: &Span, key, word: &str| {
                span.attributes.get(key).is_some_and(|it| it == word)
            };
            let of = |span: &&&Span| has(span, PHASE, name) && !has(span, OUTCOME, SKIPPED);
            let begin = tasks.iter().filter(of).map(|it| it.start_time_unix_nano);
            let begin = begin.min();
            let end = tasks.iter().filter(of).map(|it| it.end_time_unix_nano);
            let end = end.max();
            phase(name, trace, begin.zip(end), steps)
        })
        .collect()
}

fn phase(
    name: &str,
    trace: &Trace<'_>,
    time: Option<(u64, u64)>,
    steps: &[StepRecord],
) -> PhaseRecord {
    let inside = steps
        .iter()
        .filter(|step| step.id.split('/').next() == Some(name));
    let inside: Vec<&StepRecord> = inside.collect();
    let has = |word: &&str| {
        inside
            .iter()
            .any(|step| step.outcome == *word && !step.optional)
    };
    let gravest = ["failed", NOT_ENDED, SKIPPED, "deferred", "changed"]
        .into_iter()
        .find(has);
    let (begin, end) = time.map_or((None, 0.0), |(begin, end)| {
        (Some(trace.seconds(begin)), trace.seconds(end))
    });
    PhaseRecord {
        name: name.to_owned(),
        outcome: gravest.unwrap_or("unchanged").to_owned(),
        offset: begin,
        seconds: end - begin.unwrap_or(end),
        steps: inside.len(),
        changed: inside
            .iter()
            .filter(|step| step.outcome == "changed")
            .count(),
    }
}
