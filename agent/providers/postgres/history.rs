//! The schema history: which migrations a database has had. The only memory of the agent, because
//! what SQL has done cannot be read back.

use sha2::{Digest, Sha256};

use super::client::{Row, Session};
use super::error::Error;

/// A migration that a database has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its version.
    pub version: u64,
    /// The file that it was.
    pub file: String,
    /// The checksum of that file.
    pub checksum: String,
}

/// What is written beside a version.
pub(super) struct Entry<'a> {
    pub(super) version: u64,
    pub(super) description: &'a str,
    pub(super) file: &'a str,
    pub(super) checksum: &'a str,
    pub(super) duration_ms: u128,
    pub(super) trace_id: Option<&'a str>,
}

const EXISTS: &str = "SELECT to_regclass('firstlight.schema_history') IS NOT NULL";

/// A schema of its own, so that no migration and no `search_path` meets it by accident.
const CREATE: &str = "\
CREATE SCHEMA IF NOT EXISTS firstlight;
CREATE TABLE firstlight.schema_history (
    version        bigint      PRIMARY KEY CHECK (version >= 0),
    description    text        NOT NULL,
    file           text        NOT NULL,
    checksum       text        NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by     text        NOT NULL DEFAULT session_user,
    duration_ms    bigint      NOT NULL,
    agent_version  text        NOT NULL,
    trace_id       text,
    transaction_id xid8        NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON SCHEMA firstlight IS 'What firstlight remembers of this database.';
COMMENT ON TABLE firstlight.schema_history IS
    'The migrations that this database has had; each row was written in the transaction of its file.';
COMMENT ON COLUMN firstlight.schema_history.checksum IS
    'Algorithm, its version and value, over the bytes without byte order mark and carriage returns.';
-- It holds no secret, and dashboards show it.
GRANT USAGE ON SCHEMA firstlight TO PUBLIC;
GRANT SELECT ON firstlight.schema_history TO PUBLIC;";

/// All of the history; empty where there is none.
pub(super) async fn read(session: &mut Session) -> Result<Vec<Applied>, Error> {
    if !exists(session).await? {
        return Ok(Vec::new());
    }
    let rows = session
        .query(
            "SELECT firstlight.schema_history",
            "SELECT version::text, file, checksum FROM firstlight.schema_history ORDER BY version",
            &[],
        )
        .await?;
    rows.iter().map(applied).collect()
}

/// Makes the table; the caller holds the lock.
pub(super) async fn create(session: &mut Session) -> Result<(), Error> {
    if exists(session).await? {
        return Ok(());
    }
    let created = session
        .batch("CREATE TABLE firstlight.schema_history", CREATE)
        .await;
    created.map_err(|error| error.needing("CREATE on the database"))
}

/// The row of this version, or else the newest one.
pub(super) async fn at_or_newest(
    session: &mut Session,
    version: u64,
) -> Result<Option<Applied>, Error> {
    let rows = session
        .query(
            "SELECT firstlight.schema_history",
            "SELECT version::text, file, checksum FROM firstlight.schema_history \
             ORDER BY version = $1::bigint DESC, version DESC LIMIT 1",
            &[&version.to_string()],
        )
        .await?;
    rows.first().map(applied).transpose()
}

/// Writes a row, in the transaction of the file.
pub(super) async fn write(session: &mut Session, entry: &Entry<'_>) -> Result<(), Error> {
    session
        .query(
            "INSERT firstlight.schema_history",
            "INSERT INTO firstlight.schema_history \
             (version, description, file, checksum, duration_ms, agent_version, trace_id) \
             VALUES ($1::bigint, $2, $3, $4, $5::bigint, $6, nullif($7, ''))",
            &[
                &entry.version.to_string(),
                entry.description,
                entry.file,
                entry.checksum,
                &entry.duration_ms.to_string(),
                env!("CARGO_PKG_VERSION"),
                entry.trace_id.unwrap_or_default(),
            ],
        )
        .await?;
    Ok(())
}

async fn exists(session: &mut Session) -> Result<bool, Error> {
    let row = session.query_one("SELECT to_regclass", EXISTS, &[]).await?;
    row.get(0)
}

fn applied(row: &Row) -> Result<Applied, Error> {
    let version: String = row.get(0)?;
    Ok(Applied {
        version: version.parse().unwrap_or_default(),
        file: row.get(1)?,
        checksum: row.get(2)?,
    })
}

/// The text of a file as it is sent and summed: the same on every system.
pub(super) fn normalise(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.replace("\r\n", "\n")
}

/// The checksum of a normalised text.
pub(super) fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:v1:{}", hex.concat())
}

/// As much of a checksum as tells two of them apart.
pub(super) fn short(checksum: &str) -> String {
    let value = checksum.rsplit(':').next().unwrap_or(checksum);
    value.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::{checksum, normalise, short};

    #[test]
    fn an_editor_on_another_system_changes_no_checksum() {
        let unix = checksum(&normalise("SELECT 1;\nSELECT 2;\n"));
        let windows = checksum(&normalise("\u{feff}SELECT 1;\r\nSELECT 2;\r\n"));
        assert_eq!(unix, windows);
        assert_ne!(unix, checksum(&normalise("SELECT 1;\nSELECT 2;")));
    }

    #[test]
    fn a_checksum_names_its_algorithm() {
        let empty = checksum("");
        assert!(empty.starts_with("sha256:v1:e3b0c44298fc1c14"), "{empty}");
        assert_eq!(short(&empty), "e3b0c44298fc");
        assert_eq!(short("strange"), "strange");
    }
}
