//! A file being run: as one transaction, or statement by statement.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tracing::debug;

use super::super::catalog::TOUCH;
use super::super::client::{Heard, Interrupted, Text, Texts};
use super::super::error::Error;
use super::super::fault::{Fault, Position};
use super::super::history::{self, Applied, Entry, Took};
use super::super::locate::{self, Sent};
use super::super::lock::Holder;
use super::super::quote;
use super::Migrations;
use super::error::MigrationError;
use super::file::File;
use super::script::{Piece, Script};

/// How long a statement may wait for a lock of others, before all of its transaction is tried
/// again: whoever comes after it would wait as well.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// A file, and the session that runs it.
pub(super) struct Running<'a> {
    pub(super) migrations: &'a Migrations,
    pub(super) file: &'a File,
    pub(super) script: &'a Script,
    pub(super) holder: &'a mut Holder,
}

impl Running<'_> {
    /// Runs the file to its row in the history.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let used = std::mem::replace(&mut self.holder.used, true);
        if self.script.header.transaction {
            self.as_one(used).await?;
        } else {
            if used {
                self.holder.session.reset().await?;
            }
            self.step_by_step().await?;
        }
        self.holder.applied.push(Applied {
            version: self.file.version(),
            file: self.file.name().to_owned(),
            checksum: self.file.checksum.clone(),
            when: "in this run".to_owned(),
        });
        Ok(())
    }

    /// One transaction: the file, and its row in the history.
    async fn as_one(&mut self, used: bool) -> Result<(), Error> {
        let begin = self.script.begin.as_deref().unwrap_or("BEGIN");
        let begin = self.begin_as_owner(begin);
        if used {
            self.holder.session.begin_anew(&begin).await?;
        } else {
            self.holder.session.begin(&begin).await?;
        }
        let row = history::insert(&self.entry(Took::Transaction));
        let (pieces, questions) = (&self.script.pieces, &self.script.verify);
        self.carry_through((1, pieces), questions, &row).await
    }

    /// Carries out statement `number` of the file, from 1, outside a transaction of ours.
    pub(super) async fn statement(
        &mut self,
        number: usize,
        piece: &Piece,
        sql: &str,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let mut each = |_| {};
        let answer = self.holder.session.rows(&piece.summary, sql, &mut each);
        let done = answer.await;
        done.map_err(|interrupted| locate(self.file, piece, interrupted.error))?;
        tell(self.file, self.script, number, piece, started.elapsed());
        Ok(())
    }

    /// What begins a transaction as the role that is to own what it makes.
    pub(super) fn begin_as_owner(&self, begin: &str) -> String {
        let mut sql = format!("{begin}; {}", self.timeouts("SET LOCAL", LOCK_TIMEOUT));
        if let Some(owner) = &self.migrations.owner {
            sql.push_str("; SET LOCAL ROLE ");
            sql.push_str(&quote::identifier(owner));
        }
        sql
    }

    /// Carries out the rest of a transaction: its statements, of which the first has a number, its
    /// questions, what is to be noted of it, and its COMMIT. That is sent when all the rest is
    /// answered, and as it should be.
    ///
    /// What the file has put off is checked before the note, so that it is the file's error, and we
    /// become ourselves again, whoever the file has made us. That the catalog is changed by us is
    /// noted with each: between two files another run may have taken the fingerprint. The note and the
    /// COMMIT have our time: what limits the file is for the file.
    pub(super) async fn carry_through(
        &mut self,
        (first, pieces): (usize, &[Piece]),
        questions: &[Piece],
        note: &str,
    ) -> Result<(), Error> {
        let time = format!(
            "{}; SET LOCAL lock_timeout = {}",
            self.holder.session.usual_timeout(),
            LOCK_TIMEOUT.as_millis()
        );
        let note = format!(
            "SET CONSTRAINTS ALL IMMEDIATE; {time}; RESET SESSION AUTHORIZATION; RESET ROLE; \
             {TOUCH}; {note}"
        );
        let all: Vec<&Piece> = pieces.iter().chain(questions).collect();
        let texts = all.iter().map(|piece| Text {
            summary: &piece.summary,
            sql: &piece.resolved.sql,
        });
        let last = Text {
            summary: "INSERT firstlight",
            sql: &note,
        };
        let texts: Vec<_> = texts.chain([last]).collect();
        let (file, script) = (self.file, self.script);
        let mut answers = vec![Answer::default(); questions.len()];
        let mut transaction = None;
        let mut heard = |index: usize, heard: Heard| match (all.get(index), heard) {
            (Some(piece), Heard::Done(took)) => tell(file, script, first + index, piece, took),
            (Some(_), Heard::Row(row)) if index >= pieces.len() => {
                answers[index - pieces.len()].take(row);
            }
            // Of all in the note only its row gives an answer.
            (None, Heard::Row(row)) => transaction = row.into_iter().flatten().next(),
            _ => {}
        };
        let session = &mut self.holder.session;
        let sent = session.pipeline(&texts, script.goes_back, &mut heard).await;
        let answered = sent
            .as_ref()
            .map_or_else(|(index, _)| *index, |()| all.len());
        for (question, answer) in all[..answered].iter().skip(pieces.len()).zip(&answers) {
            answer.must_be_yes(file, question)?;
        }
        sent.map_err(|(index, cut)| match all.get(index) {
            Some(piece) => locate(file, piece, cut.error),
            None => put_off(file, cut),
        })?;
        self.commit(transaction.unwrap_or_default()).await
    }

    /// Ends a transaction whose number is known: should the answer get lost, that tells what has
    /// become of it.
    async fn commit(&mut self, transaction: String) -> Result<(), Error> {
        let doubt = &self.migrations.doubt;
        doubt.arises(self.file.name(), &transaction);
        self.holder.session.end("COMMIT").await?;
        doubt.ends();
        Ok(())
    }

    /// What the history is to say of the file.
    pub(super) fn entry(&self, took: Took) -> Entry<'_> {
        Entry {
            version: self.file.version(),
            description: &self.file.description,
            file: self.file.name(),
            checksum: &self.file.checksum,
            statements: self.script.pieces.len(),
            took,
            trace_id: self.migrations.trace_id.as_deref(),
            adopted_from: None,
        }
    }

    /// The statements that set how long this file may wait for a lock, and work.
    pub(super) fn timeouts(&self, set: &str, usual: Duration) -> String {
        let header = &self.script.header;
        let lock = header.lock_timeout.map_or(usual, Duration::from_millis);
        let mut sql = format!("{set} lock_timeout = {}", lock.as_millis());
        if let Some(millis) = header.statement_timeout {
            // Writing to a text does not fail.
            let _ = write!(sql, "; {set} statement_timeout = {millis}");
        }
        sql
    }
}

/// What was answered to a question so far.
#[derive(Debug, Clone, Default)]
struct Answer {
    any: bool,
    other: Option<&'static str>,
}

impl Answer {
    fn take(&mut self, row: Texts) {
        self.any = true;
        self.other = self.other.or_else(|| first_other(row));
    }

    fn must_be_yes(&self, file: &File, question: &Piece) -> Result<(), MigrationError> {
        let answer = match self.other {
            None if self.any => return Ok(()),
            None => "no row",
            Some(other) => other,
        };
        Err(MigrationError::NotVerified {
            excerpt: Box::new(file.at(question)),
            answer: answer.to_owned(),
        })
    }
}

/// The first value of a row that is not yes, in words.
fn first_other(row: Texts) -> Option<&'static str> {
    let other = row
        .into_iter()
        .find(|value| value.as_deref() != Some("t"))?;
    Some(match other.as_deref() {
        Some("f") => "false",
        None => "null",
        Some(_) => "neither true nor false",
    })
}

/// A statement is done, or a question behind them answered.
fn tell(file: &File, script: &Script, number: usize, piece: &Piece, took: Duration) {
    let total = script.pieces.len();
    let what = if number > total {
        "a question is answered".to_owned()
    } else {
        format!("statement {number} of {total} is done")
    };
    debug!(
        db.query.summary = piece.summary,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "{}: {what}",
        file.name(),
    );
}

/// Where in the file it happened.
fn locate(file: &File, piece: &Piece, error: Error) -> Error {
    let Error::Statement {
        source: mut fault, ..
    } = error
    else {
        return error;
    };
    if let Some(Position::Sent(at)) = &mut fault.position {
        *at = piece.resolved.origin(at.saturating_sub(1)) + 1;
    }
    in_file(file, piece.start, fault)
}

/// An error of something that a file has put off to its end.
fn put_off(file: &File, interrupted: Interrupted) -> Error {
    match interrupted.error {
        Error::Statement { source, .. } if interrupted.after == 0 => {
            in_file(file, file.end(), source)
        }
        error => error,
    }
}

/// An error of what begins at a character of the file.
fn in_file(file: &File, from: usize, fault: Box<Fault>) -> Error {
    let sent = Sent {
        file: &file.path,
        text: file.text(),
        from,
        after: 0,
    };
    locate::error(sent, fault)
}
