//! What the server answers, in words that leave this folder: rows, counts and faults.

use std::fmt::Write;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures::TryStreamExt;
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryStream};

use super::super::error::Error;
use super::super::fault::{Fault, Position};
use super::super::literals;
use super::waits::LockWait;

/// A row of an answer in text, none where it is null.
pub(in crate::providers::postgres) type Texts = Vec<Option<String>>;

/// A text of statements that was not carried out to its end.
#[derive(Debug)]
pub(in crate::providers::postgres) struct Interrupted {
    /// How many statements were carried out.
    pub(in crate::providers::postgres) after: usize,
    /// Why the next one was not.
    pub(in crate::providers::postgres) error: Error,
}

impl Interrupted {
    /// Says who was in the way, if a lock was waited for in vain.
    pub(super) fn after_wait(mut self, wait: Option<LockWait>) -> Self {
        self.error = self.error.after(wait);
        self
    }
}

/// A row of an answer.
pub(in crate::providers::postgres) struct Row {
    row: tokio_postgres::Row,
    summary: Arc<str>,
}

impl Row {
    pub(super) fn new(row: tokio_postgres::Row, summary: &Arc<str>) -> Self {
        let summary = Arc::clone(summary);
        Self { row, summary }
    }

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

/// What an answer holds, as far as it has come.
#[derive(Default)]
pub(super) struct Count {
    /// How many statements were carried out.
    pub(super) statements: usize,
    /// How many rows have come.
    pub(super) returned: u64,
    /// How many rows the server itself counts, returned or changed.
    pub(super) told: u64,
}

/// Asks with parameters, each a text that the statement casts.
pub(super) async fn ask(
    client: &Client,
    sql: &str,
    params: &[&str],
) -> (
    Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>,
    Count,
) {
    let mut count = Count::default();
    let answer = async {
        let typed = params.iter().map(|value| (*value, Type::TEXT));
        let mut answer = pin!(client.query_typed_raw(sql, typed).await?);
        let mut rows = Vec::new();
        while let Some(row) = answer.try_next().await? {
            count.returned += 1;
            rows.push(row);
        }
        count.told = answer.rows_affected().unwrap_or_default();
        Ok(rows)
    };
    let answer = answer.await;
    (answer, count)
}

/// What is done with a row. It is given each as it comes: a migration may well answer with more of
/// them than there is memory.
pub(in crate::providers::postgres) type Each<'a> = &'a mut (dyn FnMut(Texts) + Send);

/// The answers to a text, as they come.
pub(super) type Answers = Pin<Box<SimpleQueryStream>>;

/// Sends a text of statements. Does not wait for answers, not even to what was sent before.
pub(super) async fn send(client: &Client, sql: &str) -> Result<Answers, tokio_postgres::Error> {
    Ok(Box::pin(client.simple_query_raw(sql).await?))
}

/// Takes the answers to the statements of a text, one after another, until one fails.
pub(super) async fn read(
    mut answers: Answers,
    count: &mut Count,
    each: Each<'_>,
) -> Result<(), tokio_postgres::Error> {
    while let Some(answer) = answers.try_next().await? {
        match answer {
            SimpleQueryMessage::CommandComplete(told) => {
                count.statements += 1;
                count.told += told;
            }
            SimpleQueryMessage::Row(row) => {
                count.returned += 1;
                let values = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
                each(values.collect());
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a reader of an error that violates a constraint is told in place of its detail.
const WITHHELD: &str = "the log of the server names the row: its values are not shown here";

pub(super) fn fault(said: &DbError) -> Fault {
    let code = said.code().code();
    // Of a constraint or the condition of a view: the values of a row, which may be anybody's. A
    // password in a seed file, or a name in a table, is not to get into traces and logs.
    let detail = said.detail().map(|detail| without_value(code, detail));
    let is_of_row = code.starts_with("23") || code.starts_with("44");
    let withheld = detail.is_some() && is_of_row;
    Fault {
        code: code.to_owned(),
        message: without_value(code, said.message()),
        detail: detail.filter(|_| !withheld),
        hint: said
            .hint()
            .or(withheld.then_some(WITHHELD))
            .map(str::to_owned),
        position: said.position().map(|position| match position {
            ErrorPosition::Original(at) => Position::Sent(*at as usize),
            ErrorPosition::Internal { position, query } => Position::Inner {
                at: *position as usize,
                query: query.clone(),
            },
        }),
        context: said.where_().map(|context| told(code, context)),
        object: object(said),
    }
}

/// The message; of data that cannot be read as what it should be, without the data, and of a string
/// at a place where none can be, without the string.
fn without_value(code: &str, message: &str) -> String {
    let (Some(open), Some(close)) = (message.find('"'), message.rfind('"')) else {
        return message.to_owned();
    };
    let quoted = message.get(open + 1..close).unwrap_or_default();
    let is_string = code == "42601" && (quoted.contains('\'') || quoted.matches('$').count() > 1);
    if quoted.is_empty() || !(is_string || code.starts_with("22")) {
        return message.to_owned();
    }
    format!("{}…{}", &message[..=open], &message[close..])
}

/// What was at work. Where the error is about data, every other line may quote it, as
/// `COPY nodes, line 1, column id: "…"` does.
fn told(code: &str, context: &str) -> String {
    let is_of_data = ["22", "23", "44"]
        .iter()
        .any(|class| code.starts_with(class));
    let is_code = |line: &&str| line.starts_with("PL/pgSQL ") || line.starts_with("SQL ");
    let context = literals::quoted(context);
    let lines = context.lines().filter(|line| !is_of_data || is_code(line));
    lines.collect::<Vec<_>>().join("\n")
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
