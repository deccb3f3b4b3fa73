//! Where a signal goes, and by what pipe.

use super::delivery::Delivered;
use super::pipe::Pipe;
use crate::settings::{Endpoint, Otel, Signal};
use reqwest::Url;
use std::sync::Arc;

/// A pipe, and where it leads.
pub(super) struct Way {
    pub(super) signal: Signal,
    /// Without what may be secret in it.
    pub(super) endpoint: String,
    pub(super) pipe: Arc<Pipe>,
}

impl Way {
    pub(super) fn new(signal: Signal, to: &Endpoint, pipe: Arc<Pipe>) -> Self {
        Self {
            signal,
            endpoint: shown(&to.url),
            pipe,
        }
    }

    pub(super) fn delivered(&self) -> Delivered {
        Delivered {
            what: what(self.signal),
            endpoint: self.endpoint.clone(),
            tally: self.pipe.tally(),
            trouble: self.pipe.trouble(),
            shortage: self.pipe.shortage(),
            late: self.pipe.late(),
        }
    }
}

/// Each signal that goes somewhere, and where.
pub(super) fn endpoints(otel: &Otel) -> impl Iterator<Item = (Signal, &Endpoint)> {
    let all = [
        (Signal::Traces, &otel.traces),
        (Signal::Logs, &otel.logs),
        (Signal::Metrics, &otel.metrics),
    ];
    all.into_iter()
        .filter_map(|(signal, to)| Some((signal, to.as_ref()?)))
}

/// What a signal is made of.
pub(super) fn what(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "metrics",
        Signal::Logs => "log records",
    }
}

/// The host and port only: the rest may hold a token.
pub(super) fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "the endpoint".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}
