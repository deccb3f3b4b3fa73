//! Databases that had a life before us: what they have had is noted in the history, and not run.
//!
//! [`past`] reads what another tool has noted, [`matching`] finds the files that are meant, and
//! [`repair`] sets right what a person has named.

mod error;
mod matching;
mod past;
mod repair;
mod sums;

use super::client::Session;
use super::error::Error;
use super::history::{self, Entry, Took};
use super::migrations::File;
use matching::{Candidate, Mismatch};

pub use error::AdoptionError;
pub(super) use past::Noted;
pub use past::Tool;
pub use repair::{Mend, Mended, RepairError, Which};

/// How a database comes by its first history, if it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// A schema that was made by other means has had all files up to the one of this name. A
    /// database that is empty has had none.
    Baseline(String),
    /// What another tool has noted; nothing where that tool has never been.
    Import(Tool),
}

/// What a database without a history of ours says of its life before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Past {
    /// It had none, or nobody asks.
    #[default]
    Nothing,
    /// There are things in it.
    Inhabited,
    /// Another tool has noted this.
    Noted(Vec<Noted>),
}

impl Adoption {
    /// Who says what the database has had.
    pub(super) fn by(&self) -> &'static str {
        match self {
            Self::Baseline(_) => "baseline",
            Self::Import(tool) => tool.name(),
        }
    }

    /// Where it is said.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Baseline(name) => format!("up to {name}, as the bundle says"),
            Self::Import(tool) => format!("from {}", tool.table()),
        }
    }

    /// Looks at a database that has no history of ours.
    pub(super) async fn look(&self, session: &mut Session) -> Result<Past, Error> {
        Ok(match self {
            Self::Baseline(_) if past::is_inhabited(session).await? => Past::Inhabited,
            Self::Baseline(_) => Past::Nothing,
            Self::Import(tool) => match past::read(session, *tool).await? {
                Some(noted) => Past::Noted(noted),
                None => Past::Nothing,
            },
        })
    }

    /// The files that the database has had; all files are given in the order in which they run.
    pub(super) fn had<'a>(
        &self,
        database: &str,
        files: &[&'a File],
        past: &Past,
    ) -> Result<Vec<&'a File>, AdoptionError> {
        match (self, past) {
            (Self::Baseline(last), Past::Inhabited) => {
                let last = files.iter().position(|file| file.name() == last);
                let had = files[..last.map_or(0, |last| last + 1)].iter();
                Ok(had.filter(|file| !file.is_repeatable()).copied().collect())
            }
            (Self::Import(tool), Past::Noted(noted)) => {
                let candidates = files.iter().map(|file| Candidate {
                    name: file.name(),
                    version: file.version(),
                    repeatable: file.is_repeatable(),
                    text: file.text(),
                });
                let candidates: Vec<_> = candidates.collect();
                let had = matching::had(*tool, &candidates, noted);
                let had = had.map_err(|mismatch| explain(*tool, database, files, mismatch))?;
                Ok(had.into_iter().map(|index| files[index]).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The statements that note these files as applied.
    pub(super) fn note(&self, files: &[File], trace_id: Option<&str>) -> String {
        let rows = files.iter().map(|file| note(file, self.by(), trace_id));
        rows.collect::<Vec<_>>().join(";\n")
    }
}

/// The statement that notes a file which we did not run.
fn note(file: &File, by: &str, trace_id: Option<&str>) -> String {
    history::insert(&Entry {
        version: file.version(),
        description: &file.description,
        file: file.name(),
        checksum: &file.checksum,
        statements: 0,
        took: Took::Nothing,
        trace_id,
        adopted_from: Some(by),
    })
}

fn explain(tool: Tool, database: &str, files: &[&File], mismatch: Mismatch) -> AdoptionError {
    let database = database.to_owned();
    match mismatch {
        Mismatch::Failed(what) => AdoptionError::Failed {
            tool,
            database,
            what,
        },
        Mismatch::Missing(what) => AdoptionError::Missing {
            tool,
            database,
            what,
        },
        Mismatch::Edited { file, noted } => AdoptionError::Edited {
            file: files[file].path.clone(),
            tool,
            what: noted,
        },
        Mismatch::Skipped { file } => AdoptionError::Skipped {
            file: files[file].path.clone(),
            tool,
        },
    }
}
