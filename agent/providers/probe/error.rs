//! Why a question could not be asked, and what that means for the run.

use crate::engine::{BoxError, Class, Failure};

/// Why a question has no answer. An answer that is a no is none of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle's URL is not one.
    #[error("{url:?} is not an http or https URL")]
    Url {
        /// What the bundle says.
        url: String,
        /// Why, if it looks like one at all.
        source: Option<BoxError>,
    },
    /// The certificate authority cannot be read.
    #[error("the certificate authority to trust is not a PEM certificate")]
    Authority {
        /// Why.
        source: BoxError,
    },
    /// No client could be made.
    #[error("failed to make an https client")]
    Client {
        /// Why.
        source: BoxError,
    },
    /// No answer.
    #[error("no answer to {call}")]
    Unreachable {
        /// Method and URL.
        call: String,
        /// Why.
        source: BoxError,
    },
    /// The server's certificate is not accepted.
    #[error("the certificate of {host} is not accepted")]
    Certificate {
        /// Whose it is.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// The server does not answer the question.
    #[error(transparent)]
    Refused(Refusal),
    /// The answer is not of the kind that was expected, as a page of an ingress is not.
    #[error("the answer to {call} is not {expected}")]
    Unexpected {
        /// Method and URL.
        call: String,
        /// What it should have been.
        expected: &'static str,
        /// What is wrong with it.
        source: Option<BoxError>,
    },
    /// The run's own trace is looked for, and there is none.
    #[error("this run is not traced")]
    NotTraced,
}

/// A server's refusal of one call.
#[derive(Debug, thiserror::Error)]
#[error("{call} was answered with {status}{}{reason}", if .reason.is_empty() { "" } else { ": " })]
pub struct Refusal {
    /// Method and URL.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// The server's own word for it; empty if it has none.
    pub kind: String,
    /// What the server says; empty if it says nothing.
    pub reason: String,
}

impl Refusal {
    fn class(&self) -> Class {
        match (self.status, self.kind.as_str()) {
            // Prometheus' word for a query that it cannot read.
            (_, "bad_data") => Class::Invalid,
            (401 | 403, _) => Class::Forbidden,
            // All else may change while the installation goes on: an ingress says 404, a proxy 503,
            // before the server is there.
            _ => Class::Unavailable,
        }
    }

    fn kind(&self) -> &'static str {
        match self.class() {
            Class::Invalid => "bad_data",
            Class::Forbidden => "forbidden",
            _ => "refused",
        }
    }
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Unexpected { .. } => Class::Unavailable,
            Self::Refused(refusal) => refusal.class(),
            Self::Url { .. }
            | Self::Authority { .. }
            | Self::Client { .. }
            | Self::Certificate { .. }
            | Self::NotTraced => Class::Invalid,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "invalid_url",
            Self::Authority { .. } => "invalid_authority",
            Self::Client { .. } => "client",
            Self::Unreachable { .. } => "unreachable",
            Self::Certificate { .. } => "certificate",
            Self::Refused(refusal) => refusal.kind(),
            Self::Unexpected { .. } => "unexpected_answer",
            Self::NotTraced => "not_traced",
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotTraced => {
                "set OTEL_EXPORTER_OTLP_ENDPOINT, or let the check send a span of its own (`send`)"
            }
            Self::Certificate { .. } => "name the certificate authority that signed it",
            Self::Refused(refusal) if refusal.class() == Class::Forbidden => {
                "the check asks without a login: let it ask where none is needed"
            }
            Self::Refused(refusal) if refusal.class() == Class::Invalid => {
                "correct the query in the bundle"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str, reason: &str) -> Error {
        Error::Refused(Refusal {
            call: "GET http://p/api/v1/query".to_owned(),
            status,
            kind: kind.to_owned(),
            reason: reason.to_owned(),
        })
    }

    #[test]
    fn only_what_no_patience_mends_is_permanent() {
        for (status, kind, class) in [
            (400, "bad_data", Class::Invalid),
            (422, "execution", Class::Unavailable),
            (503, "timeout", Class::Unavailable),
            (404, "", Class::Unavailable),
            (401, "", Class::Forbidden),
        ] {
            assert_eq!(refused(status, kind, "").class(), class, "{status} {kind}");
        }
        assert_eq!(Error::NotTraced.class(), Class::Invalid);
    }

    #[test]
    fn a_refusal_reads_well_with_and_without_a_reason() {
        assert_eq!(
            refused(400, "bad_data", "parse error").to_string(),
            "GET http://p/api/v1/query was answered with 400: parse error"
        );
        assert_eq!(
            refused(502, "", "").to_string(),
            "GET http://p/api/v1/query was answered with 502"
        );
    }
}
