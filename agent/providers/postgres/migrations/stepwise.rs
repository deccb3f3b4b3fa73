//! A file outside a transaction: one statement at a time, each noted, taken up at the right one.
//!
//! A statement that a transaction may be around gets one of its own, with its note in it. One that
//! none may be around is noted before and after; if a run ends in between, the catalog tells what
//! it has done.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::{Class, Failure};

use super::super::error::Error;
use super::super::history;
use super::super::quote;
use super::catalog::{self, Found};
use super::error::MigrationError;
use super::outside::Outside;
use super::pending::check_begun;
use super::progress::{self, Begun, State};
use super::running::Running;
use super::script::Piece;

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
        self.verify().await?;
        self.holder.session.begin("BEGIN").await?;
        let row = history::insert(&self.entry(None));
        let forget = progress::forget(self.file.name());
        self.commit(&format!("{row}; {forget}")).await
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
        self.begin("BEGIN").await?;
        self.statement(number, piece, &piece.resolved.sql).await?;
        let note = self.note(number, piece, State::Done);
        self.commit(&note).await
    }

    /// A statement that no transaction may be around.
    async fn outside(
        &mut self,
        number: usize,
        piece: &Piece,
        outside: &Outside,
        state: Option<State>,
    ) -> Result<(), Error> {
        self.become_owner().await?;
        let found = catalog::look(&mut self.holder.session, outside, state.is_some()).await?;
        let mut sql = piece.resolved.sql.clone();
        match found {
            Found::Done if state == Some(State::Started) => {
                self.become_ourselves().await?;
                return self.write(number, piece, State::Done).await;
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
        self.become_ourselves().await?;
        self.write(number, piece, State::Started).await?;
        self.become_owner().await?;
        let answer = self.carry_out(number, piece, outside, &sql).await;
        if let Err(error) = answer {
            return Err(self.refused(number, piece, error).await);
        }
        self.become_ourselves().await?;
        self.write(number, piece, State::Done).await
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
        if self.become_ourselves().await.is_ok() {
            let _ = self.write(number, piece, State::Failed).await;
        }
        error
    }

    async fn write(&mut self, number: usize, piece: &Piece, state: State) -> Result<(), Error> {
        let note = self.note(number, piece, state);
        let session = &mut self.holder.session;
        session
            .batch("INSERT firstlight.schema_statements", &note)
            .await
    }

    fn note(&self, number: usize, piece: &Piece, state: State) -> String {
        let trace_id = self.migrations.trace_id.as_deref();
        progress::note(self.file.name(), number, piece, state, trace_id)
    }

    async fn become_owner(&mut self) -> Result<(), Error> {
        let Some(owner) = &self.migrations.owner else {
            return Ok(());
        };
        let sql = format!("SET ROLE {}", quote::identifier(owner));
        self.holder.session.batch("SET ROLE", &sql).await
    }

    async fn become_ourselves(&mut self) -> Result<(), Error> {
        let sql = "RESET SESSION AUTHORIZATION; RESET ROLE";
        self.holder.session.batch("RESET ROLE", sql).await
    }
}
