//! What a `migrate` step has: files, and what is put into them.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The migrations of one or more folders.
#[derive(Debug, Clone)]
pub struct Migrations {
    /// The database they are for.
    pub database: String,
    /// The role that owns what they make; the connecting one unless given.
    pub owner: Option<String>,
    /// What `${name}` stands for in the files.
    pub placeholders: BTreeMap<String, Placeholder>,
    /// In the order in which they are run.
    pub files: Vec<MigrationFile>,
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
    /// After all versions, and again whenever it has changed.
    Repeatable,
}

/// One file `V…__name.sql` or `R__name.sql`.
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
