//! The keys of `migrate` for what others have made: `order: filename` for files of any name, and
//! `baseline` or `import` for a database that has had some of them already.

use std::cmp::Ordering;
use std::path::Path;

use super::migrate;
use crate::bundle::reader::Fields;
use crate::bundle::{Adoption, ImportFrom, MigrationFile, MigrationOrder};
use crate::natural;

/// Whether the names of the files are their order.
pub(super) fn by_name(fields: &Fields<'_>) -> bool {
    match fields.text("order").as_deref() {
        None | Some("version") => false,
        Some("filename") => true,
        Some(other) => {
            let what = format!("`order` is version or filename, but is {other}");
            migrate::wrong(fields, "order", what, None);
            false
        }
    }
}

/// Whether a file takes another one back, as golang-migrate, sqlx and Flyway name these.
pub(super) fn is_undo(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let undoes = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains("__");
    name.ends_with(".down.sql") || name.strip_prefix('U').is_some_and(undoes)
}

/// The words of a name, for people.
pub(super) fn words(name: &str) -> String {
    let stem = name.strip_suffix(".sql").unwrap_or(name);
    let stem = stem.strip_suffix(".up").unwrap_or(stem);
    stem.replace('_', " ")
}

/// Which of two files is run first.
pub(super) fn compare(one: &MigrationFile, other: &MigrationFile) -> Ordering {
    let name = |file: &MigrationFile| {
        let name = file.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    one.order.cmp(&other.order).then_with(|| match one.order {
        MigrationOrder::Name => natural::compare(&name(one), &name(other)),
        _ => name(one).cmp(&name(other)),
    })
}

/// How a database without a history comes by one.
pub(super) fn read(fields: &Fields<'_>, files: &[MigrationFile]) -> Option<Adoption> {
    let (baseline, import) = (fields.text("baseline"), fields.text("import"));
    if baseline.is_some() && import.is_some() {
        let what = "`baseline` and `import` both say what a database has had".to_owned();
        migrate::wrong(fields, "import", what, Some("keep one of them"));
    }
    if let Some(tool) = import {
        let known = ImportFrom::ALL.into_iter().find(|(name, _)| *name == tool);
        if known.is_none() {
            let names = ImportFrom::ALL.map(|(name, _)| name).join(", ");
            let what = format!("`import` is one of {names}, but is {tool}");
            migrate::wrong(fields, "import", what, None);
        }
        return known.map(|(_, tool)| Adoption::Import(tool));
    }
    let last = baseline?;
    let is_last = |file: &&MigrationFile| {
        let name = file.file.file_name().unwrap_or_default();
        let version = MigrationOrder::Version(last.parse().unwrap_or(u64::MAX));
        name.to_string_lossy() == last || file.order == version
    };
    let Some(file) = files.iter().find(is_last) else {
        let what = format!("there is no migration {last}");
        let hint = "`baseline` is the last one that a database has had: a version, or the name of \
                    a file";
        migrate::wrong(fields, "baseline", what, Some(hint));
        return None;
    };
    let name = file.file.file_name().unwrap_or_default();
    Some(Adoption::Baseline(name.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::{is_undo, words};
    use std::path::Path;

    #[test]
    fn what_takes_back_is_not_run() {
        for (name, undo) in [
            ("000001_a.up.sql", false),
            ("000001_a.down.sql", true),
            ("U1__a.sql", true),
            ("U1.1__a.sql", true),
            ("Users.sql", false),
            ("V1__a.sql", false),
        ] {
            assert_eq!(is_undo(&Path::new("sql").join(name)), undo, "{name}");
        }
    }

    #[test]
    fn words_are_for_people() {
        assert_eq!(words("000001_new_table.up.sql"), "000001 new table");
        assert_eq!(words("patch042-y.sql"), "patch042-y");
    }
}
