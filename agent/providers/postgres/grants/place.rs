//! For whom, and on what, rights are granted.

use std::collections::BTreeSet;

use super::super::conflict::Conflict;
use super::super::quote;

/// Who is granted something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// A role.
    Role(String),
    /// Everybody: `PUBLIC`.
    Public,
}

impl Grantee {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Role(name) => name,
            Self::Public => "public",
        }
    }

    pub(super) fn sql(&self) -> String {
        match self {
            Self::Role(name) => quote::identifier(name),
            Self::Public => "PUBLIC".to_owned(),
        }
    }
}

/// What rights can be granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The database itself.
    Database,
    /// A schema itself.
    Schema,
    /// A table, a view, a materialized view or a foreign table.
    Table,
    /// A sequence.
    Sequence,
    /// A function, a procedure or an aggregate.
    Function,
    /// A type or a domain.
    Type,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Database,
        Self::Schema,
        Self::Table,
        Self::Sequence,
        Self::Function,
        Self::Type,
    ];

    /// What it is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Schema => "schema",
            Self::Table => "table",
            Self::Sequence => "sequence",
            Self::Function => "function",
            Self::Type => "type",
        }
    }

    /// The kind that is called so.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Its kind in `GRANT … ON`; `ROUTINE` is functions, procedures and aggregates.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Database => "DATABASE",
            Self::Schema => "SCHEMA",
            Self::Table => "TABLE",
            Self::Sequence => "SEQUENCE",
            Self::Function => "ROUTINE",
            Self::Type => "TYPE",
        }
    }

    /// The privileges that there are on it. `MAINTAIN` came with Postgres 17.
    #[must_use]
    pub fn privileges(self) -> &'static [&'static str] {
        match self {
            Self::Database => &["CONNECT", "CREATE", "TEMPORARY"],
            Self::Schema => &["CREATE", "USAGE"],
            Self::Table => &[
                "DELETE",
                "INSERT",
                "MAINTAIN",
                "REFERENCES",
                "SELECT",
                "TRIGGER",
                "TRUNCATE",
                "UPDATE",
            ],
            Self::Sequence => &["SELECT", "UPDATE", "USAGE"],
            Self::Function => &["EXECUTE"],
            Self::Type => &["USAGE"],
        }
    }

    /// What is sent is only what is known: a privilege stands in a statement as it is.
    pub(super) fn check(self, privileges: &BTreeSet<String>) -> Result<(), Conflict> {
        let unknown = |privilege: &&String| !self.privileges().contains(&privilege.as_str());
        match privileges.iter().find(unknown) {
            None => Ok(()),
            Some(privilege) => Err(Conflict::NoPrivilege {
                privilege: privilege.clone(),
                kind: self.word(),
            }),
        }
    }
}

/// Rights on something that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What kind of thing.
    pub kind: Kind,
    /// In which schema; none for the database. For a schema its own name.
    pub schema: Option<String>,
    /// Its name, that of a function with the types of its arguments, `prune(interval)`, or without
    /// them for all that have the name; none for all of the kind in the schema.
    pub object: Option<String>,
    /// The rights, in capitals.
    pub privileges: BTreeSet<String>,
}

/// Rights on what an owner makes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    /// Who makes it.
    pub owner: String,
    /// In which schema; none for all.
    pub schema: Option<String>,
    /// What kind of thing.
    pub kind: Kind,
    /// The rights, in capitals.
    pub privileges: BTreeSet<String>,
}
