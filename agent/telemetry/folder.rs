//! The folder in which telemetry waits that memory has no room for.
//!
//! Each process has a folder of its own below the user's, with a file that it keeps locked. One
//! whose file nobody holds was left by a process that was killed, and what is in it is taken up.
//! While a folder is made or removed it has a hidden name, under which it never holds telemetry.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What our folders begin with …
const OURS: &str = "spool-";

/// … and while they are made or removed.
const HIDDEN: &str = ".";

/// How many digits the time has that follows.
const DIGITS: usize = 13;

/// The file that says whether a folder is somebody's.
const LOCK: &str = "lock";

/// What is hidden for so long is of a process that was killed: it takes a moment.
const MOMENT: Duration = Duration::from_hours(1);

/// Our folder, and those that were left.
#[derive(Debug)]
pub(super) struct Folder {
    parent: PathBuf,
    held: Vec<(PathBuf, File)>,
    strange: Vec<String>,
}

impl Folder {
    /// Makes a folder for this run, and takes up those that nobody holds any more.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub(super) fn open(parent: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let (mut held, mut strange) = (Vec::new(), Vec::new());
        for path in left(parent)? {
            match take(&path) {
                Ok(Some(lock)) => held.push((path, lock)),
                Ok(None) => {}
                Err(error) => strange.push(format!(
                    "what is in {} cannot be taken up and is left alone: {error}",
                    path.display()
                )),
            }
        }
        held.push(make(parent, run)?);
        Ok(Self {
            parent: parent.to_path_buf(),
            held,
            strange,
        })
    }

    /// What is named as ours and is not: a sentence for each.
    pub(super) fn strange(&self) -> &[String] {
        &self.strange
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
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|_| is_empty) {
                let hidden = self.parent.join(name.replacen(OURS, HIDDEN, 1));
                // One that stays is found empty by the next run, and removed then.
                let _ = fs::rename(path, &hidden).map(|()| discard(&hidden));
            }
        }
    }
}

/// Removes a folder that holds nothing but its lock.
fn discard(hidden: &Path) {
    // Whatever stays is in nobody's way, and tried again by the next run.
    let _ = fs::remove_file(hidden.join(LOCK));
    let _ = fs::remove_dir(hidden);
}

/// Those of a folder's entries that may have been left, the oldest first.
fn left(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(OURS) {
            found.push(entry.path());
        } else if made(&name).is_some_and(|at| at.elapsed().is_ok_and(|it| it > MOMENT)) {
            discard(&entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// When a hidden folder of ours was made; none if it is not ours.
fn made(name: &str) -> Option<SystemTime> {
    let (millis, _run) = name.strip_prefix(HIDDEN)?.split_once('-')?;
    let is_time = millis.len() == DIGITS;
    let millis = millis.parse().ok().filter(|_| is_time)?;
    Some(UNIX_EPOCH + Duration::from_millis(millis))
}

/// Locks a folder if nobody else has.
fn take(path: &Path) -> io::Result<Option<File>> {
    // What cannot be read is not to be locked.
    let lock = fs::read_dir(path).and_then(|_| File::options().write(true).open(path.join(LOCK)));
    let lock = match lock {
        Ok(lock) => lock,
        // Its owner has removed it meanwhile.
        Err(_) if !path.exists() => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = format!("it has no file {LOCK}, so no run has made it");
            return Err(io::Error::new(error.kind(), why));
        }
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        // Won from an owner who has removed it meanwhile, it is no folder any more.
        Ok(()) => Ok(path.join(LOCK).exists().then_some(lock)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Nobody sees it by its name before it is locked.
fn make(parent: &Path, run: &str) -> io::Result<(PathBuf, File)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let name = format!("{:0DIGITS$}-{run}", now.unwrap_or_default().as_millis());
    let hidden = parent.join(format!("{HIDDEN}{name}"));
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

    #[test]
    fn what_is_not_ours_is_left_alone_and_said() {
        let parent = tempfile::tempdir().expect("a folder");
        fs::write(parent.path().join("spool-a"), "x").expect("written");
        fs::create_dir(parent.path().join("spool-b")).expect("made");
        fs::create_dir_all(parent.path().join("spool-c/lock")).expect("made");
        let folder = Folder::open(parent.path(), "one").expect("opened all the same");
        assert_eq!(folder.all().count(), 1);
        let said = folder.strange().join("\n");
        for why in [
            "/spool-a cannot be taken up and is left alone: Not a directory",
            "/spool-b cannot be taken up and is left alone: it has no file lock",
            "/spool-c cannot be taken up and is left alone: Is a directory",
        ] {
            assert!(said.contains(why), "{said}");
        }
        folder.tidy();
        let names = ["spool-a", "spool-b", "spool-c"].map(|name| parent.path().join(name));
        assert_eq!(left(parent.path()).expect("read"), names);
    }

    #[test]
    fn what_a_process_was_killed_over_goes_unless_it_may_still_live() {
        let parent = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time");
        let young = format!(".{}-one", now.as_millis());
        for name in [".1700000000123-one", young.as_str(), ".17-one", ".kept"] {
            fs::create_dir(parent.path().join(name)).expect("made");
            fs::write(parent.path().join(name).join(LOCK), "").expect("written");
        }
        Folder::open(parent.path(), "two").expect("opened").tidy();
        let names = fs::read_dir(parent.path()).expect("read");
        let mut names: Vec<_> = names.map(|it| it.expect("one").file_name()).collect();
        names.sort();
        assert_eq!(names, [".17-one", &young, ".kept"]);
    }
}
