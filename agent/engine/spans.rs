//! The spans of a run: run, phase, step. Attempts are made by the loop, calls by the providers.

use tracing::{Span, field, info_span};

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
    let result = match report.decisive() {
        _ if report.stopped => "cancellation",
        None => "success",
        Some((_, StepError::TimedOut { .. })) => "timeout",
        Some(_) => "failure",
    };
    root.record("cicd.pipeline.result", result);
    if let Some((step, error)) = report.decisive() {
        root.record("otel.status_code", "ERROR");
        let text = format!("{}: {}{}", step.id, Chain(error), error.aside());
        root.record("otel.status_description", text);
        root.record("error.type", error.kind());
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
        error.type = field::Empty,
    )
}

/// How a group ended, on its span.
pub(super) fn record_group(span: &Span, because: Option<&Because>) {
    let result = match because {
        None => "success",
        Some(Because::Stopped) => "cancellation",
        Some(Because::Need(root)) => {
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", format!("{root} failed"));
            "failure"
        }
    };
    span.record("cicd.pipeline.task.run.result", result);
}

/// How a step ended, on its span.
pub(super) fn record_outcome(span: &Span, report: &StepReport) {
    if report.started.is_none() {
        return;
    }
    span.record("firstlight.outcome", report.outcome.word());
    span.record("firstlight.attempts", report.attempts);
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
    if let Outcome::Failed { error, .. } = &report.outcome {
        record_error(span, error);
    }
}

/// Marks a span as failed.
pub(super) fn record_error(span: &Span, error: &StepError) {
    span.record("otel.status_code", "ERROR");
    let text = format!("{}{}", Chain(error), error.aside());
    span.record("otel.status_description", text);
    span.record("error.type", error.kind());
}
