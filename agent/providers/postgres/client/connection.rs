//! One connection: its socket, its notices, and the only place where an answer becomes an error.

use std::fmt::Write;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::error::{DbError, ErrorPosition, Severity};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage, SimpleQueryRow};
use tracing::{Instrument, Span, debug, field, info, info_span, warn};

use crate::engine::{Chain, Class, Failure};

use super::super::error::Error;
use super::super::fault::{Fault, Position};
use super::Settings;

/// An open connection, and the task that moves its bytes.
pub(super) struct Connection {
    client: Client,
    socket: JoinHandle<()>,
    host: String,
    port: u16,
    database: String,
    statement_timeout: Option<Duration>,
    current: Arc<Mutex<Current>>,
    /// Whether nothing is under way: no statement, no transaction.
    settled: bool,
    pub(super) in_transaction: bool,
}

/// What the server is doing for us: whose notices these are.
struct Current {
    summary: String,
    span: Span,
}

impl Connection {
    pub(super) fn new<S, T>(
        settings: &Settings,
        database: &str,
        client: Client,
        socket: tokio_postgres::Connection<S, T>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let current = Arc::new(Mutex::new(Current {
            summary: String::new(),
            span: Span::none(),
        }));
        Self {
            client,
            socket: tokio::spawn(drive(socket, Arc::clone(&current))),
            host: settings.host.clone(),
            port: settings.port,
            database: database.to_owned(),
            statement_timeout: settings.statement_timeout,
            current,
            settled: true,
            in_transaction: false,
        }
    }

    /// Tells the server how to treat this session. Also undoes what a migration has set.
    pub(super) async fn prepare(&mut self) -> Result<(), Error> {
        let timeout = self.statement_timeout.map_or_else(String::new, |timeout| {
            format!("SET statement_timeout = {};", timeout.as_millis())
        });
        // A server that is told of our end only by the next packet would go on with a statement,
        // and keep our locks, for hours. Since version 14 it can look by itself.
        let sql = format!(
            "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; \
             SET tcp_keepalives_count = 3; {timeout} \
             SELECT pg_catalog.set_config('client_connection_check_interval', '1s', false) \
             WHERE pg_catalog.current_setting('server_version_num')::int >= 140000"
        );
        self.batch("SET", &sql).await
    }

    pub(super) fn is_usable(&self) -> bool {
        self.settled && !self.in_transaction && !self.client.is_closed()
    }

    pub(super) async fn query(
        &mut self,
        summary: &str,
        sql: &str,
        params: &[&str],
    ) -> Result<Vec<Row>, Error> {
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = params
            .iter()
            .map(|value| (value as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        let span = self.begin(summary);
        let answer = self.client.query_typed(sql, &typed);
        let answer = answer.instrument(span.clone()).await;
        let rows = self.end(&span, summary, answer)?;
        let summary: Arc<str> = summary.into();
        let row = |row| Row {
            row,
            summary: Arc::clone(&summary),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    pub(super) async fn batch(&mut self, summary: &str, sql: &str) -> Result<(), Error> {
        let span = self.begin(summary);
        let answer = self.client.batch_execute(sql).instrument(span.clone());
        let answer = answer.await;
        self.end(&span, summary, answer)
    }

    pub(super) async fn script(
        &mut self,
        summary: &str,
        sql: &str,
    ) -> Result<Vec<Texts>, Interrupted> {
        let span = self.begin(summary);
        let mut after = 0;
        let mut rows = Vec::new();
        let answer = run(&self.client, sql, &mut after, &mut rows);
        let answer = answer.instrument(span.clone()).await;
        self.end(&span, summary, answer)
            .map(|()| rows)
            .map_err(|error| Interrupted { after, error })
    }

    /// One statement of the bundle.
    pub(super) async fn statement(&mut self, summary: &str, sql: &str) -> Result<Carried, Error> {
        let span = self.begin(summary);
        let mut carried = Carried::default();
        let answer = carry(&self.client, sql, &mut carried);
        let answer = answer.instrument(span.clone()).await;
        span.record("db.response.returned_rows", carried.rows.len());
        self.end(&span, summary, answer).map(|()| carried)
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
            server.address = self.host,
            server.port = self.port,
            error.type = field::Empty,
        );
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        summary.clone_into(&mut current.summary);
        current.span = span.clone();
        span
    }

    fn end<T>(
        &mut self,
        span: &Span,
        summary: &str,
        answer: Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        let summary = summary.to_owned();
        let error = match answer {
            Ok(answer) => {
                self.settled = true;
                return Ok(answer);
            }
            Err(error) => error,
        };
        let error = match error.as_db_error().map(fault) {
            Some(source) => {
                // A server that shut down, or was demoted, is no longer the one to talk to.
                self.settled = !matches!(source.class(), Class::Unavailable);
                Error::Statement {
                    summary,
                    needs: None,
                    source: Box::new(source),
                }
            }
            None if error.is_closed() || is_io(&error) => Error::Lost {
                server: format!("{}:{}", self.host, self.port),
                summary,
                source: error.into(),
            },
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
/// something is cut off, so that the server notices and stops.
impl Drop for Connection {
    fn drop(&mut self) {
        if !self.settled {
            self.socket.abort();
        }
    }
}

async fn carry(
    client: &Client,
    sql: &str,
    carried: &mut Carried,
) -> Result<(), tokio_postgres::Error> {
    let mut answers = pin!(client.simple_query_raw(sql).await?);
    while let Some(answer) = answers.try_next().await? {
        match answer {
            SimpleQueryMessage::CommandComplete(affected) => carried.affected += affected,
            SimpleQueryMessage::Row(row) => carried.rows.push(texts(&row)),
            _ => {}
        }
    }
    Ok(())
}

fn texts(row: &SimpleQueryRow) -> Texts {
    let values = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
    values.collect()
}

async fn run(
    client: &Client,
    sql: &str,
    after: &mut usize,
    rows: &mut Vec<Texts>,
) -> Result<(), tokio_postgres::Error> {
    let mut answers = pin!(client.simple_query_raw(sql).await?);
    while let Some(answer) = answers.try_next().await? {
        match answer {
            SimpleQueryMessage::CommandComplete(_) => *after += 1,
            SimpleQueryMessage::Row(row) => rows.push(texts(&row)),
            _ => {}
        }
    }
    Ok(())
}

async fn drive<S, T>(mut socket: tokio_postgres::Connection<S, T>, current: Arc<Mutex<Current>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| socket.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => log(&current, &notice),
            Ok(_) => {}
            Err(error) => {
                debug!(error = %Chain(&error), "the session with Postgres ended");
                return;
            }
        }
    }
}

fn log(current: &Mutex<Current>, notice: &DbError) {
    let current = current.lock().unwrap_or_else(PoisonError::into_inner);
    let (summary, span) = (current.summary.as_str(), &current.span);
    let (code, said) = (notice.code().code(), notice.message());
    match notice.parsed_severity() {
        Some(Severity::Warning) => {
            warn!(parent: span, db.query.summary = summary, code, "Postgres warns: {said}");
        }
        Some(Severity::Notice | Severity::Info) => {
            info!(parent: span, db.query.summary = summary, code, "Postgres notes: {said}");
        }
        _ => debug!(parent: span, db.query.summary = summary, code, "Postgres says: {said}"),
    }
}

/// Writes into the span how its call ended.
pub(super) fn record(span: &Span, error: &Error) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", field::display(Chain(error)));
    span.record("error.type", error.kind());
    if let Some(fault) = error.fault() {
        span.record("db.response.status_code", fault.code.as_str());
    }
}

pub(super) fn fault(said: &DbError) -> Fault {
    Fault {
        code: said.code().code().to_owned(),
        message: said.message().to_owned(),
        detail: said.detail().map(str::to_owned),
        hint: said.hint().map(str::to_owned),
        position: said.position().map(|position| match position {
            ErrorPosition::Original(at) => Position::Sent(*at as usize),
            ErrorPosition::Internal { position, query } => Position::Inner {
                at: *position as usize,
                query: query.clone(),
            },
        }),
        context: said.where_().map(str::to_owned),
        object: object(said),
    }
}

/// What an error is about, where the server names it beside its message.
fn object(said: &DbError) -> Option<String> {
    let (kind, name) = match (said.table(), said.datatype()) {
        (Some(table), _) => ("table", table),
        (None, Some(datatype)) => ("type", datatype),
        (None, None) => return said.constraint().map(|name| format!("constraint {name}")),
    };
    let schema = said
        .schema()
        .map_or_else(String::new, |schema| format!("{schema}."));
    let mut object = format!("{kind} {schema}{name}");
    for (part, name) in [("column", said.column()), ("constraint", said.constraint())] {
        if let Some(name) = name {
            let _ = write!(object, ", {part} {name}");
        }
    }
    Some(object)
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// A row of an answer in text, none where it is null.
pub(in crate::providers::postgres) type Texts = Vec<Option<String>>;

/// What a statement has done.
#[derive(Debug, Default)]
pub(in crate::providers::postgres) struct Carried {
    /// How many rows it has read or written.
    pub(in crate::providers::postgres) affected: u64,
    /// What it answered.
    pub(in crate::providers::postgres) rows: Vec<Texts>,
}

/// A text of statements that was not carried out to its end.
#[derive(Debug)]
pub(in crate::providers::postgres) struct Interrupted {
    /// How many statements were carried out.
    pub(in crate::providers::postgres) after: usize,
    /// Why the next one was not.
    pub(in crate::providers::postgres) error: Error,
}

/// A row of an answer.
pub(in crate::providers::postgres) struct Row {
    row: tokio_postgres::Row,
    summary: Arc<str>,
}

impl Row {
    /// The value of a column.
    pub(in crate::providers::postgres) fn get<T>(&self, column: usize) -> Result<T, Error>
    where
        T: for<'a> FromSql<'a>,
    {
        self.row.try_get(column).map_err(|source| Error::Answer {
            summary: self.summary.to_string(),
            source: source.into(),
        })
    }
}
