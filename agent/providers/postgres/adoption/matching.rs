//! Which files of the bundle a database has had already, by what another tool has noted.

use std::collections::BTreeMap;

use crate::natural;

use super::past::{Noted, Tool};
use super::sums;

/// A file as it is looked for.
pub(super) struct Candidate<'a> {
    /// Its name without its folder.
    pub(super) name: &'a str,
    /// Its number, if it is versioned by one.
    pub(super) version: Option<u64>,
    /// Whether it is run again when it has changed.
    pub(super) repeatable: bool,
    /// Its text, normalised.
    pub(super) text: &'a str,
}

/// Why a history cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The tool failed in the middle of this, and nobody has looked after it since.
    Failed(String),
    /// The tool ran something that the bundle has not.
    Missing(String),
    /// The file is no longer what the tool ran.
    Edited {
        /// Which file, as an index.
        file: usize,
        /// As the tool knows it.
        noted: String,
    },
    /// A file comes before others that were run, and was not.
    Skipped {
        /// Which file, as an index.
        file: usize,
    },
}

/// The files, as indices, that the database has had. The files are in the order in which they run.
pub(super) fn had(
    tool: Tool,
    files: &[Candidate<'_>],
    noted: &[Noted],
) -> Result<Vec<usize>, Mismatch> {
    if let Some(failed) = noted.iter().find(|row| !row.succeeded) {
        return Err(Mismatch::Failed(failed.known_as()));
    }
    let mut had = match tool {
        Tool::Flyway => flyway(files, noted)?,
        Tool::GolangMigrate => golang_migrate(files, noted)?,
        Tool::Sqlx => sqlx(files, noted)?,
    };
    had.sort_unstable();
    had.dedup();
    let last = had.iter().rev().find(|&&file| !files[file].repeatable);
    let skipped = (0..last.copied().unwrap_or_default())
        .find(|file| !files[*file].repeatable && !had.contains(file));
    match skipped {
        Some(file) => Err(Mismatch::Skipped { file }),
        None => Ok(had),
    }
}

/// One row says how far it came: everything up to there.
fn golang_migrate(files: &[Candidate<'_>], noted: &[Noted]) -> Result<Vec<usize>, Mismatch> {
    let Some(row) = noted.first() else {
        return Ok(Vec::new());
    };
    let reached = number(row);
    let position = files
        .iter()
        .rposition(|file| reached.is_some() && count(file) == reached);
    match position {
        Some(last) => Ok((0..=last).filter(|file| !files[*file].repeatable).collect()),
        None => Err(Mismatch::Missing(row.known_as())),
    }
}

fn sqlx(files: &[Candidate<'_>], noted: &[Noted]) -> Result<Vec<usize>, Mismatch> {
    let find = |row: &Noted| {
        let version = number(row);
        let file = files
            .iter()
            .position(|file| version.is_some() && count(file) == version)
            .ok_or_else(|| Mismatch::Missing(row.known_as()))?;
        match &row.checksum {
            Some(sum) if !sums::is_sqlx(files[file].text, sum) => Err(Mismatch::Edited {
                file,
                noted: row.known_as(),
            }),
            _ => Ok(file),
        }
    };
    noted.iter().map(find).collect()
}

fn flyway(files: &[Candidate<'_>], noted: &[Noted]) -> Result<Vec<usize>, Mismatch> {
    let mut had = Vec::new();
    for row in standing(noted) {
        match (row.kind.as_str(), &row.version) {
            ("SCHEMA", _) => {}
            ("BASELINE", Some(version)) => {
                let baseline = parts(version);
                let below = |file: &usize| {
                    flyway_version(&files[*file]).is_some_and(|version| version <= baseline)
                };
                had.extend((0..files.len()).filter(below));
            }
            (kind, Some(version)) => {
                let version = parts(version);
                let file = files
                    .iter()
                    .position(|file| flyway_version(file).as_ref() == Some(&version))
                    .ok_or_else(|| Mismatch::Missing(row.known_as()))?;
                // What it has noted of a migration in Java is not about a text.
                if kind.starts_with("SQL") && !is_flyway(&files[file], row) {
                    return Err(Mismatch::Edited {
                        file,
                        noted: row.known_as(),
                    });
                }
                had.push(file);
            }
            // A repeatable one that has changed since is pending, as it is for Flyway.
            (_, None) => {
                let same = |file: &Candidate<'_>| {
                    file.repeatable && file.name == row.name && is_flyway(file, row)
                };
                had.extend(files.iter().position(same));
            }
        }
    }
    Ok(had)
}

fn is_flyway(file: &Candidate<'_>, row: &Noted) -> bool {
    match &row.checksum {
        Some(sum) => *sum == sums::flyway(file.text).to_string(),
        None => true,
    }
}

/// The rows that still count: an undo or a deletion takes its version back, and of what is repeated
/// the last one counts.
fn standing(noted: &[Noted]) -> Vec<&Noted> {
    let mut rows = BTreeMap::new();
    for (rank, row) in noted.iter().enumerate() {
        let version = row.version.as_deref().map(parts);
        let key = match &version {
            Some(_) => (version, ""),
            None => (None, row.name.as_str()),
        };
        if row.kind == "DELETE" || row.kind.starts_with("UNDO") {
            rows.remove(&key);
        } else {
            rows.insert(key, (rank, row));
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_unstable_by_key(|(rank, _)| *rank);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The version that Flyway would read from the name: `V1_2__x.sql` and `V1.2__x.sql` are 1.2.
fn flyway_version(file: &Candidate<'_>) -> Option<Vec<u64>> {
    if file.repeatable {
        return None;
    }
    if let Some(version) = file.version {
        return Some(parts(&version.to_string()));
    }
    let (version, _) = file.name.split_once("__")?;
    let start = version.find(|c: char| c.is_ascii_digit())?;
    Some(parts(&version[start..].replace('_', ".")))
}

/// A version in parts: 1, 1.0 and 01 are one.
fn parts(version: &str) -> Vec<u64> {
    let numbers = version
        .split('.')
        .map(|part| part.parse().unwrap_or(u64::MAX));
    let mut parts: Vec<u64> = numbers.collect();
    while parts.last() == Some(&0) {
        parts.pop();
    }
    parts
}

fn number(row: &Noted) -> Option<u64> {
    row.version.as_deref()?.parse().ok()
}

fn count(file: &Candidate<'_>) -> Option<u64> {
    if file.repeatable {
        return None;
    }
    file.version.or_else(|| natural::number(file.name))
}

#[cfg(test)]
mod tests {
    use super::super::past::{Noted, Tool};
    use super::super::sums;
    use super::{Candidate, Mismatch, had};

    const TEXT: &str = "SELECT 1;\n";

    fn file(name: &str) -> Candidate<'_> {
        let version = name
            .strip_prefix('V')
            .and_then(|rest| rest.split_once("__")?.0.parse().ok());
        Candidate {
            name,
            version,
            repeatable: name.starts_with("R__"),
            text: TEXT,
        }
    }

    fn row(version: &str, name: &str, kind: &str) -> Noted {
        Noted {
            version: (!version.is_empty()).then(|| version.to_owned()),
            name: name.to_owned(),
            kind: kind.to_owned(),
            checksum: None,
            succeeded: true,
        }
    }

    fn of_flyway(version: &str, name: &str) -> Noted {
        Noted {
            checksum: Some(sums::flyway(TEXT).to_string()),
            ..row(version, name, "SQL")
        }
    }

    fn told(tool: Tool, names: &[&str], noted: &[Noted]) -> Result<Vec<usize>, Mismatch> {
        let files: Vec<_> = names.iter().map(|name| file(name)).collect();
        had(tool, &files, noted)
    }

    #[test]
    fn golang_migrate_says_how_far_it_came() {
        let names = ["0001_a.up.sql", "0002_b.up.sql", "0010_c.up.sql"];
        let at = |version| told(Tool::GolangMigrate, &names, &[row(version, "", "")]);
        assert_eq!(at("2"), Ok(vec![0, 1]));
        assert_eq!(at("10"), Ok(vec![0, 1, 2]));
        assert_eq!(at("3"), Err(Mismatch::Missing("version 3".to_owned())));
        assert_eq!(told(Tool::GolangMigrate, &names, &[]), Ok(vec![]));
        let dirty = Noted {
            succeeded: false,
            ..row("2", "", "")
        };
        let failed = Mismatch::Failed("version 2".to_owned());
        assert_eq!(told(Tool::GolangMigrate, &names, &[dirty]), Err(failed));
    }

    #[test]
    fn flyway_says_each_file_and_what_it_was() {
        let names = ["V1__a.sql", "V2__b.sql", "V3__c.sql", "R__v.sql"];
        let flyway = |noted: &[Noted]| told(Tool::Flyway, &names, noted);
        let (one, two) = (of_flyway("1", "V1__a.sql"), of_flyway("002", "V002__b.sql"));
        let views = of_flyway("", "R__v.sql");
        assert_eq!(
            flyway(&[one.clone(), two.clone(), views.clone()]),
            Ok(vec![0, 1, 3])
        );
        let baseline = row("2", "<< Flyway Baseline >>", "BASELINE");
        assert_eq!(flyway(&[baseline]), Ok(vec![0, 1]));
        let schema = row("", "\"lens\"", "SCHEMA");
        assert_eq!(flyway(&[schema, one.clone()]), Ok(vec![0]));
        let java = row("2", "db.migration.V2__b", "JDBC");
        assert_eq!(flyway(&[one.clone(), java]), Ok(vec![0, 1]));
        let undone = row("2", "U2__b.sql", "UNDO_SQL");
        assert_eq!(flyway(&[one.clone(), two.clone(), undone]), Ok(vec![0]));
        let edited = Noted {
            checksum: Some("7".to_owned()),
            ..two.clone()
        };
        let expected = Mismatch::Edited {
            file: 1,
            noted: "version 002 (V002__b.sql)".to_owned(),
        };
        assert_eq!(flyway(&[one.clone(), edited]), Err(expected));
        assert_eq!(flyway(&[two]), Err(Mismatch::Skipped { file: 0 }));
        let other = Noted {
            checksum: Some("7".to_owned()),
            ..views
        };
        assert_eq!(flyway(&[one, other]), Ok(vec![0]));
        let gone = of_flyway("4", "V4__d.sql");
        let missing = Mismatch::Missing("version 4 (V4__d.sql)".to_owned());
        assert_eq!(flyway(&[gone]), Err(missing));
    }

    #[test]
    fn versions_of_flyway_have_parts() {
        let names = ["V1__a.sql", "V1.1__b.sql", "V1_2__c.sql"];
        let files: Vec<_> = names
            .iter()
            .map(|name| Candidate {
                version: None,
                ..file(name)
            })
            .collect();
        let noted = [
            of_flyway("1.0", "V1__a.sql"),
            of_flyway("1.1", "V1.1__b.sql"),
            of_flyway("1.2", "V1_2__c.sql"),
        ];
        assert_eq!(had(Tool::Flyway, &files, &noted), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn sqlx_says_each_file_by_its_number() {
        let names = ["20240501120000_a.sql", "20240501120100_b.sql"];
        // sha384sum of TEXT.
        let sum = "24454095d8d7876ca8e842f34296ca645c83e0f7b50f048c99db4b2ff4da659267afc4ef3e994f3d74e18c741165d931";
        let noted = |version| Noted {
            checksum: Some(sum.to_owned()),
            ..row(version, "a", "")
        };
        let one = noted("20240501120000");
        assert_eq!(
            told(Tool::Sqlx, &names, std::slice::from_ref(&one)),
            Ok(vec![0])
        );
        let two = Noted {
            checksum: Some("00".to_owned()),
            ..noted("20240501120100")
        };
        let edited = Mismatch::Edited {
            file: 1,
            noted: "version 20240501120100 (a)".to_owned(),
        };
        assert_eq!(told(Tool::Sqlx, &names, &[one, two]), Err(edited));
    }
}
