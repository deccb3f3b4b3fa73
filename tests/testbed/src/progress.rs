//! A line for each event, with the seconds since the start.

use std::io::Write;
use std::time::{Duration, Instant};

/// Where the lines go: a person who waits, or a log.
#[derive(Debug)]
pub(crate) struct Progress {
    since: Instant,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// One line of what `name` has come to.
    pub(crate) fn line(&self, name: &str, text: &str) {
        say(&format!(
            "{:7.1} s  {name:<17}  {text}\n",
            self.elapsed().as_secs_f64()
        ));
    }
}

/// Tells the reader, if there still is one: `up` must not end because nobody listens.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// `42 MiB`.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}
