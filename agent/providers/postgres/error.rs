//! What can go wrong with Postgres, and what to do about it.

use crate::engine::{BoxError, Class, Failure};
use crate::secret::SecretError;

use super::adoption::{AdoptionError, RepairError};
use super::client::{Distrust, LockWait};
use super::conflict::Conflict;
use super::fault::{Excerpt, Fault};
use super::hints;
use super::migrations::MigrationError;

/// Why Postgres could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A credential could not be read.
    #[error("failed to read {what} for {server}")]
    Secret {
        /// What it was to say.
        what: &'static str,
        /// `host:port`
        server: String,
        /// Why.
        source: SecretError,
    },
    /// What a Secret says of where the server is makes no sense. It is not shown: it may be another key.
    #[error("{from} does not hold {wanted}")]
    Place {
        /// Where it was read.
        from: String,
        /// What it was to hold.
        wanted: &'static str,
    },
    /// The certificate authority is not usable.
    #[error("{from} holds no certificate authority")]
    Authority {
        /// Where it was read.
        from: String,
        /// Why.
        source: BoxError,
    },
    /// Nobody answers.
    #[error("failed to connect to {server}")]
    Unreachable {
        /// `host:port`
        server: String,
        /// Why.
        source: BoxError,
    },
    /// Somebody is there and says nothing.
    #[error("{server} accepts connections but does not answer within {seconds}s")]
    Silent {
        /// `host:port`
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server speaks no TLS.
    #[error("{server} does not offer TLS")]
    Plaintext {
        /// `host:port`
        server: String,
    },
    /// The server's certificate does not convince.
    #[error("TLS with {server} failed")]
    Untrusted {
        /// `host:port`
        server: String,
        /// Why.
        source: Box<Distrust>,
    },
    /// The server lets us in but takes no writes, as one that was demoted.
    #[error("{server} takes no writes: it is a standby, or read-only by its settings")]
    ReadOnly {
        /// `host:port`
        server: String,
    },
    /// What answers there gives our session to others between two transactions.
    #[error("{server} is a transaction pooler: our session is not ours alone there")]
    Pooler {
        /// `host:port`
        server: String,
    },
    /// Server and client have no way of logging in that both know, or the server is an impostor.
    #[error("{server} and firstlight cannot agree on how to log in as {user}")]
    Authentication {
        /// `host:port`
        server: String,
        /// Who.
        user: String,
        /// Why.
        source: BoxError,
    },
    /// The server does not let us in.
    #[error("failed to log in to database {database} of {server} as {user}")]
    Login {
        /// `host:port`
        server: String,
        /// Where to.
        database: String,
        /// Who.
        user: String,
        /// Where the password comes from.
        password_from: String,
        /// What the server said.
        source: Box<Fault>,
    },
    /// The connection broke.
    #[error("lost the connection to {server} during {summary}")]
    Lost {
        /// `host:port`
        server: String,
        /// What was done.
        summary: String,
        /// Why.
        source: BoxError,
    },
    /// The server answers otherwise than Postgres does.
    #[error("unexpected answer to {summary}")]
    Answer {
        /// What was asked.
        summary: String,
        /// Why.
        source: BoxError,
    },
    /// The server refuses a statement of ours.
    #[error("the server refuses {summary}")]
    Statement {
        /// What was to be done.
        summary: String,
        /// The right that this needs.
        needs: Option<String>,
        /// What the server said.
        source: Box<Fault>,
    },
    /// Another session made the same thing at the same time.
    #[error("another session was faster with {summary}")]
    Faster {
        /// What was to be done.
        summary: String,
        /// What the server said.
        source: Box<Fault>,
    },
    /// The server refuses a statement of the bundle.
    #[error("{}: {fault}", .excerpt.place())]
    Text {
        /// Where.
        excerpt: Box<Excerpt>,
        /// What the server said.
        fault: Box<Fault>,
    },
    /// A statement of the bundle is not sent, because of what it would do.
    #[error("{}: {why}", .excerpt.place())]
    Refused {
        /// Where.
        excerpt: Box<Excerpt>,
        /// Why not.
        why: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A name that the server would cut off.
    #[error("{name:?} is no name for a {what}: it has {} bytes, and Postgres takes 1 to 63", .name.len())]
    Name {
        /// What it is the name of.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The remains of an interrupted `DROP DATABASE`.
    #[error("database {name} is what an interrupted DROP DATABASE has left")]
    HalfDropped {
        /// Its name.
        name: String,
    },
    /// An extension whose files the server does not have.
    #[error("extension {name} is not installed on the server")]
    NotInstalled {
        /// Its name.
        name: String,
    },
    /// An extension that only a superuser may create.
    #[error("extension {name} is not trusted: only a superuser may create it, and {user} is none")]
    NotTrusted {
        /// Its name.
        name: String,
        /// The connected role.
        user: String,
    },
    /// An extension in a database where we may create nothing.
    #[error("{user} may not create extension {name} in database {database}")]
    NoCreate {
        /// Its name.
        name: String,
        /// Where.
        database: String,
        /// The connected role.
        user: String,
    },
    /// The migrations of a database cannot go on.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// What a database had before us cannot be taken over.
    #[error(transparent)]
    Adoption(#[from] AdoptionError),
    /// A history is not set right as it was asked for.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// What is there and what the bundle says cannot be brought together.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl Error {
    /// What the server said, if it was the server.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Login { source, .. }
            | Self::Statement { source, .. }
            | Self::Faster { source, .. } => Some(source),
            Self::Text { fault, .. } => Some(fault),
            _ => None,
        }
    }

    /// Whether the database that was to be opened does not exist.
    pub(super) fn is_no_database(&self) -> bool {
        matches!(self, Self::Login { source, .. } if source.code == "3D000")
    }

    /// Whether the password was not the role's.
    pub(super) fn is_wrong_password(&self) -> bool {
        matches!(self, Self::Login { source, .. } if source.code == "28P01")
    }

    /// Says who was in the way of a statement that waited for a lock in vain: the server does not.
    pub(super) fn after(mut self, wait: Option<LockWait>) -> Self {
        if let Self::Statement { source, .. } = &mut self
            && source.code == "55P03"
            && source.detail.is_none()
        {
            source.detail = wait.map(|wait| wait.to_string());
        }
        self
    }

    /// Names the right that the statement needed.
    pub(super) fn needing(mut self, right: impl Into<String>) -> Self {
        if let Self::Statement { needs, .. } = &mut self {
            *needs = Some(right.into());
        }
        self
    }

    /// Says that another session was faster, if that is what it was.
    pub(super) fn or_faster(self) -> Self {
        match self {
            Self::Statement {
                summary, source, ..
            } if source.is_duplicate() => Self::Faster { summary, source },
            other => other,
        }
    }
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Secret { source, .. } => source.class(),
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Lost { .. }
            | Self::ReadOnly { .. } => Class::Unavailable,
            Self::Untrusted { source, .. } => source.class(),
            Self::Faster { .. } => Class::Busy,
            Self::Migration(error) => error.class(),
            Self::Adoption(error) => error.class(),
            Self::Repair(error) => error.class(),
            Self::Login { source, .. } | Self::Statement { source, .. } => source.class(),
            // We are in a database: the one that a statement of the bundle names is its own affair,
            // and nobody is going to make it while that file is tried again.
            Self::Text { fault, .. } if fault.code == "3D000" => Class::Invalid,
            Self::Text { fault, .. } => fault.class(),
            Self::Answer { .. } => Class::Bug,
            Self::Conflict(conflict) => conflict.class(),
            Self::HalfDropped { .. } => Class::Diverged,
            Self::NotTrusted { .. } | Self::NoCreate { .. } => Class::Forbidden,
            Self::Place { .. }
            | Self::Authority { .. }
            | Self::Plaintext { .. }
            | Self::Pooler { .. }
            | Self::Authentication { .. }
            | Self::Refused { .. }
            | Self::Name { .. }
            | Self::NotInstalled { .. } => Class::Invalid,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "no_credentials",
            Self::Place { .. } => "bad_place",
            Self::Authority { .. } => "bad_authority",
            Self::Unreachable { .. } => "unreachable",
            Self::Silent { .. } => "silent",
            Self::Plaintext { .. } | Self::Untrusted { .. } => "tls",
            Self::ReadOnly { .. } => "read_only",
            Self::Pooler { .. } => "pooler",
            Self::Authentication { .. } => "authentication",
            Self::Lost { .. } => "connection",
            Self::Answer { .. } => "unexpected_answer",
            Self::Login { source, .. } | Self::Statement { source, .. } => source.kind(),
            Self::Text { fault, .. } => fault.kind(),
            Self::Faster { .. } => "faster",
            Self::Refused { .. } => "refused_statement",
            Self::Name { .. } => "bad_name",
            Self::HalfDropped { .. } => "half_dropped",
            Self::NotInstalled { .. } => "extension_not_installed",
            Self::NotTrusted { .. } => "extension_not_trusted",
            Self::NoCreate { .. } => "extension_no_create",
            Self::Migration(error) => error.kind(),
            Self::Adoption(error) => error.kind(),
            Self::Repair(error) => error.kind(),
            Self::Conflict(conflict) => conflict.kind(),
        }
    }

    fn excerpt(&self) -> Option<String> {
        match self {
            Self::Text { excerpt, fault } => {
                let mut lines = vec![excerpt.to_string()];
                lines.extend(fault.object.iter().map(|object| format!("of {object}")));
                let context = fault.context.iter().flat_map(|context| context.lines());
                lines.extend(context.take(5).map(|line| format!("in {line}")));
                Some(lines.join("\n"))
            }
            Self::Refused { excerpt, .. } => Some(excerpt.to_string()),
            Self::Migration(error) => error.excerpt(),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        let advice = self.fault().and_then(|fault| fault.hint.clone());
        let own = match self {
            Self::Migration(error) => error.hints(),
            Self::Adoption(error) => error.hints(),
            Self::Repair(error) => error.hints(),
            other => hints::own(other).into_iter().collect(),
        };
        own.into_iter().chain(advice).collect()
    }
}
