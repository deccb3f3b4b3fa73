//! The use of a connection by one resource.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::super::error::Error;
use super::answers::{Each, Interrupted, Row, Texts};
use super::connection::{Connection, Transaction};
use super::waits::Watch;
use super::{Pool, Server};

/// Exclusive use of a connection; dropped, it goes back to where it was taken from if it is whole.
pub(in crate::providers::postgres) struct Session {
    server: Server,
    connection: Option<Connection>,
    pool: Option<Arc<Pool>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub(super) fn pooled(
        server: &Server,
        connection: Connection,
        pool: Arc<Pool>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            server: server.clone(),
            connection: Some(connection),
            pool: Some(pool),
            _permit: permit,
        }
    }

    pub(super) fn dedicated(server: &Server, connection: Connection) -> Self {
        Self {
            server: server.clone(),
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
        let watch = self.watch();
        let (done, wait) = watch.over(self.connection().batch(summary, sql)).await;
        done.map_err(|error| error.after(wait))
    }

    /// Carries out statements, and gives all of their answers as text.
    pub(in crate::providers::postgres) async fn script(
        &mut self,
        summary: &str,
        sql: &str,
    ) -> Result<Vec<Texts>, Interrupted> {
        let mut rows = Vec::new();
        self.rows(summary, sql, &mut |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// Carries out statements of the bundle, whose answers may be long.
    pub(in crate::providers::postgres) async fn rows(
        &mut self,
        summary: &str,
        sql: &str,
        each: Each<'_>,
    ) -> Result<(), Interrupted> {
        let watch = self.watch();
        let answer = self.connection().simple(summary, sql, each);
        let (done, wait) = watch.over(answer).await;
        done.map_err(|cut| cut.after_wait(wait))
    }

    /// Begins a transaction: until it has ended, this session serves nobody else.
    pub(in crate::providers::postgres) async fn begin(&mut self, sql: &str) -> Result<(), Error> {
        self.connection().transaction = Transaction::Open;
        self.batch("BEGIN", sql).await
    }

    /// The same in a session that is as it was when it was opened, whatever the last script has
    /// set. That is undone in a transaction of its own: its look at the catalog would else be the
    /// first of this one, and only before that can a script say how isolated it is to be.
    pub(in crate::providers::postgres) async fn begin_anew(
        &mut self,
        sql: &str,
    ) -> Result<(), Error> {
        let anew = self.connection().anew();
        self.begin(&format!("BEGIN; {anew}; COMMIT; {sql}")).await
    }

    /// Ends the transaction.
    pub(in crate::providers::postgres) async fn end(&mut self, sql: &str) -> Result<(), Error> {
        self.connection().transaction = Transaction::Ending;
        self.batch(sql, sql).await?;
        self.connection().transaction = Transaction::None;
        Ok(())
    }

    /// Makes the session as it was when it was opened, whatever the last script has set.
    pub(in crate::providers::postgres) async fn reset(&mut self) -> Result<(), Error> {
        let anew = self.connection().anew();
        self.connection().batch("SET", &anew).await
    }

    /// What begins our own part of a transaction of a file, which has limits for its statements.
    pub(in crate::providers::postgres) fn usual_timeout(&mut self) -> String {
        self.connection().usual_timeout()
    }

    /// For what may take its time or wait for others; a question of our own does neither.
    pub(super) fn watch(&mut self) -> Watch {
        let server = self.server.clone();
        let connection = self.connection();
        Watch {
            server,
            database: connection.database().to_owned(),
            pid: connection.pid(),
            current: connection.current(),
        }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("a session has its connection until it is dropped")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if connection.is_broken() {
            self.server.forget_idle();
        }
        if let Some(pool) = &self.pool {
            self.server.keep(pool, connection);
        }
    }
}
