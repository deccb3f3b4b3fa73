//! A server that must be usable: reachable, letting us in, and taking writes.

use std::convert::Infallible;

use crate::engine::{Plan, Resource, Waiting};

use super::client::Server;
use super::error::Error;

/// The server itself, before anything is done in it.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Which one.
    pub server: Server,
}

/// How the server presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its version: `16.4`.
    pub version: String,
    /// Whether it follows another server.
    pub in_recovery: bool,
    /// Whether it refuses to write.
    pub read_only: bool,
}

impl Resource for Gate {
    type Observed = Observed;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        self.server.refuse_pooler().await?;
        let mut session = self.server.session(self.server.maintenance()).await?;
        let row = session
            .query_one(
                "SELECT server state",
                "SELECT current_setting('server_version'), pg_is_in_recovery(), \
                        current_setting('transaction_read_only')::boolean",
                &[],
            )
            .await?;
        Ok(Observed {
            version: row.get(0)?,
            in_recovery: row.get(1)?,
            read_only: row.get(2)?,
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Infallible>, Error> {
        let why = if observed.in_recovery {
            "is a standby"
        } else if observed.read_only {
            "is read-only"
        } else {
            return Ok(Plan::Current);
        };
        Ok(Plan::InProgress(Waiting::unavailable(format!(
            "Postgres {} at {} {why}",
            observed.version,
            self.server.address()
        ))))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}
