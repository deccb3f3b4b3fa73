//! What is done under the lock: make the bundle current, or take it away.

use std::collections::HashMap;

use super::rights::{self, Leaving};
use super::session::Session;
use super::{CliError, pruning};
use crate::assemble::{Doomed, Pruning, dismantle, owned};
use crate::engine::{Class, Graph, Report};
use crate::providers::kubernetes::{self, Entry, Fence};
use crate::record::RunRecord;
use crate::rights::Purpose;

pub(super) enum Task {
    /// Make everything current.
    Run(Pruning),
    /// Delete what is on record.
    Uninstall {
        recorded: Vec<Entry>,
        /// Whether what holds data goes too.
        purge: bool,
    },
}

impl Task {
    pub(super) fn graph(&self, session: &Session) -> Result<Graph, CliError> {
        match self {
            Self::Run(pruning) => session.graph(*pruning),
            Self::Uninstall { recorded, purge } => {
                let doomed = doomed(session, recorded, *purge);
                Ok(dismantle(&session.bundle, &session.client, doomed)?)
            }
        }
    }

    /// Asks for the rights that it takes.
    pub(super) async fn ask(&self, session: &Session) -> Result<(), CliError> {
        let leaving = |with_data| Some(Leaving { with_data });
        let (purpose, leaving) = match self {
            Self::Run(Pruning::Off) => (Purpose::Run, None),
            Self::Run(Pruning::On { with_data }) => (Purpose::Prune, leaving(*with_data)),
            Self::Uninstall { purge, .. } => (Purpose::Uninstall, leaving(*purge)),
        };
        rights::ask(session, purpose, leaving).await
    }

    /// Reads what only the holder of the lock writes, and begins to list what the steps are going to
    /// look at. What cannot be read is read again when it is needed.
    pub(super) async fn read_ahead(&self, session: &Session) {
        if let Self::Run(pruning) = self {
            // What is pruned is on record only, and would be looked at one by one afterwards.
            if matches!(pruning, Pruning::Off) {
                kubernetes::look_ahead(&session.client);
            }
            let (_, last) = tokio::join!(session.inventory.look(), session.runs.read());
            if let Ok(Some(last)) = last {
                session.look_back(&last);
            }
        }
    }

    /// What is put on record before the first change.
    pub(super) async fn begin(&self, session: &Session, fence: Fence) -> Result<(), CliError> {
        let inventory = &session.inventory;
        match self {
            Self::Run(_) => {
                let desired = pruning::desired(session);
                Ok(inventory.announce(desired, fence).await?)
            }
            Self::Uninstall { .. } => Ok(inventory.read().await.map(drop)?),
        }
    }

    /// What is put on record after the last change; `record` tells what is left behind. Whether
    /// something is on record at all.
    pub(super) async fn settle(
        &self,
        session: &Session,
        fence: Fence,
        record: &mut RunRecord,
    ) -> Result<bool, CliError> {
        let inventory = &session.inventory;
        match self {
            Self::Run(_) => {
                let settled = inventory.settle(pruning::desired(session), fence).await?;
                record.left = pruning::shown(session, &settled.left);
                Ok(true)
            }
            Self::Uninstall { .. } => {
                let kept = inventory.settle(&[], fence).await?.left;
                record.left = kept.iter().map(ToString::to_string).collect();
                if !kept.is_empty() {
                    return Ok(true);
                }
                inventory.remove().await?;
                session.runs.remove().await?;
                let name = &session.bundle.name;
                let progress = kubernetes::Progress::new(session.client.clone(), name);
                progress.remove().await?;
                Ok(false)
            }
        }
    }

    /// How it went; `lost` says how the lock was lost, if it was.
    pub(super) fn record(&self, report: &Report, lost: Option<String>) -> RunRecord {
        let exit = report.class().map_or(0, Class::exit_code);
        let record = match lost {
            Some(lost) if report.stopped => RunRecord::told(report, exit, &lost),
            _ => RunRecord::new(report, exit),
        };
        match self {
            Self::Run(_) => record,
            Self::Uninstall { .. } => record.of_uninstall(),
        }
    }
}

/// The objects on record, each with its step.
fn doomed(session: &Session, recorded: &[Entry], purge: bool) -> Doomed {
    let mut recorded: HashMap<_, Entry> = recorded
        .iter()
        .map(|entry| (entry.key(), entry.clone()))
        .collect();
    let mut of_steps = HashMap::new();
    for (step, entry) in owned(&session.bundle) {
        // On record is the namespace that the object is in, also where the document says none.
        let within = Entry {
            namespace: Some(session.client.namespace().to_owned()),
            ..entry.clone()
        };
        let known = recorded.remove(&entry.key());
        let known = known.or_else(|| recorded.remove(&within.key()));
        of_steps.extend(known.map(|entry| (step, entry)));
    }
    Doomed {
        of_steps,
        orphans: recorded.into_values().collect(),
        with_data: purge,
    }
}
