//! Sends what an earlier run could not deliver, by the same ways as a run's own telemetry.

use super::delivery::Delivery;
use super::metrics::ByItself;
use super::otlp_json::{LineError, request};
use super::pipe::Pipe;
use super::spool::Keep;
use super::transport::{Transport, TransportError};
use super::undelivered::Left;
use super::way::{Way, endpoints, what};
use crate::settings::{Otel, Settings, Signal};
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// So much is read before what was read is delivered.
const AHEAD: usize = 4 * 1024 * 1024;

/// How long a server may be away, unless the user says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ways of all signals that have an endpoint.
pub struct Replay {
    ways: Vec<Way>,
    tasks: JoinSet<()>,
    patience: Duration,
}

/// Why a line is not sent.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReplayError(#[from] Why);

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("failed to set up the way of {what} to {endpoint}")]
    Setup {
        what: &'static str,
        endpoint: String,
        source: TransportError,
    },
    #[error("no endpoint is named for {what}")]
    NoEndpoint { what: &'static str },
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("{endpoint} has taken nothing for {} seconds{}", patience.as_secs(), because(trouble.as_deref()))]
    GaveUp {
        endpoint: String,
        patience: Duration,
        trouble: Option<String>,
    },
}

fn because(trouble: Option<&str>) -> String {
    trouble.map_or_else(String::new, |trouble| format!(": {trouble}"))
}

impl ReplayError {
    /// Whether the lines that follow may be sent all the same.
    #[must_use]
    pub fn is_of_the_line(&self) -> bool {
        matches!(self.0, Why::Line(_) | Why::NoEndpoint { .. })
    }
}

impl Replay {
    /// Opens the ways. Must be called inside the runtime.
    ///
    /// # Errors
    /// When one of them cannot be set up.
    pub fn open(settings: &Settings, otel: &Otel) -> Result<Self, ReplayError> {
        let mut replay = Self {
            ways: Vec::new(),
            tasks: JoinSet::new(),
            patience: settings.telemetry_grace.unwrap_or(PATIENCE),
        };
        for (signal, to) in endpoints(otel) {
            let pipe = Arc::new(Pipe::new(Keep::Bytes(usize::MAX), None));
            let way = Way::new(signal, to, Arc::clone(&pipe));
            let transport = Transport::new(to, signal).map_err(|source| Why::Setup {
                what: what(signal),
                endpoint: way.endpoint.clone(),
                source,
            })?;
            replay.tasks.spawn(pipe.run(transport, Arc::new(ByItself)));
            replay.ways.push(way);
        }
        Ok(replay)
    }

    /// Whether there is no way at all.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        self.ways.is_empty()
    }

    /// Puts one line on its way, once there is room on it.
    ///
    /// # Errors
    /// When it is no line of OTLP/JSON, has no endpoint, or the server takes nothing any more.
    pub async fn take(&self, line: &str) -> Result<(), ReplayError> {
        let request = request(line).map_err(Why::Line)?;
        let way = self.way(request.signal)?;
        way.pipe.push(request.bytes, request.items);
        if way.pipe.has_room(AHEAD, self.patience).await {
            return Ok(());
        }
        Err(ReplayError(Why::GaveUp {
            endpoint: way.endpoint.clone(),
            patience: self.patience,
            trouble: way.pipe.trouble(),
        }))
    }

    /// What has arrived so far.
    #[must_use]
    pub fn so_far(&self) -> Delivery {
        let used = self.ways.iter().filter(|way| way.pipe.tally().made > 0);
        Delivery {
            signals: used.map(Way::delivered).collect(),
            left: Left::Nowhere,
        }
    }

    /// Waits until all has arrived, and while something does.
    pub async fn finish(self) -> Delivery {
        let drains = self.ways.iter().map(|way| self.drain(&way.pipe));
        join_all(drains).await;
        self.so_far()
    }

    async fn drain(&self, pipe: &Pipe) {
        let settled = || pipe.tally().delivered + pipe.tally().refused;
        loop {
            let before = settled();
            pipe.drain(self.patience).await;
            if pipe.is_empty() || settled() == before {
                return;
            }
        }
    }

    fn way(&self, signal: Signal) -> Result<&Way, Why> {
        let way = self.ways.iter().find(|way| way.signal == signal);
        way.ok_or(Why::NoEndpoint { what: what(signal) })
    }
}
