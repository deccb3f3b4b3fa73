//! How far the files are that run outside a transaction: one row for each statement begun.

use super::super::client::{Row, Session};
use super::super::error::Error;
use super::super::quote;
use super::script::Piece;

/// What is known of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was sent, and what became of it is not known.
    Started,
    /// The server refused it.
    Failed,
    /// It has taken effect.
    Done,
}

/// A statement that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Begun {
    /// The name of its file.
    pub(super) file: String,
    /// Which of the file's statements, from 1.
    pub(super) number: usize,
    pub(super) checksum: String,
    pub(super) state: State,
}

/// Everything that is begun and not finished; the tables may be those of an older agent.
pub(super) async fn read(session: &mut Session) -> Result<Vec<Begun>, Error> {
    let exists = "SELECT to_regclass('firstlight.schema_statements') IS NOT NULL";
    let row = session.query_one("SELECT to_regclass", exists, &[]).await?;
    if !row.get(0)? {
        return Ok(Vec::new());
    }
    let rows = session
        .query(
            "SELECT firstlight.schema_statements",
            "SELECT file, number, checksum, state FROM firstlight.schema_statements \
             ORDER BY file, number",
            &[],
        )
        .await?;
    rows.iter().map(begun).collect()
}

fn begun(row: &Row) -> Result<Begun, Error> {
    let number: i32 = row.get(1)?;
    let state: String = row.get(3)?;
    Ok(Begun {
        file: row.get(0)?,
        number: usize::try_from(number).unwrap_or_default(),
        checksum: row.get(2)?,
        state: match state.as_str() {
            "done" => State::Done,
            "failed" => State::Failed,
            _ => State::Started,
        },
    })
}

/// The statement that notes a state; answers with the transaction that it is part of.
pub(super) fn note(
    file: &str,
    number: usize,
    piece: &Piece,
    state: State,
    trace_id: Option<&str>,
) -> String {
    let (state, finished) = match state {
        State::Started => ("started", "NULL"),
        State::Failed => ("failed", "clock_timestamp()"),
        State::Done => ("done", "clock_timestamp()"),
    };
    // Of one that was only begun, the time at which it began stays.
    let began = if finished == "NULL" {
        "excluded.started_at"
    } else {
        "statements.started_at"
    };
    format!(
        "INSERT INTO firstlight.schema_statements AS statements \
         (file, number, checksum, state, started_at, finished_at, agent_version, trace_id) \
         VALUES ({}, {number}, {}, '{state}', now(), {finished}, {}, {}) \
         ON CONFLICT (file, number) DO UPDATE SET \
             checksum = excluded.checksum, state = excluded.state, started_at = {began}, \
             finished_at = excluded.finished_at, agent_version = excluded.agent_version, \
             trace_id = excluded.trace_id \
         RETURNING pg_current_xact_id()",
        quote::literal(file),
        quote::literal(&piece.checksum),
        quote::literal(env!("CARGO_PKG_VERSION")),
        trace_id.map_or_else(|| "NULL".to_owned(), quote::literal),
    )
}

/// The statement that forgets a file: it is finished, or begins anew.
pub(super) fn forget(file: &str) -> String {
    format!(
        "DELETE FROM firstlight.schema_statements WHERE file = {}",
        quote::literal(file)
    )
}
