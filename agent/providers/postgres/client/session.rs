//! The use of a connection by one resource.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::super::error::Error;
use super::Pool;
use super::connection::{Carried, Connection, Interrupted, Row, Texts};

/// Exclusive use of a connection; dropped, it goes back to where it was taken from if it is whole.
pub(in crate::providers::postgres) struct Session {
    connection: Option<Connection>,
    pool: Option<Arc<Pool>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub(super) fn pooled(
        connection: Connection,
        pool: Arc<Pool>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            connection: Some(connection),
            pool: Some(pool),
            _permit: permit,
        }
    }

    pub(super) fn dedicated(connection: Connection) -> Self {
        Self {
            connection: Some(connection),
            pool: None,
            _permit: None,
        }
    }

    /// Asks one question. The parameters are texts: cast them in the statement.
    pub(in crate::providers::postgres) async fn query(
        &mut self,
        summary: &str,
        sql: &str,
        params: &[&str],
    ) -> Result<Vec<Row>, Error> {
        self.connection().query(summary, sql, params).await
    }

    /// Asks a question that always has one row for an answer.
    pub(in crate::providers::postgres) async fn query_one(
        &mut self,
        summary: &str,
        sql: &str,
        params: &[&str],
    ) -> Result<Row, Error> {
        let mut rows = self.query(summary, sql, params).await?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (_, others) => Err(Error::Answer {
                summary: summary.to_owned(),
                source: format!("not one row, {others} others").into(),
            }),
        }
    }

    /// Carries out statements without answers.
    pub(in crate::providers::postgres) async fn batch(
        &mut self,
        summary: &str,
        sql: &str,
    ) -> Result<(), Error> {
        self.connection().batch(summary, sql).await
    }

    /// Carries out statements of the bundle, and gives their answers as text.
    pub(in crate::providers::postgres) async fn script(
        &mut self,
        summary: &str,
        sql: &str,
    ) -> Result<Vec<Texts>, Interrupted> {
        self.connection().script(summary, sql).await
    }

    /// Carries out one statement of the bundle.
    pub(in crate::providers::postgres) async fn statement(
        &mut self,
        summary: &str,
        sql: &str,
    ) -> Result<Carried, Error> {
        self.connection().statement(summary, sql).await
    }

    /// Begins a transaction: until it has ended, this session serves nobody else.
    pub(in crate::providers::postgres) async fn begin(&mut self, sql: &str) -> Result<(), Error> {
        self.connection().in_transaction = true;
        self.connection().batch("BEGIN", sql).await
    }

    /// Ends the transaction.
    pub(in crate::providers::postgres) async fn end(&mut self, sql: &str) -> Result<(), Error> {
        self.connection().batch(sql, sql).await?;
        self.connection().in_transaction = false;
        Ok(())
    }

    /// Makes the session as it was when it was opened, whatever the last script has set.
    pub(in crate::providers::postgres) async fn reset(&mut self) -> Result<(), Error> {
        let undo = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DISCARD TEMP";
        self.connection().batch("RESET", undo).await?;
        self.connection().prepare().await
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("a session has its connection until it is dropped")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(connection), Some(pool)) = (self.connection.take(), &self.pool)
            && connection.is_usable()
        {
            pool.put(connection);
        }
    }
}
