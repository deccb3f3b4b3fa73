//! Why migrations cannot go on, and what to do about it.

use crate::engine::{Class, Failure};

use super::super::fault::Excerpt;

/// Why a database cannot be brought to where the files lead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Another run migrates the same database.
    #[error("another run migrates database {database}: {holder}")]
    Locked {
        /// Which one.
        database: String,
        /// Who.
        holder: String,
    },
    /// The history moved between the look and the lock.
    #[error("the history of database {database} has changed since it was read")]
    Moved {
        /// Which one.
        database: String,
    },
    /// A migration was edited after it had been applied.
    #[error(
        "{file} was changed after it was applied ({when}): its checksum is {now}, applied was \
         {applied}"
    )]
    Edited {
        /// Which one.
        file: String,
        /// When it was applied, and by which agent.
        when: String,
        /// The short checksum of the file.
        now: String,
        /// The short checksum in the history.
        applied: String,
    },
    /// A migration was applied that the bundle has not.
    #[error(
        "database {database} has migration {file}, checksum {applied}, applied {when}, which the \
         bundle does not have"
    )]
    Unknown {
        /// Which database.
        database: String,
        /// Which migration.
        file: String,
        /// When it was applied, and by which agent.
        when: String,
        /// The short checksum in the history.
        applied: String,
        /// Whether it is newer than everything in the bundle.
        newer: bool,
    },
    /// A pending migration is older than an applied one.
    #[error("{file} (checksum {now}) is not applied, and {newest} after it is")]
    OutOfOrder {
        /// The pending one.
        file: String,
        /// Its short checksum.
        now: String,
        /// The newest one that is applied, or at least begun.
        newest: String,
    },
    /// Two files are one for the history.
    #[error("{first} and {second} have the same {what}")]
    Same {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// What they share.
        what: &'static str,
    },
    /// A file that cannot be run as it is written.
    #[error("{}: {what}", .excerpt.place())]
    Flawed {
        /// Where.
        excerpt: Box<Excerpt>,
        /// What is wrong.
        what: String,
        /// What to do, and how many flaws more there are.
        hints: Vec<String>,
    },
    /// A question at the end of a file was not answered with yes.
    #[error("{}: this must be true for the file to count, and is {answer}", .excerpt.place())]
    NotVerified {
        /// Where.
        excerpt: Box<Excerpt>,
        /// What was answered.
        answer: String,
    },
    /// A statement outside a transaction of which nobody can tell what it has done.
    #[error("{}: a run was interrupted at this statement, and what it has done cannot be told", .excerpt.place())]
    InDoubt {
        /// Where.
        excerpt: Box<Excerpt>,
        /// The name of the file.
        file: String,
        /// Which of its statements, from 1.
        number: usize,
    },
    /// A file was edited after some of its statements had been run.
    #[error("{}: the statement was changed after it {done}", .excerpt.place())]
    BegunEdited {
        /// Where.
        excerpt: Box<Excerpt>,
        /// What is known of it.
        done: &'static str,
    },
    /// A file was begun that the bundle has not.
    #[error(
        "database {database} has {file} half done, which the bundle does not have to finish it"
    )]
    BegunUnknown {
        /// Which database.
        database: String,
        /// Which file.
        file: String,
    },
    /// An index of that name is being built by somebody else.
    #[error("{}: the index is being built by {by}", .excerpt.place())]
    Building {
        /// Where.
        excerpt: Box<Excerpt>,
        /// Which process.
        by: String,
    },
    /// An index was made, and is not usable.
    #[error("{}: the index is there, and not valid", .excerpt.place())]
    NotValid {
        /// Where.
        excerpt: Box<Excerpt>,
    },
}

impl Failure for MigrationError {
    fn class(&self) -> Class {
        match self {
            Self::Locked { .. }
            | Self::Moved { .. }
            | Self::NotValid { .. }
            | Self::Building { .. } => Class::Busy,
            Self::Edited { .. }
            | Self::Unknown { .. }
            | Self::OutOfOrder { .. }
            | Self::InDoubt { .. }
            | Self::BegunEdited { .. }
            | Self::BegunUnknown { .. } => Class::Diverged,
            Self::Same { .. } | Self::Flawed { .. } | Self::NotVerified { .. } => Class::Invalid,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "locked",
            Self::Moved { .. } => "moved",
            Self::Edited { .. } => "checksum",
            Self::Unknown { .. } => "unknown_migration",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::Same { .. } => "same_version",
            Self::Flawed { .. } => "refused_statement",
            Self::NotVerified { .. } => "not_verified",
            Self::InDoubt { .. } => "in_doubt",
            Self::BegunEdited { .. } => "begun_checksum",
            Self::BegunUnknown { .. } => "begun_unknown",
            Self::Building { .. } => "index_in_progress",
            Self::NotValid { .. } => "index_not_valid",
        }
    }

    fn excerpt(&self) -> Option<String> {
        match self {
            Self::Flawed { excerpt, .. }
            | Self::NotVerified { excerpt, .. }
            | Self::InDoubt { excerpt, .. }
            | Self::BegunEdited { excerpt, .. }
            | Self::NotValid { excerpt }
            | Self::Building { excerpt, .. } => Some(excerpt.to_string()),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Flawed { hints, .. } => return hints.clone(),
            Self::InDoubt { file, number, .. } => return in_doubt(file, *number),
            Self::Edited { .. } => {
                "restore the file as it was applied, and put the change into a new migration; if \
                 it does the same as before, say so with `firstlight repair`"
            }
            Self::Unknown { newer: true, .. } => {
                "the schema is newer than the bundle: run the newer bundle"
            }
            Self::Unknown { .. } => "restore the file: an applied migration stays in the bundle",
            Self::OutOfOrder { .. } => "give it a version after the newest applied one",
            Self::Same { .. } => "give one of them another one",
            Self::NotVerified { .. } => {
                "what the file does is not what its author expected of it here: mend the file, or \
                 the data"
            }
            Self::BegunEdited { .. } => {
                "put it back as it was run, and write what is to be different as another statement \
                 after it"
            }
            Self::BegunUnknown { .. } => "run the bundle that has it to its end first",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// The two ways on, each as a statement to paste.
fn in_doubt(file: &str, number: usize) -> Vec<String> {
    let row = format!(
        "WHERE file = {} AND number = {number}",
        super::super::quote::literal(file)
    );
    vec![
        format!(
            "look whether it has taken effect; if it has: UPDATE firstlight.schema_statements SET \
             state = 'done', finished_at = now() {row}"
        ),
        format!("if it has not: DELETE FROM firstlight.schema_statements {row}"),
    ]
}
