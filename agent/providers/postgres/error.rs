//! What can go wrong with Postgres, and what to do about it.

use crate::engine::{BoxError, Class, Failure};
use crate::secret::SecretError;

use super::fault::{Excerpt, Fault};

/// Why Postgres could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A credential could not be read.
    #[error("failed to read the credentials for {server}")]
    Secret {
        /// `host:port`
        server: String,
        /// Why.
        source: SecretError,
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
        source: BoxError,
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
    #[error("{}", in_text(.excerpt, .fault))]
    Text {
        /// Where.
        excerpt: Box<Excerpt>,
        /// What the server said.
        fault: Box<Fault>,
    },
    /// A statement of the bundle is not sent, because of what it would do.
    #[error("{}: {why}\n{excerpt}", .excerpt.place())]
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
    /// Another run migrates the same database.
    #[error("another run migrates database {database}: {holder}")]
    Locked {
        /// Which one.
        database: String,
        /// Who.
        holder: String,
    },
    /// The history moved between the look and the lock.
    #[error("the history of database {database} has changed since it was read")]
    Moved {
        /// Which one.
        database: String,
    },
    /// A migration was edited after it had been applied.
    #[error(
        "{file} was changed after it was applied: its checksum is {now}, applied was {applied}"
    )]
    Edited {
        /// Which one.
        file: String,
        /// The short checksum of the file.
        now: String,
        /// The short checksum in the history.
        applied: String,
    },
    /// A migration was applied that the bundle has not.
    #[error(
        "database {database} has migration {file}, checksum {applied}, which the bundle does not have"
    )]
    Unknown {
        /// Which database.
        database: String,
        /// Which migration.
        file: String,
        /// The short checksum in the history.
        applied: String,
        /// Whether it is newer than everything in the bundle.
        newer: bool,
    },
    /// A pending migration is older than an applied one.
    #[error(
        "{file} (checksum {now}) is not applied, and {newest} (checksum {applied}) after it is"
    )]
    OutOfOrder {
        /// The pending one.
        file: String,
        /// Its short checksum.
        now: String,
        /// The newest applied one.
        newest: String,
        /// The short checksum in the history.
        applied: String,
    },
    /// Two files have one version.
    #[error("{first} and {second} have the same version")]
    SameVersion {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

/// `file:line:column: message (code)`, the line with a caret, and what else the server said.
fn in_text(excerpt: &Excerpt, fault: &Fault) -> String {
    let mut text = format!("{}: {} ({})", excerpt.place(), fault.message, fault.code);
    text.push_str(&format!("\n{excerpt}"));
    for (word, more) in [("detail", &fault.detail), ("context", &fault.context)] {
        for line in more.iter().flat_map(|more| more.lines()).take(5) {
            text.push_str(&format!("\n  {word}: {line}"));
        }
    }
    text
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
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Lost { .. } => {
                Class::Unavailable
            }
            Self::Faster { .. } | Self::Locked { .. } | Self::Moved { .. } => Class::Busy,
            Self::Login { source, .. } | Self::Statement { source, .. } => source.class(),
            Self::Text { fault, .. } => fault.class(),
            Self::Answer { .. } => Class::Bug,
            Self::HalfDropped { .. }
            | Self::Edited { .. }
            | Self::Unknown { .. }
            | Self::OutOfOrder { .. } => Class::Diverged,
            Self::NotTrusted { .. } | Self::NoCreate { .. } => Class::Forbidden,
            Self::Authority { .. }
            | Self::Plaintext { .. }
            | Self::Untrusted { .. }
            | Self::Authentication { .. }
            | Self::Refused { .. }
            | Self::Name { .. }
            | Self::NotInstalled { .. }
            | Self::SameVersion { .. } => Class::Invalid,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "no_credentials",
            Self::Authority { .. } => "bad_authority",
            Self::Unreachable { .. } => "unreachable",
            Self::Silent { .. } => "silent",
            Self::Plaintext { .. } | Self::Untrusted { .. } => "tls",
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
            Self::Locked { .. } => "locked",
            Self::Moved { .. } => "moved",
            Self::Edited { .. } => "checksum",
            Self::Unknown { .. } => "unknown_migration",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::SameVersion { .. } => "same_version",
        }
    }

    fn hints(&self) -> Vec<String> {
        let advice = self.fault().and_then(|fault| fault.hint.clone());
        self.own_hint().into_iter().chain(advice).collect()
    }
}

impl Error {
    fn own_hint(&self) -> Option<String> {
        let hint = match self {
            Self::Login {
                source,
                password_from,
                user,
                ..
            } => return login_hint(source, password_from, user),
            Self::Statement { source, needs, .. } => return right_hint(source, needs.as_deref()),
            Self::Text { fault, .. } => return text_hint(fault),
            Self::Authority { .. } => "put the certificate of the authority there, as PEM",
            Self::Plaintext { .. } => {
                "turn TLS on in the server, or say `tls: { mode: disable }` in the bundle if plain \
                 text is meant"
            }
            Self::Untrusted { .. } => {
                "compare the authority that the bundle names in `tls.ca` with the one that signed \
                 the server's certificate, and the host with the names in it; `serverName` sets \
                 the name to expect, `mode: verify-ca` compares none"
            }
            Self::Refused { instead, .. } => instead,
            Self::Name { .. } => "choose another one",
            Self::HalfDropped { .. } => "drop it: it cannot be used any more",
            Self::NotInstalled { .. } => {
                "install the package that has it, or use an image of Postgres with it"
            }
            Self::NotTrusted { .. } => {
                "let a superuser create it, or log in as one (`servers.postgres.user`)"
            }
            Self::NoCreate { database, user, .. } => {
                return Some(format!("GRANT CREATE ON DATABASE {database} TO {user}"));
            }
            Self::Edited { .. } => {
                "restore the file as it was applied, and put the change into a new migration"
            }
            Self::Unknown { newer: true, .. } => {
                "the schema is newer than the bundle: run the newer bundle"
            }
            Self::Unknown { .. } => "restore the file: an applied migration stays in the bundle",
            Self::OutOfOrder { .. } => "give it a version after the newest applied one",
            Self::SameVersion { .. } => "give one of them the next free version",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn login_hint(fault: &Fault, password_from: &str, user: &str) -> Option<String> {
    match fault.code.as_str() {
        "28P01" => Some(format!(
            "the password comes from {password_from}: make it the one of role {user}"
        )),
        "28000" => Some(format!(
            "the server's pg_hba.conf has no line for role {user} from here with this encryption, \
             or the role may not log in; it comes with {password_from}"
        )),
        "42501" => Some(format!("GRANT CONNECT ON the database TO {user}")),
        _ => None,
    }
}

fn right_hint(fault: &Fault, needs: Option<&str>) -> Option<String> {
    match (fault.code.as_str(), needs) {
        ("42501", Some(needs)) => Some(format!("this needs {needs}")),
        ("42501", None) => Some("log in as a role that may do this".to_owned()),
        _ => None,
    }
}

fn text_hint(fault: &Fault) -> Option<String> {
    let hint = match fault.code.as_str() {
        "25001" => {
            "each file runs in one transaction, and this statement cannot: take it out of the \
             migrations for now"
        }
        "57014" => {
            "it took longer than the step's timeout, or somebody cancelled it: raise the timeout, \
             or do less in one file"
        }
        "42501" => "let a role that may do this run the migrations (`servers.postgres.user`)",
        "25006" => "a check may only read",
        _ => return None,
    };
    Some(hint.to_owned())
}
