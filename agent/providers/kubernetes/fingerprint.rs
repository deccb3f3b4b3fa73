//! Whether an object can be another one than when the server was last asked about it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::live::Live;

/// What cannot stay the same when a field of ours changes, or what is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
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
    pub(super) fn of(live: &Live, content: &Value) -> Self {
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
