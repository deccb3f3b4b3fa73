//! Which files are still to be run, told from the history alone. Pure.

use std::collections::HashMap;

use super::super::history::{Applied, short};
use super::error::MigrationError;
use super::file::File;
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
}

/// The files that are to be run, in order.
pub(super) fn pending<'a>(
    database: &str,
    files: &'a [File],
    observed: &Observed,
) -> Result<Vec<&'a File>, MigrationError> {
    let mut ordered: Vec<&File> = files.iter().collect();
    ordered.sort_by_key(|file| (file.order, file.version().map_or(file.name(), |_| "")));
    check_unique(&ordered)?;
    check_applied(database, &ordered, observed)?;
    let latest = latest(&observed.applied);
    let is_begun = |file: &&&File| observed.begun.iter().any(|row| row.file == file.name());
    let begun = ordered.iter().rfind(is_begun).copied();
    let mut pending = Vec::new();
    for file in ordered {
        if is_applied(file, &latest) {
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
    let Some(version) = file.version() else {
        let ours = |row: &&Applied| row.version.is_none() && row.file == file.name();
        let last = applied.iter().rfind(ours);
        return Ok(last.is_none_or(|row| row.checksum != file.checksum));
    };
    match applied.iter().find(|row| row.version >= Some(version)) {
        None => Ok(true),
        Some(row) if row.version == Some(version) => check_same(file, row).map(|()| false),
        Some(_) => Err(MigrationError::Moved {
            database: database.to_owned(),
        }),
    }
}

/// What was applied last, by version or else by name.
type Latest<'a> = HashMap<(Option<u64>, &'a str), &'a Applied>;

fn latest(applied: &[Applied]) -> Latest<'_> {
    let key = |row: &Applied| row.version.is_none();
    let rows = applied.iter();
    rows.map(|row| {
        let name = if key(row) { row.file.as_str() } else { "" };
        ((row.version, name), row)
    })
    .collect()
}

fn is_applied(file: &File, latest: &Latest<'_>) -> bool {
    match file.version() {
        Some(version) => latest.contains_key(&(Some(version), "")),
        None => latest
            .get(&(None, file.name()))
            .is_some_and(|row| row.checksum == file.checksum),
    }
}

fn check_unique(ordered: &[&File]) -> Result<(), MigrationError> {
    let same = |pair: &&[&File]| {
        pair[0].order == pair[1].order
            && (pair[0].version().is_some() || pair[0].name() == pair[1].name())
    };
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
    let versions: HashMap<u64, &File> = files
        .iter()
        .filter_map(|file| Some((file.version()?, *file)))
        .collect();
    let newest = versions.keys().max();
    for row in &observed.applied {
        let Some(version) = row.version else {
            continue;
        };
        let Some(file) = versions.get(&version) else {
            return Err(MigrationError::Unknown {
                database: database.to_owned(),
                file: row.file.clone(),
                when: row.when.clone(),
                applied: short(&row.checksum),
                newer: newest.is_none_or(|newest| version > *newest),
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
    let Some(version) = file.version() else {
        return Ok(());
    };
    let newer = observed
        .applied
        .iter()
        .filter(|row| row.version > Some(version));
    let applied = newer.max_by_key(|row| row.version).map(|newest| {
        let (name, checksum) = (&newest.file, short(&newest.checksum));
        format!("{name} (checksum {checksum}, applied {})", newest.when)
    });
    let begun = begun.filter(|begun| begun.version() > Some(version));
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
    if file.version().is_none() {
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
