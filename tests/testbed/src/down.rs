//! `down`: ends what is on record, and removes all that `up` has made but the cache.

use crate::error::InFile;
use crate::progress::Progress;
use crate::room::Room;
use crate::server::Server;
use crate::stop::{stop_alone, stop_script};
use crate::{Error, env, lock, place};
use futures::future::join_all;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// For a running `up` to end and for launchers to become what they launch.
const TURN: Duration = Duration::from_mins(2);

/// Which of the servers to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// All that is on record.
    All,
    /// What has no address, because it has not become ready.
    Unfinished,
}

/// Ends everything and removes the state folder. With nothing up it does nothing.
pub(crate) async fn down() -> Result<(), Error> {
    let state = place::state();
    let progress = Progress::start();
    if !state.exists() && !place::data(&state).exists() {
        progress.line("test bed", "nothing is up");
        return Ok(());
    }
    // An `up` that is at work would go on starting servers.
    stop_alone(&place::folder(&state, "up")).await?;
    let lock = lock::take(&state, TURN).await?;
    end(&state, &lock, &progress, What::All).await?;
    for folder in [place::data(&state), state] {
        if folder.exists() {
            fs::remove_dir_all(&folder).file("remove", &folder)?;
        }
    }
    progress.line("test bed", "is down");
    Ok(())
}

/// Ends servers, and the scripts that were to make them.
pub(crate) async fn end(
    state: &Path,
    lock: &File,
    progress: &Progress,
    what: What,
) -> Result<(), Error> {
    let folders = env::folders(state)?;
    let ends = folders.iter().map(async |folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name == "up" || (what == What::Unfinished && env::address(folder).exists()) {
            return Ok(());
        }
        let room = Room::new(&name, state, lock, progress);
        match Server::ALL.into_iter().find(|server| server.name() == name) {
            Some(server) => server.end(&room).await,
            None => stop_script(folder).await,
        }
    });
    let failures = join_all(ends).await.into_iter().filter_map(Result::err);
    Error::several(failures.collect())
}
