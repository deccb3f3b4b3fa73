//! The folder in which telemetry waits that memory has no room for.
//!
//! Each process has a folder of its own below the user's, with a file that it keeps locked. One
//! whose file nobody holds was left by a process that was killed, and what is in it is taken up.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What our folders begin with.
const OURS: &str = "spool-";

/// The file that says whether a folder is somebody's.
const LOCK: &str = "lock";

/// Our folder, and those that were left.
#[derive(Debug)]
pub(super) struct Folder {
    parent: PathBuf,
    held: Vec<(PathBuf, File)>,
}

impl Folder {
    /// Makes a folder for this run, and takes up those that nobody holds any more.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub(super) fn open(parent: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let mut held = Vec::new();
        for path in left(parent)? {
            if let Some(lock) = take(&path)? {
                held.push((path, lock));
            }
        }
        held.push(make(parent, run)?);
        Ok(Self {
            parent: parent.to_path_buf(),
            held,
        })
    }

    /// Where the user wants things to be.
    pub(super) fn parent(&self) -> &Path {
        &self.parent
    }

    /// Where new files go.
    pub(super) fn own(&self) -> &Path {
        self.held.last().map_or(&self.parent, |(path, _)| path)
    }

    /// Where files may be, the oldest folder first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.held.iter().map(|(path, _)| path.as_path())
    }

    /// Removes the folders in which nothing is left. What still holds telemetry stays, for the
    /// next run to take it up.
    pub(super) fn tidy(&self) {
        for (path, _) in &self.held {
            let is_lock =
                |file: io::Result<fs::DirEntry>| file.is_ok_and(|it| it.file_name() == LOCK);
            let is_empty = fs::read_dir(path).is_ok_and(|mut files| files.all(is_lock));
            if is_empty {
                // One that stays is found empty by the next run, and removed then.
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

/// Those of a folder's entries that may have been left, the oldest first.
fn left(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(OURS) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Locks a folder if nobody else has.
fn take(path: &Path) -> io::Result<Option<File>> {
    let lock = match File::options().write(true).open(path.join(LOCK)) {
        Ok(lock) => lock,
        // Its owner has removed it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Nobody sees it by its name before it is locked.
fn make(parent: &Path, run: &str) -> io::Result<(PathBuf, File)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let name = format!("{:013}-{run}", now.unwrap_or_default().as_millis());
    let hidden = parent.join(format!(".{name}"));
    fs::create_dir(&hidden)?;
    let lock = File::create(hidden.join(LOCK))?;
    lock.try_lock()?;
    let path = parent.join(format!("{OURS}{name}"));
    fs::rename(&hidden, &path)?;
    Ok((path, lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_taken_up_and_what_is_empty_goes() {
        let parent = tempfile::tempdir().expect("a folder");
        let first = Folder::open(parent.path(), "first").expect("opened");
        let kept = first.own().join("spans");
        fs::write(&kept, "x").expect("written");

        let second = Folder::open(parent.path(), "second").expect("opened");
        assert_eq!(second.all().count(), 1, "the first one is in use");
        drop(first);
        assert!(kept.exists());

        let third = Folder::open(parent.path(), "third").expect("opened");
        assert_eq!(third.all().count(), 2);
        assert_eq!(third.all().next(), kept.parent());
        fs::remove_file(&kept).expect("removed");
        third.tidy();
        second.tidy();
        assert_eq!(left(parent.path()).expect("read"), Vec::<PathBuf>::new());
    }
}
