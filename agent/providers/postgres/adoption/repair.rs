//! Sets the history right where a person says so: each file by its name, and nothing else.

use std::fmt;

use crate::engine::{Class, Failure};

use super::super::error::Error;
use super::super::history::{Applied, short};
use super::super::lock::Lock;
use super::super::migrations::{File, Migrations};
use super::super::quote;
use super::note;

/// A file, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By the number after its `V`.
    Version(u64),
    /// By its name without its folder.
    File(String),
}

/// One thing to set right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// The file was edited after it was applied, and does what was applied: its checksum is taken.
    Checksum(Which),
    /// The database has what the file does: it is noted, and not run.
    Accept(Which),
    /// The bundle has no such file, and what it did may stay: the history forgets it.
    Remove(Which),
}

/// What was set right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The name of the file.
    pub file: String,
    /// What is different in the history now.
    pub what: String,
}

/// Why the history is left as it is: nothing that was asked for is done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The bundle has no such file.
    #[error("the bundle has no migration {0}")]
    NoFile(Which),
    /// The history has no such row.
    #[error("database {database} has not had migration {which}")]
    NotApplied {
        /// Which database.
        database: String,
        /// Which file.
        which: Which,
    },
    /// It was run already.
    #[error("database {database} has had {file} already")]
    AlreadyApplied {
        /// Which database.
        database: String,
        /// Which file.
        file: String,
    },
    /// Forgotten, it would be run again.
    #[error("the bundle has {0}: forgotten, it would be run again")]
    InBundle(String),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "{version}"),
            Self::File(name) => f.write_str(name),
        }
    }
}

impl Failure for RepairError {
    fn class(&self) -> Class {
        Class::Invalid
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::NoFile(_) => "no_such_file",
            Self::NotApplied { .. } => "not_applied",
            Self::AlreadyApplied { .. } => "already_applied",
            Self::InBundle(_) => "in_bundle",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoFile(_) => "to forget what the bundle has no more, say --remove",
            Self::NotApplied { .. } => "to note a file as applied without running it, say --accept",
            Self::AlreadyApplied { .. } => {
                "if the file was edited since, say --version or --file to take its checksum"
            }
            Self::InBundle(_) => "remove the file from the bundle first",
        };
        vec![hint.to_owned()]
    }
}

impl Migrations {
    /// Sets the history right, all of it or nothing, under the lock.
    ///
    /// # Errors
    /// [`RepairError`] if what is asked for makes no sense; else as a run's.
    pub async fn repair(&self, mends: &[Mend]) -> Result<Vec<Mended>, Error> {
        let lock = Lock::default();
        let mut held = lock.take(&self.server, &self.database).await?;
        let mut done = Vec::new();
        let mut sql = Vec::new();
        for mend in mends {
            if let Some((statement, mended)) = self.mend(mend, &held.holder.applied)? {
                sql.push(statement);
                done.push(mended);
            }
        }
        let session = &mut held.holder.session;
        session.begin("BEGIN").await?;
        let sql = sql.join(";\n");
        session
            .batch("UPDATE firstlight.schema_history", &sql)
            .await?;
        session.end("COMMIT").await?;
        Ok(done)
    }

    /// The statement that sets one thing right; none where it is right.
    fn mend(
        &self,
        mend: &Mend,
        applied: &[Applied],
    ) -> Result<Option<(String, Mended)>, RepairError> {
        let mended = |file: &str, what: String| Mended {
            file: file.to_owned(),
            what,
        };
        Ok(match mend {
            Mend::Checksum(which) => {
                let (file, row) = (self.file(which)?, self.row(which, applied)?);
                if row.checksum == file.checksum {
                    return Ok(None);
                }
                let sql = format!(
                    "UPDATE firstlight.schema_history SET checksum = {} {}",
                    quote::literal(&file.checksum),
                    only(row)
                );
                let (before, after) = (short(&row.checksum), short(&file.checksum));
                let what = format!("its checksum was {before} and is {after}");
                Some((sql, mended(&row.file, what)))
            }
            Mend::Accept(which) => {
                let file = self.file(which)?;
                let same = Which::File(file.name().to_owned());
                if self
                    .row(which, applied)
                    .or(self.row(&same, applied))
                    .is_ok()
                {
                    return Err(RepairError::AlreadyApplied {
                        database: self.database.clone(),
                        file: file.name().to_owned(),
                    });
                }
                let sql = note(file, "repair", self.trace_id.as_deref());
                Some((
                    sql,
                    mended(file.name(), "it is noted and was not run".to_owned()),
                ))
            }
            Mend::Remove(which) => {
                let row = self.row(which, applied)?;
                if let Ok(file) = self.file(which) {
                    return Err(RepairError::InBundle(file.path.clone()));
                }
                let sql = format!("DELETE FROM firstlight.schema_history {}", only(row));
                let what = format!("it is forgotten; its checksum was {}", short(&row.checksum));
                Some((sql, mended(&row.file, what)))
            }
        })
    }

    fn file(&self, which: &Which) -> Result<&File, RepairError> {
        let is_it = |file: &&File| match which {
            Which::Version(version) => file.version() == Some(*version),
            Which::File(name) => file.name() == name,
        };
        let found = self.files.iter().find(is_it);
        found.ok_or_else(|| RepairError::NoFile(which.clone()))
    }

    /// The last row of a file.
    fn row<'a>(&self, which: &Which, applied: &'a [Applied]) -> Result<&'a Applied, RepairError> {
        let is_it = |row: &&Applied| match which {
            Which::Version(version) => row.version == Some(*version),
            Which::File(name) => row.file == *name,
        };
        let found = applied.iter().rfind(is_it);
        found.ok_or_else(|| RepairError::NotApplied {
            database: self.database.clone(),
            which: which.clone(),
        })
    }
}

/// The condition that is true of one file's rows with one checksum.
fn only(row: &Applied) -> String {
    format!(
        "WHERE file = {} AND checksum = {}",
        quote::literal(&row.file),
        quote::literal(&row.checksum)
    )
}
