//! The second tier of a spool: batches as files, one each, of one signal.
//!
//! A file is written under another name and then renamed, so it is whole or not there, and it is
//! removed only when its batch has arrived: a process that is killed leaves just what is missing.
//! Nothing is synced: what a dead node has lost, its disk may have lost too.

use super::folder::Folder;
use super::spool::Batch;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How the files end that hold a batch …
const WHOLE: &str = "otlp";

/// … and those that hold a part of one.
const PART: &str = "part";

/// Files in their order, the oldest first, and bounded in bytes.
#[derive(Debug)]
pub(super) struct Store {
    folder: Arc<Folder>,
    /// What the files of this signal begin with.
    signal: &'static str,
    limit: u64,
    files: VecDeque<Stored>,
    /// The one whose batch is being delivered.
    out: Option<Stored>,
    size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    path: PathBuf,
    bytes: u64,
    items: u64,
    number: u64,
    made: SystemTime,
}

/// What had to go so that a batch found room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) batches: u64,
    pub(super) items: u64,
    /// Whether it was the disk that had no room, and not the limit.
    pub(super) disk_is_full: bool,
}

impl Store {
    /// One of so many bytes, with what earlier processes have left: batches 1, 2 and so on of this
    /// one, so that each has a number of its own.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(super) fn open(folder: Arc<Folder>, signal: &'static str, limit: u64) -> io::Result<Self> {
        let mut files = VecDeque::new();
        for place in folder.all() {
            files.extend(stored(place, signal)?);
        }
        for (file, number) in files.iter_mut().zip(1..) {
            file.number = number;
        }
        let size = files.iter().map(|file| file.bytes).sum();
        Ok(Self {
            folder,
            signal,
            limit,
            files,
            out: None,
            size,
        })
    }

    /// How many batches are here, and how many items they hold.
    pub(super) fn holds(&self) -> Gone {
        Gone {
            batches: self.files.len() as u64,
            items: self.files.iter().map(|file| file.items).sum(),
            disk_is_full: false,
        }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> &Path {
        self.folder.parent()
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Puts a batch behind all others. The oldest ones go where there is no room for it, be it for
    /// the limit or for the disk. What went is told also when it went in vain.
    pub(super) fn put(&mut self, batch: &Batch) -> (Gone, io::Result<()>) {
        let mut gone = Gone::default();
        let bytes = batch.bytes.len() as u64;
        while self.size + bytes > self.limit && self.drop_oldest(&mut gone) {}
        loop {
            match self.write(batch) {
                Ok(path) => {
                    self.size += bytes;
                    self.files.push_back(Stored {
                        path,
                        bytes,
                        items: batch.items,
                        number: batch.number,
                        made: batch.made,
                    });
                    return (gone, Ok(()));
                }
                Err(error) if is_full(&error) && self.drop_oldest(&mut gone) => {
                    gone.disk_is_full = true;
                }
                Err(error) => return (gone, Err(error)),
            }
        }
    }

    /// Takes the oldest batch out; its file stays until [`Store::done`].
    pub(super) fn take(&mut self) -> Option<Result<Batch, (u64, io::Error)>> {
        let file = self.files.pop_front()?;
        let taken = file.read().map_err(|error| (file.items, error));
        self.done();
        self.out = Some(file);
        Some(taken)
    }

    /// Removes the file of the batch that was taken out: it has arrived, or never will.
    pub(super) fn done(&mut self) {
        if let Some(file) = self.out.take() {
            self.remove(&file);
        }
    }

    /// Shows every batch that is not out, until one is not taken. What cannot be read is lost.
    pub(super) fn each<E>(&self, mut each: impl FnMut(Batch) -> Result<(), E>) -> Result<Gone, E> {
        let mut lost = Gone::default();
        for file in &self.files {
            if let Ok(batch) = file.read() {
                each(batch)?;
            } else {
                lost.batches += 1;
                lost.items += file.items;
            }
        }
        Ok(lost)
    }

    /// Removes all files: their batches are elsewhere now.
    pub(super) fn clear(&mut self) {
        self.done();
        for file in std::mem::take(&mut self.files) {
            self.remove(&file);
        }
    }

    fn drop_oldest(&mut self, gone: &mut Gone) -> bool {
        let Some(file) = self.files.pop_front() else {
            return false;
        };
        gone.batches += 1;
        gone.items += file.items;
        self.remove(&file);
        true
    }

    fn remove(&mut self, file: &Stored) {
        self.size -= file.bytes;
        // One that cannot be removed is delivered once more, by a later run; that is harmless.
        let _ = fs::remove_file(&file.path);
    }

    fn write(&self, batch: &Batch) -> io::Result<PathBuf> {
        let path = self.folder.own().join(file_name(self.signal, batch));
        let part = path.with_extension(PART);
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .and_then(|mut file| file.write_all(&batch.bytes))
            .and_then(|()| fs::rename(&part, &path));
        if written.is_err() {
            // It may be what fills the disk.
            let _ = fs::remove_file(&part);
        }
        written.map(|()| path)
    }
}

impl Stored {
    fn read(&self) -> io::Result<Batch> {
        Ok(Batch {
            number: self.number,
            bytes: Bytes::from(fs::read(&self.path)?),
            items: self.items,
            made: self.made,
        })
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// All that must be known of a batch, in the order of its making.
fn file_name(signal: &str, batch: &Batch) -> String {
    let made = batch.made.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (number, items) = (batch.number, batch.items);
    format!("{signal}-{number:010}-{}-{items}.{WHOLE}", made.as_millis())
}

/// The batches of a signal that an earlier process has left in a folder.
fn stored(folder: &Path, signal: &str) -> io::Result<Vec<Stored>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.path().extension().is_some_and(|it| it == PART) {
            // Its process was killed while it wrote. One that stays is only in the way.
            let _ = fs::remove_file(entry.path());
        } else if let Some((items, made)) = name.to_str().and_then(|name| parsed(name, signal)) {
            found.push(Stored {
                path: entry.path(),
                bytes: entry.metadata()?.len(),
                items,
                // Whoever has found all of them counts them.
                number: 0,
                made,
            });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn parsed(name: &str, signal: &str) -> Option<(u64, SystemTime)> {
    let rest = name.strip_prefix(signal)?.strip_prefix('-')?;
    let mut parts = rest.strip_suffix(WHOLE)?.strip_suffix('.')?.split('-');
    let (_number, made, items) = (parts.next()?, parts.next()?, parts.next()?);
    let made = Duration::from_millis(made.parse().ok()?);
    Some((items.parse().ok()?, UNIX_EPOCH + made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn batch(number: u64, bytes: &'static [u8]) -> Batch {
        Batch {
            number,
            bytes: Bytes::from_static(bytes),
            items: 3,
            made: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        }
    }

    fn store(parent: &TempDir, run: &str, limit: u64) -> Store {
        let folder = Folder::open(parent.path(), run).expect("a folder");
        Store::open(Arc::new(folder), "spans", limit).expect("a store")
    }

    fn taken(store: &mut Store) -> Option<Bytes> {
        store.take().map(|it| it.expect("read").bytes)
    }

    #[test]
    fn batches_come_back_in_their_order_and_their_files_go() {
        let parent = tempfile::tempdir().expect("a folder");
        let mut store = store(&parent, "one", 100);
        for (number, bytes) in [(9, &b"nine"[..]), (10, b"ten")] {
            let (gone, put) = store.put(&batch(number, bytes));
            put.expect("written");
            assert_eq!(gone, Gone::default());
        }
        assert_eq!(store.take().expect("one").expect("read"), batch(9, b"nine"));
        assert_eq!(taken(&mut store).as_deref(), Some(&b"ten"[..]));
        assert_eq!((store.size, taken(&mut store)), (3, None));
        store.done();
        assert_eq!(store.size, 0);
    }

    #[test]
    fn what_a_killed_process_has_left_comes_first() {
        let parent = tempfile::tempdir().expect("a folder");
        let mut first = store(&parent, "one", 100);
        for number in 1..=3 {
            first.put(&batch(number, b"old")).1.expect("written");
        }
        // The first was being delivered; and of the fourth there is only a part.
        assert_eq!(taken(&mut first).as_deref(), Some(&b"old"[..]));
        fs::write(first.folder.own().join("spans-0000000004-0-3.part"), "o").expect("written");
        drop(first);
        let mut second = store(&parent, "two", 100);
        assert_eq!(second.holds().batches, 3);
        assert_eq!(second.holds().items, 9);
        second.put(&batch(4, b"new")).1.expect("written");
        for (wanted, number) in [("old", 1), ("old", 2), ("old", 3), ("new", 4)] {
            let batch = second.take().expect("one").expect("read");
            assert_eq!(batch.bytes, wanted);
            assert_eq!(batch.number, number, "each has one of its own");
        }
        second.done();
        second.folder.tidy();
        let left = fs::read_dir(parent.path()).expect("read").count();
        assert_eq!(left, 0, "nothing of it is left");
    }

    #[test]
    fn beyond_the_limit_the_oldest_go_but_never_the_one_that_is_out() {
        let parent = tempfile::tempdir().expect("a folder");
        let mut store = store(&parent, "one", 9);
        for number in 1..=3 {
            store.put(&batch(number, b"abc")).1.expect("written");
        }
        assert_eq!(store.take().expect("one").expect("read").number, 1);
        let (gone, put) = store.put(&batch(4, b"abc"));
        put.expect("written");
        assert_eq!(
            gone,
            Gone {
                batches: 1,
                items: 3,
                disk_is_full: false
            }
        );
        let left: Vec<u64> = store.files.iter().map(|it| it.number).collect();
        assert_eq!(left, [3, 4]);
    }

    #[test]
    fn a_folder_that_is_gone_is_told() {
        let parent = tempfile::tempdir().expect("a folder");
        let mut store = store(&parent, "one", 100);
        fs::remove_dir_all(store.folder.own()).expect("removed");
        let (gone, put) = store.put(&batch(1, b"abc"));
        assert_eq!(gone, Gone::default());
        assert_eq!(put.expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}
