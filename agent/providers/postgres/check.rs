//! A question in SQL that must be answered as expected.

use std::convert::Infallible;
use std::fmt;

use crate::engine::{Plan, Resource, Waiting};

use super::client::{Server, Texts};
use super::error::Error;
use super::fault::Excerpt;
use super::literals;
use super::locate::{self, Sent};
use super::statements;

/// One query that gives one value. It may only read.
#[derive(Debug, Clone)]
pub struct SqlCheck {
    /// Where it is asked.
    pub server: Server,
    /// In which database.
    pub database: String,
    /// The question: one statement.
    pub query: String,
    /// What the answer must be.
    pub expect: Expect,
}

/// What the answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this text.
    Value(String),
    /// A number not below this one.
    AtLeast(i64),
}

/// What the query gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The database does not exist.
    NoDatabase,
    /// No row.
    Nothing,
    /// One row with one value, none for null.
    Value(Option<String>),
    /// More than one value.
    Many {
        /// How many rows.
        rows: usize,
        /// With how many columns.
        columns: usize,
    },
}

impl Resource for SqlCheck {
    type Observed = Answer;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<Answer, Error> {
        self.one_statement()?;
        let Some(mut session) = self.server.session_if_any(&self.database).await? else {
            return Ok(Answer::NoDatabase);
        };
        session.begin("BEGIN READ ONLY").await?;
        let (mut first, mut count) = (None, 0);
        let mut each = |row: Texts| {
            count += 1;
            first.get_or_insert(row);
        };
        let answered = session.rows("check", &self.query, &mut each).await;
        let ended = session.end("ROLLBACK").await;
        match answered {
            Ok(()) => ended.map(|()| Answer::new(first, count)),
            Err(interrupted) => Err(self.locate(interrupted.error)),
        }
    }

    fn plan(&self, observed: &Answer) -> Result<Plan<Infallible>, Error> {
        if self.expect.is_met_by(observed) {
            return Ok(Plan::Current);
        }
        let text = format!(
            "database {}: {:?} said {observed}, expected {}",
            self.database,
            literals::hidden(&self.query),
            self.expect
        );
        Ok(Plan::InProgress(match observed {
            Answer::NoDatabase => {
                Waiting::unavailable(format!("database {} does not exist", self.database))
            }
            _ => Waiting::unmet(text),
        }))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}

impl SqlCheck {
    /// A second statement could end the transaction that keeps the first from writing.
    fn one_statement(&self) -> Result<(), Error> {
        let found = statements::split(&self.query);
        let refused = found.iter().find_map(statements::Statement::refusal);
        let offset = match (found.as_slice(), refused) {
            (_, Some(refused)) => refused.at,
            ([_], None) => return Ok(()),
            ([], None) => 0,
            ([_, second, ..], None) => second.start(),
        };
        Err(Error::Refused {
            excerpt: Box::new(Excerpt::new("query", &self.query, offset)),
            why: "a check is one statement that reads",
            instead: "ask one question, like `SELECT count(*) FROM …`",
        })
    }

    fn locate(&self, error: Error) -> Error {
        let Error::Statement { source, .. } = error else {
            return error;
        };
        // Of a server this means that it was demoted, and may pass; here the transaction is ours.
        if source.code == "25006" {
            return Error::Refused {
                excerpt: Box::new(Excerpt::new("query", &self.query, 0)),
                why: "a check may only read",
                instead: "ask with SELECT, and let a migration write",
            };
        }
        let sent = Sent {
            file: "query",
            text: &self.query,
            from: 0,
            after: 0,
        };
        locate::error(sent, source)
    }
}

impl Answer {
    /// Of the first row, and of how many there are.
    fn new(first: Option<Texts>, rows: usize) -> Self {
        match first {
            None => Self::Nothing,
            Some(mut row) if rows == 1 && row.len() == 1 => Self::Value(row.pop().flatten()),
            Some(row) => Self::Many {
                rows,
                columns: row.len(),
            },
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDatabase => f.write_str("nothing, for there is no such database"),
            Self::Nothing => f.write_str("nothing"),
            Self::Value(None) => f.write_str("null"),
            Self::Value(Some(value)) => f.write_str(value),
            Self::Many { rows, columns } => write!(f, "{rows} rows of {columns} columns"),
        }
    }
}

impl Expect {
    fn is_met_by(&self, answer: &Answer) -> bool {
        let Answer::Value(Some(value)) = answer else {
            return false;
        };
        match self {
            Self::Value(expected) => value == expected,
            Self::AtLeast(least) => value.parse::<i128>().is_ok_and(|n| n >= (*least).into()),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(value),
            Self::AtLeast(least) => write!(f, "at least {least}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Expect};

    fn value(text: &str) -> Answer {
        Answer::Value(Some(text.to_owned()))
    }

    #[test]
    fn answers_are_compared_as_the_bundle_says() {
        let at_least = Expect::AtLeast(3);
        let exactly = Expect::Value("t".to_owned());
        for (expect, answer, met) in [
            (&at_least, value("3"), true),
            (&at_least, value("99999999999999999999"), true),
            (&at_least, value("2"), false),
            (&at_least, value("-4"), false),
            (&at_least, value("many"), false),
            (&at_least, Answer::Value(None), false),
            (&at_least, Answer::Nothing, false),
            (&at_least, Answer::NoDatabase, false),
            (
                &at_least,
                Answer::Many {
                    rows: 3,
                    columns: 1,
                },
                false,
            ),
            (&exactly, value("t"), true),
            (&exactly, value("f"), false),
            (&exactly, Answer::Nothing, false),
        ] {
            assert_eq!(expect.is_met_by(&answer), met, "{expect}: {answer}");
        }
    }

    #[test]
    fn answers_read_well() {
        assert_eq!(
            format!("said {}, expected {}", value("0"), Expect::AtLeast(1)),
            "said 0, expected at least 1"
        );
        assert_eq!(
            Answer::new(Some(vec![None, None]), 2).to_string(),
            "2 rows of 2 columns"
        );
        assert_eq!(Answer::new(Some(vec![None]), 1).to_string(), "null");
        assert_eq!(Answer::new(None, 0).to_string(), "nothing");
    }
}
