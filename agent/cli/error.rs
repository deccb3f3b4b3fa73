//! Why a command could not do its work at all. What fails inside a run is in its report.

use std::path::PathBuf;

use crate::bundle::Mistakes;
use crate::engine::{Chain, Class, Failure};
use crate::providers::{kubernetes, postgres};
use crate::report::SourceError;
use crate::settings::SettingsError;

#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Bundle(#[from] Mistakes),
    #[error("the bundle has no phase {name}")]
    NoSuchPhase { name: String, known: Vec<String> },
    #[error(transparent)]
    Assemble(#[from] crate::assemble::AssembleError),
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::Error),
    #[error(transparent)]
    Rights(#[from] super::rights::MissingRights),
    #[error("no run of {bundle} is on record in namespace {namespace}")]
    NoRecord { bundle: String, namespace: String },
    #[error("uninstall is of a whole bundle, and --only names one phase")]
    OnlyAll,
    #[error("nobody has confirmed that {count} objects are deleted")]
    NotConfirmed { count: usize },
    #[error("told to stop before the first step")]
    Stopped,
    #[error("no migration is named that is to be set right")]
    NothingNamed,
    #[error("the bundle has no step {0} that migrates")]
    NoSuchStep(String, Vec<String>),
    #[error("several steps of the bundle migrate, and none is named")]
    WhichStep(Vec<String>),
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    #[error("failed to read the record of the last run")]
    Record(#[source] serde_json::Error),
    #[error("failed to write JSON")]
    Json(#[source] serde_json::Error),
    #[error("failed to write YAML")]
    Render(#[source] serde_saphyr::SerializeError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("failed to make the page")]
    Page(#[source] minijinja::Error),
    #[error("failed to write {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no endpoint is named to which telemetry could be sent")]
    NoEndpoint,
    #[error(transparent)]
    Replay(#[from] crate::telemetry::ReplayError),
    #[error("failed to read {path}")]
    ReadFile {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("failed to start the runtime")]
    Runtime(#[source] std::io::Error),
}

impl CliError {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Settings(_)
            | Self::Bundle(_)
            | Self::NoSuchPhase { .. }
            | Self::OnlyAll
            | Self::NothingNamed
            | Self::NoSuchStep(..)
            | Self::WhichStep(_)
            | Self::Source(_)
            | Self::Write { .. }
            | Self::NoEndpoint
            | Self::Replay(_)
            | Self::ReadFile { .. }
            | Self::NotConfirmed { .. } => Class::Invalid,
            Self::Assemble(error) => error.class(),
            Self::Kubernetes(error) => error.class(),
            Self::Postgres(error) => error.class(),
            Self::Rights(_) => Class::Forbidden,
            Self::NoRecord { .. } => Class::Unavailable,
            Self::Stopped => Class::Busy,
            Self::Record(_) => Class::Diverged,
            Self::Json(_) | Self::Render(_) | Self::Page(_) | Self::Runtime(_) => Class::Bug,
        }
    }

    /// Whether the same may go well in a moment: the API server could not answer, or something was
    /// written between a look and a write, be it by a write of ours whose answer was lost. That
    /// there is no such namespace is an answer.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Kubernetes(kubernetes::Error::NotFound { .. }) => false,
            Self::Kubernetes(kubernetes::Error::Conflict { .. }) => true,
            Self::Kubernetes(error) => error.class() == Class::Unavailable,
            _ => false,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoSuchPhase { known, .. } => vec![format!("its phases are {}", known.join(", "))],
            Self::Kubernetes(error) => error.hints(),
            Self::Postgres(error) => error.hints(),
            Self::NothingNamed => vec![
                "say --version, --file, --accept or --remove; `firstlight plan` says what has \
                 diverged"
                    .to_owned(),
            ],
            Self::NoSuchStep(_, known) | Self::WhichStep(known) if known.is_empty() => {
                vec!["no step of the bundle migrates".to_owned()]
            }
            Self::NoSuchStep(_, known) | Self::WhichStep(known) => {
                vec![format!("say --step with one of {}", known.join(", "))]
            }
            Self::Rights(_) => {
                vec!["`firstlight rbac` prints the Roles that hold all of them".to_owned()]
            }
            Self::NotConfirmed { .. } => vec!["say --yes".to_owned()],
            Self::Source(SourceError::Neither { .. }) => vec![
                "`firstlight run -o json` and `firstlight status -o json` print a record; the file \
                 exporter of a collector writes OTLP/JSON"
                    .to_owned(),
            ],
            Self::Source(SourceError::NoSuchTrace { known, .. }) => {
                vec![format!("the runs in it are {}", known.join(", "))]
            }
            Self::NoEndpoint => {
                vec!["say it with OTEL_EXPORTER_OTLP_ENDPOINT, as http://collector:4318".to_owned()]
            }
            Self::NoRecord { .. } => vec!["`firstlight run` makes one".to_owned()],
            _ => Vec::new(),
        }
    }

    /// One line: the cause and the first thing to do.
    pub(super) fn sentence(&self) -> String {
        let cause = match self {
            Self::Bundle(mistakes) => mistakes.sentence(),
            other => Chain(other).to_string(),
        };
        let hint = self.hints().into_iter().next();
        hint.map_or(cause.clone(), |hint| format!("{cause}; {hint}"))
    }

    /// Everything, for a person.
    pub(super) fn text(&self) -> String {
        let cause = match self {
            Self::Bundle(mistakes) => mistakes.to_string(),
            Self::Rights(missing) => format!("error: {}", missing.lines()),
            other => format!("error: {}", Chain(other)),
        };
        let hints = self
            .hints()
            .into_iter()
            .map(|hint| format!("\n  hint: {hint}"));
        format!("{cause}{}", hints.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_asked_again() {
        let request = || "create Lease lens/firstlight-lens".to_owned();
        let message = || "not now".to_owned();
        for (error, expected) in [
            (
                // Of a write of ours whose answer was lost.
                kubernetes::Error::Conflict {
                    request: request(),
                    message: message(),
                },
                true,
            ),
            (
                kubernetes::Error::Unable {
                    request: request(),
                    reason: "TooManyRequests".to_owned(),
                    message: message(),
                },
                true,
            ),
            (
                kubernetes::Error::NotFound {
                    request: request(),
                    message: message(),
                },
                false,
            ),
            (
                kubernetes::Error::Held {
                    lease: "Lease lens/firstlight-lens".to_owned(),
                    holder: "pod a".to_owned(),
                    since: String::new(),
                },
                false,
            ),
        ] {
            let said = error.to_string();
            assert_eq!(CliError::Kubernetes(error).may_pass(), expected, "{said}");
        }
    }
}
