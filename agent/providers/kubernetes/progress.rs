//! What a run leaves for the next pod while it lasts, in a `ConfigMap`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

use super::fence::{self, Fence, Known, State};
use super::live::Live;
use super::time::{parse, rfc3339_micros};
use super::{Client, Error, MANAGER};

const POD_NAME: &str = "firstlight.dev/pod";
const POD_UID: &str = "firstlight.dev/pod-uid";
const ATTEMPT: &str = "firstlight.dev/attempt";
const WRITTEN: &str = "firstlight.dev/written";
/// Which holder of the lock has written what it holds: one that is only about to go on from there
/// is no author yet.
const AUTHOR: &str = "firstlight.dev/author";

/// So much is read, however well it was compressed: who reads it has little memory.
const LARGEST: u64 = 32 * 1024 * 1024;

/// Where the progress of one bundle's runs is kept: `firstlight-BUNDLE-progress`, a `ConfigMap`.
///
/// It is a record of telemetry and nothing that a run depends on. At its end it is emptied and not
/// deleted, so that it keeps the number of the last one who wrote it.
pub struct Progress {
    state: State,
    /// The names under which it holds what we have written.
    ours: Mutex<BTreeSet<String>>,
    /// Whether something of ours may be there: a write whose answer was lost may have been made.
    is_tried: AtomicBool,
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
        Self {
            state: State::new(client, &format!("{MANAGER}-{bundle}-progress")),
            ours: Mutex::default(),
            is_tried: AtomicBool::new(false),
        }
    }

    /// Takes what a holder of the lock before us has left, which that one cannot write any more
    /// then; none if nothing is on record. It stays there until the first write.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it was written meanwhile; and when the API server cannot be asked.
    pub async fn take(&self, fence: Fence) -> Result<Option<Left>, Error> {
        let found = self.state.read().await?;
        let left = found.as_ref().map(left);
        let left = left.filter(|left| left.fence < Some(fence));
        if let Some(left) = left.as_ref().filter(|left| !left.parts.is_empty()) {
            let author = left.fence.map(|Fence(number)| number.to_string());
            let fields = json!({ "metadata": { "annotations": { AUTHOR: author } } });
            self.state.write(fence, |_| fields).await?;
        }
        Ok(left)
    }

    /// Makes it hold these parts, compressed with gzip, and no others, as the holder of the lock.
    ///
    /// # Errors
    /// When a later holder of the lock has taken or written it, or when the API server does not
    /// take it.
    pub async fn write(
        &self,
        parts: &BTreeMap<String, Bytes>,
        author: &Author,
        fence: Fence,
    ) -> Result<(), Error> {
        self.is_tried.store(true, Ordering::SeqCst);
        let ours = self.ours().clone();
        let fields = |known: &Known| {
            json!({
                "metadata": { "annotations": annotations(author, fence) },
                "binaryData": difference(&known.keys, &ours, parts),
            })
        };
        self.state.write(fence, fields).await?;
        *self.ours() = parts.keys().cloned().collect();
        Ok(())
    }

    /// Empties it, unless a later holder of the lock has taken it.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn clear(&self, author: &Author, fence: Fence) -> Result<(), Error> {
        if !self.is_tried.load(Ordering::SeqCst) {
            return Ok(());
        }
        let nothing = BTreeMap::new();
        let cleared = match self.write(&nothing, author, fence).await {
            // Perhaps by a write of our own that came late.
            Err(Error::Conflict { .. }) => self.write(&nothing, author, fence).await,
            other => other,
        };
        match cleared {
            // Whoever wrote it since holds the lock now, and it is that one's.
            Err(Error::Conflict { .. } | Error::Fenced { .. }) => Ok(()),
            other => other,
        }
    }

    /// Takes it away.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn remove(&self) -> Result<(), Error> {
        self.state.remove().await
    }

    fn ours(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has to be sent so that these parts are there: the new ones, and null for the old ones. What
/// another has left under a name of ours is old.
fn difference(
    there: &BTreeSet<String>,
    ours: &BTreeSet<String>,
    parts: &BTreeMap<String, Bytes>,
) -> Map<String, Value> {
    let gone = there.iter().filter(|key| !parts.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let stays = |key: &str| key != Progress::CHANGES && there.contains(key) && ours.contains(key);
    let new = parts.iter().filter(|(key, _)| !stays(key));
    let new = new.map(|(key, bytes)| (key.clone(), STANDARD.encode(bytes).into()));
    gone.chain(new).collect()
}

fn annotations(author: &Author, fence: Fence) -> Value {
    json!({
        AUTHOR: fence.0.to_string(),
        POD_NAME: author.pod,
        // In a new object null is not allowed.
        POD_UID: author.uid.clone().unwrap_or_default(),
        ATTEMPT: author.attempt.to_string(),
        WRITTEN: rfc3339_micros(SystemTime::now()),
    })
}

fn left(found: &Live) -> Left {
    let notes = found.texts("/metadata/annotations");
    let note = |key: &str| notes.get(key).copied().unwrap_or_default();
    let author = note(AUTHOR).parse().ok().map(Fence);
    Left {
        author: Author {
            pod: note(POD_NAME).to_owned(),
            uid: Some(note(POD_UID).to_owned()).filter(|uid| !uid.is_empty()),
            attempt: note(ATTEMPT).parse().unwrap_or(1),
        },
        fence: author.or_else(|| fence::stored(found)),
        written: parse(note(WRITTEN)),
        parts: parts(&found.texts("/binaryData")),
    }
}

fn parts(packed: &BTreeMap<&str, &str>) -> BTreeMap<String, Vec<u8>> {
    let mut room = LARGEST;
    let mut parts = BTreeMap::new();
    for (key, text) in packed {
        let part = unpacked(text, room).unwrap_or_default();
        room -= part.len() as u64;
        parts.insert((*key).to_owned(), part);
    }
    parts
}

/// None if it is more than there is room for: a part of it cannot be read.
fn unpacked(text: &str, room: u64) -> Option<Vec<u8>> {
    let packed = STANDARD.decode(text).ok()?;
    let mut bytes = Vec::new();
    let mut gzip = GzDecoder::new(packed.as_slice()).take(room + 1);
    gzip.read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= room).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn named(pairs: &[(&str, &'static [u8])]) -> BTreeMap<String, Bytes> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, bytes)| ((*key).to_owned(), Bytes::from_static(bytes)))
            .collect()
    }

    fn keys(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn only_what_is_new_is_sent() {
        let there = keys(&["open", "ended-1", "ended-2"]);
        let wanted = named(&[("open", b"new"), ("ended-2", b"two"), ("ended-3", b"six")]);
        let sent = Value::Object(difference(&there, &there, &wanted));
        let expected = json!({ "open": "bmV3", "ended-1": null, "ended-3": "c2l4" });
        assert_eq!(sent, expected);
        let nothing = Value::Object(difference(&there, &there, &BTreeMap::new()));
        assert_eq!(
            nothing,
            json!({ "open": null, "ended-1": null, "ended-2": null })
        );
    }

    #[test]
    fn what_another_has_left_under_our_names_is_not_ours() {
        let there = keys(&["open", "ended-1", "ended-2"]);
        let wanted = named(&[("open", b"new"), ("ended-2", b"two")]);
        let sent = Value::Object(difference(&there, &keys(&[]), &wanted));
        let expected = json!({ "open": "bmV3", "ended-1": null, "ended-2": "dHdv" });
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        let found = Live::new(json!({
            "metadata": { "annotations": { POD_NAME: "a", ATTEMPT: "2" } },
            "binaryData": { "open": "not base64", "ended-1": "b25l" },
        }));
        let left = left(&found);
        assert_eq!((left.author.pod.as_str(), left.author.attempt), ("a", 2));
        assert!(left.parts.values().all(Vec::is_empty), "{left:?}");
        assert!(super::left(&Live::new(json!({}))).parts.is_empty());
    }

    #[test]
    fn its_author_is_not_who_is_about_to_go_on() {
        let notes = annotations(
            &Author {
                pod: "a".to_owned(),
                uid: None,
                attempt: 1,
            },
            Fence(3),
        );
        let mut found = json!({ "metadata": { "annotations": notes } });
        let numbered = "firstlight.dev/lease-transitions";
        found["metadata"]["annotations"][numbered] = "4".into();
        assert_eq!(left(&Live::new(found)).fence, Some(Fence(3)));
        let older = json!({ "metadata": { "annotations": { numbered: "4" } } });
        assert_eq!(left(&Live::new(older)).fence, Some(Fence(4)));
    }

    #[test]
    fn no_more_is_read_than_there_is_room_for() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&[7; 100]).expect("written to memory");
        let text = STANDARD.encode(gzip.finish().expect("written to memory"));
        assert_eq!(unpacked(&text, 100).map(|it| it.len()), Some(100));
        assert_eq!(unpacked(&text, 99), None);
    }
}
