//! Why a database that had a life before us cannot be taken over, and what to do about it.

use crate::engine::{Class, Failure};

use super::past::Tool;

/// Why what another tool has noted does not lead to the files of the bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptionError {
    /// The tool failed in the middle of something, and nobody has looked after it since.
    #[error("{tool} failed at {what} in database {database}, as its table {} says", .tool.table())]
    Failed {
        /// Which tool.
        tool: Tool,
        /// Which database.
        database: String,
        /// In the tool's words.
        what: String,
    },
    /// The tool ran something that the bundle has not.
    #[error("{tool} has run {what} in database {database}, and the bundle has no such file")]
    Missing {
        /// Which tool.
        tool: Tool,
        /// Which database.
        database: String,
        /// In the tool's words.
        what: String,
    },
    /// A file is no longer what the tool ran.
    #[error("{file} is not what {tool} has run as {what}: the checksum is another one")]
    Edited {
        /// Which file.
        file: String,
        /// Which tool.
        tool: Tool,
        /// In the tool's words.
        what: String,
    },
    /// A file comes before others that the tool ran, and it did not run it.
    #[error("{tool} has not run {file}, and others after it")]
    Skipped {
        /// Which file.
        file: String,
        /// Which tool.
        tool: Tool,
    },
}

impl Failure for AdoptionError {
    fn class(&self) -> Class {
        Class::Diverged
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "adoption_failed",
            Self::Missing { .. } => "adoption_missing",
            Self::Edited { .. } => "adoption_checksum",
            Self::Skipped { .. } => "adoption_skipped",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Failed {
                tool: Tool::GolangMigrate,
                ..
            } => {
                "look what of that file is there, finish or undo it by hand, and tell the tool \
                 where it stands: `migrate force VERSION`"
            }
            Self::Failed {
                tool: Tool::Flyway, ..
            } => {
                "look what of it is there, undo it by hand, and let the tool forget it: `flyway repair`"
            }
            Self::Failed {
                tool: Tool::Sqlx, ..
            } => {
                "look what of it is there, undo it by hand, and delete its row from \
                 _sqlx_migrations"
            }
            Self::Missing { .. } => {
                "put the file into the folder as it was run: it will be noted, not run again"
            }
            Self::Edited { .. } => {
                "restore the file as it was run, and put the change into a new migration"
            }
            Self::Skipped { .. } => {
                "give it a name or a version after the newest that was run, or let the other tool \
                 run it first"
            }
        };
        vec![hint.to_owned()]
    }
}
