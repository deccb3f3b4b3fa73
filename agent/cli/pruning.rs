//! What becomes of objects that have left the bundle.

use clap::Args;

use super::CliError;
use super::session::Session;
use crate::assemble::{Pruning, owned};
use crate::providers::kubernetes::Entry;

#[derive(Debug, Clone, Copy, Default, Args)]
#[group(id = "pruning", multiple = true)]
pub(super) struct Arguments {
    /// Delete objects that have left the bundle, except those that hold data
    #[arg(long)]
    prune: bool,
    /// With --prune, delete also those that hold data
    #[arg(long, requires = "prune")]
    prune_data: bool,
}

impl Arguments {
    /// Whether this run deletes: when it is told to, or when the bundle says so. One phase alone
    /// does not tell what has left the bundle.
    pub(super) fn of(self, session: &Session) -> Pruning {
        if session.whole && (self.prune || session.bundle.prune) {
            Pruning::On {
                with_data: self.prune_data,
            }
        } else {
            Pruning::Off
        }
    }
}

/// The objects of the bundle, as far as this session is about them.
pub(super) fn desired(session: &Session) -> Vec<Entry> {
    let owned = owned(&session.bundle).into_iter();
    owned.map(|(_, entry)| entry).collect()
}

/// The objects on record that are not in the bundle any more, for people.
pub(super) async fn left(session: &Session) -> Result<Vec<String>, CliError> {
    let orphans = session.inventory.orphans(&desired(session)).await?;
    Ok(shown(session, &orphans))
}

/// The same, as far as this session can tell: of one phase alone, nobody knows what has left the
/// others.
pub(super) fn shown(session: &Session, orphans: &[Entry]) -> Vec<String> {
    let shown = orphans.iter().filter(|_| session.whole);
    shown.map(ToString::to_string).collect()
}
