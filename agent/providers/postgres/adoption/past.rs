//! What another tool says that a database has had, read from the table that it keeps.

use std::fmt;

use super::super::client::{Row, Session};
use super::super::error::Error;

/// A tool whose history is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `flyway_schema_history`: a row for each file, with its CRC-32.
    Flyway,
    /// `schema_migrations`: one row, the last version, and whether that one failed.
    GolangMigrate,
    /// `_sqlx_migrations`: a row for each file, with its SHA-384.
    Sqlx,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flyway, Self::GolangMigrate, Self::Sqlx];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flyway => "flyway",
            Self::GolangMigrate => "golang-migrate",
            Self::Sqlx => "sqlx",
        }
    }

    /// Where it keeps its history.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Flyway => "flyway_schema_history",
            Self::GolangMigrate => "schema_migrations",
            Self::Sqlx => "_sqlx_migrations",
        }
    }

    /// A row each: version, name, kind, checksum, whether it went well; in the order of the tool.
    fn question(self) -> &'static str {
        match self {
            Self::Flyway => {
                "SELECT version::text, script::text, type::text, checksum::text, success \
                 FROM flyway_schema_history ORDER BY installed_rank"
            }
            Self::GolangMigrate => {
                "SELECT version::text, '', '', NULL, NOT dirty FROM schema_migrations"
            }
            Self::Sqlx => {
                "SELECT version::text, description, '', encode(checksum, 'hex'), success \
                 FROM _sqlx_migrations ORDER BY version"
            }
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One line of the tool's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Noted {
    /// As the tool writes it: `7`, `1.1`, `0042`; none for what it repeats.
    pub(super) version: Option<String>,
    /// The file, or what it is about.
    pub(super) name: String,
    /// Flyway's own: SQL, BASELINE, JDBC and more.
    pub(super) kind: String,
    pub(super) checksum: Option<String>,
    pub(super) succeeded: bool,
}

impl Noted {
    /// As a person would look for it in the table.
    pub(super) fn known_as(&self) -> String {
        match (&self.version, self.name.as_str()) {
            (Some(version), "") => format!("version {version}"),
            (Some(version), name) => format!("version {version} ({name})"),
            (None, name) => name.to_owned(),
        }
    }
}

/// What the tool has noted; none where it has never been.
pub(super) async fn read(session: &mut Session, tool: Tool) -> Result<Option<Vec<Noted>>, Error> {
    let table = tool.table();
    let exists = session
        .query_one(
            "SELECT to_regclass",
            "SELECT to_regclass($1) IS NOT NULL",
            &[table],
        )
        .await?;
    if !exists.get::<bool>(0)? {
        return Ok(None);
    }
    let summary = format!("SELECT {table}");
    let rows = session.query(&summary, tool.question(), &[]).await?;
    rows.iter().map(noted).collect::<Result<_, _>>().map(Some)
}

fn noted(row: &Row) -> Result<Noted, Error> {
    Ok(Noted {
        version: row.get(0)?,
        name: row.get(1)?,
        kind: row.get(2)?,
        checksum: row.get(3)?,
        succeeded: row.get(4)?,
    })
}

/// Whether there are tables or views in a database. What belongs to an extension, to the server or
/// to us is not counted.
pub(super) async fn is_inhabited(session: &mut Session) -> Result<bool, Error> {
    let row = session
        .query_one(
            "SELECT pg_class",
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace \
             WHERE relkind IN ('r', 'p', 'v', 'm', 'f') \
               AND nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'firstlight') \
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend \
                               WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = c.oid \
                                 AND deptype = 'e'))",
            &[],
        )
        .await?;
    row.get(0)
}
