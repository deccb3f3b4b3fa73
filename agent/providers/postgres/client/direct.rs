//! Whether a session is ours alone, or one that a pooler lends to others between transactions.

use super::super::error::Error;
use super::Server;
use super::connection::Connection;

/// Which process of the server answers; its number alone may be that of one on another machine.
const BACKEND: &str = "SELECT pid::text || ' since ' || backend_start::text \
    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())";

impl Server {
    /// Refuses a transaction pooler before anything is set or locked in a session of the server
    /// that it would give to somebody else. Asks once.
    pub(in crate::providers::postgres) async fn refuse_pooler(&self) -> Result<(), Error> {
        let asked = &self.shared.direct;
        let ask = async || {
            let database = self.maintenance();
            let (mut one, mut other) = tokio::try_join!(self.open(database), self.open(database))?;
            self.compare(&mut one, &mut other).await?;
            for mut connection in [one, other] {
                connection.prepare().await?;
                self.keep(&self.pool(database), connection);
            }
            Ok(())
        };
        asked.get_or_try_init(ask).await.copied()
    }

    /// Refuses a session that is not ours alone.
    pub(super) async fn verify(
        &self,
        connection: &mut Connection,
        database: &str,
    ) -> Result<(), Error> {
        let mut witness = self.spare(database).await?;
        self.compare(connection, &mut witness).await?;
        self.keep(&self.pool(database), witness);
        Ok(())
    }

    /// Two sessions are served by two processes, and each always by the same. A pooler lends out
    /// first what it got back last, so that the second session meets the process of the first; or
    /// it takes turns, so that the first meets others.
    async fn compare(&self, one: &mut Connection, other: &mut Connection) -> Result<(), Error> {
        let first = backend(one).await?;
        let met = [
            backend(other).await?,
            backend(one).await?,
            backend(one).await?,
        ];
        if met[0] == first || met[1] != first || met[2] != first {
            return Err(Error::Pooler {
                server: self.address(),
            });
        }
        Ok(())
    }
}

async fn backend(connection: &mut Connection) -> Result<String, Error> {
    let summary = "SELECT pg_backend_pid";
    let rows = connection.query(summary, BACKEND, &[]).await?;
    match rows.first() {
        Some(row) => row.get(0),
        None => Err(Error::Answer {
            summary: summary.to_owned(),
            source: "the server does not know its own process".into(),
        }),
    }
}
