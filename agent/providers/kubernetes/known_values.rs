//! The values of Secrets that went through this process, so that no log that is quoted shows one.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::core::WatchEvent;
use kube::core::response::Status;
use serde_json::Value;

use crate::secret::Sensitive;

/// In place of a value.
const MASK: &str = "(sensitive)";
/// A shorter value is a word that may stand anywhere.
const SHORTEST: usize = 6;
/// No longer one is quoted; a release of Helm would be a megabyte.
const LONGEST: usize = 16 * 1024;
/// Keys that say where and who; to hide `postgres` would hide what a log is about.
const PUBLIC: [&str; 13] = [
    "ca.crt",
    "database",
    "db",
    "dbname",
    "host",
    "hostname",
    "name",
    "namespace",
    "port",
    "tls.crt",
    "type",
    "user",
    "username",
];

/// What must not be shown.
#[derive(Debug, Default)]
pub(super) struct KnownValues(Mutex<BTreeSet<Longest>>);

/// A value, the longest first: it may hold another.
#[derive(Debug, PartialEq, Eq)]
struct Longest(Sensitive);

impl Ord for Longest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (one, other) = (self.0.expose(), other.0.expose());
        other.len().cmp(&one.len()).then_with(|| one.cmp(other))
    }
}

impl PartialOrd for Longest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl KnownValues {
    fn values(&self) -> MutexGuard<'_, BTreeSet<Longest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a Secret, or a list of them, holds.
    pub(super) fn learn(&self, answer: &Value) {
        for item in answer["items"].as_array().into_iter().flatten() {
            self.learn(item);
        }
        let mut values = self.values();
        for encoded in secret(&answer["data"]) {
            let bytes = STANDARD.decode(encoded).ok();
            if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                values.extend(lines(&text));
                // Who refuses a document may quote it as it was sent.
                values.extend(lines(encoded));
            }
        }
    }

    /// Takes note of what a Secret is going to hold.
    pub(super) fn learn_document(&self, body: &[u8]) {
        let document = serde_json::from_slice::<Value>(body).unwrap_or_default();
        self.learn(&document);
        let plain = secret(&document["stringData"]);
        self.values().extend(plain.flat_map(lines));
    }

    /// Takes note of what a Secret that is watched has become.
    pub(super) fn hear(&self, event: &WatchEvent<Value>) {
        if let WatchEvent::Added(secret) | WatchEvent::Modified(secret) = event {
            self.learn(secret);
        }
    }

    /// The text without any of them.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for Longest(value) in self.values().iter() {
            if masked.contains(value.expose()) {
                masked = masked.replace(value.expose(), MASK);
            }
        }
        masked
    }

    /// What a server says, without any of them.
    pub(super) fn mask_status(&self, mut said: Status) -> Status {
        said.message = self.mask(&said.message);
        for cause in said.details.iter_mut().flat_map(|it| &mut it.causes) {
            cause.message = self.mask(&cause.message);
        }
        said
    }
}

/// The values of a Secret that say neither where nor who.
fn secret(data: &Value) -> impl Iterator<Item = &str> {
    let data = data.as_object().into_iter().flatten();
    let secret = data.filter(|(key, _)| !is_public(key));
    secret.filter_map(|(_, value)| value.as_str())
}

/// `host`, `pgbouncer-host` and `POSTGRES_HOST` alike.
fn is_public(key: &str) -> bool {
    let last = key.rsplit(['-', '_']).next().unwrap_or_default();
    PUBLIC.contains(&last.to_lowercase().as_str())
}

/// The lines of a value that are to be hidden: a log is quoted by its lines.
fn lines(text: &str) -> impl Iterator<Item = Longest> {
    let lines = text.lines().map(str::trim);
    let hidden = lines
        .filter(|line| (SHORTEST..=LONGEST).contains(&line.len()) && !line.starts_with("-----"));
    hidden.flat_map(|line| [line.to_owned(), quoted(line)].map(|it| Longest(Sensitive::new(it))))
}

/// A line as JSON, and so Go, quotes it.
fn quoted(line: &str) -> String {
    let json = Value::from(line).to_string();
    let json = json[1..json.len() - 1].replace('<', "\\u003c");
    json.replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_hidden_and_what_says_where_is_not() {
        let encode = |text: &str| STANDARD.encode(text);
        let known = KnownValues::default();
        known.learn(&json!({ "items": [{ "data": {
            "user": encode("lens"),
            "password": encode("s3cret\n"),
            "uri": encode("postgres://lens:s3cret@db/lens"),
            "pin": encode("12"),
            "key.pem": encode("-----BEGIN KEY-----\nMIIBVQ==\n-----END KEY-----\n"),
            "bytes": STANDARD.encode([0xff, 0xfe]),
        } }] }));
        known.learn(&json!({ "metadata": { "name": "no data" } }));
        for (line, expected) in [
            ("lens logs in with s3cret", "lens logs in with (sensitive)"),
            (
                "to postgres://lens:s3cret@db/lens at 12",
                "to (sensitive) at 12",
            ),
            ("read MIIBVQ==", "read (sensitive)"),
            ("-----BEGIN KEY-----", "-----BEGIN KEY-----"),
        ] {
            assert_eq!(known.mask(line), expected);
        }
        assert!(!format!("{known:?}").contains("s3cret"));
    }

    #[test]
    fn what_a_watch_tells_is_known_too_and_what_nobody_quotes_is_not_kept() {
        let secret =
            |value: &str| json!({ "data": { "key": STANDARD.encode(value), "pin": "MTI=" } });
        let known = KnownValues::default();
        known.hear(&WatchEvent::Added(secret("opensesame")));
        known.hear(&WatchEvent::Modified(secret("abracadabra")));
        let masked = known.mask("neither opensesame nor abracadabra");
        assert_eq!(masked, "neither (sensitive) nor (sensitive)");
        known.learn(&secret(&"x".repeat(LONGEST + 1)));
        assert_eq!(known.values().len(), 4, "each plain and encoded");
    }

    #[test]
    fn what_is_sent_is_known_before_it_is_refused() {
        let known = KnownValues::default();
        let body = json!({ "stringData": { "key": "opensesame", "user": "ali-baba" },
                           "data": { "other": STANDARD.encode("abracadabra") } });
        known.learn_document(body.to_string().as_bytes());
        let quoted = format!(
            "opensesame, abracadabra, {} of ali-baba",
            STANDARD.encode("abracadabra")
        );
        let said = known.mask_status(Status::failure(&quoted, "Invalid"));
        let hidden = "(sensitive), (sensitive), (sensitive) of ali-baba";
        assert_eq!(said.message, hidden);
    }
}
