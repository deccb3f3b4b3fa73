//! What would change, per object, as a diff.

use std::fmt::Write;

use super::Style;
use crate::engine::{Difference, FieldChange, Outcome, Report, StepReport, Verb};
use crate::record;

/// The text of a preview: what would change, what cannot be told yet, and a line of sums.
#[must_use]
pub fn plan(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let mut phase = "";
    for step in &report.steps {
        if matches!(step.outcome, Outcome::Unchanged) {
            continue;
        }
        if step.id.phase() != phase {
            phase = step.id.phase();
            let _ = writeln!(text, "{}", style.strong(phase));
        }
        step_text(&mut text, step, style);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", sums(report, style));
    text
}

fn step_text(text: &mut String, step: &StepReport, style: Style) {
    let id = &step.id;
    match &step.outcome {
        Outcome::Unchanged => {}
        Outcome::Changed(changes) => {
            for change in changes {
                change_text(text, change, style);
            }
        }
        Outcome::Deferred { waiting, after, .. } => {
            let why = record::deferred(&waiting.what, after.as_ref());
            let _ = writeln!(text, "  {} {id}  {}", style.busy("…"), style.dim(why));
        }
        Outcome::Failed { error, .. } => {
            let _ = writeln!(text, "  {} {id}  {}", style.bad("✗"), record::reason(error));
        }
        Outcome::Skipped { because } => {
            let why = record::skipped(because);
            let _ = writeln!(text, "  {} {id}  {}", style.dim("-"), style.dim(why));
        }
    }
}

fn change_text(text: &mut String, change: &Difference, style: Style) {
    let sign = match change.verb {
        Verb::Create => style.good("+"),
        Verb::Update => style.change("~"),
        Verb::Replace => style.change("±"),
        Verb::Delete => style.bad("-"),
        Verb::Run => style.change(">"),
    };
    let _ = writeln!(text, "  {sign} {} {}", change.verb, change.target);
    for field in &change.fields {
        let _ = writeln!(text, "      {}", field_text(field, style));
    }
}

fn field_text(field: &FieldChange, style: Style) -> String {
    let path = &field.path;
    if field.sensitive {
        return format!("{path}: {}", style.dim("(sensitive)"));
    }
    match (&field.before, &field.after) {
        (Some(before), Some(after)) => {
            format!("{path}: {} → {}", style.bad(before), style.good(after))
        }
        (None, Some(after)) => format!("{path}: {}", style.good(after)),
        (Some(before), None) => {
            format!("{path}: {} → {}", style.bad(before), style.dim("(absent)"))
        }
        (None, None) => path.clone(),
    }
}

fn sums(report: &Report, style: Style) -> String {
    let changes = report.steps.iter().filter_map(|step| match &step.outcome {
        Outcome::Changed(changes) => Some(changes),
        _ => None,
    });
    let verbs: Vec<Verb> = changes.flatten().map(|change| change.verb).collect();
    let mut parts = Vec::new();
    for verb in [
        Verb::Create,
        Verb::Update,
        Verb::Replace,
        Verb::Delete,
        Verb::Run,
    ] {
        let count = verbs.iter().filter(|other| **other == verb).count();
        if count > 0 {
            parts.push(format!("{count} to {verb}"));
        }
    }
    for (word, said) in [
        ("unchanged", "unchanged"),
        ("deferred", "not to be told yet"),
        ("failed", "failed"),
        ("skipped", "skipped"),
    ] {
        let count = report.count(word);
        if count > 0 {
            parts.push(format!("{count} {said}"));
        }
    }
    let all_known = report.steps.iter().all(|step| step.outcome.is_settled());
    let head = match (verbs.is_empty(), all_known) {
        (true, true) => "No changes",
        (true, false) => "No changes as far as can be told",
        (false, _) => "Plan",
    };
    format!("{}: {}.", style.strong(head), parts.join(", "))
}
