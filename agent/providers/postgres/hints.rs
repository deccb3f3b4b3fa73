//! What the reader can do about an error of Postgres.

use super::advice;
use super::error::Error;
use super::fault::Fault;

/// Our own advice, beside the server's.
pub(super) fn own(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Login {
            source,
            password_from,
            user,
            ..
        } => return login_hint(source, password_from, user),
        Error::Statement { source, needs, .. } => return right_hint(source, needs.as_deref()),
        Error::Text { fault, .. } => return advice::of_text(&fault.code).map(str::to_owned),
        Error::Place { .. } => {
            "let `servers.postgres` name the keys for host and port, and the keys hold nothing else \
                 (PGO: `host` and `port` of Secret CLUSTER-pguser-USER)"
        }
        Error::Authority { .. } => "put the certificate of the authority there, as PEM",
        Error::Plaintext { .. } => {
            "turn TLS on in the server, or say `tls: { mode: disable }` in the bundle if plain \
                 text is meant"
        }
        Error::Untrusted { source, .. } => source.hint(),
        Error::ReadOnly { .. } => {
            "let `servers.postgres.host` name the primary, whoever that is (PGO: CLUSTER-primary)"
        }
        Error::Pooler { .. } => {
            "let `servers.postgres.host` name the server itself (PGO: CLUSTER-primary, never \
                 CLUSTER-pgbouncer), or let the pooler keep a session for its client: \
                 `pool_mode = session`"
        }
        Error::Refused { instead, .. } => instead,
        Error::Name { .. } => "choose another one",
        Error::HalfDropped { .. } => "drop it: it cannot be used any more",
        Error::NotInstalled { .. } => {
            "install the package that has it, or use an image of Postgres with it"
        }
        Error::NotTrusted { .. } => {
            "let a superuser create it, or log in as one (`servers.postgres.user`)"
        }
        Error::NoCreate { database, user, .. } => {
            return Some(format!("GRANT CREATE ON DATABASE {database} TO {user}"));
        }
        Error::Conflict(conflict) => return Some(conflict.hint()),
        _ => return None,
    };
    Some(hint.to_owned())
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
        code => advice::of_ours(code).map(str::to_owned),
    }
}

fn right_hint(fault: &Fault, needs: Option<&str>) -> Option<String> {
    match (fault.code.as_str(), needs) {
        ("42501", Some(needs)) => Some(format!("this needs {needs}")),
        ("42501", None) => Some("log in as a role that may do this".to_owned()),
        (code, _) => advice::of_ours(code).map(str::to_owned),
    }
}
