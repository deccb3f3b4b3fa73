//! From what is known of a run to what its page says.

use std::time::Duration;

use super::bounds::Bounds;
use super::view::{Change, Changed, Check, Failure, Field, Head, List, SetAside, Slow, View};
use super::{Ending, PREVIEW, Story, waterfall};
use crate::engine::Took;
use crate::record::{ChangeRecord, FieldRecord, RunRecord, StepRecord, TelemetryRecord};

/// How many steps are named as the slowest.
const SLOWEST: usize = 10;
/// A change of more fields is folded at first.
const SHORT: usize = 6;
/// What kinds of checks begin with.
const CHECK: &str = "check.";

/// The page of a run, within bounds.
pub(super) fn view(story: &Story, bounds: &Bounds) -> View {
    let record = &story.record;
    let is_preview = record.mode == PREVIEW;
    View {
        head: head(story, bounds),
        failures: failures(record, bounds),
        chart: waterfall::chart(story, bounds),
        changes_title: if is_preview {
            "What would change"
        } else {
            "What changed"
        },
        changes: changes(record, bounds),
        checks: checks(record, bounds),
        set_aside: set_aside(record, bounds),
        slowest: slowest(record, bounds),
        left: List::of(&record.left, bounds.steps, |it| bounds.cut(it)),
        remark: if record.mode == "uninstall" {
            "Kept, because it holds data: `firstlight uninstall --purge` deletes it too.".to_owned()
        } else {
            "Not in the bundle any more: `firstlight run --prune` deletes it; what holds data only with --prune-data.".to_owned()
        },
        notes: story.notes.iter().map(|note| bounds.cut(note)).collect(),
    }
}

impl<T> List<T> {
    /// The first ones, made ready, and how many more there are.
    fn of<S>(all: impl IntoIterator<Item = S>, most: usize, ready: impl FnMut(S) -> T) -> Self {
        let mut all = all.into_iter();
        let items = all.by_ref().take(most).map(ready).collect();
        Self {
            items,
            more: all.count(),
        }
    }
}

/// A time as people read it.
pub(super) fn took(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0));
    Took(duration.unwrap_or(Duration::MAX)).to_string()
}

/// How long a step took; nothing if it was not tried.
pub(super) fn of_step(step: &StepRecord) -> String {
    if step.outcome == "skipped" {
        String::new()
    } else {
        took(step.seconds)
    }
}

/// Where a failed step is explained.
pub(super) fn anchor(id: &str) -> String {
    format!("failed-{}", id.replace(char::is_whitespace, "-"))
}

fn head(story: &Story, bounds: &Bounds) -> Head {
    let record = &story.record;
    let (mood, verdict) = match (story.ending, record.mode.as_str()) {
        (Ending::Current, PREVIEW) => ("good", "plan"),
        (Ending::Current, "uninstall") => ("good", "uninstalled"),
        (Ending::Current, _) => ("good", "current"),
        (Ending::Failed, _) => ("bad", "failed"),
        (Ending::Behind, _) => ("bad", "not current"),
        (Ending::Untold, _) => ("open", "cannot tell"),
        (Ending::Stopped, _) => ("open", "stopped"),
        (Ending::Open, _) => ("open", "no end known"),
    };
    Head {
        bundle: bounds.cut(&record.bundle),
        mood,
        verdict,
        sentence: bounds.cut(&record.sentence),
        facts: facts(story, bounds),
    }
}

fn facts(story: &Story, bounds: &Bounds) -> Vec<(&'static str, String)> {
    let record = &story.record;
    let changed = |step: &&StepRecord| step.outcome == "changed";
    let steps: usize = record.phases.iter().map(|phase| phase.steps).sum();
    let steps = steps.max(record.steps.len());
    let changed = record
        .phases
        .iter()
        .map(|phase| phase.changed)
        .sum::<usize>()
        .max(record.steps.iter().filter(changed).count());
    let waited: f64 = record.steps.iter().map(|step| step.waited).sum();
    let all = [
        (
            "Started",
            Some(record.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
        ),
        ("Took", Some(took(record.seconds))),
        ("Steps", Some(format!("{steps}, {changed} changed"))),
        (
            "Waited",
            Some(format!("{} in all steps together", took(waited))),
        ),
        ("Exit", story.exit.map(|exit| exit.to_string())),
        ("Namespace", Some(record.namespace.clone())),
        ("Profile", record.profile.clone()),
        ("Run", Some(record.run.clone())),
        ("Trace", record.trace_id.clone()),
        ("Attempt", attempt(record)),
        ("Telemetry", record.telemetry.as_ref().map(told)),
        ("Agent", Some(record.agent.clone())),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, bounds.cut(&value.filter(|it| !it.is_empty())?))))
        .collect()
}

/// Which pod of its Job this was, if not the first one, and how the one before ended.
fn attempt(record: &RunRecord) -> Option<String> {
    let number = record.attempt?;
    let after = record.after.as_ref();
    Some(after.map_or_else(|| number.to_string(), |after| format!("{number}: {after}")))
}

/// The row is named already.
fn told(telemetry: &TelemetryRecord) -> String {
    let sentence = &telemetry.sentence;
    sentence
        .strip_prefix("telemetry: ")
        .unwrap_or(sentence)
        .to_owned()
}

fn failures(record: &RunRecord, bounds: &Bounds) -> List<Failure> {
    let failed = record.steps.iter().filter(|step| step.outcome == "failed");
    let failure = |step: &StepRecord| Failure {
        id: bounds.cut(&step.id),
        anchor: anchor(&bounds.cut(&step.id)),
        kind: bounds.cut(&step.kind),
        optional: step.optional,
        error: step.error.as_deref().map(|word| bounds.cut(word)),
        reason: bounds.cut(step.reason.as_deref().unwrap_or("failed")),
        excerpt: step.excerpt.as_deref().map(|text| bounds.cut(text)),
        evidence: List::of(&step.evidence, bounds.items, |it| bounds.cut(it)),
        hints: List::of(&step.hints, bounds.items, |it| bounds.cut(it)),
    };
    List::of(failed, bounds.steps / 4, failure)
}

fn changes(record: &RunRecord, bounds: &Bounds) -> List<Changed> {
    let mut fields = bounds.fields;
    let changed = record.steps.iter().filter(|step| !step.changes.is_empty());
    List::of(changed, bounds.steps, |step| Changed {
        id: bounds.cut(&step.id),
        changes: List::of(&step.changes, bounds.items, |it| {
            change(it, &mut fields, bounds)
        }),
    })
}

fn change(change: &ChangeRecord, room: &mut usize, bounds: &Bounds) -> Change {
    let shown = change.fields.len().min(*room).min(bounds.items);
    *room -= shown;
    let cut = |value: &Option<String>| value.as_deref().map(|text| bounds.cut(text));
    let field = |field: &FieldRecord| Field {
        path: bounds.cut(&field.path),
        sensitive: field.sensitive,
        has_values: field.before.is_some() || field.after.is_some(),
        // A record holds none; one made by hand must not betray anything either.
        before: cut(&field.before).filter(|_| !field.sensitive),
        after: cut(&field.after).filter(|_| !field.sensitive),
    };
    Change {
        verb: bounds.cut(&change.verb),
        sign: match change.verb.as_str() {
            "create" => "+",
            "update" => "~",
            "replace" => "±",
            "delete" => "−",
            _ => "›",
        },
        target: bounds.cut(&change.target),
        is_short: change.fields.len() <= SHORT,
        fields: List::of(&change.fields, shown, field),
    }
}

fn checks(record: &RunRecord, bounds: &Bounds) -> List<Check> {
    let checks = record
        .steps
        .iter()
        .filter(|step| step.kind.starts_with(CHECK));
    let mut checks: Vec<&StepRecord> = checks.collect();
    // Those that are not answered with yes must not be among the ones that are left out.
    checks.sort_by_key(|step| step.outcome == "unchanged");
    let check = |step: &StepRecord| Check {
        id: bounds.cut(&step.id),
        kind: bounds.cut(step.kind.trim_start_matches(CHECK)),
        answer: match step.outcome.as_str() {
            "unchanged" | "changed" => "yes",
            // With no, or by nobody: the reason tells which.
            "failed" => "failed",
            "skipped" => "not asked",
            "deferred" => "cannot be told yet",
            _ => "no end known",
        },
        reason: step.reason.as_deref().map(|text| bounds.cut(text)),
        took: of_step(step),
    };
    List::of(checks, bounds.steps, check)
}

fn set_aside(record: &RunRecord, bounds: &Bounds) -> List<SetAside> {
    let mut groups: Vec<(&'static str, &str, Vec<&StepRecord>)> = Vec::new();
    for step in &record.steps {
        let what = match step.outcome.as_str() {
            "skipped" => "Not tried",
            "deferred" => "Cannot be told yet",
            _ => continue,
        };
        let reason = step.reason.as_deref().unwrap_or("no reason is on record");
        let same = groups
            .iter_mut()
            .find(|group| (group.0, group.1) == (what, reason));
        match same {
            Some(group) => group.2.push(step),
            None => groups.push((what, reason, vec![step])),
        }
    }
    let group = |(what, reason, steps): (_, &str, Vec<&StepRecord>)| SetAside {
        what,
        reason: bounds.cut(reason),
        steps: List::of(steps, bounds.items, |step| bounds.cut(&step.id)),
    };
    List::of(groups, bounds.steps, group)
}

fn slowest(record: &RunRecord, bounds: &Bounds) -> Vec<Slow> {
    let mut steps: Vec<&StepRecord> = record.steps.iter().collect();
    steps.retain(|step| step.seconds > 0.0);
    steps.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    let slow = |step: &&StepRecord| Slow {
        id: bounds.cut(&step.id),
        kind: bounds.cut(&step.kind),
        took: took(step.seconds),
        working: took(step.seconds - step.waited),
        waiting: took(step.waited),
        looks: step.attempts,
    };
    steps.iter().take(SLOWEST).map(slow).collect()
}
