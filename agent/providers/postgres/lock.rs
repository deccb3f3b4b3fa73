//! What keeps two runs from migrating one database at the same time.

use std::fmt;

use tokio::sync::Mutex;

use super::client::{Server, Session};
use super::error::Error;
use super::history::{self, Applied};
use super::migrations::MigrationError;

/// The pair of numbers that means "firstlight migrates this database" among advisory locks.
const KEY: [&str; 2] = ["1179210836", "1"];

/// One session that holds the lock, shared by all changes of one plan.
///
/// It is opened by the first of them, and closed when the last of them is dropped, or when one
/// fails or is dropped at work: closing it is what frees the lock.
#[derive(Default)]
pub(super) struct Lock {
    holder: Mutex<Option<Holder>>,
}

/// What holds the lock, and what is known because of it.
pub(super) struct Holder {
    pub(super) session: Session,
    /// The whole history: nobody else adds to it.
    pub(super) applied: Vec<Applied>,
    /// Whether a file may have left settings in the session.
    pub(super) used: bool,
}

/// The lock in use; unless it is given back, it is freed.
pub(super) struct Held<'a> {
    home: tokio::sync::MutexGuard<'a, Option<Holder>>,
    pub(super) holder: Holder,
}

impl Lock {
    /// Takes the lock, if this plan does not have it yet. Never waits for another run.
    pub(super) async fn take(&self, server: &Server, database: &str) -> Result<Held<'_>, Error> {
        let mut home = self.holder.lock().await;
        let holder = match home.take() {
            Some(holder) => holder,
            None => open(server, database).await?,
        };
        Ok(Held { home, holder })
    }
}

impl Held<'_> {
    /// Keeps the lock for the next change.
    pub(super) fn give_back(mut self) {
        *self.home = Some(self.holder);
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

async fn open(server: &Server, database: &str) -> Result<Holder, Error> {
    let mut session = server.dedicated(database).await?;
    // A session that blocks inside pg_advisory_lock holds a snapshot, and so blocks the holder's
    // CREATE INDEX CONCURRENTLY: a deadlock. Asking again does not.
    let row = session
        .query_one(
            "SELECT pg_try_advisory_lock",
            "SELECT pg_try_advisory_lock($1::int, $2::int)",
            &KEY,
        )
        .await?;
    if !row.get(0)? {
        let holder = holder(&mut session).await?;
        return Err(Error::from(MigrationError::Locked {
            database: database.to_owned(),
            holder,
        }));
    }
    let applied = history::prepare(&mut session).await?;
    Ok(Holder {
        session,
        applied,
        used: false,
    })
}

/// Who holds the lock. Says nothing that changes while it is held: a new text would be progress.
async fn holder(session: &mut Session) -> Result<String, Error> {
    let rows = session
        .query(
            "SELECT pg_locks",
            "SELECT format('%s, process %s from %s since %s UTC', \
                           coalesce(nullif(application_name, ''), 'a session'), pid, \
                           coalesce(host(client_addr), 'the server itself'), \
                           to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')) \
             FROM pg_locks JOIN pg_stat_activity USING (pid) \
             WHERE locktype = 'advisory' AND granted AND objsubid = 2 \
               AND classid = $1::oid AND objid = $2::oid \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &KEY,
        )
        .await?;
    match rows.first() {
        Some(row) => row.get(0),
        None => Ok("it has just ended".to_owned()),
    }
}
