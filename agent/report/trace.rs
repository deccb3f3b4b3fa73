//! The story that a trace tells: spans for what happened when, log records for the words.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::layout::took;
use super::logs::Logs;
use super::otlp::{Attributes, Log, Span};
use super::steps::{phases, steps};
use super::{Ending, Moment, PREVIEW, Story, Work};
use crate::record::{RunRecord, StepRecord};

const RUN_ID: &str = "cicd.pipeline.run.id";
const NAME: &str = "cicd.pipeline.name";
const ACTION: &str = "cicd.pipeline.action.name";
const RESULT: &str = "cicd.pipeline.result";
/// The result of a pod that could not say its own.
const KILLED: &str = "error";
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
    // Of a pod that died before anything was on record the lock knows the number alone.
    let has = |key| span.attributes.contains_key(key);
    (has(RUN_ID) || has(ATTEMPT))
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

    /// Whether a span is of a pod that goes on with the run of one that was killed, and whose own
    /// span is not there yet.
    fn goes_on(&self, killed: &Span, span: &Span) -> bool {
        killed.attributes.get(RESULT).is_some_and(|it| it == KILLED)
            && span.start_time_unix_nano >= killed.end_time_unix_nano
            && [TASK, NAME]
                .iter()
                .any(|name| span.attributes.contains_key(*name))
            && !is_run(span)
            && !self.has_above(span, is_run)
    }

    /// These spans, in the order in which they began.
    fn all(&self, like: impl Fn(&Span) -> bool) -> Vec<&'a Span> {
        let mut all: Vec<&Span> = self.spans.values().copied().collect();
        all.retain(|span| like(span));
        all.sort_by_key(|span| (span.start_time_unix_nano, &span.id));
        all
    }
}

/// The newest run of a trace.
struct Run<'a> {
    /// The first pod's span; none if it is not there.
    root: Option<&'a Span>,
    /// Those of the pods after it.
    attempts: Vec<&'a Span>,
    /// That of the last pod; none if its end is not there.
    newest: Option<&'a Span>,
    /// Steps and groups.
    tasks: Vec<&'a Span>,
    /// How many runs the trace holds.
    count: usize,
}

impl<'a> Run<'a> {
    fn of(trace: &Trace<'a>) -> Self {
        let runs = trace.all(|span| is_run(span) && !trace.has_above(span, is_run));
        let root = runs.last().copied();
        let below = |span: &Span| {
            root.is_none_or(|root| trace.has_above(span, |above| above.id == root.id))
        };
        let attempts = trace.all(|span| is_run(span) && below(span));
        let last = attempts.last().copied().or(root);
        let later = |span: &Span| last.is_some_and(|last| trace.goes_on(last, span));
        let is_under_way = !trace.all(later).is_empty();
        Self {
            root,
            newest: last.filter(|_| !is_under_way),
            tasks: trace.all(|span| is_task(span) && (below(span) || later(span))),
            attempts,
            count: runs.len(),
        }
    }

    /// The spans of the pods.
    fn pods(&self) -> Vec<&'a Span> {
        self.root.into_iter().chain(self.attempts.clone()).collect()
    }

    /// What one of the pods has told.
    fn known(&self, name: &str) -> Option<String> {
        self.pods()
            .into_iter()
            .find_map(|pod| known(Some(pod), name))
    }

    /// Which pod the last one is, if not the first, and how the one before it ended.
    fn attempt(&self) -> (Option<u32>, Option<String>) {
        let number = known(self.newest, ATTEMPT).and_then(|number| number.parse().ok());
        let number = number.filter(|number| *number > 1);
        let before = self.pods().into_iter().rev().nth(1).and_then(how);
        (number, before.filter(|_| number.is_some()))
    }
}

/// The story of the newest run in a trace; none if there is no span of a run in it.
pub(super) fn story(id: &str, spans: &[Span], logs: &[Log]) -> Option<Story> {
    let mut trace = Trace::of(spans);
    let run = Run::of(&trace);
    let first = run.root.or(run.tasks.first().copied())?;
    trace.zero = first.start_time_unix_nano;
    let logs = Logs::of(logs);
    let (steps, moments) = steps(&trace, &run.tasks, &logs);
    let record = record(&trace, &run, &logs, steps)?;
    let ending = ending(run.newest, &record.steps);
    Some(Story {
        ending,
        exit: None,
        moments,
        attempts: pods(&trace, &run),
        notes: notes(&run, &logs),
        record: RunRecord {
            trace_id: Some(id.to_owned()),
            agent: known_of(&first.resource, "service.version"),
            sentence: sentence(&record, ending, run.newest),
            ..record
        },
    })
}

/// The run as it would be on record, but for what the trace as a whole or its end is needed.
fn record(
    trace: &Trace<'_>,
    run: &Run<'_>,
    logs: &Logs<'_>,
    steps: Vec<StepRecord>,
) -> Option<RunRecord> {
    let all = run.tasks.iter().copied().chain(run.pods());
    let end = all.map(|span| span.end_time_unix_nano).max()?;
    let (attempt, after) = run.attempt();
    Some(RunRecord {
        telemetry: None,
        run: run.known(RUN_ID).unwrap_or_default(),
        bundle: run
            .known(NAME)
            .or_else(|| logs.of_run("bundle"))
            .unwrap_or_else(|| "a bundle".to_owned()),
        profile: logs.of_run("profile"),
        namespace: logs.of_run("namespace").unwrap_or_default(),
        agent: String::new(),
        mode: match run.known(ACTION).as_deref() {
            Some("PLAN") => PREVIEW.to_owned(),
            _ => "run".to_owned(),
        },
        trace_id: None,
        attempt,
        after,
        span_id: run.root.map(|root| root.id.clone()),
        started: Timestamp::from_nanosecond(trace.zero.into()).unwrap_or_default(),
        seconds: trace.seconds(end),
        exit: 0,
        sentence: String::new(),
        phases: phases(trace, &run.tasks, &steps),
        steps,
        digest: None,
        left: Vec::new(),
    })
}

fn known_of(attributes: &Attributes, name: &str) -> String {
    attributes.get(name).cloned().unwrap_or_default()
}

fn known(span: Option<&Span>, name: &str) -> Option<String> {
    span?.attributes.get(name).cloned()
}

/// The end of a run is that of the last pod that was at it.
fn ending(newest: Option<&Span>, steps: &[StepRecord]) -> Ending {
    match known(newest, RESULT).as_deref() {
        Some("success") => Ending::Current,
        Some("cancellation") => Ending::cut_off(steps),
        Some(_) => Ending::Failed,
        None => Ending::Open,
    }
}

fn sentence(record: &RunRecord, ending: Ending, newest: Option<&Span>) -> String {
    let (bundle, count) = (&record.bundle, record.steps.len());
    let changed = record
        .steps
        .iter()
        .filter(|step| step.outcome == "changed")
        .count();
    let status = newest.map(|span| span.status.message.as_str());
    match (ending, status.filter(|said| !said.is_empty())) {
        (_, Some(said)) => said.to_owned(),
        (Ending::Current, _) if record.mode == PREVIEW => {
            format!("{bundle}: {count} steps, {changed} would change")
        }
        (Ending::Current, _) => {
            let took = took(record.seconds);
            format!("{bundle} is current: {count} steps, {changed} changed, in {took}")
        }
        (Ending::Failed, _) => format!("{bundle} failed"),
        (Ending::Behind, _) => format!("{bundle} is not current"),
        (Ending::Untold, _) => format!("{bundle}: it cannot be told whether all is current"),
        (Ending::Stopped, _) => format!("{bundle} was told to stop"),
        (Ending::Open, _) => format!("{bundle}: the end of the run is not in the trace"),
    }
}

/// The pods, if there was more than one.
fn pods(trace: &Trace<'_>, run: &Run<'_>) -> Vec<Moment> {
    // After one that was killed there is another, even if its own span is not there yet.
    if run.attempts.is_empty() && run.newest.is_some() {
        return Vec::new();
    }
    let pod = |(at, span): (usize, &Span)| Moment {
        name: known(Some(span), ATTEMPT).map_or_else(
            || format!("attempt {}", at + 1),
            |number| format!("attempt {number}"),
        ),
        work: Work::Attempt,
        begin: trace.seconds(span.start_time_unix_nano),
        end: trace.seconds(span.end_time_unix_nano),
        said: how(span),
        failed: span.status.is_error(),
        inside: Vec::new(),
    };
    run.pods().into_iter().enumerate().map(pod).collect()
}

/// How a pod ended.
fn how(span: &Span) -> Option<String> {
    let kind = || span.attributes.get(ERROR);
    let said = Some(&span.status.message).filter(|said| !said.is_empty());
    match known(Some(span), RESULT).as_deref() {
        _ if span.status.is_error() => said.or_else(kind).cloned(),
        Some("success") => Some("everything is current".to_owned()),
        result => result.map(str::to_owned),
    }
}

fn notes(run: &Run<'_>, logs: &Logs<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if run.newest.is_none() {
        notes.push("The span of the run itself, or of its last pod, is not there: the run had not ended, or its end was not delivered.".to_owned());
    }
    if run.count > 1 {
        notes.push(format!(
            "The trace holds {} runs; this is the newest of them.",
            run.count
        ));
    }
    if logs.is_empty() {
        notes.push(
            "Without log records of the run: changes and hints are not known, nor why something cannot be told yet."
                .to_owned(),
        );
    }
    notes
}
