//! Room on disk: the folder of the second tier, and the file of what is not delivered.

use super::folder::Folder;
use super::identity::RunIdentity;
use super::pipe::Pipe;
use super::store::Store;
use super::undelivered::{self, Left};
use super::way::Way;
use crate::settings::{Settings, SettingsError, Signal};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// What may wait on disk, unless the user says otherwise.
const USUAL: u64 = 256 * 1024 * 1024;

/// What there is of it; without a folder there is only memory.
pub(super) struct Room {
    folder: Option<Arc<Folder>>,
    limit: u64,
    undelivered: Option<PathBuf>,
}

impl Room {
    /// Opens the folder, if there is to be one. That it cannot be used is a mistake and no failure.
    pub(super) fn open(
        settings: &Settings,
        run: &RunIdentity,
        mistakes: &mut Vec<SettingsError>,
    ) -> Self {
        let folder = settings.spool_dir.as_ref().and_then(|path| {
            let folder = Folder::open(path, &run.id);
            folder
                .map_err(|error| mistakes.push(unusable(path, &error)))
                .ok()
        });
        Self {
            folder: folder.map(Arc::new),
            limit: settings.spool_limit.unwrap_or(USUAL),
            undelivered: undelivered::place(settings, &run.instance),
        }
    }

    /// What in the folder was left alone: a sentence for each.
    pub(super) fn strange(&self) -> &[String] {
        self.folder.as_deref().map_or(&[], Folder::strange)
    }

    /// The part of the folder for one signal: spans are more, and of more use.
    pub(super) fn store(&self, signal: Signal, mistakes: &mut Vec<SettingsError>) -> Option<Store> {
        let folder = Arc::clone(self.folder.as_ref()?);
        let (name, limit) = match signal {
            Signal::Traces => ("spans", self.limit / 3 * 2),
            Signal::Logs => ("records", self.limit / 3),
            Signal::Metrics => return None,
        };
        let store = Store::open(Arc::clone(&folder), name, limit);
        store
            .map_err(|error| mistakes.push(unusable(folder.parent(), &error)))
            .ok()
    }

    /// Writes down what was not delivered, and removes the files whose batches are elsewhere now.
    pub(super) async fn leave(&self, ways: &[Way]) -> Left {
        let pipes = ways.iter().map(|way| (way.signal, Arc::clone(&way.pipe)));
        let pipes: Vec<_> = pipes.collect();
        let (place, folder) = (self.undelivered.clone(), self.folder.clone());
        let work = move || {
            let left = place.map_or(Left::Nowhere, |path| leave(path, &pipes));
            if !matches!(left, Left::Failed { .. }) {
                for (_, pipe) in &pipes {
                    pipe.close();
                }
            }
            if let Some(folder) = folder {
                folder.tidy();
            }
            left
        };
        // It cannot fail: it does not panic, and the runtime goes on.
        spawn_blocking(work).await.unwrap_or_default()
    }
}

fn leave(path: PathBuf, pipes: &[(Signal, Arc<Pipe>)]) -> Left {
    let open = pipes.iter().filter(|(_, pipe)| !pipe.is_empty());
    let open: Vec<_> = open.map(|(it, pipe)| (*it, pipe.as_ref())).collect();
    if open.is_empty() {
        return Left::Nowhere;
    }
    undelivered::leave(path, &open)
}

fn unusable(path: &Path, error: &io::Error) -> SettingsError {
    SettingsError {
        variable: "FIRSTLIGHT_SPOOL_DIR".to_owned(),
        reason: format!("{} cannot be used: {error}", path.display()),
    }
}
