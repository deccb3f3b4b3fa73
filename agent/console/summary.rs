//! The end of a run, for people.

use std::fmt::Write;

use super::Style;
use crate::record::{PhaseRecord, RunRecord, StepRecord};

/// The text at the end of a run: phases, failures with their hints, and last the one sentence.
#[must_use]
pub fn summary(record: &RunRecord, style: Style) -> String {
    let mut text = String::new();
    let width = record
        .phases
        .iter()
        .map(|phase| phase.name.len())
        .max()
        .unwrap_or(0);
    for phase in &record.phases {
        let _ = writeln!(text, "{}", phase_line(phase, width, style));
    }
    for step in record.steps.iter().filter(|step| step.outcome == "failed") {
        text.push('\n');
        failure(&mut text, step, style);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let remark = record.remark();
    if !remark.is_empty() {
        let _ = writeln!(text, "{remark}");
    }
    if let Some(telemetry) = &record.telemetry {
        let _ = writeln!(text, "{}", style.dim(&telemetry.sentence));
    }
    let sentence = &record.sentence;
    let painted = if record.exit == 0 {
        style.good(sentence)
    } else {
        style.bad(sentence)
    };
    let _ = writeln!(text, "{painted}");
    text
}

pub(super) fn phase_line(phase: &PhaseRecord, width: usize, style: Style) -> String {
    let sign = sign(&phase.outcome, style);
    let changed = match phase.changed {
        0 => style.dim(&phase.outcome),
        changed => format!("{changed} changed"),
    };
    let steps = if phase.steps == 1 { "step" } else { "steps" };
    format!(
        "{sign} {:width$}  {:>7.1}s  {:>3} {steps:5}  {changed}",
        phase.name, phase.seconds, phase.steps
    )
}

pub(super) fn sign(outcome: &str, style: Style) -> String {
    match outcome {
        "failed" => style.bad("✗"),
        "skipped" => style.dim("-"),
        "deferred" => style.busy("…"),
        "changed" => style.change("✓"),
        _ => style.good("✓"),
    }
}

fn failure(text: &mut String, step: &StepRecord, style: Style) {
    let optional = if step.optional { " (optional)" } else { "" };
    let reason = step.reason.as_deref().unwrap_or("failed");
    let _ = writeln!(
        text,
        "{} {}{optional}: {reason}",
        style.bad("✗"),
        style.strong(&step.id)
    );
    if let Some(lines) = &step.excerpt {
        for line in lines.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    for line in &step.evidence {
        let _ = writeln!(text, "    {}", style.dim(line));
    }
    for hint in &step.hints {
        let _ = writeln!(text, "  {} {hint}", style.dim("hint:"));
    }
}
