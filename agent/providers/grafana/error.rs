//! What can go wrong with Grafana, and what it means for the run.

use serde_json::Value;

use crate::engine::{BoxError, Class, Failure};
use crate::secret::SecretError;

/// Why Grafana could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A login, an authority or a datasource's secret could not be read.
    #[error("a secret for Grafana cannot be read yet")]
    Secret(#[from] SecretError),
    /// The URL is not one.
    #[error("{url:?} is not a URL for Grafana")]
    Url {
        /// What the bundle says.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The authority's certificate cannot be read.
    #[error("the authority of Grafana's certificate is not a PEM certificate")]
    Authority {
        /// Why.
        source: BoxError,
    },
    /// No client could be made.
    #[error("failed to make a client for Grafana")]
    Client {
        /// Why.
        source: BoxError,
    },
    /// No answer.
    #[error("no answer from Grafana at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The server's certificate is not accepted.
    #[error("the certificate of Grafana at {url} is not accepted")]
    Certificate {
        /// Where.
        url: String,
        /// Why.
        source: BoxError,
    },
    /// The server wants a login and the bundle has none.
    #[error("Grafana at {url} wants a login, and the bundle gives none")]
    LoginMissing {
        /// Where.
        url: String,
    },
    /// The login was read just now, and is refused.
    #[error("Grafana at {url} refuses the login")]
    Login {
        /// Where.
        url: String,
        /// Where the password comes from.
        from: String,
    },
    /// The login worked before and is refused now: it is read anew at the next look.
    #[error("Grafana at {url} refuses the login that was read earlier")]
    LoginStale {
        /// Where.
        url: String,
        /// Where the password comes from.
        from: String,
    },
    /// The server answered with an error.
    #[error(transparent)]
    Refused(Refusal),
    /// An answer lacks what it always has.
    #[error("Grafana's answer has no {what}")]
    Unexpected {
        /// What is missing.
        what: &'static str,
    },
    /// A datasource has our name and another uid.
    #[error("the name {name:?} belongs to the datasource with the uid {holder}, not {uid}")]
    NameTaken {
        /// The name.
        name: String,
        /// The uid that has it.
        holder: String,
        /// The uid that should have it.
        uid: String,
    },
    /// Grafana reads the object from files, so it cannot be changed by the API.
    #[error("{what} is provisioned from files, and differs: {fields}")]
    Provisioned {
        /// The object.
        what: String,
        /// Where it differs.
        fields: String,
    },
    /// The uid that should be a dashboard's is a folder's.
    #[error("the uid {uid} belongs to a folder, so no dashboard can have it")]
    IsFolder {
        /// The uid.
        uid: String,
    },
    /// Grafana saved the dashboard over another one.
    #[error("Grafana saved dashboard {uid} as {saved}")]
    SavedElsewhere {
        /// The uid that was sent.
        uid: String,
        /// The uid that came back.
        saved: String,
    },
    /// The datasource's plugin cannot say whether it works.
    #[error("Grafana cannot check datasource {uid}: {reason}")]
    Uncheckable {
        /// The datasource.
        uid: String,
        /// What Grafana says.
        reason: String,
    },
}

/// The server's refusal of one call.
#[derive(Debug, thiserror::Error)]
#[error("Grafana refuses {call}: {status}{}{word}: {reason}", if .word.is_empty() { "" } else { " " })]
pub struct Refusal {
    /// Method and path.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// Its word for machines (`version-mismatch`); empty if it gave none.
    pub word: String,
    /// What the server says.
    pub reason: String,
}

impl Refusal {
    /// Reads a body; Grafana has several forms, each with a `message`.
    pub(super) fn read(call: String, status: u16, json: &Value) -> Self {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let reason = text("message").filter(|said| !said.is_empty());
        Self {
            call,
            status,
            word: text("status")
                .or_else(|| text("messageId"))
                .unwrap_or_default(),
            reason: reason.unwrap_or_else(|| "(no reason given)".to_owned()),
        }
    }

    fn class(&self) -> Class {
        match (self.status, self.word.as_str()) {
            // Another dashboard of the folder has the title: waiting does not help.
            (412, "name-exists") => Class::Diverged,
            (409 | 412, _) => Class::Busy,
            (403, _) => Class::Forbidden,
            // SQLite says so while it is locked; behind a proxy Grafana is not up yet.
            (429 | 500.., _) => Class::Unavailable,
            _ => Class::Invalid,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self.class() {
            Class::Forbidden => Some("the login needs the role Admin of its organisation"),
            Class::Diverged => Some(
                "rename one of the two, or delete the other: Grafana would save this one over it",
            ),
            Class::Busy => Some(
                "another object may have this title or name: if this does not end, look for it \
                 and rename it",
            ),
            _ => None,
        }
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
            | Self::Uncheckable { .. } => Class::Invalid,
            Self::Unexpected { .. } => Class::Bug,
            Self::NameTaken { .. }
            | Self::Provisioned { .. }
            | Self::IsFolder { .. }
            | Self::SavedElsewhere { .. } => Class::Diverged,
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
            Self::Unexpected { .. } => "unexpected_answer",
            Self::NameTaken { .. } => "name_taken",
            Self::Provisioned { .. } => "provisioned",
            Self::IsFolder { .. } => "is_folder",
            Self::SavedElsewhere { .. } => "saved_elsewhere",
            Self::Uncheckable { .. } => "uncheckable",
            Self::Refused(refusal) => match refusal.class() {
                Class::Busy => "conflict",
                Class::Unavailable => "unavailable",
                Class::Forbidden => "forbidden",
                Class::Diverged => "name_taken",
                _ => "refused",
            },
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Login { from, .. } => format!(
                "check the user and {from}; a Grafana that keeps its database keeps the first \
                 password it was started with"
            ),
            Self::LoginMissing { .. } => {
                "give `user` and `password` under `servers.grafana`".to_owned()
            }
            Self::Certificate { .. } => {
                "give the authority of its certificate as `tls.ca`, and use the host name that \
                 the certificate bears"
                    .to_owned()
            }
            Self::NameTaken { name, .. } => format!(
                "dashboards refer to the uid: rename or delete the datasource {name:?}, or give \
                 its uid in the bundle"
            ),
            Self::Provisioned { .. } => {
                "change the provisioning files of Grafana, or leave it out of the bundle".to_owned()
            }
            Self::IsFolder { .. } => "give the dashboard's file another name".to_owned(),
            Self::SavedElsewhere { .. } => {
                "two dashboards of one folder have the same title: rename one".to_owned()
            }
            Self::Uncheckable { .. } => {
                "check the server behind it by another check (http, sql, promql)".to_owned()
            }
            Self::Refused(refusal) => {
                return refusal.hint().map(str::to_owned).into_iter().collect();
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_classified_by_its_codes() {
        let table = [
            (
                412,
                json!({"status": "version-mismatch", "message": "changed"}),
                Class::Busy,
            ),
            (
                412,
                json!({"status": "name-exists", "message": "same name"}),
                Class::Diverged,
            ),
            (409, json!({"message": "taken"}), Class::Busy),
            (
                403,
                json!({"message": "no", "title": "Access denied"}),
                Class::Forbidden,
            ),
            (
                500,
                json!({"message": "database is locked"}),
                Class::Unavailable,
            ),
            (502, json!(null), Class::Unavailable),
            (400, json!({"message": "bad request data"}), Class::Invalid),
            (302, json!(null), Class::Invalid),
        ];
        for (status, body, class) in table {
            let refusal = Refusal::read("POST /x".to_owned(), status, &body);
            assert_eq!(refusal.class(), class, "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_is_one_sentence() {
        let body = json!({"status": "version-mismatch", "message": "changed by someone else"});
        let refusal = Refusal::read("POST /api/dashboards/db".to_owned(), 412, &body);
        assert_eq!(
            refusal.to_string(),
            "Grafana refuses POST /api/dashboards/db: 412 version-mismatch: changed by someone else"
        );
    }
}
