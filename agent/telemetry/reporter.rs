//! Turns the engine's events into log lines, span events and metrics.

use super::live::Live;
use super::metrics::Instruments;
use super::pipe::Pipe;
use crate::engine::{
    Because, Diagnosis, Difference, Event, EventKind, Mode, Outcome, Report, Reporter, RunInfo,
    StepError, StepId, StepReport, Took, Waiting,
};
use crate::record;
use opentelemetry::KeyValue;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// Tells the log and the metrics what happens.
///
/// The events of tracing made here become log lines, log records and span events alike.
pub(super) struct RunReporter {
    /// None if metrics are not exported.
    pub(super) instruments: Option<Instruments>,
    pub(super) pipes: Vec<Arc<Pipe>>,
    /// None if no trace is exported.
    pub(super) live: Option<Arc<Live>>,
    pub(super) run: Mutex<Option<Running>>,
}

/// What later events need of the first one.
#[derive(Debug, Clone)]
pub(super) struct Running {
    bundle: String,
    mode: Mode,
}

impl Reporter for RunReporter {
    fn report(&self, event: &Event<'_>) {
        if let Some(live) = &self.live {
            live.hear(event);
        }
        match &event.kind {
            EventKind::RunStarted { run, mode, nodes } => {
                self.run_started(run, *mode, nodes.iter().filter(|(_, group)| !group).count());
            }
            EventKind::RunStopping { grace } => {
                warn!(name: "run.stopping", target: "firstlight", "told to stop: nothing new starts, what runs has {}", Took(*grace));
            }
            EventKind::StepStarted { step, timeout } => step_started(step, *timeout),
            EventKind::StepWaiting {
                step,
                waiting,
                diagnosis,
                elapsed,
            } => {
                step_waiting(step, waiting, *diagnosis, *elapsed);
            }
            EventKind::StepChanged { step, change, took } => self.step_changed(step, change, *took),
            EventKind::StepFinished { report } => self.step_finished(report),
            EventKind::GroupFinished {
                step,
                because,
                took,
            } => {
                group_finished(step, *because, *took);
            }
            EventKind::RunFinished { report } => self.run_finished(report),
        }
    }
}

impl RunReporter {
    pub(super) fn new(
        instruments: Option<Instruments>,
        pipes: Vec<Arc<Pipe>>,
        live: Option<Arc<Live>>,
    ) -> Self {
        Self {
            instruments,
            pipes,
            live,
            run: Mutex::default(),
        }
    }

    fn run(&self) -> Option<Running> {
        self.run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn is_preview(&self) -> bool {
        self.run().is_some_and(|run| run.mode == Mode::Preview)
    }

    fn run_started(&self, run: &RunInfo, mode: Mode, steps: usize) {
        let running = Running {
            bundle: run.bundle.clone(),
            mode,
        };
        if let Some(instruments) = &self.instruments {
            instruments.run_active.add(1, &running.active());
        }
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        info!(
            name: "run.started", target: "firstlight",
            run = run.id,
            bundle = run.bundle,
            profile = run.profile,
            namespace = run.namespace,
            trace = run.trace_id,
            "{} of {steps} steps started", action(mode)
        );
    }

    fn step_changed(&self, step: &StepId, change: &Difference, took: Duration) {
        if let Some(instruments) = &self.instruments {
            let attributes = [
                KeyValue::new("cicd.pipeline.task.name", step.to_string()),
                KeyValue::new("firstlight.verb", change.verb.to_string()),
            ];
            instruments.step_changes.add(1, &attributes);
        }
        info!(
            name: "step.changed", target: "firstlight",
            step = step.as_str(),
            phase = step.phase(),
            duration = took.as_secs_f64(),
            "{} {}", change.verb, change.target
        );
    }

    fn step_finished(&self, report: &StepReport) {
        if let Some(instruments) = &self.instruments {
            instruments.step(report);
        }
        tell_step(report, self.is_preview());
        if report.outcome.is_settled() {
            // Perhaps this step was the collector.
            self.pipes.iter().for_each(|pipe| pipe.poke());
        }
    }

    fn run_finished(&self, report: &Report) {
        if let (Some(instruments), Some(running)) = (&self.instruments, self.run()) {
            instruments.run_active.add(-1, &running.active());
            instruments.run(&running, report);
        }
        tell_run(report);
    }
}

impl Running {
    fn active(&self) -> [KeyValue; 2] {
        [
            KeyValue::new("cicd.pipeline.name", self.bundle.clone()),
            KeyValue::new("cicd.pipeline.run.state", "executing"),
        ]
    }
}

impl Instruments {
    fn step(&self, report: &StepReport) {
        let mut attributes = vec![
            KeyValue::new("cicd.pipeline.task.name", report.id.to_string()),
            KeyValue::new("firstlight.phase", report.id.phase().to_owned()),
            KeyValue::new("firstlight.kind", report.kind),
            KeyValue::new("firstlight.outcome", report.outcome.word()),
        ];
        if let Outcome::Failed { error, .. } = &report.outcome {
            attributes.push(KeyValue::new("error.type", error.kind()));
        }
        // What never started took no time; a zero would falsify the picture.
        if report.started.is_some() {
            self.step_duration
                .record(report.took.as_secs_f64(), &attributes);
            self.step_wait
                .record(report.waited.as_secs_f64(), &attributes);
        }
    }

    fn run(&self, running: &Running, report: &Report) {
        let name = KeyValue::new("cicd.pipeline.name", running.bundle.clone());
        for (_, error) in report.failures() {
            self.run_errors.add(
                1,
                &[name.clone(), KeyValue::new("error.type", error.kind())],
            );
        }
        let mut attributes = vec![
            name,
            KeyValue::new("cicd.pipeline.run.state", "executing"),
            KeyValue::new("cicd.pipeline.result", result(report)),
        ];
        if let Some((_, error)) = report.decisive() {
            attributes.push(KeyValue::new("error.type", error.kind()));
        }
        self.run_duration
            .record(report.took.as_secs_f64(), &attributes);
    }
}

/// The word of the CICD conventions for how a run ended.
fn result(report: &Report) -> &'static str {
    match report.decisive() {
        _ if report.stopped => "cancellation",
        None => "success",
        Some((_, StepError::TimedOut { .. })) => "timeout",
        Some(_) => "failure",
    }
}

fn action(mode: Mode) -> &'static str {
    match mode {
        Mode::Apply => "run",
        Mode::Preview => "preview",
    }
}

fn step_started(step: &StepId, timeout: Option<Duration>) {
    let timeout = timeout.map(|timeout| Took(timeout).to_string());
    if step.parent().is_none() {
        info!(name: "phase.started", target: "firstlight", step = step.as_str(), phase = step.phase(), "started");
    } else {
        debug!(name: "step.started", target: "firstlight", step = step.as_str(), phase = step.phase(), timeout, "started");
    }
}

fn step_waiting(
    step: &StepId,
    waiting: &Waiting,
    diagnosis: Option<&Diagnosis>,
    elapsed: Duration,
) {
    let diagnosis = diagnosis.map(|diagnosis| diagnosis.sentence.as_str());
    info!(
        name: "step.waiting", target: "firstlight",
        step = step.as_str(),
        phase = step.phase(),
        diagnosis,
        elapsed = elapsed.as_secs_f64(),
        "waiting for {}", waiting.what
    );
}

fn tell_step(report: &StepReport, preview: bool) {
    let step = report.id.as_str();
    let phase = report.id.phase();
    let outcome = report.outcome.word();
    let duration = report.took.as_secs_f64();
    match &report.outcome {
        Outcome::Unchanged => {
            info!(name: "step.finished", target: "firstlight", step, phase, outcome, duration, "current, nothing to change");
        }
        Outcome::Changed(changes) => {
            let count = counted(changes.len(), "change");
            let text = if preview {
                format!("would make {count}")
            } else {
                format!("current after {count}")
            };
            info!(name: "step.finished", target: "firstlight", step, phase, outcome, duration, "{text}");
        }
        Outcome::Deferred { waiting, after, .. } => {
            let after = after.as_ref().map(StepId::as_str);
            info!(name: "step.finished", target: "firstlight", step, phase, outcome, after, "cannot be told yet: {}", waiting.what);
        }
        Outcome::Failed { error, .. } => tell_failure(report, error),
        Outcome::Skipped {
            because: Because::Need(need),
        } => {
            warn!(name: "step.finished", target: "firstlight", step, phase, outcome, "skipped, because {need} failed");
        }
        Outcome::Skipped {
            because: Because::Stopped,
        } => {
            warn!(name: "step.finished", target: "firstlight", step, phase, outcome, "skipped, because the run was told to stop");
        }
    }
}

fn tell_failure(report: &StepReport, error: &StepError) {
    let step = report.id.as_str();
    let phase = report.id.phase();
    let outcome = report.outcome.word();
    let duration = report.took.as_secs_f64();
    let hints = Some(error.hints().join("; ")).filter(|hints| !hints.is_empty());
    let kind = error.kind();
    let text = record::reason(error);
    if report.optional {
        warn!(
            name: "step.finished", target: "firstlight",
            step, phase, outcome, duration, error.type = kind, hint = hints,
            "failed, but is optional: {text}"
        );
    } else {
        error!(
            name: "step.finished", target: "firstlight",
            step, phase, outcome, duration, error.type = kind, hint = hints,
            "failed: {text}"
        );
    }
}

fn group_finished(step: &StepId, because: Option<&Because>, took: Duration) {
    let duration = took.as_secs_f64();
    let phase = step.phase();
    let step = step.as_str();
    match because {
        Some(Because::Need(failed)) => {
            warn!(name: "group.finished", target: "firstlight", step, phase, duration, "ended, but {failed} failed");
        }
        Some(Because::Stopped) => {
            warn!(name: "group.finished", target: "firstlight", step, phase, duration, "stopped before its end");
        }
        None => {
            info!(name: "group.finished", target: "firstlight", step, phase, duration, "ended");
        }
    }
}

fn tell_run(report: &Report) {
    let duration = report.took.as_secs_f64();
    let result = result(report);
    let counts = ["unchanged", "changed", "deferred", "failed", "skipped"]
        .map(|word| (report.count(word), word));
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let text = format!("{} ended: {}", action(report.mode), counts.join(", "));
    if report.class().is_none() {
        info!(name: "run.finished", target: "firstlight", result, duration, "{text}");
    } else {
        error!(name: "run.finished", target: "firstlight", result, duration, "{text}");
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
