//! What a failure means for the run.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{Diagnosis, Took, Waiting};

/// Any error, boxed.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What the engine must know of a provider's error.
pub trait Failure: Error + Send + Sync + 'static {
    /// What this failure means for the run. The only classification: transience and exit follow from it.
    fn class(&self) -> Class;
    /// A bounded word for machines; becomes `error.type`.
    fn kind(&self) -> &'static str;
    /// What the reader can do about it; printed after the causes.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// The lines of a file that the error is about, with a caret; shown below the sentence.
    fn excerpt(&self) -> Option<String> {
        None
    }
}

/// What a failure means for the run; the greatest of a run decides the exit.
/// What a new pod cannot mend comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A check was answered with no.
    Unmet,
    /// Not there, not ready, no credentials yet.
    Unavailable,
    /// Locked, in conflict, another was faster, or told to stop.
    Busy,
    /// A mistake of ours.
    Bug,
    /// A checksum, a foreign owner, a state that does not settle.
    Diverged,
    /// A right is missing.
    Forbidden,
    /// Settings, values or the bundle are wrong; also: a server refuses our document.
    Invalid,
}

impl Class {
    /// Every class, from the least to the greatest.
    pub const ALL: [Self; 7] = [
        Self::Unmet,
        Self::Unavailable,
        Self::Busy,
        Self::Bug,
        Self::Diverged,
        Self::Forbidden,
        Self::Invalid,
    ];

    /// One word for machines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unmet => "unmet",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::Bug => "bug",
            Self::Diverged => "diverged",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
        }
    }

    /// Whether looking again may help.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unmet | Self::Unavailable | Self::Busy)
    }

    /// The exit code of a run whose greatest class this is.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unmet => 1,
            Self::Unavailable => 69,
            Self::Busy => 75,
            Self::Bug => 70,
            Self::Diverged => 65,
            Self::Forbidden => 77,
            Self::Invalid => 78,
        }
    }
}

/// Where in the loop something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// While reading the backend.
    Observe,
    /// While comparing.
    Plan,
    /// While changing the backend.
    Apply,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Plan => "plan",
            Self::Apply => "apply",
        })
    }
}

/// Why a step failed.
#[derive(Debug)]
pub enum StepError {
    /// The provider said so.
    Provider {
        /// Where in the loop.
        stage: Stage,
        /// What it means.
        class: Class,
        /// A bounded word for machines.
        kind: &'static str,
        /// What the reader can do.
        hints: Vec<String>,
        /// The lines of a file that it is about.
        excerpt: Option<String>,
        /// Why it came to that, if the resource could tell more.
        diagnosis: Option<Diagnosis>,
        /// The provider's own error.
        source: BoxError,
    },
    /// A deadline passed.
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// Whether it was the shorter deadline, that nothing had changed for so long.
        no_progress: bool,
        /// What was waited for at the end.
        last_seen: Waiting,
        /// Why it did not come, if the resource could tell.
        diagnosis: Option<Diagnosis>,
        /// The last transient error, if the wait was for one.
        error: Option<Box<StepError>>,
    },
    /// Changed again and again without becoming current.
    Unsettled {
        /// How many times all changes were made.
        rounds: u32,
        /// What would be changed once more.
        planned: String,
    },
    /// The run was told to stop.
    Stopped {
        /// Where in the loop.
        stage: Stage,
        /// What was waited for, if anything was.
        last_seen: Option<Waiting>,
    },
    /// The code panicked: a mistake of ours.
    Panicked {
        /// What it said.
        source: BoxError,
    },
}

impl StepError {
    /// What this failure means for the run.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Provider { class, .. } => *class,
            Self::TimedOut { last_seen, .. } => last_seen.class,
            Self::Unsettled { .. } => Class::Diverged,
            Self::Stopped { .. } => Class::Busy,
            Self::Panicked { .. } => Class::Bug,
        }
    }

    /// A bounded word for machines; becomes `error.type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Provider { kind, .. } => kind,
            Self::TimedOut { .. } => "timed_out",
            Self::Unsettled { .. } => "unsettled",
            Self::Stopped { .. } => "stopped",
            Self::Panicked { .. } => "panicked",
        }
    }

    /// The lines of a file that it is about, with a caret.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Provider { excerpt, .. } => excerpt.as_deref(),
            Self::TimedOut {
                error: Some(error), ..
            } => error.excerpt(),
            _ => None,
        }
    }

    /// Why it came to that, as far as the resource could tell.
    #[must_use]
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::Provider { diagnosis, .. } | Self::TimedOut { diagnosis, .. } => {
                diagnosis.as_ref()
            }
            _ => None,
        }
    }

    /// What is to follow the causes of a failure at once; a wait in vain says it itself.
    #[must_use]
    pub fn aside(&self) -> String {
        match self {
            Self::Provider {
                diagnosis: Some(diagnosis),
                ..
            } => format!(" ({})", diagnosis.sentence),
            _ => String::new(),
        }
    }

    /// The provider's own error, if it is of this type.
    pub(super) fn provider<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Provider { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Provider { hints, .. } => hints.clone(),
            Self::TimedOut {
                error: Some(error), ..
            } => error.hints(),
            Self::TimedOut { .. } | Self::Stopped { .. } => Vec::new(),
            Self::Unsettled { .. } => vec![
                "something else changes this object, or the server rewrites what is sent: \
                 compare the bundle with what the server stores"
                    .to_owned(),
            ],
            Self::Panicked { .. } => {
                vec!["this is a bug of firstlight: report it with this line".to_owned()]
            }
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider { stage, .. } => write!(f, "failed to {stage}"),
            Self::TimedOut {
                after,
                no_progress,
                last_seen,
                diagnosis,
                ..
            } => {
                let kind = if *no_progress {
                    " without progress"
                } else {
                    ""
                };
                write!(f, "waited {}{kind} for: {}", Took(*after), last_seen.what)?;
                match diagnosis {
                    Some(diagnosis) => write!(f, " ({})", diagnosis.sentence),
                    None => Ok(()),
                }
            }
            Self::Unsettled { rounds, planned } => {
                write!(
                    f,
                    "changed {rounds} times and still not current; would {planned} again"
                )
            }
            Self::Stopped {
                last_seen: Some(seen),
                ..
            } => {
                write!(f, "told to stop while waiting for: {}", seen.what)
            }
            Self::Stopped {
                stage,
                last_seen: None,
            } => write!(f, "told to stop during {stage}"),
            Self::Panicked { .. } => f.write_str("panicked"),
        }
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Provider { source, .. } | Self::Panicked { source } => Some(source.as_ref()),
            // The last error's text is what was waited for: printing it as a cause would say it twice.
            Self::TimedOut { .. } | Self::Unsettled { .. } | Self::Stopped { .. } => None,
        }
    }
}
