//! One command at a time on one state folder.

use crate::error::InFile;
use crate::{Attempt, Error, eventually};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The state folder itself is what is locked, so that no lock file is left beside it. The kernel
/// frees it with the last process that holds it.
///
/// # Errors
/// [`Error::Late`] when another command keeps it for all that time.
pub(crate) async fn take(state: &Path, within: Duration) -> Result<File, Error> {
    let what = format!("the end of another testbed command on {}", state.display());
    eventually(&what, within, async || match attempt(state) {
        Ok(Some(lock)) => Attempt::Done(lock),
        Ok(None) => Attempt::NotYet("it is still at work".to_owned()),
        Err(error) => Attempt::never(&error),
    })
    .await
}

fn attempt(state: &Path) -> Result<Option<File>, Error> {
    fs::create_dir_all(state).file("make", state)?;
    let folder = File::open(state).file("open", state)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(source).file("lock", state),
    }
    // A `down` before us may have removed the folder that we waited for.
    let locked = folder.metadata().file("read", state)?;
    let present = fs::metadata(state).ok();
    let same = present.is_some_and(|now| (now.dev(), now.ino()) == (locked.dev(), locked.ino()));
    Ok(same.then_some(folder))
}
