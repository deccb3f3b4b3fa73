//! What the server says beside its answers: notices and warnings, told with their statement.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio_postgres::AsyncMessage;
use tokio_postgres::error::{DbError, Severity};
use tracing::{Span, debug, info, warn};

use crate::engine::Chain;

/// What a connection is at work on: whose notices come in.
#[derive(Clone, Default)]
pub(super) struct Current(Arc<Mutex<Statement>>);

#[derive(Default)]
struct Statement {
    summary: String,
    span: Option<Span>,
    /// Who reads the answers, where the one after this has been sent as well.
    reader: Option<UnboundedSender<Asking>>,
}

/// Dropped once everything is read that came before a notice.
pub(super) type Asking = oneshot::Sender<()>;

impl Current {
    pub(super) fn set(&self, summary: &str, span: &Span) {
        let mut current = self.lock();
        summary.clone_into(&mut current.summary);
        current.span = Some(span.clone());
    }

    /// A span that is held does not end.
    pub(super) fn clear(&self) {
        self.lock().span = None;
    }

    /// The statement's summary and span.
    pub(super) fn get(&self) -> (String, Span) {
        let current = self.lock();
        let span = current.span.clone().unwrap_or_else(Span::none);
        (current.summary.clone(), span)
    }

    /// From now on several statements are under way, and before a notice is told the reader of
    /// their answers is asked to come as far as that: else it would be told of the one before.
    pub(super) fn several(&self) -> UnboundedReceiver<Asking> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().reader = Some(sender);
        receiver
    }

    /// Again there is one at a time.
    pub(super) fn single(&self) {
        self.lock().reader = None;
    }

    /// Ends when this is the statement of what has just come in.
    async fn catch_up(&self) {
        let (asking, caught_up) = oneshot::channel();
        if let Some(reader) = &self.lock().reader {
            // Nobody who reads is nobody who will.
            let _ = reader.send(asking);
        } else {
            return;
        }
        // The answer is that the question is dropped.
        let _ = caught_up.await;
    }

    fn lock(&self) -> MutexGuard<'_, Statement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            Ok(AsyncMessage::Notice(notice)) => {
                current.catch_up().await;
                tell(&current, &notice);
            }
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
