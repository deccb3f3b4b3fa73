//! Why a server's certificate does not convince, each reason with its own way out.

use jiff::Timestamp;
use rustls::CertificateError as Certificate;
use rustls::pki_types::UnixTime;

use crate::engine::Class;

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// It belongs to another host.
    #[error("its certificate is for {}, not for {wanted}", list(.names))]
    Name {
        /// The name that was looked for.
        wanted: String,
        /// The names that it has.
        names: Vec<String>,
    },
    /// It is too old.
    #[error("its certificate expired on {on}")]
    Expired {
        /// When, in UTC.
        on: String,
    },
    /// It is too young.
    #[error("its certificate is not valid before {from}")]
    NotYet {
        /// From when on, in UTC.
        from: String,
    },
    /// Somebody else has signed it.
    #[error("its certificate was not signed by the authority in {authority}")]
    Authority {
        /// Where the authority comes from.
        authority: String,
    },
    /// The handshake failed otherwise.
    #[error("{0}")]
    Other(rustls::Error),
}

impl Distrust {
    /// Takes apart what rustls says; `authority` is where the authority comes from.
    pub(super) fn new(error: &rustls::Error, authority: &str) -> Self {
        let authority = authority.to_owned();
        match error {
            rustls::Error::InvalidCertificate(reason) => match reason {
                Certificate::NotValidForNameContext {
                    expected,
                    presented,
                } => Self::Name {
                    wanted: expected.to_str().into_owned(),
                    names: presented.iter().map(|name| plain(name)).collect(),
                },
                Certificate::ExpiredContext { not_after, .. } => Self::Expired {
                    on: instant(*not_after),
                },
                Certificate::NotValidYetContext { not_before, .. } => Self::NotYet {
                    from: instant(*not_before),
                },
                // Another authority of the same name has signed something else.
                Certificate::UnknownIssuer | Certificate::BadSignature => {
                    Self::Authority { authority }
                }
                _ => Self::Other(error.clone()),
            },
            _ => Self::Other(error.clone()),
        }
    }

    /// Only time makes a certificate valid by itself, where two clocks differ.
    pub(in crate::providers::postgres) fn class(&self) -> Class {
        match self {
            Self::NotYet { .. } => Class::Unavailable,
            _ => Class::Invalid,
        }
    }

    /// What the reader can do about it.
    pub(in crate::providers::postgres) fn hint(&self) -> &'static str {
        match self {
            Self::Name { .. } => {
                "name the host as the certificate does (PGO: CLUSTER-primary, never CLUSTER-ha), \
                 or say in `tls.serverName` which of its names to expect"
            }
            Self::Expired { .. } => {
                "renew the server's certificate, and see that the server has loaded the new one"
            }
            Self::NotYet { .. } => "compare the clocks of the server's node and of ours",
            Self::Authority { .. } => {
                "let `tls.ca` name the authority that signed the server's certificate (PGO: key \
                 ca.crt of Secret CLUSTER-cluster-cert)"
            }
            Self::Other(_) => {
                "let the server use a certificate and a version of TLS that are current"
            }
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "no name at all".to_owned();
    }
    names.join(", ")
}

/// rustls shows a name as `DnsName("a")` or `IpAddress(10.0.0.1)`.
fn plain(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    inner.trim_matches('"').to_owned()
}

fn instant(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| format!("second {seconds} after 1970"),
        |instant| instant.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::Distrust;
    use crate::engine::Class;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{CertificateError as Certificate, Error};
    use std::time::Duration;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn each_reason_is_a_sentence_of_its_own() {
        let expected = ServerName::try_from("lens-ha.ns.svc").expect("a name");
        let presented = vec![
            "DnsName(\"lens-primary.ns.svc\")".to_owned(),
            "IpAddress(10.0.0.1)".to_owned(),
        ];
        for (reason, sentence) in [
            (
                Certificate::NotValidForNameContext {
                    expected,
                    presented,
                },
                "its certificate is for lens-primary.ns.svc, 10.0.0.1, not for lens-ha.ns.svc",
            ),
            (
                Certificate::ExpiredContext {
                    time: at(1_700_000_000),
                    not_after: at(1_577_923_200),
                },
                "its certificate expired on 2020-01-02 00:00 UTC",
            ),
            (
                Certificate::UnknownIssuer,
                "its certificate was not signed by the authority in key ca.crt of Secret lens",
            ),
            (
                Certificate::BadSignature,
                "its certificate was not signed by the authority in key ca.crt of Secret lens",
            ),
        ] {
            let error = Error::InvalidCertificate(reason);
            let distrust = Distrust::new(&error, "key ca.crt of Secret lens");
            assert_eq!(distrust.to_string(), sentence);
            assert_eq!(distrust.class(), Class::Invalid);
        }
    }

    #[test]
    fn a_clock_may_catch_up() {
        let error = Error::InvalidCertificate(Certificate::NotValidYetContext {
            time: at(0),
            not_before: at(1_577_923_200),
        });
        let distrust = Distrust::new(&error, "the system");
        assert_eq!(distrust.class(), Class::Unavailable);
        let sentence = "its certificate is not valid before 2020-01-02 00:00 UTC";
        assert_eq!(distrust.to_string(), sentence);
    }
}
