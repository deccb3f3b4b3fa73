//! Where the backends are.

use super::reader::{Fields, Reader};
use super::yaml::{Content, Node};
use super::{HttpServer, PostgresServer, PostgresTls, Servers, suggest};
use crate::secret::{Credential, SecretRef, Sensitive, Setting};

const POSTGRES_PORT: u16 = 5432;
const TLS_MODES: [&str; 3] = ["disable", "verify-ca", "verify-full"];

/// The step that waits for Postgres before its first user.
pub const POSTGRES_GATE: &str = "postgres-server";
/// The step that waits for `OpenSearch` before its first user.
pub const OPENSEARCH_GATE: &str = "opensearch-server";
/// The step that waits for Grafana before its first user.
pub const GRAFANA_GATE: &str = "grafana-server";
/// No step of a bundle has these names.
pub(super) const GATES: [&str; 3] = [POSTGRES_GATE, OPENSEARCH_GATE, GRAFANA_GATE];

/// Reads the servers; one with a mistake is left out.
pub(super) fn read(node: &Node, reader: Reader<'_>) -> Option<Servers> {
    let fields = reader.fields(node, "servers", &["postgres", "opensearch", "grafana"])?;
    Some(Servers {
        postgres: fields.get("postgres").and_then(|n| postgres(n, reader)),
        opensearch: fields
            .get("opensearch")
            .and_then(|n| http(n, "the server opensearch", reader)),
        grafana: fields
            .get("grafana")
            .and_then(|n| http(n, "the server grafana", reader)),
    })
}

fn postgres(node: &Node, reader: Reader<'_>) -> Option<PostgresServer> {
    let allowed = &["host", "port", "user", "password", "database", "tls"];
    let fields = reader.fields(node, "the server postgres", allowed)?;
    let host = fields.need("host").and_then(|n| host(n, reader));
    let port = match fields.get("port") {
        Some(node) => port(node, reader),
        None => Some(POSTGRES_PORT.into()),
    };
    let user = fields.need("user").and_then(|n| user(n, reader));
    let password = fields.need("password");
    let password = password.and_then(|n| reader.secret(n, "password"));
    let shown = host.as_ref().and_then(Setting::reference);
    if let Some(node) = fields.get("host")
        && shown.is_some()
        && shown == password.as_ref().and_then(Credential::reference)
    {
        // The host is shown in errors and in telemetry.
        let mistake = reader.mistake(node.at, "`host` and `password` name the same key");
        reader.found.add(mistake.hint(HOST_KEY));
    }
    let database = fields.text("database");
    let tls = match fields.get("tls") {
        Some(node) => postgres_tls(node, reader),
        None => Some(PostgresTls::VerifyFull {
            ca: None,
            server_name: None,
        }),
    };
    Some(PostgresServer {
        host: host?,
        port: port?,
        user: user?,
        password: password?,
        database: database.unwrap_or_else(|| "postgres".to_owned()),
        tls: tls?,
    })
}

const HOST_KEY: &str = "a Secret of PGO has the keys `host` and `port` of the server itself";

/// A name or an address, which is no secret.
fn host(node: &Node, reader: Reader<'_>) -> Option<Setting<String>> {
    match node.content {
        Content::Scalar(_) => reader.text(node, "host").map(Setting::Known),
        _ => place(node, "host", reader).map(Setting::Secret),
    }
}

fn port(node: &Node, reader: Reader<'_>) -> Option<Setting<u16>> {
    match node.content {
        Content::Scalar(_) => {
            let number = reader.number(node, "port", 1, u64::from(u16::MAX))?;
            u16::try_from(number).ok().map(Setting::Known)
        }
        _ => place(node, "port", reader).map(Setting::Secret),
    }
}

/// A key that says where the server itself is; PGO writes where its pooler is beside it.
fn place(node: &Node, name: &str, reader: Reader<'_>) -> Option<SecretRef> {
    let Credential::Secret(reference) = reader.secret(node, name)? else {
        return None;
    };
    let key = &reference.key;
    let whose = if key.starts_with("pgbouncer-") {
        "a pooler"
    } else if ["password", "verifier"].iter().any(|it| key.contains(it)) {
        // What a place holds is shown.
        "a password"
    } else {
        return Some(reference);
    };
    let what = format!("`{name}` is that of {whose}: key {key}");
    let mistake = reader.mistake(node.at, what);
    reader.found.add(mistake.hint(HOST_KEY));
    None
}

fn postgres_tls(node: &Node, reader: Reader<'_>) -> Option<PostgresTls> {
    let fields = reader.fields(node, "tls", &["mode", "ca", "serverName"])?;
    let mode = fields.need_text("mode")?;
    let refuse = |key: &str| {
        if let Some(node) = fields.get(key) {
            reader.add(node.at, format!("`{key}` has no use with mode {mode}"));
        }
    };
    match mode.as_str() {
        "disable" => {
            refuse("ca");
            refuse("serverName");
            Some(PostgresTls::Disable)
        }
        "verify-ca" => {
            refuse("serverName");
            let ca = fields.need("ca").and_then(|n| reader.secret(n, "ca"))?;
            Some(PostgresTls::VerifyCa { ca })
        }
        "verify-full" => Some(PostgresTls::VerifyFull {
            ca: fields.secret("ca"),
            server_name: fields.text("serverName"),
        }),
        other => {
            let at = fields.need("mode")?.at;
            let mistake = reader.mistake(at, format!("there is no mode `{other}`"));
            reader
                .found
                .add(mistake.hint_if(suggest::hint(other, TLS_MODES)));
            None
        }
    }
}

fn http(node: &Node, what: &'static str, reader: Reader<'_>) -> Option<HttpServer> {
    let fields = reader.fields(node, what, &["url", "user", "password", "tls"])?;
    let url = fields.need("url").and_then(|n| base(n, reader));
    let tls = fields.get("tls");
    let tls = tls.and_then(|node| reader.fields(node, "tls", &["ca"]));
    Some(HttpServer {
        login: login(&fields),
        ca: tls.and_then(|tls| tls.secret("ca")),
        url: url?,
    })
}

/// A URL that paths are added to, and that is told with them.
fn base(node: &Node, reader: Reader<'_>) -> Option<String> {
    let found = url(node, "url", reader)?;
    if found.contains('?') {
        reader.found.hide(reader.place(node.at));
        let mistake = reader.mistake(node.at, "`url` has parameters, and a server has none");
        reader
            .found
            .add(mistake.hint("leave out what is behind the ?"));
        return None;
    }
    Some(found)
}

fn login(fields: &Fields<'_>) -> Option<(Credential, Credential)> {
    let reader = fields.reader;
    let password = fields.get("password");
    if fields.get("user").is_none() && password.is_none() {
        return None;
    }
    let user = fields.need("user").and_then(|n| user(n, reader));
    let password = fields.need("password");
    let password = password.and_then(|n| reader.secret(n, "password"));
    Some((user?, password?))
}

/// A user's name is no secret, so it may be plain.
fn user(node: &Node, reader: Reader<'_>) -> Option<Credential> {
    if let Content::Scalar(_) = node.content {
        let name = reader.text(node, "user")?;
        return Some(Credential::Plain(Sensitive::new(name)));
    }
    reader.secret(node, "user")
}

/// A URL of HTTP, without credentials, without a slash at its end.
pub(super) fn url(node: &Node, name: &str, reader: Reader<'_>) -> Option<String> {
    let text = reader.text(node, name)?;
    // What is behind it is told nowhere, as it may hold a token.
    let base = text.split(['?', '#']).next().unwrap_or_default();
    let parts = base.split("://");
    let mut hosts = parts.map(|part| part.split('/').next().unwrap_or_default());
    if hosts.clone().any(|host| host.contains('@')) {
        reader.found.hide(reader.place(node.at));
        let mistake = reader.mistake(node.at, format!("`{name}` has credentials in it"));
        reader
            .found
            .add(mistake.hint("say them as `user` and `password`"));
        return None;
    }
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    if !is_url || hosts.nth(1).is_none_or(str::is_empty) {
        if base != text {
            reader.found.hide(reader.place(node.at));
        }
        let mistake = reader.mistake(node.at, format!("`{name}` is not a URL: {base}"));
        reader
            .found
            .add(mistake.hint("it starts with http:// or https:// and a host"));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
