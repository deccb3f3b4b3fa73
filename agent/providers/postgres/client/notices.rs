//! What the server says beside its answers: notices and warnings, told with their statement.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::AsyncMessage;
use tokio_postgres::error::{DbError, Severity};
use tracing::{Span, debug, info, warn};

use crate::engine::Chain;

/// What a connection is at work on: whose notices come in.
#[derive(Clone, Default)]
pub(super) struct Current(Arc<Mutex<(String, Option<Span>)>>);

impl Current {
    pub(super) fn set(&self, summary: &str, span: &Span) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summary.clone_into(&mut current.0);
        current.1 = Some(span.clone());
    }

    /// A span that is held does not end.
    pub(super) fn clear(&self) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.1 = None;
    }

    /// The statement's summary and span.
    pub(super) fn get(&self) -> (String, Span) {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (
            current.0.clone(),
            current.1.clone().unwrap_or_else(Span::none),
        )
    }
}

/// Moves the bytes of a connection until it ends.
pub(super) async fn drive<S, T>(mut socket: tokio_postgres::Connection<S, T>, current: Current)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| socket.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => tell(&current, &notice),
            Ok(_) => {}
            Err(error) => {
                debug!(error = %Chain(&error), "the session with Postgres ended");
                return;
            }
        }
    }
}

fn tell(current: &Current, notice: &DbError) {
    let (summary, span) = current.get();
    let (code, said) = (notice.code().code(), notice.message());
    span.in_scope(|| match notice.parsed_severity() {
        Some(Severity::Warning) => {
            warn!(db.query.summary = summary, code, "Postgres warns: {said}");
        }
        // The thing that is there already need not be the one that was meant.
        Some(Severity::Notice) if is_duplicate(code) => {
            warn!(db.query.summary = summary, code, "Postgres notes: {said}");
        }
        Some(Severity::Notice | Severity::Info) => {
            info!(db.query.summary = summary, code, "Postgres notes: {said}");
        }
        _ => debug!(db.query.summary = summary, code, "Postgres says: {said}"),
    });
}

/// `IF NOT EXISTS` over something that exists: a column, object, schema, function, table, ….
fn is_duplicate(code: &str) -> bool {
    matches!(code, "42701" | "42710" | "42P06" | "42723" | "42P07")
}
