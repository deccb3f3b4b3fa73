//! One page of one run: HTML that holds all it needs, for people who were not there.
//!
//! What is told comes from the record of the run, from its trace, or from both ([`Story`]); the
//! page is laid out here in plain numbers and words, and `page.html` only puts them in their place.
//! There is no script in it and nothing that a browser would have to load.

mod bounds;
mod layout;
mod logs;
mod moments;
mod otlp;
mod source;
mod steps;
#[cfg(test)]
mod tests;
mod trace;
mod view;
mod waterfall;

use std::collections::HashMap;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;

use crate::record::{RunRecord, StepRecord};

pub use source::{SourceError, Wanted, read};

/// What is known of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The run as it is, or could be, on record.
    pub record: RunRecord,
    /// How it ended.
    pub ending: Ending,
    /// The exit code; a trace does not know it.
    pub exit: Option<u8>,
    /// What was done and waited for and when, by step; only a trace knows it.
    pub moments: HashMap<String, Vec<Moment>>,
    /// The pods that were at it one after the other, if there were several.
    pub attempts: Vec<Moment>,
    /// Where it was read from, and what is not known for that reason.
    pub notes: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is current.
    Current,
    /// Something is not.
    Failed,
    /// A look found that something is not as it should be.
    Behind,
    /// A look could not tell whether it is, and nothing had failed.
    Untold,
    /// It was told to stop, and nothing had failed before.
    Stopped,
    /// It still goes on, or nobody could tell its end any more.
    Open,
}

/// The mode of `plan` and `check`.
const PREVIEW: &str = "preview";

impl Ending {
    fn of(record: &RunRecord) -> Self {
        match record.exit {
            0 => Self::Current,
            // There are changes, which is what was asked: `plan --detailed-exitcode`.
            2 if record.mode == PREVIEW => Self::Current,
            75 => Self::cut_off(&record.steps),
            exit if record.mode == PREVIEW && !record.steps.iter().any(has_failed) => match exit {
                1 => Self::Behind,
                _ => Self::Untold,
            },
            _ => Self::Failed,
        }
    }

    /// That of a run that was told to stop, or that found something locked: both have the same exit
    /// code, and a failure of its own counts more than the word to stop.
    fn cut_off(steps: &[StepRecord]) -> Self {
        let has = |word: &str| steps.iter().any(|step| step.outcome == word);
        let stopped = |step: &StepRecord| step.error.as_deref() == Some("stopped");
        if steps.iter().any(|step| has_failed(step) && !stopped(step)) {
            return Self::Failed;
        }
        // A preview that only had to wait says so of its steps, and leaves none out.
        if has("deferred") && !has("skipped") && !steps.iter().any(stopped) {
            return Self::Untold;
        }
        Self::Stopped
    }
}

/// Whether a step makes that a run has failed.
fn has_failed(step: &StepRecord) -> bool {
    step.outcome == "failed" && !step.optional
}

/// Who was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The step: it looked, and changed what had to be changed.
    Attempt,
    /// A server that was asked for something.
    Call,
    /// Somebody else, whom the step waited for.
    Wait,
}

/// Something that took its time, in seconds after the start of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// What it was: `attempt`, `INSERT schema_history`, `wait`.
    pub name: String,
    /// Whose work it was.
    pub work: Work,
    /// When it began.
    pub begin: f64,
    /// When it ended.
    pub end: f64,
    /// What went wrong, or what was waited for.
    pub said: Option<String>,
    /// Whether it failed.
    pub failed: bool,
    /// What it was made of.
    pub inside: Vec<Moment>,
}

impl Story {
    /// The story that a record tells.
    #[must_use]
    pub fn of(record: RunRecord, from: &str) -> Self {
        let known: usize = record.phases.iter().map(|phase| phase.steps).sum();
        let mut notes = vec![format!("Made from {from}.")];
        if record.steps.len() < known {
            let kept = record.steps.len();
            notes.push(format!(
                "The record was too long for where it is kept: it holds {kept} of {known} steps, those in which nothing is to be seen are left out, and so is what changed."
            ));
        }
        if record.steps.iter().all(|step| step.offset.is_none()) {
            notes.push(
                "The record does not hold when its steps began, so there are no bars: it is of an older agent, or no step was tried.".to_owned(),
            );
        }
        notes.push(
            "A record holds how long a step waited, but not when: waiting is drawn before working. A trace of the run holds both, and each call.".to_owned(),
        );
        Self {
            ending: Ending::of(&record),
            exit: Some(record.exit),
            record,
            moments: HashMap::new(),
            attempts: Vec::new(),
            notes,
        }
    }

    /// The same with what the trace of the run knows more: the record has the better words, the
    /// trace the better times.
    #[must_use]
    pub fn with(mut self, trace: Self) -> Self {
        self.notes.pop();
        self.notes.extend(trace.notes);
        Self {
            moments: trace.moments,
            attempts: trace.attempts,
            ..self
        }
    }
}

/// The page.
///
/// # Errors
/// When the template does not fit what is put into it, which is a bug.
pub fn page(story: &Story) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    // By its name everything that is put into it is escaped.
    environment.add_template("page.html", include_str!("page.html"))?;
    let template = environment.get_template("page.html")?;
    let mut text = String::new();
    for bounds in &bounds::LADDER {
        text = template.render(Serde(&layout::view(story, bounds)))?;
        if text.len() <= bounds::LIMIT {
            break;
        }
    }
    Ok(text)
}
