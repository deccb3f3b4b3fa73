//! What can go wrong with OpenSearch, and what it means for the run.

use crate::engine::{BoxError, Class, Failure};
use crate::secret::SecretError;

/// Why OpenSearch could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The login or the authority could not be read.
    #[error("no access to OpenSearch yet")]
    Secret(#[from] SecretError),
    /// The URL is not one.
    #[error("{url:?} is not a URL for OpenSearch")]
    Url {
        /// What the bundle says.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The authority's certificate cannot be read.
    #[error("the authority of OpenSearch's certificate is not a PEM certificate")]
    Authority {
        /// Why.
        source: BoxError,
    },
    /// No client could be made.
    #[error("failed to make a client for OpenSearch")]
    Client {
        /// Why.
        source: BoxError,
    },
    /// No answer.
    #[error("no answer from OpenSearch at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The server's certificate is not accepted.
    #[error("the certificate of OpenSearch at {url} is not accepted")]
    Certificate {
        /// Where.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The server wants a login and the bundle has none.
    #[error("OpenSearch at {url} wants a login, and the bundle gives none")]
    LoginMissing {
        /// Where.
        url: String,
    },
    /// The login was read just now, and is refused.
    #[error("OpenSearch at {url} refuses the login")]
    Login {
        /// Where.
        url: String,
        /// Where the password comes from.
        from: String,
    },
    /// The login worked before and is refused now: it is read anew at the next look.
    #[error("OpenSearch at {url} refuses the login that was read earlier")]
    LoginStale {
        /// Where.
        url: String,
        /// Where the password comes from.
        from: String,
    },
    /// The server answered with an error.
    #[error(transparent)]
    Refused(Refusal),
    /// Something answers there, and it is not an OpenSearch that we know.
    #[error("{url} is {what}, not OpenSearch 2 or newer")]
    Foreign {
        /// Where.
        url: String,
        /// What it calls itself.
        what: String,
    },
    /// An answer lacks what it always has.
    #[error("OpenSearch's answer has no {what}")]
    Unexpected {
        /// What is missing.
        what: &'static str,
    },
    /// The name that should be an alias is taken.
    #[error("{alias} is {holder}, so it cannot be the write alias of {index}")]
    NameTaken {
        /// The alias' name.
        alias: String,
        /// What has the name: `an index` or `a data stream`.
        holder: &'static str,
        /// The index that the alias is for.
        index: String,
    },
    /// The alias leads to indices, and none of them is written to.
    #[error("alias {alias} has no write index among {indices}")]
    NoWriteIndex {
        /// The alias' name.
        alias: String,
        /// Where it leads.
        indices: String,
    },
    /// The index differs in what cannot be changed while it exists.
    #[error("index {index} needs rollover or reindex: {differences}")]
    NeedsReindex {
        /// The index.
        index: String,
        /// Field by field: what it is and what it should be.
        differences: String,
    },
    /// Several documents have the id.
    #[error("{index} has {count} documents with the id {id}")]
    Ambiguous {
        /// The index or alias.
        index: String,
        /// The id.
        id: String,
        /// How many.
        count: usize,
    },
}

/// The server's refusal of one call.
#[derive(Debug, thiserror::Error)]
#[error("OpenSearch refuses {call}: {status}{}{kind}: {reason}", if .kind.is_empty() { "" } else { " " })]
pub struct Refusal {
    /// Method and path.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// The exception's type; empty if the server gave none.
    pub kind: String,
    /// What the server says.
    pub reason: String,
}

impl Refusal {
    /// By the exception's type; the status decides only where the type does not.
    fn class(&self) -> Class {
        match self.kind.as_str() {
            "version_conflict_engine_exception" | "resource_already_exists_exception" => {
                Class::Busy
            }
            "security_exception" => Class::Forbidden,
            "illegal_state_exception" | "repository_exception" => Class::Diverged,
            // A full disk blocks writes with 429 or 403: no patience helps. While the cluster
            // recovers it is 503.
            "cluster_block_exception" if self.status != 503 => Class::Diverged,
            "index_not_found_exception" | "document_missing_exception" => Class::Unavailable,
            _ => self.class_of_status(),
        }
    }

    fn class_of_status(&self) -> Class {
        match self.status {
            403 => Class::Forbidden,
            409 => Class::Busy,
            429 | 500.. => Class::Unavailable,
            _ => Class::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.kind.as_str() {
            "cluster_block_exception" if self.status != 503 => {
                "OpenSearch blocks writes, mostly because its disk is nearly full: free space or \
                 enlarge the volume"
            }
            "security_exception" => "give the user's role this permission",
            _ if self.status == 400 && self.reason.starts_with("no handler found") => {
                "a plugin is missing in this OpenSearch"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Secret(error) => error.class(),
            Self::Unreachable { .. } => Class::Unavailable,
            Self::LoginStale { .. } => Class::Busy,
            Self::Url { .. }
            | Self::Authority { .. }
            | Self::Client { .. }
            | Self::Certificate { .. }
            | Self::LoginMissing { .. }
            | Self::Login { .. }
            | Self::Foreign { .. } => Class::Invalid,
            Self::Unexpected { .. } => Class::Bug,
            Self::NameTaken { .. }
            | Self::NoWriteIndex { .. }
            | Self::NeedsReindex { .. }
            | Self::Ambiguous { .. } => Class::Diverged,
            Self::Refused(refusal) => refusal.class(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret_unreadable",
            Self::Url { .. } => "bad_url",
            Self::Authority { .. } => "bad_authority",
            Self::Client { .. } => "client_unusable",
            Self::Unreachable { .. } => "unreachable",
            Self::Certificate { .. } => "certificate_refused",
            Self::LoginMissing { .. } | Self::Login { .. } => "login_refused",
            Self::LoginStale { .. } => "login_stale",
            Self::Foreign { .. } => "foreign_server",
            Self::Unexpected { .. } => "unexpected_answer",
            Self::NameTaken { .. } => "name_taken",
            Self::NoWriteIndex { .. } => "no_write_index",
            Self::NeedsReindex { .. } => "needs_reindex",
            Self::Ambiguous { .. } => "ambiguous_document",
            Self::Refused(refusal) => match refusal.class() {
                Class::Busy => "conflict",
                Class::Unavailable => "unavailable",
                Class::Forbidden => "forbidden",
                Class::Diverged => "blocked",
                _ => "refused",
            },
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Login { from, .. } => format!("check the user and {from}"),
            Self::LoginMissing { .. } => {
                "give `user` and `password` under `servers.opensearch`".to_owned()
            }
            Self::Certificate { .. } => {
                "give the authority of its certificate as `tls.ca`, and use the host name that \
                 the certificate bears"
                    .to_owned()
            }
            Self::NameTaken { alias, .. } => format!(
                "something wrote to {alias} before the alias was there: reindex what it holds \
                 into another index, delete it, and run again"
            ),
            Self::NoWriteIndex { alias, .. } => format!(
                "set `is_write_index` for one of them: POST /_aliases with an `add` action for {alias}"
            ),
            Self::NeedsReindex { index, .. } => format!(
                "the templates apply to new indices only: roll the alias over (POST \
                 /ALIAS/_rollover) or reindex {index}"
            ),
            Self::Refused(refusal) => return refusal.hint().into_iter().collect(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_before_the_status() {
        let table = [
            (500, "illegal_state_exception", Class::Diverged),
            (500, "null_pointer_exception", Class::Unavailable),
            (429, "cluster_block_exception", Class::Diverged),
            (403, "cluster_block_exception", Class::Diverged),
            (503, "cluster_block_exception", Class::Unavailable),
            (429, "circuit_breaking_exception", Class::Unavailable),
            (
                503,
                "process_cluster_event_timeout_exception",
                Class::Unavailable,
            ),
            (400, "resource_already_exists_exception", Class::Busy),
            (409, "version_conflict_engine_exception", Class::Busy),
            (404, "index_not_found_exception", Class::Unavailable),
            (403, "security_exception", Class::Forbidden),
            (400, "mapper_parsing_exception", Class::Invalid),
            (503, "", Class::Unavailable),
            (400, "", Class::Invalid),
        ];
        for (status, kind, class) in table {
            let refusal = Refusal {
                call: String::new(),
                status,
                kind: kind.to_owned(),
                reason: String::new(),
            };
            assert_eq!(refusal.class(), class, "{status} {kind}");
        }
    }
}
