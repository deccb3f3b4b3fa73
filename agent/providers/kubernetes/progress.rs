//! What a run leaves for the next pod while it lasts, in a `ConfigMap`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use super::fence::{self, Fence};
use super::kind::{CONFIG_MAP, Target};
use super::live::Live;
use super::time::{parse, rfc3339_micros};
use super::{Client, Error, MANAGER};

const POD_NAME: &str = "firstlight.dev/pod";
const POD_UID: &str = "firstlight.dev/pod-uid";
const ATTEMPT: &str = "firstlight.dev/attempt";
const WRITTEN: &str = "firstlight.dev/written";

/// No part is larger, however well it was compressed: who reads it has little memory.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Where the progress of one bundle's runs is kept: `firstlight-BUNDLE-progress`, a `ConfigMap`.
///
/// It is a record of telemetry and nothing that a run depends on. At its end it is emptied and not
/// deleted, so that it keeps the number of the last one who wrote it.
pub struct Progress {
    client: Client,
    target: Target,
    /// None where it is to be read before it is written.
    known: Mutex<Option<Known>>,
}

/// What has to be known of it to write it.
struct Known {
    /// None where it is not there.
    version: Option<String>,
    writer: Option<Fence>,
    keys: BTreeSet<String>,
}

/// Whose progress it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The pod.
    pub pod: String,
    /// The uid of that.
    pub uid: Option<String>,
    /// Counted from 1.
    pub attempt: u32,
}

/// What a run has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Who wrote it.
    pub author: Author,
    /// Which holder of the lock that was.
    pub fence: Option<Fence>,
    /// When.
    pub written: Option<SystemTime>,
    /// What it holds, not compressed any more. A part that cannot be read is empty.
    pub parts: BTreeMap<String, Vec<u8>>,
}

impl Progress {
    /// Which part may change what it holds; any other is written once.
    const CHANGES: &str = "open";

    /// That of a bundle in the client's namespace.
    #[must_use]
    pub fn new(client: Client, bundle: &str) -> Self {
        let name = format!("{MANAGER}-{bundle}-progress");
        Self {
            target: Target::new(CONFIG_MAP, client.namespace(), name),
            client,
            known: Mutex::default(),
        }
    }

    /// What a run before has left; none if nothing.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn read(&self) -> Result<Option<Left>, Error> {
        let found = self.client.get(&self.target).await?;
        self.learn(Known::of(found.as_ref()));
        Ok(found.as_ref().and_then(left))
    }

    /// Makes it hold these parts, compressed with gzip, and no others, as the holder of the lock.
    ///
    /// # Errors
    /// When a later holder of the lock has written it, or when the API server does not take it.
    pub async fn write(
        &self,
        parts: &BTreeMap<String, Bytes>,
        author: &Author,
        fence: Fence,
    ) -> Result<(), Error> {
        if let Some(known) = self.forget() {
            match self.put(&known, parts, author, fence).await {
                // Somebody has written to it since.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                other => return other,
            }
        }
        let found = self.client.get(&self.target).await?;
        let known = Known::of(found.as_ref());
        self.put(&known, parts, author, fence).await
    }

    /// Empties it, if it is still as we wrote it.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn clear(&self, author: &Author, fence: Fence) -> Result<(), Error> {
        let Some(known) = self.forget().filter(|known| !known.keys.is_empty()) else {
            return Ok(());
        };
        match self.put(&known, &BTreeMap::new(), author, fence).await {
            // Whoever wrote it since holds the lock now, and it is that one's.
            Err(Error::Conflict { .. } | Error::NotFound { .. } | Error::Fenced { .. }) => Ok(()),
            other => other,
        }
    }

    /// Takes it away.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn remove(&self) -> Result<(), Error> {
        drop(self.forget());
        match self.client.get(&self.target).await? {
            Some(found) => self.client.discard(&self.target, &found).await,
            None => Ok(()),
        }
    }

    async fn put(
        &self,
        known: &Known,
        parts: &BTreeMap<String, Bytes>,
        author: &Author,
        fence: Fence,
    ) -> Result<(), Error> {
        fence.check(&self.target, known.writer)?;
        let mut document = json!({
            "metadata": {
                "resourceVersion": known.version,
                "labels": { "app.kubernetes.io/managed-by": MANAGER },
                "annotations": annotations(author, fence),
            },
            "binaryData": known.difference(parts),
        });
        let written = if known.version.is_some() {
            self.client.merge(&self.target, &document).await?
        } else {
            document["apiVersion"] = CONFIG_MAP.api_version().into();
            document["kind"] = CONFIG_MAP.name.as_ref().into();
            document["metadata"]["name"] = self.target.name.as_str().into();
            self.client.create(&self.target, &document).await?
        };
        self.learn(Known::of(Some(&written)));
        Ok(())
    }

    fn learn(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }

    /// Taken, so that after a failure it is read anew.
    fn forget(&self) -> Option<Known> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Known {
    fn of(found: Option<&Live>) -> Self {
        let keys = found.map(|found| found.texts("/binaryData").into_keys());
        Self {
            version: found.map(|found| found.version().to_owned()),
            writer: found.and_then(fence::stored),
            keys: keys.into_iter().flatten().map(str::to_owned).collect(),
        }
    }

    /// What has to be sent so that these parts are there: the new ones, and null for the old ones.
    fn difference(&self, parts: &BTreeMap<String, Bytes>) -> Map<String, Value> {
        let gone = self.keys.iter().filter(|key| !parts.contains_key(*key));
        let gone = gone.map(|key| (key.clone(), Value::Null));
        let is_new = |key: &str| key == Progress::CHANGES || !self.keys.contains(key);
        let new = parts.iter().filter(|(key, _)| is_new(key));
        let new = new.map(|(key, bytes)| (key.clone(), STANDARD.encode(bytes).into()));
        gone.chain(new).collect()
    }
}

fn annotations(author: &Author, fence: Fence) -> Value {
    json!({
        fence::TRANSITIONS: fence.0.to_string(),
        POD_NAME: author.pod,
        // In a new object null is not allowed.
        POD_UID: author.uid.clone().unwrap_or_default(),
        ATTEMPT: author.attempt.to_string(),
        WRITTEN: rfc3339_micros(SystemTime::now()),
    })
}

fn left(found: &Live) -> Option<Left> {
    let notes = found.texts("/metadata/annotations");
    let note = |key: &str| notes.get(key).copied().unwrap_or_default();
    let parts = found.texts("/binaryData").into_iter();
    let parts: BTreeMap<_, _> = parts
        .map(|(key, text)| (key.to_owned(), unpacked(text).unwrap_or_default()))
        .collect();
    (!parts.is_empty()).then(|| Left {
        author: Author {
            pod: note(POD_NAME).to_owned(),
            uid: Some(note(POD_UID).to_owned()).filter(|uid| !uid.is_empty()),
            attempt: note(ATTEMPT).parse().unwrap_or(1),
        },
        fence: fence::stored(found),
        written: parse(note(WRITTEN)),
        parts,
    })
}

fn unpacked(text: &str) -> Option<Vec<u8>> {
    let packed = STANDARD.decode(text).ok()?;
    let mut bytes = Vec::new();
    let mut gzip = GzDecoder::new(packed.as_slice()).take(LARGEST);
    gzip.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pairs: &[(&str, &'static [u8])]) -> BTreeMap<String, Bytes> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, bytes)| ((*key).to_owned(), Bytes::from_static(bytes)))
            .collect()
    }

    #[test]
    fn only_what_is_new_is_sent() {
        let found = Live::new(json!({
            "metadata": { "resourceVersion": "7" },
            "binaryData": { "open": "b2xk", "ended-1": "b25l", "ended-2": "dHdv" },
        }));
        let known = Known::of(Some(&found));
        let wanted = parts(&[("open", b"new"), ("ended-2", b"two"), ("ended-3", b"six")]);
        let sent = Value::Object(known.difference(&wanted));
        let expected = json!({ "open": "bmV3", "ended-1": null, "ended-3": "c2l4" });
        assert_eq!(sent, expected);
        let nothing = Value::Object(known.difference(&BTreeMap::new()));
        assert_eq!(
            nothing,
            json!({ "open": null, "ended-1": null, "ended-2": null })
        );
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        let found = Live::new(json!({
            "metadata": { "annotations": { POD_NAME: "a", ATTEMPT: "2" } },
            "binaryData": { "open": "not base64", "ended-1": "b25l" },
        }));
        let left = left(&found).expect("something is left");
        assert_eq!((left.author.pod.as_str(), left.author.attempt), ("a", 2));
        assert!(left.parts.values().all(Vec::is_empty), "{left:?}");
        assert_eq!(super::left(&Live::new(json!({}))), None);
    }
}
