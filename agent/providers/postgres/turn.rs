//! Changes of the catalog that are made one after another, whoever makes them.
//!
//! Two sessions that change one row of the catalog at the same time, as two `GRANT`s on one
//! schema do, end with XX000 in one of them. So every agent takes the same lock first. Roles are
//! shared by all databases of a server while such a lock belongs to one, so they are changed
//! only from the maintenance database.

use crate::engine::Difference;

use super::catalog;
use super::client::Server;
use super::error::Error;

/// The pair of numbers that means "firstlight changes roles or grants" among advisory locks.
const KEY: &str = "1179210836, 2";
/// How long the others may take; then the step looks again.
const PATIENCE: &str = "10s";

/// One change of the catalog, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What it is in a word, for spans and errors.
    pub(super) summary: &'static str,
    pub(super) sql: String,
    /// The right that it takes.
    pub(super) needs: String,
    pub(super) difference: Difference,
}

impl Edit {
    /// Makes it from the maintenance database, for what all databases share.
    pub(super) async fn make_in_server(self, server: &Server) -> Result<(), Error> {
        let done = in_turn(server, server.maintenance(), self.summary, &self.sql).await;
        done.map_err(|error| error.or_faster().needing(self.needs))
    }

    /// Makes it in a database, and notes there that its catalog has been changed by us.
    pub(super) async fn make_in(self, server: &Server, database: &str) -> Result<(), Error> {
        let sql = format!("{}; {}", catalog::TOUCH, self.sql);
        let done = in_turn(server, database, self.summary, &sql).await;
        done.map_err(|error| error.or_faster().needing(self.needs))
    }
}

impl From<Edit> for Difference {
    fn from(edit: Edit) -> Self {
        edit.difference
    }
}

/// Several statements in one message are one transaction: the lock ends with it, and nothing is
/// left half done, also when nobody waits for the answer any more.
pub(super) async fn in_turn(
    server: &Server,
    database: &str,
    summary: &str,
    sql: &str,
) -> Result<(), Error> {
    let mut session = server.session(database).await?;
    let sql = format!(
        "SET LOCAL lock_timeout = '{PATIENCE}'; SELECT pg_catalog.pg_advisory_xact_lock({KEY}); {sql}"
    );
    session.batch(summary, &sql).await
}
