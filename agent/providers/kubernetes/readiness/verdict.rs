//! What a rule says, before time has had its say.

use std::time::Duration;

/// How long a state must hold where an operator is known to say "done" too early.
pub(super) const SETTLE: Duration = Duration::from_secs(10);
/// Trouble of pods heals often: an image arrives, a dependency comes up. As long as Kubernetes
/// itself gives a Deployment to make progress.
pub(super) const PODS: Duration = Duration::from_mins(10);
/// Trouble that only a person ends, who may already be at it.
pub(super) const PERSON: Duration = Duration::from_mins(2);

/// What the rule of its kind says about an object as it stands now.
///
/// A rule has no clock. Where time matters it says how much of it, and
/// [`Tenure`](super::Tenure) counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Ready,
    /// Ready, once it has been so for this long: the operator says so too early at times.
    ReadyIfHeld(Duration),
    /// Somebody is or should be at work; in numbers where there are any.
    NotReady(String),
    /// Something is wrong that may still heal: a failure when there is trouble for this long.
    Trouble {
        why: String,
        patience: Duration,
    },
    /// It will not become ready by itself.
    Failed(String),
    /// Nobody knows.
    NoRule,
}

impl Verdict {
    pub(super) fn not_ready(why: impl Into<String>) -> Self {
        Self::NotReady(why.into())
    }

    pub(super) fn trouble(why: impl Into<String>, patience: Duration) -> Self {
        Self::Trouble {
            why: why.into(),
            patience,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self, Self::Ready | Self::ReadyIfHeld(_))
    }

    /// Why not; none if it is ready.
    pub(super) fn why(&self) -> Option<&str> {
        match self {
            Self::Ready | Self::ReadyIfHeld(_) => None,
            Self::NotReady(why) | Self::Trouble { why, .. } | Self::Failed(why) => Some(why),
            Self::NoRule => Some("nobody knows when it is ready"),
        }
    }

    /// The same about a part of something, with the part's name before the reason.
    pub(super) fn of_part(self, part: &str) -> Self {
        let name = |why: String| format!("{part}: {why}");
        match self {
            Self::NotReady(why) => Self::NotReady(name(why)),
            Self::Trouble { why, patience } => Self::trouble(name(why), patience),
            // A part can be mended by whoever made it.
            Self::Failed(why) => Self::trouble(name(why), PODS),
            other => other,
        }
    }
}
