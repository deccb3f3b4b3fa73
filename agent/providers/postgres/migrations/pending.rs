//! Which files are still to be run, told from the history alone. Pure.

use std::collections::HashMap;

use crate::natural;

use super::super::adoption::Past;
use super::super::history::{Applied, short};
use super::error::MigrationError;
use super::file::{File, Order};
use super::progress::{Begun, State};
use super::script::Script;

/// What a database has had.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The files that were applied, oldest first.
    pub(super) applied: Vec<Applied>,
    /// The statements of files that are not finished.
    pub(super) begun: Vec<Begun>,
    /// A COMMIT that the server still works on.
    pub(super) in_doubt: Option<String>,
    /// What it had before us, where it has no history of ours.
    pub(super) past: Past,
}

impl Observed {
    /// As it is once these are noted.
    pub(super) fn with(&self, adopted: &[File]) -> Self {
        let noted = adopted.iter().map(|file| Applied {
            version: file.version(),
            file: file.name().to_owned(),
            checksum: file.checksum.clone(),
            when: "before this run".to_owned(),
        });
        let mut with = self.clone();
        with.applied.extend(noted);
        with
    }
}

/// The files that are to be run, in order.
pub(super) fn pending<'a>(
    database: &str,
    files: &'a [File],
    observed: &Observed,
) -> Result<Vec<&'a File>, MigrationError> {
    let mut ordered: Vec<&File> = files.iter().collect();
    ordered.sort_by(|one, other| one.compare(other));
    check_unique(&ordered)?;
    check_applied(database, &ordered, observed)?;
    let by_name = files.iter().any(|file| file.order == Order::Name);
    let rows = observed.applied.iter();
    let latest: HashMap<Key<'_>, &Applied> = rows.map(|row| (Key::of(row, by_name), row)).collect();
    let is_begun = |file: &&&File| observed.begun.iter().any(|row| row.file == file.name());
    let begun = ordered.iter().rfind(is_begun).copied();
    let mut pending = Vec::new();
    for file in ordered {
        let had = latest.get(&Key::new(file));
        if had.is_some_and(|row| !file.is_repeatable() || row.checksum == file.checksum) {
            continue;
        }
        check_order(file, observed, begun)?;
        check_begun(file, file.script()?, &observed.begun)?;
        pending.push(file);
    }
    Ok(pending)
}

/// Whether a file is still to be run, now that nobody else can run it.
pub(super) fn is_pending(
    database: &str,
    file: &File,
    applied: &[Applied],
) -> Result<bool, MigrationError> {
    let is_its = |row: &&Applied| Key::of(row, file.order == Order::Name) == Key::new(file);
    match applied.iter().rfind(is_its) {
        Some(row) if file.is_repeatable() => Ok(row.checksum != file.checksum),
        Some(row) => check_same(file, row).map(|()| false),
        None if applied.iter().any(|row| is_after(row, file)) => Err(MigrationError::Moved {
            database: database.to_owned(),
        }),
        None => Ok(true),
    }
}

/// What the history knows a file by.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Version(u64),
    Name(&'a str),
}

impl<'a> Key<'a> {
    fn new(file: &'a File) -> Self {
        match file.version() {
            Some(version) => Self::Version(version),
            None => Self::Name(file.name()),
        }
    }

    fn of(row: &'a Applied, by_name: bool) -> Self {
        match row.version {
            Some(version) if !by_name => Self::Version(version),
            _ => Self::Name(&row.file),
        }
    }
}

/// Whether a row is of a file that comes before this one.
fn is_before(row: &Applied, file: &File) -> bool {
    match file.order {
        Order::Version(version) => row.version < Some(version),
        Order::Name => natural::compare(&row.file, file.name()).is_lt(),
        Order::Repeatable => true,
    }
}

/// Whether a row is of a file that is run once, and after this one.
fn is_after(row: &Applied, file: &File) -> bool {
    match file.order {
        Order::Version(version) => row.version > Some(version),
        Order::Name => !row.is_repeatable() && natural::compare(&row.file, file.name()).is_gt(),
        Order::Repeatable => false,
    }
}

fn check_unique(ordered: &[&File]) -> Result<(), MigrationError> {
    let same = |pair: &&[&File]| Key::new(pair[0]) == Key::new(pair[1]);
    let Some(pair) = ordered.windows(2).find(same) else {
        return Ok(());
    };
    Err(MigrationError::Same {
        first: pair[0].path.clone(),
        second: pair[1].path.clone(),
        what: if pair[0].version().is_some() {
            "version"
        } else {
            "name"
        },
    })
}

/// What was applied or begun must be in the bundle, as it was. Of repeatable files only the last
/// run counts, and one that is gone has left nothing to compare.
fn check_applied(
    database: &str,
    files: &[&File],
    observed: &Observed,
) -> Result<(), MigrationError> {
    let by_name = files.iter().any(|file| file.order == Order::Name);
    let known: HashMap<Key<'_>, &File> = files.iter().map(|file| (Key::new(file), *file)).collect();
    let once = |file: &&&File| !file.is_repeatable();
    for row in observed.applied.iter().filter(|row| !row.is_repeatable()) {
        let Some(file) = known.get(&Key::of(row, by_name)) else {
            return Err(MigrationError::Unknown {
                database: database.to_owned(),
                file: row.file.clone(),
                when: row.when.clone(),
                applied: short(&row.checksum),
                newer: !files.iter().filter(once).any(|file| is_before(row, file)),
            });
        };
        check_same(file, row)?;
    }
    let unknown = |begun: &&Begun| files.iter().all(|file| file.name() != begun.file);
    match observed.begun.iter().find(unknown) {
        None => Ok(()),
        Some(begun) => Err(MigrationError::BegunUnknown {
            database: database.to_owned(),
            file: begun.file.clone(),
        }),
    }
}

fn check_same(file: &File, row: &Applied) -> Result<(), MigrationError> {
    if file.checksum == row.checksum {
        return Ok(());
    }
    Err(MigrationError::Edited {
        file: file.path.clone(),
        when: row.when.clone(),
        now: short(&file.checksum),
        applied: short(&row.checksum),
    })
}

/// Nothing goes before what was applied, or before what was begun.
fn check_order(
    file: &File,
    observed: &Observed,
    begun: Option<&File>,
) -> Result<(), MigrationError> {
    if file.is_repeatable() {
        return Ok(());
    }
    let newer = observed.applied.iter().filter(|row| is_after(row, file));
    let newest = newer.max_by(|one, other| match (one.version, other.version) {
        (None, None) => natural::compare(&one.file, &other.file),
        versions => versions.0.cmp(&versions.1),
    });
    let applied = newest.map(|newest| {
        let (name, checksum) = (&newest.file, short(&newest.checksum));
        format!("{name} (checksum {checksum}, applied {})", newest.when)
    });
    let begun = begun.filter(|begun| !begun.is_repeatable() && begun.compare(file).is_gt());
    let begun = begun.map(|begun| format!("{}, which is half done,", begun.name()));
    match applied.or(begun) {
        None => Ok(()),
        Some(newest) => Err(MigrationError::OutOfOrder {
            file: file.path.clone(),
            now: short(&file.checksum),
            newest,
        }),
    }
}

/// The statements of a file that have been run must be those that it has. One that the server
/// refused may be mended, and a repeatable file begins anew.
pub(super) fn check_begun(
    file: &File,
    script: &Script,
    begun: &[Begun],
) -> Result<(), MigrationError> {
    if file.is_repeatable() {
        return Ok(());
    }
    for row in begun.iter().filter(|row| row.file == file.name()) {
        let done = match row.state {
            State::Failed => continue,
            State::Started => "was begun, and what it has done is not known",
            State::Done => "had been run",
        };
        let piece = script.pieces.get(row.number.saturating_sub(1));
        if piece.is_none_or(|piece| piece.checksum != row.checksum) {
            let at = piece.map_or(file.end(), |piece| piece.start);
            return Err(MigrationError::BegunEdited {
                excerpt: Box::new(file.excerpt(at)),
                done,
            });
        }
    }
    Ok(())
}
