//! What is kept of a run and given to machines: one shape for `-o json`, for the ConfigMap that
//! `status` reads, and for tests.

mod behind;
mod delivery;
mod shorten;

pub use delivery::{SignalRecord, TelemetryRecord};

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::{
    Because, Chain, Class, Difference, FieldChange, Mode, Outcome, Report, StepError, StepId,
    StepReport, Took,
};

const TOLD_TO_STOP: &str = "was told to stop";
const RUN: &str = "run";

/// A run, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// The run's id.
    pub run: String,
    /// The bundle's name.
    pub bundle: String,
    /// The profile, if one was chosen.
    pub profile: Option<String>,
    /// The namespace of the installation.
    pub namespace: String,
    /// The version of the agent.
    pub agent: String,
    /// `run`, `preview` or `uninstall`.
    pub mode: String,
    /// The trace of the run, in hex.
    pub trace_id: Option<String>,
    /// Which pod of its Job this was, if not the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How the pod before that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The run's own span in it, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// When it started, RFC 3339.
    pub started: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// The exit code.
    pub exit: u8,
    /// The one true sentence.
    pub sentence: String,
    /// The phases, in the bundle's order.
    pub phases: Vec<PhaseRecord>,
    /// The steps, in the bundle's order.
    pub steps: Vec<StepRecord>,
    /// Of what the run was made: the same for the same bundle, values, profile and namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Objects that the bundle owns and has no step for any more, or that were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// What became of its telemetry; none where nothing is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryRecord>,
}

/// A phase of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseRecord {
    /// Its name.
    pub name: String,
    /// The gravest outcome of its steps.
    pub outcome: String,
    /// How many seconds after the run its first step started; none if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// From the start of its first step to the end of its last one.
    pub seconds: f64,
    /// How many steps it has.
    pub steps: usize,
    /// How many of them changed something.
    pub changed: usize,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// Its id.
    pub id: String,
    /// The kind of its resource.
    pub kind: String,
    /// `unchanged`, `changed`, `deferred`, `failed` or `skipped`.
    pub outcome: String,
    /// Whether its failure does not fail the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How many seconds after the run it started; none if it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// How much of that it waited.
    pub waited: f64,
    /// How often it looked.
    pub attempts: u32,
    /// What was, or in a preview would be, changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeRecord>,
    /// Why it failed, was skipped or cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A bounded word for the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The lines of a file that the failure is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What the diagnosis of the failure was read from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What the reader can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A change of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord {
    /// `create`, `update`, `replace`, `delete` or `run`.
    pub verb: String,
    /// What is changed.
    pub target: String,
    /// Field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldRecord>,
}

/// A field of a change; without values if they are sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldRecord {
    /// Its path.
    pub path: String,
    /// The value found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the values are left out because they must not be shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

impl RunRecord {
    /// Takes down a report.
    #[must_use]
    pub fn new(report: &Report, exit: u8) -> Self {
        Self::told(report, exit, TOLD_TO_STOP)
    }

    /// Takes down a report of a run that had to stop, with the reason: `lost the lock to pod b`.
    #[must_use]
    pub fn told(report: &Report, exit: u8, stopped: &str) -> Self {
        let mut names: Vec<&str> = report.steps.iter().map(|step| step.id.phase()).collect();
        names.dedup();
        Self {
            run: report.run.id.clone(),
            bundle: report.run.bundle.clone(),
            profile: report.run.profile.clone(),
            namespace: report.run.namespace.clone(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            mode: if report.mode == Mode::Apply {
                RUN
            } else {
                "preview"
            }
            .to_owned(),
            trace_id: report.run.trace_id.clone(),
            attempt: Some(report.run.attempt.number).filter(|number| *number > 1),
            after: report.run.attempt.after.clone(),
            span_id: None,
            started: timestamp(report.started),
            seconds: seconds(report.took),
            exit,
            sentence: sentence_with(report, stopped),
            phases: names.into_iter().map(|name| phase(name, report)).collect(),
            steps: report
                .steps
                .iter()
                .map(|one| step(one, report.started))
                .collect(),
            digest: None,
            left: Vec::new(),
            telemetry: None,
        }
    }
}

/// The one true sentence about a run: step, cause, what to do, trace.
#[must_use]
pub fn sentence(report: &Report) -> String {
    sentence_with(report, TOLD_TO_STOP)
}

fn sentence_with(report: &Report, why_stopped: &str) -> String {
    let trace = report
        .run
        .trace_id
        .as_ref()
        .map_or_else(String::new, |id| format!("; trace {id}"));
    let took = Took(report.took);
    let name = &report.run.bundle;
    if report.stopped && report.class() == Some(Class::Busy) {
        return format!("{name} {why_stopped} {}{trace}", stopped(report));
    }
    let Some((step, error)) = report.decisive() else {
        let (all, changed) = (report.steps.len(), report.count("changed"));
        return match report.mode {
            Mode::Apply => {
                format!("{name} is current: {all} steps, {changed} changed, in {took}{trace}")
            }
            Mode::Preview => format!("{name}: {all} steps, {changed} would change{trace}"),
        };
    };
    let hint = error.hints().into_iter().next();
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    let others = report.failures().count() - 1;
    let others = match others {
        0 => String::new(),
        1 => "; 1 more step failed".to_owned(),
        _ => format!("; {others} more steps failed"),
    };
    format!("{} failed: {}{hint}{others}{trace}", step.id, reason(error))
}

/// What a run that had to stop was at, and what had failed before.
fn stopped(report: &Report) -> String {
    let steps = report.steps.iter();
    let left = steps.filter(|step| !step.outcome.is_settled()).count();
    let failed =
        |(_, error): &(&StepReport, &StepError)| !matches!(error, StepError::Stopped { .. });
    let first = report
        .failures()
        .find(failed)
        .or_else(|| report.failures().next());
    let first = first.map_or_else(String::new, |(step, error)| {
        format!("; {}: {}", step.id, reason(error))
    });
    let took = Took(report.took);
    format!("after {took} with {left} steps left{first}; run it again to go on")
}

/// Why a step failed, as one line. The stage says nothing to a person that the cause does not.
#[must_use]
pub fn reason(error: &StepError) -> String {
    match error {
        StepError::Provider { source, .. } => {
            format!("{}{}", Chain(source.as_ref()), error.aside())
        }
        other => Chain(other).to_string(),
    }
}

fn phase(name: &str, report: &Report) -> PhaseRecord {
    let steps: Vec<&StepReport> = report
        .steps
        .iter()
        .filter(|step| step.id.phase() == name)
        .collect();
    let began = steps.iter().filter_map(|step| step.started).min();
    let ended = steps
        .iter()
        .filter_map(|step| Some(step.started? + step.took))
        .max();
    let took = began
        .zip(ended)
        .and_then(|(began, ended)| ended.duration_since(began).ok());
    let has = |word: &str| {
        steps
            .iter()
            .any(|step| step.outcome.word() == word && !step.optional)
    };
    let gravest = ["failed", "skipped", "deferred", "changed"]
        .into_iter()
        .find(|word| has(word));
    PhaseRecord {
        name: name.to_owned(),
        outcome: gravest.unwrap_or("unchanged").to_owned(),
        offset: began.and_then(|began| offset(began, report.started)),
        seconds: seconds(took.unwrap_or_default()),
        steps: steps.len(),
        changed: steps
            .iter()
            .filter(|step| step.outcome.word() == "changed")
            .count(),
    }
}

fn step(report: &StepReport, run: SystemTime) -> StepRecord {
    let (changes, reason, error) = match &report.outcome {
        Outcome::Unchanged => (&[][..], None, None),
        Outcome::Changed(changes) => (&changes[..], None, None),
        Outcome::Deferred { waiting, after, .. } => {
            (&[][..], Some(deferred(&waiting.what, after.as_ref())), None)
        }
        Outcome::Failed { changed, error } => (&changed[..], Some(reason(error)), Some(error)),
        Outcome::Skipped { because } => (&[][..], Some(skipped(because)), None),
    };
    StepRecord {
        id: report.id.to_string(),
        kind: report.kind.to_owned(),
        outcome: report.outcome.word().to_owned(),
        optional: report.optional,
        offset: report.started.and_then(|began| offset(began, run)),
        seconds: seconds(report.took),
        waited: seconds(report.waited),
        attempts: report.attempts,
        changes: changes.iter().map(change).collect(),
        reason,
        error: error.map(|error| error.kind().to_owned()),
        excerpt: error.and_then(StepError::excerpt).map(str::to_owned),
        evidence: error
            .and_then(StepError::diagnosis)
            .map_or_else(Vec::new, |diagnosis| diagnosis.evidence.clone()),
        hints: error.map(StepError::hints).unwrap_or_default(),
    }
}

/// Why a preview cannot tell.
#[must_use]
pub fn deferred(what: &str, after: Option<&StepId>) -> String {
    match after {
        Some(step) => format!("after {step}: {what}"),
        None => what.to_owned(),
    }
}

/// Why a step was not tried.
#[must_use]
pub fn skipped(because: &Because) -> String {
    match because {
        Because::Need(step) => format!("needs {step}, which failed"),
        Because::Stopped => "the run was told to stop".to_owned(),
    }
}

fn change(difference: &Difference) -> ChangeRecord {
    ChangeRecord {
        verb: difference.verb.to_string(),
        target: difference.target.clone(),
        fields: difference.fields.iter().map(field).collect(),
    }
}

fn field(field: &FieldChange) -> FieldRecord {
    let shown = |value: &Option<String>| value.clone().filter(|_| !field.sensitive);
    FieldRecord {
        path: field.path.clone(),
        before: shown(&field.before),
        after: shown(&field.after),
        sensitive: field.sensitive,
    }
}

fn offset(began: SystemTime, run: SystemTime) -> Option<f64> {
    began.duration_since(run).ok().map(seconds)
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}
