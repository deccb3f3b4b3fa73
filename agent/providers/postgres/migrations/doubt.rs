//! A COMMIT whose answer has not come: it may have taken effect, and must not be run again before
//! that is known.
//!
//! The history row tells, once the transaction has ended. Whether it has is asked of the server;
//! in a run that comes later the lock tells, which the server frees only after that.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::client::Session;
use super::super::error::Error;

/// The COMMIT that was sent last, if its answer has not come.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<Mutex<Option<Commit>>>);

#[derive(Debug, Clone)]
struct Commit {
    file: String,
    transaction: String,
}

impl Doubt {
    /// The COMMIT is about to be sent.
    pub(super) fn arises(&self, file: &str, transaction: &str) {
        self.put(Some(Commit {
            file: file.to_owned(),
            transaction: transaction.to_owned(),
        }));
    }

    /// Its answer has come.
    pub(super) fn ends(&self) {
        self.put(None);
    }

    fn put(&self, commit: Option<Commit>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = commit;
    }

    fn get(&self) -> Option<Commit> {
        let commit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        commit.clone()
    }

    /// What is still open; none if the history can be believed.
    pub(super) async fn ask(&self, session: &mut Session) -> Result<Option<String>, Error> {
        let Some(Commit { file, transaction }) = self.get() else {
            return Ok(None);
        };
        let asked = session
            .query_one(
                "SELECT pg_xact_status",
                "SELECT pg_xact_status($1::xid8)",
                &[&transaction],
            )
            .await;
        let status: Option<String> = match asked {
            Ok(row) => row.get(0)?,
            // A standby that took over without this transaction has not come so far.
            Err(error) if error.fault().is_some_and(|fault| fault.code == "22023") => None,
            Err(error) => return Err(error),
        };
        if status.as_deref() == Some("in progress") {
            return Ok(Some(format!(
                "the connection was lost in the COMMIT of {file}, and the server still works on \
                 it (transaction {transaction})"
            )));
        }
        self.ends();
        Ok(None)
    }
}
