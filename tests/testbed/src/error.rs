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
    /// A file of the test bed holds what the test bed did not write.
    #[error(
        "{path} is not as the test bed writes it: run `cargo run -p testbed -- down`, then `up`"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// The file with the pinned versions lacks one.
    #[error("{path} has no {name}")]
    NoVersion {
        /// The file.
        path: PathBuf,
        /// The version's name.
        name: String,
    },
    /// `/proc` is not as Linux has it.
    #[error("{path} is not as Linux has it: {text}")]
    Proc {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
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
    /// A program could not be started.
    #[error("failed to start {program}")]
    Program {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program that a server is made of is not installed.
    #[error("{server} needs {program}, which is not installed: run `{install}`")]
    NotInstalled {
        /// Its name for `up`.
        server: String,
        /// What is missing.
        program: PathBuf,
        /// What installs it.
        install: String,
    },
    /// A server, or something that makes one, has ended early or was not ready in time.
    #[error("{server}: {because}; the end of {log}:\n  {tail}")]
    Start {
        /// Its name for `up`.
        server: String,
        /// What has happened.
        because: String,
        /// The file with all that it said.
        log: PathBuf,
        /// The file's last lines.
        tail: String,
    },
    /// `up` was told to stop.
    #[error("stopped before all was up; `cargo run -p testbed -- down` ends what is up")]
    Interrupted,
    /// The async runtime could not be made.
    #[error("failed to start the async runtime")]
    Runtime {
        /// Why.
        source: io::Error,
    },
    /// More than one server has failed.
    #[error("{} servers have failed", errors.len())]
    Several {
        /// Each failure.
        errors: Vec<Error>,
    },
    /// An HTTP client could not be made.
    #[error("failed to make an HTTP client")]
    Http {
        /// Why.
        source: reqwest::Error,
    },
    /// A statement of the test bed itself was refused.
    #[error("{what}")]
    Question {
        /// The statement.
        what: String,
        /// Why.
        source: Box<tokio_postgres::Error>,
    },
    /// A process that was to be killed is none of the server's.
    #[error("the server has no backend {pid}")]
    NoBackend {
        /// Its number.
        pid: i32,
    },
    /// Only root can make what a test asks for.
    #[error("{what} can only be made by root")]
    NeedsRoot {
        /// It.
        what: String,
    },
    /// The API server has refused, or has not answered.
    #[error("failed to {verb} {path}")]
    Api {
        /// The method.
        verb: String,
        /// The path of the object.
        path: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// A kubeconfig could not be used.
    #[error("{path} cannot be used as a kubeconfig")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of a recording, or its index, is not of that form.
    #[error("{path} is not a recording: {because}")]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        because: String,
    },
    /// TLS could not be set up.
    #[error("failed to set up TLS")]
    Tls {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Certificate {
        /// Why.
        source: rcgen::Error,
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

impl Error {
    /// Nothing, the one failure, or all of them.
    pub(crate) fn several(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several { errors }),
        }
    }
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
