//! What the loop works on, and what a plan is made of.

use std::error::Error;
use std::fmt;
use std::future::{Future, pending, ready};

use super::Diagnosis;
use super::error::{Class, Failure};

/// One thing, or one ordered set of things, that the agent makes current in one backend.
///
/// A resource holds its own desired state. It never loops, sleeps or retries:
/// that is the engine's work.
pub trait Resource: Send + Sync + 'static {
    /// What the backend has, as far as it matters here.
    type Observed: Send + Sync;
    /// What would be done, as data; [`std::convert::Infallible`] if this only looks.
    type Change: Into<Difference> + Clone + Send;
    /// Why the backend could not be read or changed.
    type Error: Failure;

    /// How many changes of one plan may be made at the same time: one, where their order matters.
    const AT_ONCE: usize = 1;

    /// Reads the backend, changing nothing. What is not there is observed as absent;
    /// an error means "cannot tell".
    fn observe(&self) -> impl Future<Output = Result<Self::Observed, Self::Error>> + Send;

    /// Compares the observed state with the desired one. Pure.
    ///
    /// # Errors
    /// When the observed state can never become the desired one: diverged, stalled.
    fn plan(&self, observed: &Self::Observed) -> Result<Plan<Self::Change>, Self::Error>;

    /// Makes one change. Safe to repeat, and safe to be dropped at any await.
    fn apply(&self, change: Self::Change) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Ends when the backend may differ from `seen`; never ends where it cannot know.
    /// Only a wake-up: the next look decides.
    fn changed(&self, _seen: &Self::Observed) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Says why a long wait does not end or why the step has failed, at the price of more
    /// questions: from the state that the last look showed, or else from the error.
    /// Asked at each quarter of the timeout and at a failure, and at most for five seconds.
    fn diagnose(
        &self,
        _seen: Result<&Self::Observed, &Self::Error>,
    ) -> impl Future<Output = Option<Diagnosis>> + Send {
        ready(None)
    }
}

/// What stands between the observed state and the desired one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan<C> {
    /// Nothing.
    Current,
    /// Somebody else is at work.
    InProgress(Waiting),
    /// These changes, in this order. Never empty.
    Change(Vec<C>),
}

/// What is done to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// It is not there and will be made.
    Create,
    /// Some of its fields are set.
    Update,
    /// It is made anew as a whole.
    Replace,
    /// It is taken away.
    Delete,
    /// Something is executed, like a migration.
    Run,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Run => "run",
        })
    }
}

/// What a change does, for people and machines: the plan, the report and the spans all come from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What is done.
    pub verb: Verb,
    /// To what, as its user would name it: `Deployment lens/grafana`, `V0003__gpu_devices.sql`.
    pub target: String,
    /// Field by field, where that is known.
    pub fields: Vec<FieldChange>,
}

/// One field of a [`Difference`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The path of the field: `spec.replicas`.
    pub path: String,
    /// The value found; none if the field is absent.
    pub before: Option<String>,
    /// The value wanted; none if the field goes away.
    pub after: Option<String>,
    /// Whether the values must not be shown.
    pub sensitive: bool,
}

impl From<std::convert::Infallible> for Difference {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// What is waited for, and what it means to wait in vain.
///
/// Holds no clock and no counter of ours: a new text is progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// A lower-case fragment: `Deployment lens/grafana: 0 of 1 pods ready`.
    pub what: String,
    /// What it means for the run if this never ends.
    pub class: Class,
}

impl Waiting {
    /// Waiting for something that is not there or not ready.
    #[must_use]
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            class: Class::Unavailable,
        }
    }

    /// Waiting for a check that was answered with no.
    #[must_use]
    pub fn unmet(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            class: Class::Unmet,
        }
    }

    /// A transient error is a wait too: its text is the whole chain.
    pub(super) fn for_error(error: &(dyn Error + 'static), class: Class) -> Self {
        Self {
            what: super::Chain(error).to_string(),
            class,
        }
    }
}
