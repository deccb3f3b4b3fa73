//! What the engine tells while it runs, and what it says at the end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Class, Diagnosis, Difference, Mode, StepError, StepId, Waiting};

/// How a step ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was current at the first look.
    Unchanged,
    /// These changes made it current; in a preview: these would be made.
    Changed(Vec<Difference>),
    /// A preview only: cannot be told before `after` is current.
    Deferred {
        /// What a run would wait for.
        waiting: Waiting,
        /// The step that has to come first, if one is known.
        after: Option<StepId>,
        /// The error, if the look itself failed; none if somebody else is at work.
        error: Option<StepError>,
    },
    /// It did not become current.
    Failed {
        /// What was done before.
        changed: Vec<Difference>,
        /// Why it failed.
        error: StepError,
    },
    /// It was not tried.
    Skipped {
        /// Why not.
        because: Because,
    },
}

impl Outcome {
    /// One word for machines.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed(_) => "changed",
            Self::Deferred { .. } => "deferred",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Changed(_))
    }
}

/// Why a step was not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// This step, which it needs, failed: the root of the trouble.
    Need(StepId),
    /// The run was told to stop.
    Stopped,
}

/// What identifies a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// Unique among the runs of an installation.
    pub id: String,
    /// The bundle's name.
    pub bundle: String,
    /// The profile, if one was chosen.
    pub profile: Option<String>,
    /// The namespace of the installation.
    pub namespace: String,
    /// The trace of this run, in hex, if it is traced.
    pub trace_id: Option<String>,
    /// Which of the processes that work on the run this is.
    pub attempt: Attempt,
}

/// One of the processes that work on one run, one after the other: the pods of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// How the one before it ended, if it did not say so itself:
    /// `the pod lens-abc was OOMKilled after 41.0s`.
    pub after: Option<String>,
}

impl Default for Attempt {
    fn default() -> Self {
        Self {
            number: 1,
            after: None,
        }
    }
}

/// What happened, with the one time that all reporters agree on.
#[derive(Debug)]
pub struct Event<'a> {
    /// When.
    pub at: SystemTime,
    /// What.
    pub kind: EventKind<'a>,
}

/// What can happen in a run.
#[derive(Debug)]
pub enum EventKind<'a> {
    /// The first event.
    RunStarted {
        /// Which run.
        run: &'a RunInfo,
        /// Whether it changes things.
        mode: Mode,
        /// Every node of the graph in the bundle's order, and whether it is a group.
        nodes: &'a [(StepId, bool)],
    },
    /// The run was told to stop; what runs may end, nothing new starts.
    RunStopping {
        /// How long what runs has.
        grace: Duration,
    },
    /// A step, or a group of steps, has all that it needs.
    StepStarted {
        /// Which one.
        step: &'a StepId,
        /// When it gives up; none for a group.
        timeout: Option<Duration>,
    },
    /// A step waits; sent only when that is news.
    StepWaiting {
        /// Which one.
        step: &'a StepId,
        /// For what.
        waiting: &'a Waiting,
        /// Why it takes so long, if the resource could tell.
        diagnosis: Option<&'a Diagnosis>,
        /// How long the step has run.
        elapsed: Duration,
    },
    /// A change was made.
    StepChanged {
        /// By which step.
        step: &'a StepId,
        /// Which change.
        change: &'a Difference,
        /// How long it took.
        took: Duration,
    },
    /// A step ended.
    StepFinished {
        /// How, and everything else that is known of it.
        report: &'a StepReport,
    },
    /// A group ended.
    GroupFinished {
        /// Which one.
        step: &'a StepId,
        /// Why it is not what it should be, if it is not.
        because: Option<&'a Because>,
        /// How long it took.
        took: Duration,
    },
    /// The last event.
    RunFinished {
        /// Everything that happened.
        report: &'a Report,
    },
}

/// Listens to a run. Called from many tasks; must not block.
pub trait Reporter: Send + Sync {
    /// Takes note of an event. Called inside the `tracing` span of the step it is about.
    fn report(&self, event: &Event<'_>);
}

/// Several reporters as one.
#[derive(Clone, Default)]
pub struct Reporters(Vec<Arc<dyn Reporter>>);

impl Reporters {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, reporter: Arc<dyn Reporter>) -> Self {
        self.0.push(reporter);
        self
    }

    /// Stamps the event and tells everybody.
    pub(super) fn send(&self, kind: EventKind<'_>) {
        let event = Event {
            at: SystemTime::now(),
            kind,
        };
        for reporter in &self.0 {
            reporter.report(&event);
        }
    }
}

/// How one step went.
#[derive(Debug)]
pub struct StepReport {
    /// Which one.
    pub id: StepId,
    /// The kind of its resource: `kubernetes.object`.
    pub kind: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether its failure does not fail the run.
    pub optional: bool,
    /// When it started; none if it was skipped.
    pub started: Option<SystemTime>,
    /// How long it took.
    pub took: Duration,
    /// How much of that it waited for others.
    pub waited: Duration,
    /// How many times it looked.
    pub attempts: u32,
    /// How many of these looks followed an error.
    pub retries: u32,
}

/// How a run went.
#[derive(Debug)]
pub struct Report {
    /// Which run.
    pub run: RunInfo,
    /// Whether it changed things.
    pub mode: Mode,
    /// When it started.
    pub started: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The steps, in the bundle's order.
    pub steps: Vec<StepReport>,
    /// Whether it was told to stop.
    pub stopped: bool,
}

impl Report {
    /// The greatest class of the failures that count; none if the run succeeded.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        let failures = self.failures().map(|(_, error)| error.class());
        failures.chain(self.stopped.then_some(Class::Busy)).max()
    }

    /// The failed steps that count, in the bundle's order.
    pub fn failures(&self) -> impl Iterator<Item = (&StepReport, &StepError)> {
        self.steps.iter().filter_map(|step| match &step.outcome {
            Outcome::Failed { error, .. } if !step.optional => Some((step, error)),
            _ => None,
        })
    }

    /// The failure that decides the exit: the first of the greatest class.
    #[must_use]
    pub fn decisive(&self) -> Option<(&StepReport, &StepError)> {
        let class = self.failures().map(|(_, error)| error.class()).max()?;
        self.failures().find(|(_, error)| error.class() == class)
    }

    /// How the run ended, in the word of the CI/CD conventions.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self.decisive() {
            _ if self.stopped => "cancellation",
            None => "success",
            Some((_, StepError::TimedOut { .. })) => "timeout",
            Some(_) => "failure",
        }
    }

    /// How many steps ended with this [`Outcome::word`].
    #[must_use]
    pub fn count(&self, word: &str) -> usize {
        self.steps
            .iter()
            .filter(|step| step.outcome.word() == word)
            .count()
    }
}

/// A duration as people read it: `850ms`, `12.3s`, `4m05s`.
#[derive(Debug, Clone, Copy)]
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0..1_000 => write!(f, "{millis}ms"),
            1_000..60_000 => write!(f, "{}.{}s", millis / 1_000, millis % 1_000 / 100),
            _ => write!(f, "{}m{:02}s", millis / 60_000, millis / 1_000 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, text) in [
            (0, "0ms"),
            (850, "850ms"),
            (12_345, "12.3s"),
            (245_000, "4m05s"),
        ] {
            assert_eq!(Took(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
