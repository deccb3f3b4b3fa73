//! A file outside a transaction: one statement at a time, each noted, taken up at the right one.
//!
//! A statement that a transaction may be around gets one of its own, with its note in it. One that
//! none may be around is noted before and after; if a run ends in between, the catalog tells what
//! it has done.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::{Class, Failure};

use super::super::catalog::TOUCH;
use super::super::error::Error;
use super::super::history::{self, Took};
use super::super::quote;
use super::catalog::{self, Found};
use super::error::MigrationError;
use super::outside::Outside;
use super::pending::check_begun;
use super::progress::{self, Begun, State};
use super::running::Running;
use super::script::Piece;

/// Who the session is to be once a state is noted.
enum Then {
    /// The role that is to own what the file makes.
    Owner,
    /// The connecting one.
    Ourselves,
}

impl Running<'_> {
    /// Runs what is left of the file.
    pub(super) async fn step_by_step(&mut self) -> Result<(), Error> {
        let states = self.states().await?;
        // What builds an index beside others waits for them by waiting for locks: given up, it leaves
        // an index that is not valid, and has to start from the beginning.
        let limits = self.timeouts("SET", Duration::ZERO);
        self.holder.session.batch("SET", &limits).await?;
        for (index, piece) in self.script.pieces.iter().enumerate() {
            let number = index + 1;
            match (states.get(&number), &piece.outside) {
                // A setting ends with its session, and this may be another one.
                (Some(State::Done), _) if !piece.is_setting => {}
                (_, None) => self.inside(number, piece).await?,
                (state, Some(outside)) => {
                    self.outside(number, piece, outside, state.copied()).await?;
                }
            }
        }
        self.holder.session.begin("BEGIN").await?;
        let row = history::insert(&self.entry(Took::Statements));
        let note = format!("{row}; {}", progress::forget(self.file.name()));
        let behind = (self.script.pieces.len() + 1, &[][..]);
        self.carry_through(behind, &self.script.verify, &note).await
    }

    /// How far the file is, looked at under the lock.
    async fn states(&mut self) -> Result<HashMap<usize, State>, Error> {
        let mut begun = progress::read(&mut self.holder.session).await?;
        begun.retain(|row| row.file == self.file.name());
        check_begun(self.file, self.script, &begun)?;
        let same = |row: &Begun| {
            let piece = self.script.pieces.get(row.number.saturating_sub(1));
            piece.is_some_and(|piece| piece.checksum == row.checksum)
        };
        if !begun
            .iter()
            .all(|row| row.state == State::Failed || same(row))
        {
            // A repeatable file that has changed since: all of it is to be run.
            let forget = progress::forget(self.file.name());
            let forgotten = self.holder.session.batch("DELETE firstlight", &forget);
            forgotten.await?;
            begun.clear();
        }
        Ok(begun.iter().map(|row| (row.number, row.state)).collect())
    }

    /// A statement in a transaction of its own.
    async fn inside(&mut self, number: usize, piece: &Piece) -> Result<(), Error> {
        let begin = self.begin_as_owner("BEGIN");
        self.holder.session.begin(&begin).await?;
        let note = self.note(number, piece, State::Done);
        self.carry_through((number, std::slice::from_ref(piece)), &[], &note)
            .await
    }

    /// A statement that no transaction may be around.
    async fn outside(
        &mut self,
        number: usize,
        piece: &Piece,
        outside: &Outside,
        state: Option<State>,
    ) -> Result<(), Error> {
        if let Some(owner) = self.become_owner() {
            self.holder.session.batch("SET ROLE", &owner).await?;
        }
        let found = catalog::look(&mut self.holder.session, outside, state.is_some()).await?;
        let mut sql = piece.resolved.sql.clone();
        match found {
            Found::Done if state == Some(State::Started) => {
                return self
                    .write(number, piece, State::Done, Then::Ourselves)
                    .await;
            }
            Found::Unknown if state == Some(State::Started) => {
                return Err(Error::from(MigrationError::InDoubt {
                    excerpt: Box::new(self.file.at(piece)),
                    file: self.file.name().to_owned(),
                    number,
                }));
            }
            Found::Building(by) => {
                let excerpt = Box::new(self.file.at(piece));
                return Err(Error::from(MigrationError::Building { excerpt, by }));
            }
            Found::Leftovers(indexes) => {
                for index in indexes {
                    let drop = format!("DROP INDEX CONCURRENTLY {index}");
                    self.statement(number, piece, &drop).await?;
                }
            }
            Found::Half(finish) => sql = finish,
            Found::Done | Found::Unknown | Found::Nothing => {}
        }
        self.write(number, piece, State::Started, Then::Owner)
            .await?;
        let answer = self.carry_out(number, piece, outside, &sql).await;
        if let Err(error) = answer {
            return Err(self.refused(number, piece, error).await);
        }
        self.write(number, piece, State::Done, Then::Ourselves)
            .await
    }

    async fn carry_out(
        &mut self,
        number: usize,
        piece: &Piece,
        outside: &Outside,
        sql: &str,
    ) -> Result<(), Error> {
        self.statement(number, piece, sql).await?;
        if !matches!(outside, Outside::CreateIndex { .. }) {
            return Ok(());
        }
        // With IF NOT EXISTS the server takes what is not valid for what is there.
        match catalog::look(&mut self.holder.session, outside, true).await? {
            Found::Leftovers(_) => Err(Error::from(MigrationError::NotValid {
                excerpt: Box::new(self.file.at(piece)),
            })),
            _ => Ok(()),
        }
    }

    /// A statement that the server has refused is not in doubt.
    async fn refused(&mut self, number: usize, piece: &Piece, error: Error) -> Error {
        if error.class() == Class::Unavailable {
            return error;
        }
        // Where even this fails the statement stays in doubt, and the catalog is asked.
        let noted = self.write(number, piece, State::Failed, Then::Ourselves);
        let _ = noted.await;
        error
    }

    /// Notes a state, as ourselves; all in one text, which is one transaction.
    async fn write(
        &mut self,
        number: usize,
        piece: &Piece,
        state: State,
        then: Then,
    ) -> Result<(), Error> {
        let note = self.note(number, piece, state);
        let then = match (then, self.become_owner()) {
            (Then::Owner, Some(owner)) => format!("; {owner}"),
            _ => String::new(),
        };
        let session = &mut self.holder.session;
        let time = session.usual_timeout();
        let sql = format!(
            "{time}; SET LOCAL lock_timeout = 0; RESET SESSION AUTHORIZATION; RESET ROLE; {TOUCH}; \
             {note}{then}"
        );
        session
            .batch("INSERT firstlight.schema_statements", &sql)
            .await
    }

    fn note(&self, number: usize, piece: &Piece, state: State) -> String {
        let trace_id = self.migrations.trace_id.as_deref();
        progress::note(self.file.name(), number, piece, state, trace_id)
    }

    /// What makes the session that of the role that is to own what the file makes.
    fn become_owner(&self) -> Option<String> {
        let owner = self.migrations.owner.as_ref()?;
        Some(format!("SET ROLE {}", quote::identifier(owner)))
    }
}
