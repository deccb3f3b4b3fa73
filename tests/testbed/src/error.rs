//! What can go wrong with the test bed, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why the test bed, or a test's question to it, has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server of this checkout has been brought up.
    #[error("no test bed is up, {path} is absent: bring it up with `cargo run -p testbed -- up`")]
    NotUp {
        /// The environment file that `up` writes.
        path: PathBuf,
    },
    /// One server has not been brought up.
    #[error("the test bed has no {server}: bring it up with `cargo run -p testbed -- up {server}`")]
    Missing {
        /// Its name for `up`.
        server: &'static str,
    },
    /// A server was brought up and has ended since.
    #[error(
        "{server} was brought up but has ended, see {log}: bring it up again with `cargo run -p testbed -- up {server}`"
    )]
    Gone {
        /// Its name for `up`.
        server: &'static str,
        /// The file with its last words.
        log: PathBuf,
    },
    /// The environment file holds what the test bed did not write.
    #[error(
        "{path}: {key} is not as `up` writes it: {value:?}; run `cargo run -p testbed -- down`, then `up`"
    )]
    Malformed {
        /// The environment file.
        path: PathBuf,
        /// The line's key.
        key: String,
        /// The line's value.
        value: String,
    },
    /// A question was not answered as hoped in time.
    #[error("{what}: not within {within:?} and {attempts} attempts; the last answer: {last}")]
    Late {
        /// What was hoped for.
        what: String,
        /// How long.
        within: Duration,
        /// How often it was asked.
        attempts: u32,
        /// The last answer.
        last: String,
    },
    /// A question was answered with a final no.
    #[error("{what}: {because}")]
    Never {
        /// What was hoped for.
        what: String,
        /// The answer.
        because: String,
    },
    /// All ports are taken.
    #[error("no port from {from} to {to} of 127.0.0.1 is free")]
    NoPort {
        /// The first of the range.
        from: u16,
        /// One after the last.
        to: u16,
    },
    /// A port could not be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read, written, made or removed.
    #[error("failed to {what} {path}")]
    File {
        /// The verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Puts the file's name and what was tried into an error of the file system.
pub(crate) trait InFile<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> InFile<T> for io::Result<T> {
    fn file(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::File {
            what,
            path: path.into(),
            source,
        })
    }
}
