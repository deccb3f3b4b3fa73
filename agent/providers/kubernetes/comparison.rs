//! What a write of a document would change of an object.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::kind::Target;
use super::live::Live;
use super::{Client, Error, fields};
use crate::engine::FieldChange;

/// Compares here what can be compared here, and asks the server only if it must.
#[derive(Default)]
pub(super) struct Comparison {
    /// The state in which the server last said that a write would change nothing of ours.
    equal: Mutex<Option<Fingerprint>>,
}

/// A write that is considered.
pub(super) struct Write<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) content: &'a Value,
    pub(super) force: bool,
}

impl Comparison {
    /// The fields of ours that it would change.
    pub(super) async fn changes(
        &self,
        write: &Write<'_>,
        live: &Live,
    ) -> Result<Vec<FieldChange>, Error> {
        let Write {
            client,
            target,
            content,
            force,
        } = *write;
        let now = Fingerprint::of(live, content);
        let known = {
            let equal = self.equal.lock().unwrap_or_else(PoisonError::into_inner);
            equal.as_ref() == Some(&now)
        };
        if known || fields::surely_same(content, live.value()) {
            return Ok(Vec::new());
        }
        let would_be = client.apply(target, content, force, true).await?;
        let changes = fields::changes(live.value(), would_be.value());
        if changes.is_empty() {
            *self.equal.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        Ok(changes)
    }
}

/// What cannot stay the same when a field of ours changes, or what is written.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    state: State,
    written: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Generation {
        uid: String,
        generation: i64,
        /// Labels and annotations, which have no generation.
        metadata: String,
    },
    /// Of kinds without a generation, every version counts.
    Version(String),
}

impl Fingerprint {
    fn of(live: &Live, content: &Value) -> Self {
        let metadata = |key: &str| live.at(key).unwrap_or(&Value::Null).to_string();
        let mut written = DefaultHasher::new();
        content.to_string().hash(&mut written);
        let state = match live.generation() {
            Some(generation) => State::Generation {
                uid: live.uid().to_owned(),
                generation,
                metadata: metadata("/metadata/labels") + &metadata("/metadata/annotations"),
            },
            None => State::Version(live.version().to_owned()),
        };
        let written = written.finish();
        Self { state, written }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_is_not_part_of_the_fingerprint() {
        let at = |generation: i64, version: &str, labels: Value| {
            Fingerprint::of(
                &Live::new(json!({ "metadata": {
                "generation": generation, "resourceVersion": version, "uid": "u", "labels": labels } })),
                &Value::Null,
            )
        };
        assert_eq!(at(1, "5", json!({})), at(1, "6", json!({})));
        assert_ne!(at(1, "5", json!({})), at(2, "5", json!({})));
        assert_ne!(at(1, "5", json!({})), at(1, "5", json!({ "a": "b" })));
        let plain = |version: &str| {
            Fingerprint::of(
                &Live::new(json!({ "metadata": { "resourceVersion": version } })),
                &Value::Null,
            )
        };
        assert_ne!(plain("5"), plain("6"));
    }
}
