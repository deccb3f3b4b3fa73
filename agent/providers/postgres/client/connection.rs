//! One connection: its socket, its statements, and the only place where an answer becomes an error.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tracing::{Instrument, Span, field, info_span};

use crate::engine::{Chain, Class, Failure, record_failure};

use super::super::error::Error;
use super::address::Address;
use super::answers::{Answers, Count, Each, Interrupted, Row, Texts, ask, fault, read, send};
use super::cancel::Cancel;
use super::comment::{with_trace, within};
use super::notices::{Asking, Current, drive};

/// An open connection, and the task that moves its bytes.
pub(super) struct Connection {
    client: Client,
    socket: JoinHandle<()>,
    cancel: Cancel,
    address: Address,
    database: String,
    statement_timeout: Option<Duration>,
    current: Current,
    /// The process that serves it; known once it is prepared.
    pid: i32,
    /// Whether the server was found to be gone, or no longer the one to talk to.
    broken: bool,
    /// Whether nothing is under way: no statement, no transaction.
    settled: bool,
    pub(super) transaction: Transaction,
}

/// Whether a transaction of ours is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    None,
    Open,
    /// That is never left off: a COMMIT that waits for a standby would be one, but not there.
    Ending,
}

impl Connection {
    pub(super) fn new<S, T>(
        (address, database): (&Address, &str),
        statement_timeout: Option<Duration>,
        cancel: Cancel,
        (client, socket): (Client, tokio_postgres::Connection<S, T>),
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let current = Current::default();
        Self {
            client,
            socket: tokio::spawn(drive(socket, current.clone())),
            cancel,
            pid: 0,
            address: address.clone(),
            database: database.to_owned(),
            statement_timeout,
            current,
            broken: false,
            settled: true,
            transaction: Transaction::None,
        }
    }

    /// Tells the server how to treat this session.
    pub(super) async fn prepare(&mut self) -> Result<(), Error> {
        let sql = format!("SELECT pg_catalog.pg_backend_pid(); {}", self.terms());
        let mut pid: Option<i32> = None;
        let mut first = |row: Texts| {
            let value = row.into_iter().next().flatten();
            pid = pid.or_else(|| value?.parse().ok());
        };
        let done = self.simple("SET", &sql, &mut first).await;
        done.map_err(|cut| cut.error)?;
        self.pid = pid.ok_or_else(|| Error::Answer {
            summary: "SELECT pg_backend_pid".to_owned(),
            source: "the server does not number its processes".into(),
        })?;
        Ok(())
    }

    /// The statements that undo what a migration has set, and tell it again.
    pub(super) fn anew(&self) -> String {
        format!(
            "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DISCARD TEMP; CLOSE ALL; \
             DEALLOCATE ALL; UNLISTEN *; {}",
            self.terms()
        )
    }

    /// What sets the longest that a statement may run to the usual again, until the transaction ends.
    pub(super) fn usual_timeout(&self) -> String {
        let timeout = self.statement_timeout;
        let timeout = timeout.map_or_else(|| "DEFAULT".to_owned(), |t| t.as_millis().to_string());
        format!("SET LOCAL statement_timeout TO {timeout}")
    }

    fn terms(&self) -> String {
        let timeout = self.statement_timeout.map_or_else(String::new, |timeout| {
            format!("SET statement_timeout = {};", timeout.as_millis())
        });
        // A server that is told of our end only by the next packet would go on with a statement,
        // and keep our locks, for hours. Since version 14 it can look by itself.
        format!(
            "SET tcp_keepalives_idle = 30; \
             SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
             SET tcp_user_timeout = '60s'; {timeout} \
             SELECT pg_catalog.set_config('client_connection_check_interval', '1s', false) \
             WHERE pg_catalog.current_setting('server_version_num')::int >= 140000"
        )
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn current(&self) -> Current {
        self.current.clone()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn is_usable(&self) -> bool {
        self.settled && self.transaction == Transaction::None && !self.client.is_closed()
    }

    pub(super) async fn query(
        &mut self,
        summary: &str,
        sql: &str,
        params: &[&str],
    ) -> Result<Vec<Row>, Error> {
        let span = self.begin(summary);
        let sent = with_trace(sql, &span);
        let answer = ask(&self.client, &sent, params).instrument(span.clone());
        let (rows, count) = answer.await;
        let answer = self.end(&span, (summary, sql), &count, rows)?;
        let summary: Arc<str> = summary.into();
        let row = |row| Row::new(row, &summary);
        Ok(answer.into_iter().map(row).collect())
    }

    /// Carries out statements whose answers nobody needs.
    pub(super) async fn batch(&mut self, summary: &str, sql: &str) -> Result<(), Error> {
        let done = self.simple(summary, sql, &mut |_| {}).await;
        done.map_err(|cut| cut.error)
    }

    /// Carries out statements, and gives each row of their answers as text.
    pub(super) async fn simple(
        &mut self,
        summary: &str,
        sql: &str,
        each: Each<'_>,
    ) -> Result<(), Interrupted> {
        let span = self.begin(summary);
        let mut count = Count::default();
        let sent = with_trace(sql, &span);
        let answer = async { read(send(&self.client, &sent).await?, &mut count, each).await };
        let answer = answer.instrument(span.clone()).await;
        self.ended(&span, (summary, sql), &count, answer)
    }

    /// Sends a text whose answers are taken later, in the order of sending. Its own span begins
    /// only when the server gets to it, so it names the one that it is going to be in.
    pub(super) async fn send(&mut self, sql: &str) -> Result<Answers, tokio_postgres::Error> {
        self.settled = false;
        let sent = with_trace(sql, &Span::current());
        send(&self.client, &sent).await
    }

    /// Takes the answers to a text that was sent.
    pub(super) async fn take(
        &mut self,
        (summary, sql): (&str, &str),
        sent: Result<Answers, tokio_postgres::Error>,
        asked: &mut UnboundedReceiver<Asking>,
        each: Each<'_>,
    ) -> Result<(), Interrupted> {
        let span = self.begin(summary);
        let mut count = Count::default();
        let answer = async {
            let mut reading = pin!(read(sent?, &mut count, each));
            loop {
                tokio::select! {
                    biased;
                    answer = &mut reading => return answer,
                    // Nothing more is there to be read: so far has the reading come.
                    Some(asking) = asked.recv() => drop(asking),
                }
            }
        };
        let answer = answer.instrument(span.clone()).await;
        self.ended(&span, (summary, sql), &count, answer)
    }

    fn ended(
        &mut self,
        span: &Span,
        statement: (&str, &str),
        count: &Count,
        answer: Result<(), tokio_postgres::Error>,
    ) -> Result<(), Interrupted> {
        let done = self.end(span, statement, count, answer);
        done.map_err(|error| Interrupted {
            after: count.statements,
            error,
        })
    }

    fn begin(&mut self, summary: &str) -> Span {
        self.settled = false;
        let span = info_span!(
            "postgres",
            otel.kind = "client",
            otel.name = summary,
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            db.system.name = "postgresql",
            db.namespace = self.database,
            db.query.summary = summary,
            db.response.status_code = field::Empty,
            db.response.returned_rows = field::Empty,
            firstlight.rows_affected = field::Empty,
            firstlight.waits_for = field::Empty,
            server.address = self.address.host,
            server.port = self.address.port,
            error.type = field::Empty,
        );
        self.current.set(summary, &span);
        span
    }

    fn end<T>(
        &mut self,
        span: &Span,
        (summary, sql): (&str, &str),
        count: &Count,
        answer: Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        let summary = summary.to_owned();
        self.current.clear();
        span.record("db.response.returned_rows", count.returned);
        // What a statement returns it also counts.
        span.record(
            "firstlight.rows_affected",
            count.told.saturating_sub(count.returned),
        );
        let error = match answer {
            Ok(answer) => {
                self.settled = true;
                return Ok(answer);
            }
            Err(error) => error,
        };
        let error = match error.as_db_error().map(fault) {
            Some(source) => {
                let source = within(sql, source);
                // A server that shut down, or was demoted, is no longer the one to talk to.
                self.broken = matches!(source.class(), Class::Unavailable);
                self.settled = !self.broken;
                Error::Statement {
                    summary,
                    needs: None,
                    source: Box::new(source),
                }
            }
            None if error.is_closed() || is_io(&error) => {
                self.broken = true;
                Error::Lost {
                    server: self.address.to_string(),
                    summary,
                    source: error.into(),
                }
            }
            None => Error::Answer {
                summary,
                source: error.into(),
            },
        };
        record(span, &error);
        Err(error)
    }
}

/// An idle session says goodbye by itself once its client is gone. One that is in the middle of
/// something is told to leave that off, and is cut off, so that the server notices and stops.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let socket = self.socket.abort_handle();
        let is_ending = self.transaction == Transaction::Ending;
        if self.broken || is_ending || self.client.is_closed() {
            socket.abort();
        } else {
            self.cancel.send(socket);
        }
    }
}

/// Writes into the span how its call ended.
pub(super) fn record(span: &Span, error: &Error) {
    // The conventions want the server's own code where it has answered with one.
    let code = error.fault().map(|fault| fault.code.as_str());
    let kind = code.unwrap_or(error.kind());
    record_failure(span, field::display(Chain(error)), kind);
    span.record("db.response.status_code", code);
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
