//! The last run, from its record.

use std::fmt::Write;

use super::Style;
use super::summary::{phase_line, sign};
use crate::record::RunRecord;

/// The text of `status`: when, how it ended, each phase, and what did not succeed.
#[must_use]
pub fn status(record: &RunRecord, style: Style) -> String {
    let mut text = String::new();
    let profile = record.profile.as_deref().unwrap_or("none");
    let _ = writeln!(
        text,
        "{} in namespace {} (profile {profile}, agent {})",
        style.strong(&record.bundle),
        record.namespace,
        record.agent
    );
    let _ = writeln!(
        text,
        "last run {} at {:.0}, {:.1}s, exit {}",
        record.run, record.started, record.seconds, record.exit
    );
    if let Some(trace) = &record.trace_id {
        let _ = writeln!(text, "trace {trace}");
    }
    if let (Some(number), Some(after)) = (record.attempt, &record.after) {
        let _ = writeln!(text, "attempt {number}: {after}");
    }
    if let Some(telemetry) = &record.telemetry {
        let _ = writeln!(text, "{}", telemetry.sentence);
    }
    text.push('\n');
    let width = record
        .phases
        .iter()
        .map(|phase| phase.name.len())
        .max()
        .unwrap_or(0);
    for phase in &record.phases {
        let _ = writeln!(text, "{}", phase_line(phase, width, style));
        let inside = record.steps.iter().filter(|step| {
            step.id.split('/').next() == Some(&phase.name)
                && matches!(step.outcome.as_str(), "failed" | "skipped")
        });
        for step in inside {
            let reason = step.reason.as_deref().unwrap_or_default();
            let _ = writeln!(
                text,
                "    {} {}  {reason}",
                sign(&step.outcome, style),
                step.id
            );
        }
    }
    let _ = writeln!(text, "\n{}", record.sentence);
    text
}
