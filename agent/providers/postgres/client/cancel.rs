//! Telling the server to leave off a statement that nobody waits for any more.
//!
//! That the client is gone is seen by the server only when it looks, and before version 14 it does
//! not look until the statement has ended.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::{CancelToken, NoTls};
use tracing::debug;

use crate::engine::Chain;

use super::tls::Connector;

/// How long it may take to tell it.
const TELLING: Duration = Duration::from_secs(2);

/// The requests that are on their way to servers. All clones count the same ones.
#[derive(Debug, Clone, Default)]
pub struct Cancels {
    under_way: watch::Sender<usize>,
}

impl Cancels {
    /// Ends when none is on its way any more, which takes two seconds at most. Whoever ends the
    /// process before that cuts them off.
    pub async fn told(&self) {
        let mut under_way = self.under_way.subscribe();
        // It fails only without a sender, and we hold one.
        let _ = under_way.wait_for(|count| *count == 0).await;
    }

    fn one(&self) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(self.under_way.clone())
    }
}

/// Counted as long as it is there, also where its task is dropped before it has begun.
struct UnderWay(watch::Sender<usize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What it takes to tell the server to leave off the statement of a connection.
pub(super) struct Cancel {
    pub(super) token: CancelToken,
    pub(super) tls: Option<Connector>,
    pub(super) cancels: Cancels,
}

impl Cancel {
    /// Tells the server, and closes the socket then. Waits for nothing itself: it is called where a
    /// connection is dropped.
    pub(super) fn send(&self, socket: AbortHandle) {
        // At the end of the process nobody is left to send it.
        let Ok(runtime) = Handle::try_current() else {
            return socket.abort();
        };
        let (token, tls, counted) = (self.token.clone(), self.tls.clone(), self.cancels.one());
        runtime.spawn(async move {
            let telling = async {
                match tls {
                    Some(connector) => token.cancel_query(connector).await,
                    None => token.cancel_query(NoTls).await,
                }
            };
            match timeout(TELLING, telling).await {
                Ok(Ok(())) => debug!("told Postgres to leave off what nobody waits for"),
                Ok(Err(error)) => debug!(error = %Chain(&error), "Postgres could not be told"),
                Err(_) => debug!("Postgres could not be told in time"),
            }
            socket.abort();
            drop(counted);
        });
    }
}
