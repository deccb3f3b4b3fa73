//! One statement at work: what it waits for, and where in the file it failed.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::{debug, info};

use super::super::client::{Carried, Server};
use super::super::error::Error;
use super::super::fault::{Fault, Position};
use super::super::locate::{self, Sent};
use super::super::statements;
use super::error::MigrationError;
use super::running::Running;
use super::script::Piece;

/// A statement that takes longer is looked after.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Who looks after a statement from the outside while it is at work.
struct Watch<'a> {
    server: &'a Server,
    database: &'a str,
    process: i32,
    /// Which statement of which file.
    what: String,
    first_look: Duration,
}

impl Running<'_> {
    /// Carries out a statement: `number` of the file, from 1.
    pub(super) async fn statement(
        &mut self,
        number: usize,
        piece: &Piece,
        sql: &str,
    ) -> Result<Carried, Error> {
        let total = self.script.pieces.len();
        let half = self.lock_timeout(piece) / 2;
        let watch = Watch {
            server: &self.migrations.server,
            database: &self.migrations.database,
            process: self.holder.process,
            what: format!("{} {number}/{total}, {}", self.file.name(), piece.summary),
            first_look: if half.is_zero() {
                FIRST_LOOK
            } else {
                half.min(FIRST_LOOK)
            },
        };
        let started = Instant::now();
        let working = self.holder.session.statement(&piece.summary, sql);
        let (answer, held_by) = watch.over(working).await;
        let carried = answer.map_err(|error| self.locate(piece, error, held_by))?;
        debug!(
            db.query.summary = piece.summary,
            rows = carried.affected,
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "{}: done",
            watch.what,
        );
        Ok(carried)
    }

    /// Where in the file it happened.
    fn locate(&self, piece: &Piece, error: Error, by: Vec<String>) -> Error {
        let Error::Statement {
            source: mut fault, ..
        } = error
        else {
            return error;
        };
        if let Some(Position::Sent(at)) = &mut fault.position {
            *at = piece.resolved.origin(at.saturating_sub(1)) + 1;
        }
        match self.in_file(piece.start, fault) {
            Error::Text { excerpt, fault } if fault.code == "55P03" => {
                MigrationError::Blocked { excerpt, fault, by }.into()
            }
            error => error,
        }
    }

    /// An error of what begins at a character of the file.
    pub(super) fn in_file(&self, from: usize, fault: Box<Fault>) -> Error {
        let sent = Sent {
            file: &self.file.path,
            text: self.file.text(),
            from,
            after: 0,
        };
        locate::error(sent, fault)
    }
}

impl Watch<'_> {
    /// Says now and then whether a statement works or waits, and for whom; the answer is the
    /// statement's, with whom it was seen to wait for last.
    async fn over<T>(&self, working: impl Future<Output = T>) -> (T, Vec<String>) {
        let mut working = pin!(working);
        let mut seen = Vec::new();
        let mut patience = self.first_look;
        let started = Instant::now();
        loop {
            if let Ok(answer) = timeout(patience, &mut working).await {
                return (answer, seen);
            }
            let found = tokio::select! {
                biased;
                answer = &mut working => return (answer, seen),
                found = self.blockers() => found,
            };
            patience *= 2;
            let seconds = started.elapsed().as_secs();
            match found {
                Ok(found) if found.is_empty() => info!("{}: at work for {seconds}s", self.what),
                Ok(found) => {
                    if found != seen {
                        info!(
                            "{}: waits for what is held by {}",
                            self.what,
                            found.join(" and by ")
                        );
                    }
                    seen = found;
                }
                Err(error) => debug!(%error, "{}: who holds it cannot be told", self.what),
            }
        }
    }

    /// Who holds what the process waits for. Of their statements only what these are about is told:
    /// there may be a password in one.
    async fn blockers(&self) -> Result<Vec<String>, Error> {
        let mut session = self.server.session(self.database).await?;
        let rows = session
            .query(
                "SELECT pg_blocking_pids",
                "SELECT format('process %s (%s) of %s since %s UTC', pid, \
                               coalesce(nullif(application_name, ''), backend_type), \
                               coalesce(usename, 'the server'), \
                               to_char(coalesce(xact_start, backend_start) AT TIME ZONE 'UTC', \
                                       'YYYY-MM-DD HH24:MI:SS')), \
                        state LIKE 'idle in transaction%', query \
                 FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1::int)) ORDER BY pid",
                &[&self.process.to_string()],
            )
            .await?;
        let mut found = Vec::new();
        for row in &rows {
            let (who, idle, query): (String, Option<bool>, Option<String>) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let idle = if idle == Some(true) {
                "idle after "
            } else {
                ""
            };
            let query = query.unwrap_or_default();
            let doing = statements::split(&query)
                .first()
                .map(statements::Statement::summary);
            let doing = doing.unwrap_or_else(|| "something".to_owned());
            found.push(format!("{who}: {idle}{doing}"));
        }
        Ok(found)
    }
}
