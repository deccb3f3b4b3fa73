//! Turns the engine's events into log lines, span events and metrics.

use super::live::Live;
use super::metrics::Measures;
use crate::engine::{
    Because, Diagnosis, Difference, Event, EventKind, Mode, Outcome, Report, Reporter, RunInfo,
    StepError, StepId, StepReport, Took, Waiting,
};
use crate::record;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// Tells the log and the metrics what happens.
///
/// The events of tracing made here become log lines, log records and span events alike.
pub(super) struct RunReporter {
    /// None if metrics are not exported.
    measures: Option<Measures>,
    /// None if no trace is exported.
    live: Option<Arc<Live>>,
    is_preview: AtomicBool,
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
            EventKind::StepChanged { step, change, took } => step_changed(step, change, *took),
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
    pub(super) fn new(measures: Option<Measures>, live: Option<Arc<Live>>) -> Self {
        Self {
            measures,
            live,
            is_preview: AtomicBool::new(false),
        }
    }

    /// Who measures the run, if metrics are exported.
    pub(super) fn measures(&self) -> Option<&Measures> {
        self.measures.as_ref()
    }

    fn run_started(&self, run: &RunInfo, mode: Mode, steps: usize) {
        self.is_preview
            .store(mode == Mode::Preview, Ordering::SeqCst);
        if let Some(measures) = &self.measures {
            measures.run_started(&run.bundle, steps);
        }
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

    fn step_finished(&self, report: &StepReport) {
        if let Some(measures) = &self.measures {
            measures.step_finished(report);
        }
        tell_step(report, self.is_preview.load(Ordering::SeqCst));
    }

    fn run_finished(&self, report: &Report) {
        if let Some(measures) = &self.measures {
            measures.run_finished(report);
        }
        tell_run(report);
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

fn step_changed(step: &StepId, change: &Difference, took: Duration) {
    info!(
        name: "step.changed", target: "firstlight",
        step = step.as_str(),
        phase = step.phase(),
        duration = took.as_secs_f64(),
        "{} {}", change.verb, change.target
    );
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
    let result = report.result();
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
