//! What a `migrate` step has: files, and what is put into them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Drift;

/// The migrations of one or more folders.
#[derive(Debug, Clone)]
pub struct Migrations {
    /// The database they are for.
    pub database: String,
    /// The role that owns what they make; the connecting one unless given.
    pub owner: Option<String>,
    /// What `${name}` stands for in the files.
    pub placeholders: BTreeMap<String, Placeholder>,
    /// How a database that has no history yet comes by one; none for by running all files.
    pub adoption: Option<Adoption>,
    /// In the order in which they are run.
    pub files: Vec<MigrationFile>,
    /// What becomes of changes that somebody else has made; none if nobody looks for them.
    pub drift: Option<Drift>,
}

/// What a database has had before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// If it is not empty: all files up to the one of this name.
    Baseline(String),
    /// What another tool has noted, by the tool's name.
    Import(ImportFrom),
}

/// A tool whose history is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFrom {
    /// `flyway`
    Flyway,
    /// `golang-migrate`
    GolangMigrate,
    /// `sqlx`
    Sqlx,
}

impl ImportFrom {
    /// All of them, by the names that bundles use.
    pub const ALL: [(&'static str, Self); 3] = [
        ("flyway", Self::Flyway),
        ("golang-migrate", Self::GolangMigrate),
        ("sqlx", Self::Sqlx),
    ];

    /// What a bundle calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, tool)| *tool == self)
            .map_or("", |(name, _)| name)
    }
}

/// What is put into a migration, quoted as what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// A name.
    Identifier(String),
    /// A text.
    Literal(String),
}

/// When a file is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MigrationOrder {
    /// Once, after all of lower versions: the number after `V`.
    Version(u64),
    /// Once, after all whose names come before: any name, where the bundle says `order: filename`.
    Name,
    /// After all versions, and again whenever it has changed.
    Repeatable,
}

/// One file: `V…__name.sql`, `R__name.sql`, or one of any name where names are the order.
#[derive(Debug, Clone)]
pub struct MigrationFile {
    /// When it is run.
    pub order: MigrationOrder,
    /// The words after `__`, with spaces.
    pub description: String,
    /// Relative to the bundle's root.
    pub file: PathBuf,
    /// Its content.
    pub sql: String,
}
