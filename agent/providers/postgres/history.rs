//! The schema history: which migrations a database has had. The only memory of the agent, because
//! what SQL has done cannot be read back.

use sha2::{Digest, Sha256};

use super::client::{Row, Session};
use super::error::Error;
use super::quote;

/// A migration that a database has had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    /// Its version; none if it is repeatable, or known by its name.
    pub(super) version: Option<u64>,
    /// The name of the file that it was.
    pub(super) file: String,
    /// The checksum of that file.
    pub(super) checksum: String,
    /// When, and by which agent: `2026-11-21 17:41:48 UTC by firstlight 0.1.0`.
    pub(super) when: String,
}

impl Applied {
    /// Whether its file is run again when it has changed.
    pub(super) fn is_repeatable(&self) -> bool {
        self.version.is_none() && self.file.starts_with("R__")
    }
}

/// What is written of a file.
pub(super) struct Entry<'a> {
    pub(super) version: Option<u64>,
    pub(super) description: &'a str,
    pub(super) file: &'a str,
    pub(super) checksum: &'a str,
    pub(super) statements: usize,
    pub(super) took: Took,
    pub(super) trace_id: Option<&'a str>,
    /// Who says that the database has had it, if it was not run by us.
    pub(super) adopted_from: Option<&'a str>,
}

/// How long a file has taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Took {
    /// It was not run.
    Nothing,
    /// As long as the transaction that the row is written in.
    Transaction,
    /// As long as its statements, which were timed one by one.
    Statements,
}

/// What a database has: nothing, the table of the first release, or all of [`CREATE`].
const SHAPE: &str = "\
SELECT CASE WHEN history IS NULL THEN 0 \
            WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute \
                         WHERE attrelid = history AND attname = 'adopted_from') THEN 2 \
            ELSE 1 END \
FROM (SELECT to_regclass('firstlight.schema_history') AS history) AS found";

/// The tables of a new database.
///
/// They have a schema of their own, so that no migration and no `search_path` meets it by accident.
const CREATE: &str = "\
CREATE SCHEMA IF NOT EXISTS firstlight;
CREATE TABLE firstlight.schema_history (
    version        bigint      UNIQUE CHECK (version >= 0),
    description    text        NOT NULL,
    file           text        NOT NULL,
    checksum       text        NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by     text        NOT NULL DEFAULT session_user,
    duration_ms    bigint      NOT NULL,
    agent_version  text        NOT NULL,
    trace_id       text,
    transaction_id xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    statements     integer     CHECK (statements >= 0),
    adopted_from   text
);
COMMENT ON SCHEMA firstlight IS 'What firstlight remembers of this database.';
COMMENT ON TABLE firstlight.schema_history IS
    'The migrations that this database has had; each row was written in the transaction of its file.';
COMMENT ON COLUMN firstlight.schema_history.checksum IS
    'Algorithm, its version and value, over the bytes without byte order mark and carriage returns.';
-- It holds no secret, and dashboards show it.
GRANT USAGE ON SCHEMA firstlight TO PUBLIC;
GRANT SELECT ON firstlight.schema_history TO PUBLIC;";

/// From the table of the first release, which knew no repeatable files and no life before it.
const UPGRADE: &str = "\
ALTER TABLE firstlight.schema_history
    DROP CONSTRAINT schema_history_pkey,
    ALTER COLUMN version DROP NOT NULL,
    ADD CONSTRAINT schema_history_version_key UNIQUE (version),
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN statements integer CHECK (statements >= 0),
    ADD COLUMN adopted_from text;";

/// What a new database gets and one of the first release lacks.
const STATEMENTS: &str = "\
COMMENT ON COLUMN firstlight.schema_history.version IS
    'None for a repeatable migration, which has a row for each time that it was run, and for one that is known by its name.';
COMMENT ON COLUMN firstlight.schema_history.statements IS
    'How many statements the file had; none where an older agent did not count.';
COMMENT ON COLUMN firstlight.schema_history.adopted_from IS
    'Who says that the database has had this: baseline, repair, or another tool; none where it was run.';
CREATE TABLE firstlight.schema_statements (
    file          text        NOT NULL,
    number        integer     NOT NULL CHECK (number > 0),
    checksum      text        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('started', 'failed', 'done')),
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    agent_version text        NOT NULL,
    trace_id      text,
    PRIMARY KEY (file, number)
);
COMMENT ON TABLE firstlight.schema_statements IS
    'The statements of migrations that run outside a transaction and are not finished.';
GRANT SELECT ON firstlight.schema_statements TO PUBLIC;";

/// All of the history, oldest first; empty where there is none.
pub(super) async fn read(session: &mut Session) -> Result<Vec<Applied>, Error> {
    match shape(session).await? {
        0 => Ok(Vec::new()),
        1 => rows(session, "version").await,
        _ => rows(session, "id").await,
    }
}

async fn rows(session: &mut Session, order: &str) -> Result<Vec<Applied>, Error> {
    let sql = format!(
        "SELECT version::text, file, checksum, \
                format('%s UTC by firstlight %s', \
                       to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), \
                       agent_version) \
         FROM firstlight.schema_history ORDER BY {order}"
    );
    let rows = session
        .query("SELECT firstlight.schema_history", &sql, &[])
        .await?;
    rows.iter().map(applied).collect()
}

/// The same, once the tables are what this agent needs; the caller holds the lock.
pub(super) async fn prepare(session: &mut Session) -> Result<Vec<Applied>, Error> {
    let is_new = match shape(session).await? {
        0 => true,
        1 => false,
        _ => return rows(session, "id").await,
    };
    let history = if is_new { CREATE } else { UPGRADE };
    // All or nothing; a dashboard that reads the table must not queue up behind us for long.
    let sql = format!("BEGIN; SET LOCAL lock_timeout = '3s'; {history} {STATEMENTS} COMMIT");
    let made = session
        .batch("CREATE TABLE firstlight.schema_history", &sql)
        .await;
    made.map_err(|error| {
        error.needing(
            "CREATE on the database, and the ownership of schema firstlight if it is there",
        )
    })?;
    if is_new {
        return Ok(Vec::new());
    }
    rows(session, "id").await
}

/// The statement that writes a row, and answers with its transaction. It stands in one text with
/// what goes before it, so it has no parameters.
pub(super) fn insert(entry: &Entry<'_>) -> String {
    let version = entry
        .version
        .map_or_else(|| "NULL".to_owned(), |version| version.to_string());
    let file = quote::literal(entry.file);
    let millis = |seconds: &str| format!("extract(epoch FROM {seconds}) * 1000");
    let duration = match entry.took {
        Took::Nothing => "0".to_owned(),
        Took::Transaction => millis("clock_timestamp() - transaction_timestamp()"),
        Took::Statements => format!(
            "(SELECT coalesce(sum({}), 0) FROM firstlight.schema_statements WHERE file = {file})",
            millis("finished_at - started_at")
        ),
    };
    format!(
        "INSERT INTO firstlight.schema_history \
         (version, description, file, checksum, statements, duration_ms, agent_version, trace_id, \
          adopted_from) \
         VALUES ({version}, {}, {file}, {}, {}, {duration}, {}, {}, {}) \
         RETURNING transaction_id",
        quote::literal(entry.description),
        quote::literal(entry.checksum),
        entry.statements,
        quote::literal(env!("CARGO_PKG_VERSION")),
        optional(entry.trace_id),
        optional(entry.adopted_from),
    )
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), quote::literal)
}

async fn shape(session: &mut Session) -> Result<usize, Error> {
    let row = session.query_one("SELECT to_regclass", SHAPE, &[]).await?;
    let shape: i32 = row.get(0)?;
    Ok(usize::try_from(shape).unwrap_or_default())
}

fn applied(row: &Row) -> Result<Applied, Error> {
    let version: Option<String> = row.get(0)?;
    Ok(Applied {
        version: version.and_then(|version| version.parse().ok()),
        file: row.get(1)?,
        checksum: row.get(2)?,
        when: row.get(3)?,
    })
}

/// The text of a file as it is sent and summed: the same on every system.
pub(super) fn normalise(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.replace("\r\n", "\n")
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The checksum of a normalised text.
pub(super) fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut checksum = "sha256:v1:".to_owned();
    for half in digest.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        checksum.push(char::from(HEX[usize::from(half)]));
    }
    checksum
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
