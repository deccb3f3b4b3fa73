//! The story that a trace tells: spans for what happened when, log records for the words.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::layout::took;
use super::logs::Logs;
use super::otlp::{Log, Span};
use super::steps::{phases, steps};
use super::{Ending, Moment, Story, Work};
use crate::record::RunRecord;

const RUN_ID: &str = "cicd.pipeline.run.id";
const NAME: &str = "cicd.pipeline.name";
const ACTION: &str = "cicd.pipeline.action.name";
const RESULT: &str = "cicd.pipeline.result";
pub(super) const TASK: &str = "cicd.pipeline.task.name";
pub(super) const PHASE: &str = "firstlight.phase";
const ATTEMPT: &str = "firstlight.attempt";
pub(super) const ERROR: &str = "error.type";

/// Whether a span is a run of ours or a task of one, and not of the pipeline that started it.
pub(super) fn is_ours(span: &Span) -> bool {
    is_run(span) || is_task(span)
}

fn is_run(span: &Span) -> bool {
    let (action, name) = (span.attributes.get(ACTION), span.attributes.get(NAME));
    let named = action.zip(name);
    span.attributes.contains_key(RUN_ID)
        && named.is_some_and(|(action, name)| span.name == format!("{action} {name}"))
}

fn is_task(span: &Span) -> bool {
    span.attributes.contains_key(TASK) && span.attributes.contains_key(PHASE)
}

/// A trace, ready to be asked.
pub(super) struct Trace<'a> {
    spans: HashMap<&'a str, &'a Span>,
    /// By parent, in the order in which they began.
    children: HashMap<&'a str, Vec<&'a Span>>,
    /// When the run began, in nanoseconds since 1970.
    zero: u64,
}

impl<'a> Trace<'a> {
    fn of(spans: &'a [Span]) -> Self {
        // A span that was sent twice is the same both times.
        let spans: HashMap<&str, &Span> = spans.iter().map(|span| (&*span.id, span)).collect();
        let mut children: HashMap<&str, Vec<&Span>> = HashMap::new();
        for span in spans.values() {
            children.entry(&span.parent_span_id).or_default().push(span);
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|span| (span.start_time_unix_nano, &span.id));
        }
        Self {
            spans,
            children,
            zero: 0,
        }
    }

    /// The spans right below one.
    pub(super) fn below(&self, span: &Span) -> &[&'a Span] {
        self.children.get(&*span.id).map_or(&[], Vec::as_slice)
    }

    /// Seconds after the start of the run.
    pub(super) fn seconds(&self, nanos: u64) -> f64 {
        let after = nanos.saturating_sub(self.zero);
        std::time::Duration::from_nanos(after).as_secs_f64()
    }

    /// Whether one of the spans above it is like this.
    fn has_above(&self, span: &Span, like: impl Fn(&Span) -> bool) -> bool {
        let mut seen = HashSet::new();
        let mut at = span;
        while let Some(above) = self.spans.get(&*at.parent_span_id) {
            // Broken telemetry may go in circles.
            if !seen.insert(&above.id) {
                return false;
            }
            if like(above) {
                return true;
            }
            at = above;
        }
        false
    }

    /// These spans, in the order in which they began.
    fn all(&self, like: impl Fn(&Span) -> bool) -> Vec<&'a Span> {
        let mut all: Vec<&Span> = self.spans.values().copied().collect();
        all.retain(|span| like(span));
        all.sort_by_key(|span| (span.start_time_unix_nano, &span.id));
        all
    }
}

/// The story of the newest run in a trace; none if there is no span of a run in it.
pub(super) fn story(id: &str, spans: &[Span], logs: &[Log]) -> Option<Story> {
    let mut trace = Trace::of(spans);
    let runs = trace.all(|span| is_run(span) && !trace.has_above(span, is_run));
    let root = runs.last().copied();
    let within =
        |span: &Span| root.is_none_or(|root| trace.has_above(span, |above| above.id == root.id));
    let tasks = trace.all(|span| is_task(span) && within(span));
    let attempts = trace.all(|span| is_run(span) && within(span));
    let first = root.or(tasks.first().copied())?;
    trace.zero = first.start_time_unix_nano;
    let logs = Logs::of(logs);
    let (steps, moments) = steps(&trace, &tasks, &logs);
    let last = tasks.iter().chain(root.iter()).chain(attempts.iter());
    let end = last.map(|span| span.end_time_unix_nano).max()?;
    let mut record = RunRecord {
        telemetry: None,
        run: known(root, RUN_ID).unwrap_or_default(),
        bundle: known(root, NAME)
            .or_else(|| logs.of_run("bundle"))
            .unwrap_or_else(|| "a bundle".to_owned()),
        profile: logs.of_run("profile"),
        namespace: logs.of_run("namespace").unwrap_or_default(),
        agent: first
            .resource
            .get("service.version")
            .cloned()
            .unwrap_or_default(),
        mode: match known(root, ACTION).as_deref() {
            Some("PLAN") => "preview".to_owned(),
            _ => "run".to_owned(),
        },
        trace_id: Some(id.to_owned()),
        attempt: None,
        after: None,
        span_id: root.map(|root| root.id.clone()),
        started: Timestamp::from_nanosecond(trace.zero.into()).unwrap_or_default(),
        seconds: trace.seconds(end),
        exit: 0,
        sentence: String::new(),
        phases: phases(&trace, &tasks, &steps),
        steps,
        digest: None,
        left: Vec::new(),
    };
    let ending = ending(root, &attempts);
    record.sentence = sentence(&record, ending, root);
    Some(Story {
        record,
        ending,
        exit: None,
        moments,
        attempts: pods(&trace, root, &attempts),
        notes: notes(root, runs.len(), &logs),
    })
}

fn known(span: Option<&Span>, name: &str) -> Option<String> {
    span?.attributes.get(name).cloned()
}

/// The end of a run is that of the last pod that was at it.
fn ending(root: Option<&Span>, attempts: &[&Span]) -> Ending {
    let Some(last) = attempts.last().copied().or(root) else {
        return Ending::Open;
    };
    match last.attributes.get(RESULT).map(String::as_str) {
        Some("success") => Ending::Current,
        Some("cancellation") => Ending::Stopped,
        Some(_) => Ending::Failed,
        None => Ending::Open,
    }
}

fn sentence(record: &RunRecord, ending: Ending, root: Option<&Span>) -> String {
    let (bundle, count) = (&record.bundle, record.steps.len());
    let changed = record
        .steps
        .iter()
        .filter(|step| step.outcome == "changed")
        .count();
    let status = root.map(|root| root.status.message.as_str());
    match (ending, status.filter(|said| !said.is_empty())) {
        (_, Some(said)) => said.to_owned(),
        (Ending::Current, _) if record.mode == "preview" => {
            format!("{bundle}: {count} steps, {changed} would change")
        }
        (Ending::Current, _) => {
            let took = took(record.seconds);
            format!("{bundle} is current: {count} steps, {changed} changed, in {took}")
        }
        (Ending::Failed, _) => format!("{bundle} failed"),
        (Ending::Stopped, _) => format!("{bundle} was told to stop"),
        (Ending::Open, _) => format!("{bundle}: the end of the run is not in the trace"),
    }
}

/// The pods, if there was more than one.
fn pods(trace: &Trace<'_>, root: Option<&Span>, attempts: &[&Span]) -> Vec<Moment> {
    if attempts.is_empty() {
        return Vec::new();
    }
    let pod = |(at, span): (usize, &Span)| Moment {
        name: span.attributes.get(ATTEMPT).map_or_else(
            || format!("attempt {}", at + 1),
            |number| format!("attempt {number}"),
        ),
        work: Work::Attempt,
        begin: trace.seconds(span.start_time_unix_nano),
        end: trace.seconds(span.end_time_unix_nano),
        said: span.attributes.get(ERROR).cloned(),
        failed: span.status.is_error(),
        inside: Vec::new(),
    };
    let all = root.into_iter().chain(attempts.iter().copied());
    all.enumerate().map(pod).collect()
}

fn notes(root: Option<&Span>, runs: usize, logs: &Logs<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if root.is_none() {
        notes.push("The span of the run itself is not there: the run had not ended, or its end was not delivered.".to_owned());
    }
    if runs > 1 {
        notes.push(format!(
            "The trace holds {runs} runs; this is the newest of them."
        ));
    }
    if logs.is_empty() {
        notes.push(
            "Without log records of the run: skipped steps, changes and hints are not known."
                .to_owned(),
        );
    }
    notes
}
