//! A file being run: as one transaction, or statement by statement.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tracing::debug;

use super::super::client::{Interrupted, Texts};
use super::super::error::Error;
use super::super::fault::{Fault, Position};
use super::super::history::{self, Applied, Entry};
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
        if std::mem::replace(&mut self.holder.used, true) {
            self.holder.session.reset().await?;
        }
        if self.script.header.transaction {
            self.as_one().await?;
        } else {
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
    async fn as_one(&mut self) -> Result<(), Error> {
        let began = self.script.begin.as_deref().unwrap_or("BEGIN");
        self.begin(began).await?;
        let started = Instant::now();
        for (index, piece) in self.script.pieces.iter().enumerate() {
            self.statement(index + 1, piece, &piece.resolved.sql)
                .await?;
        }
        self.verify().await?;
        let row = history::insert(&self.entry(Some(started.elapsed())));
        self.commit(&row).await
    }

    /// Carries out a statement: `number` of the file, from 1.
    pub(super) async fn statement(
        &mut self,
        number: usize,
        piece: &Piece,
        sql: &str,
    ) -> Result<Vec<Texts>, Error> {
        let started = Instant::now();
        let answer = self.holder.session.script(&piece.summary, sql).await;
        let rows = answer.map_err(|interrupted| self.locate(piece, interrupted.error))?;
        debug!(
            db.query.summary = piece.summary,
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "{}: statement {number} of {} is done",
            self.file.name(),
            self.script.pieces.len(),
        );
        Ok(rows)
    }

    /// Where in the file it happened.
    fn locate(&self, piece: &Piece, error: Error) -> Error {
        let Error::Statement {
            source: mut fault, ..
        } = error
        else {
            return error;
        };
        if let Some(Position::Sent(at)) = &mut fault.position {
            *at = piece.resolved.origin(at.saturating_sub(1)) + 1;
        }
        self.in_file(piece.start, fault)
    }

    /// An error of what begins at a character of the file.
    fn in_file(&self, from: usize, fault: Box<Fault>) -> Error {
        let sent = Sent {
            file: &self.file.path,
            text: self.file.text(),
            from,
            after: 0,
        };
        locate::error(sent, fault)
    }

    /// Begins a transaction as the role that is to own what it makes.
    pub(super) async fn begin(&mut self, began: &str) -> Result<(), Error> {
        let mut sql = format!("{began}; {}", self.timeouts("SET LOCAL", LOCK_TIMEOUT));
        if let Some(owner) = &self.migrations.owner {
            sql.push_str("; SET LOCAL ROLE ");
            sql.push_str(&quote::identifier(owner));
        }
        self.holder.session.begin(&sql).await
    }

    /// Ends a transaction together with what is to be noted of it.
    ///
    /// What the file has put off is checked before, so that it is the file's error, and we become
    /// ourselves again, whoever the file has made us.
    pub(super) async fn commit(&mut self, note: &str) -> Result<(), Error> {
        let sql = format!(
            "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION; RESET ROLE; {note}"
        );
        let noted = self.holder.session.script("INSERT firstlight", &sql).await;
        let mut rows = noted.map_err(|interrupted| self.put_off(interrupted))?;
        let transaction = rows.pop().into_iter().flatten().flatten().next();
        let doubt = &self.migrations.doubt;
        doubt.arises(self.file.name(), &transaction.unwrap_or_default());
        self.holder.session.end("COMMIT").await?;
        doubt.ends();
        Ok(())
    }

    /// An error of something that a file has put off to its end.
    fn put_off(&self, interrupted: Interrupted) -> Error {
        match interrupted.error {
            Error::Statement { source, .. } if interrupted.after == 0 => {
                self.in_file(self.file.end(), source)
            }
            error => error,
        }
    }

    /// Asks the questions at the file's end.
    pub(super) async fn verify(&mut self) -> Result<(), Error> {
        let total = self.script.pieces.len();
        for question in &self.script.verify {
            let sql = &question.resolved.sql;
            let rows = self.statement(total, question, sql).await?;
            let mut values = rows.iter().flatten().map(Option::as_deref);
            let answer = if rows.is_empty() {
                "no row"
            } else {
                match values.find(|value| *value != Some("t")) {
                    None => continue,
                    Some(Some("f")) => "false",
                    Some(None) => "null",
                    Some(Some(_)) => "neither true nor false",
                }
            };
            return Err(Error::from(MigrationError::NotVerified {
                excerpt: Box::new(self.file.at(question)),
                answer: answer.to_owned(),
            }));
        }
        Ok(())
    }

    /// What the history is to say of the file.
    pub(super) fn entry(&self, took: Option<Duration>) -> Entry<'_> {
        Entry {
            version: self.file.version(),
            description: &self.file.description,
            file: self.file.name(),
            checksum: &self.file.checksum,
            statements: self.script.pieces.len(),
            duration: took.map(|took| took.as_millis()),
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
