//! The spans of a run: run, phase, step. Attempts and waits are made by the loop, calls by the
//! providers.

use tracing::{Span, Value, field, info_span};

use super::graph::Node;
use super::{Because, Chain, Mode, Outcome, Report, RunInfo, StepError, StepReport};

/// The root of the run's trace.
pub(super) fn run_span(info: &RunInfo, mode: Mode) -> Span {
    let action = if mode == Mode::Apply { "RUN" } else { "PLAN" };
    info_span!(
        "run",
        otel.name = format!("{action} {}", info.bundle),
        otel.kind = "server",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        cicd.pipeline.name = info.bundle,
        cicd.pipeline.run.id = info.id,
        cicd.pipeline.action.name = action,
        firstlight.attempt = info.attempt.number,
        cicd.pipeline.result = field::Empty,
        error.type = field::Empty,
    )
}

/// The result of the run, on its root.
pub(super) fn record_result(root: &Span, report: &Report) {
    root.record("cicd.pipeline.result", report.result());
    if let Some((step, error)) = report.decisive() {
        let text = format!("{} failed: {}{}", step.id, Chain(error), error.aside());
        record_failure(root, text, error.kind());
    } else if report.stopped {
        record_failure(root, "told to stop", "stopped");
    }
}

/// The span of a step or a group.
pub(super) fn node_span(parent: &Span, node: &Node) -> Span {
    info_span!(
        parent: parent,
        "task",
        otel.name = node.id.as_str(),
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        cicd.pipeline.task.name = node.id.as_str(),
        cicd.pipeline.task.run.result = field::Empty,
        firstlight.phase = node.id.phase(),
        firstlight.kind = node.step.as_ref().map_or("group", |(_, options)| options.kind),
        firstlight.outcome = field::Empty,
        firstlight.attempts = field::Empty,
        firstlight.waited = field::Empty,
        firstlight.skipped.because = field::Empty,
        error.type = field::Empty,
    )
}

/// How a group ended, on its span.
pub(super) fn record_group(span: &Span, because: Option<&Because>) {
    let (result, outcome) = match because {
        None => ("success", "ended"),
        Some(Because::Stopped) => {
            record_failure(span, "told to stop", "stopped");
            ("cancellation", "stopped")
        }
        Some(Because::Need(root)) => {
            record_failure(span, format!("{root} failed"), "step_failed");
            ("failure", "failed")
        }
    };
    span.record("cicd.pipeline.task.run.result", result);
    span.record("firstlight.outcome", outcome);
}

/// How a step ended, on its span.
pub(super) fn record_outcome(span: &Span, report: &StepReport) {
    span.record("firstlight.outcome", report.outcome.word());
    span.record("firstlight.attempts", report.attempts);
    span.record("firstlight.waited", report.waited.as_secs_f64());
    let result = match &report.outcome {
        Outcome::Failed {
            error: StepError::TimedOut { .. },
            ..
        } => "timeout",
        Outcome::Failed {
            error: StepError::Stopped { .. },
            ..
        } => "cancellation",
        Outcome::Failed { .. } => "failure",
        Outcome::Skipped { .. } => "skip",
        Outcome::Unchanged | Outcome::Changed(_) | Outcome::Deferred { .. } => "success",
    };
    span.record("cicd.pipeline.task.run.result", result);
    match &report.outcome {
        Outcome::Failed { error, .. } => record_error(span, error),
        // Not a failure of its own: whoever looks for one is not to find all that come after it.
        Outcome::Skipped { because } => {
            let why = match because {
                Because::Need(root) => format!("{root} failed"),
                Because::Stopped => "told to stop".to_owned(),
            };
            span.record("firstlight.skipped.because", why);
        }
        _ => {}
    }
}

/// Marks a span as failed.
pub(super) fn record_error(span: &Span, error: &StepError) {
    let text = format!("{}{}", Chain(error), error.aside());
    record_failure(span, text, error.kind());
}

/// Marks a span as failed, for this reason and with this bounded word.
pub fn record_failure(span: &Span, why: impl Value, kind: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", why);
    span.record("error.type", kind);
}
