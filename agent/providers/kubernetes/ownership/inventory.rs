//! Which objects a bundle owns, kept in `ConfigMap`s.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::super::fence::{Fence, State};
use super::super::{Client, Error, MANAGER};
use super::ledger::Sight;
use super::parts::{LIMIT, Part, arrange};
use super::{AT_ONCE, Entry, Key, claim};

const OBJECTS: &str = "objects.json";
/// How many parts there are, in the first one.
const PARTS: &str = "parts";

/// Kept as `firstlight-BUNDLE-inventory-0` and so on.
pub struct Inventory {
    client: Client,
    name: String,
    /// As it was last read or written; none where it is to be read first.
    stored: Mutex<Option<Stored>>,
}

/// The parts, and where each is kept. There is a place also for a first part that is not there yet.
struct Stored {
    parts: Vec<Part>,
    places: Vec<State>,
}

/// What is on record at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What the bundle has.
    pub entries: Vec<Entry>,
    /// What has left it.
    pub left: Vec<Entry>,
}

impl Inventory {
    /// The inventory of a bundle in the client's namespace.
    #[must_use]
    pub fn new(client: Client, bundle: &str) -> Self {
        Self {
            name: format!("{MANAGER}-{bundle}-inventory"),
            client,
            stored: Mutex::default(),
        }
    }

    fn stored(&self) -> MutexGuard<'_, Option<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Everything on record; what the steps of this client see is compared with it from now on.
    ///
    /// # Errors
    /// When the API server cannot be asked, or the record is not ours.
    pub async fn read(&self) -> Result<Vec<Entry>, Error> {
        let stored = self.parts().await?;
        self.opened(&stored.parts).await
    }

    /// Reads what is on record, so that [`Inventory::announce`] need not.
    ///
    /// # Errors
    /// When the API server cannot be asked, or the record is not ours.
    pub async fn look(&self) -> Result<(), Error> {
        *self.stored() = None;
        let stored = self.parts().await?;
        *self.stored() = Some(stored);
        Ok(())
    }

    /// What is on record. While the lock is ours nobody else writes it, so it is read once.
    async fn known(&self) -> Result<Stored, Error> {
        // Taken, so that after a failure it is read anew.
        let known = self.stored().take();
        match known {
            Some(known) => Ok(known),
            None => self.parts().await,
        }
    }

    /// The entries of these parts, which the steps of this client know from now on.
    async fn opened(&self, parts: &[Part]) -> Result<Vec<Entry>, Error> {
        let entries = parts.iter().flat_map(|part| part.0.iter().cloned());
        let entries = self.resolved(entries.collect()).await?;
        self.will_look_at(&entries);
        self.client.ledger().open(&entries);
        Ok(entries)
    }

    /// What is on record and not in the bundle any more.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn orphans(&self, desired: &[Entry]) -> Result<Vec<Entry>, Error> {
        let recorded = self.read().await?;
        let desired = self.resolved(desired.to_vec()).await?;
        let desired: HashSet<Key> = desired.iter().map(Entry::key).collect();
        let has_left = |entry: &Entry| !desired.contains(&entry.key());
        Ok(recorded.into_iter().filter(has_left).collect())
    }

    /// Puts on record what is about to be made, beside what is there; writes only what is news.
    ///
    /// # Errors
    /// [`Error::Fenced`] after a later holder of the lock; [`Error::Conflict`] where somebody has
    /// written it since it was read, which the next try reads; and when the API server does not
    /// take it.
    pub async fn announce(&self, desired: &[Entry], fence: Fence) -> Result<(), Error> {
        let stored = self.known().await?;
        let mut entries = self.opened(&stored.parts).await?;
        let known: HashSet<Key> = entries.iter().map(Entry::key).collect();
        for entry in self.resolved(desired.to_vec()).await? {
            if !known.contains(&entry.key()) {
                // Nobody has seen it yet, and it is equal to nothing.
                let hash = String::new();
                entries.push(Entry { hash, ..entry });
            }
        }
        self.will_look_at(&entries);
        let entries = self.told_from_others(entries).await;
        let stored = self.replace(stored, entries, fence).await?;
        *self.stored() = Some(stored);
        Ok(())
    }

    /// One list of a kind is to tell of all of them.
    fn will_look_at(&self, entries: &[Entry]) {
        for entry in entries {
            let kind = (entry.api_version.as_str(), entry.kind.as_str());
            let namespace = entry.namespace.as_deref().unwrap_or_default();
            self.client.watches().announce(kind, namespace, &entry.name);
        }
    }

    /// The entries, of which those that somebody else has made are marked so: before the first
    /// write, because after it nobody can tell, and a run that is cut short could not.
    async fn told_from_others(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let looks: Vec<_> = entries
            .iter()
            .map(|entry| claim::is_of_others(&self.client, entry))
            .collect();
        let answers: Vec<bool> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        for (entry, is_of_others) in entries.iter_mut().zip(answers) {
            entry.adopted |= is_of_others;
        }
        entries
    }

    /// Puts on record what the run has seen of the bundle's objects, and what of the others is
    /// not gone; gives what is on record then.
    ///
    /// # Errors
    /// See [`Inventory::announce`].
    pub async fn settle(&self, desired: &[Entry], fence: Fence) -> Result<Settled, Error> {
        let stored = self.known().await?;
        let recorded = self.opened(&stored.parts).await?;
        let desired = self.resolved(desired.to_vec()).await?;
        let keys: HashSet<Key> = desired.iter().map(Entry::key).collect();
        let before: HashMap<Key, &Entry> =
            recorded.iter().map(|entry| (entry.key(), entry)).collect();
        let mut entries: Vec<Entry> = desired
            .into_iter()
            .map(|entry| {
                let before = before.get(&entry.key()).copied();
                self.noted(entry, before)
            })
            .collect();
        let others = recorded.iter();
        let others = others.filter(|entry| !keys.contains(&entry.key()));
        let mut left: Vec<Entry> = others.cloned().collect();
        let ledger = self.client.ledger();
        let is_there = |entry: &Entry| ledger.of(&entry.key()).sight != Sight::Gone;
        entries.retain(is_there);
        left.retain(is_there);
        let all = entries.iter().chain(&left).cloned().collect();
        self.replace(stored, all, fence).await?;
        Ok(Settled { entries, left })
    }

    /// Takes the whole record away.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn remove(&self) -> Result<(), Error> {
        // The first part, which knows how many there are, goes last.
        for place in self.parts().await?.places.iter().rev() {
            place.remove().await?;
        }
        Ok(())
    }

    /// The entry with what this run has seen, or else with what was on record.
    fn noted(&self, entry: Entry, before: Option<&Entry>) -> Entry {
        let note = self.client.ledger().of(&entry.key());
        let old_hash = before.map(|before| before.hash.clone()).unwrap_or_default();
        Entry {
            uid: note.uid.or(before.and_then(|before| before.uid.clone())),
            hash: if note.sight == Sight::Equal {
                entry.hash
            } else {
                old_hash
            },
            adopted: note.adopted,
            ..entry
        }
    }

    async fn resolved(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
        // Only the first of an API version asks the server.
        let resolved = entries.into_iter().map(|it| it.resolved(&self.client));
        try_join_all(resolved).await
    }

    async fn parts(&self) -> Result<Stored, Error> {
        let mut places = vec![self.place(0)];
        let Some((first, count)) = part(&places[0]).await? else {
            let parts = Vec::new();
            return Ok(Stored { parts, places });
        };
        places.extend((1..count).map(|at| self.place(at)));
        let others = try_join_all(places.iter().skip(1).map(part)).await?;
        let others = others.into_iter().map(Option::unwrap_or_default);
        let parts = std::iter::once(first).chain(others.map(|(part, _)| part));
        Ok(Stored {
            parts: parts.collect(),
            places,
        })
    }

    /// Writes the parts that differ, the first one last: it says how many there are.
    async fn replace(
        &self,
        stored: Stored,
        entries: Vec<Entry>,
        fence: Fence,
    ) -> Result<Stored, Error> {
        let Stored {
            parts: before,
            mut places,
        } = stored;
        let parts = arrange(&before, entries, LIMIT);
        places.extend((places.len()..parts.len()).map(|at| self.place(at)));
        for (at, part) in parts.iter().enumerate().rev() {
            let count_differs = at == 0 && before.len() != parts.len();
            if before.get(at) == Some(part) && !count_differs {
                continue;
            }
            let text = serde_json::to_string(&part.0).unwrap_or_default();
            let data = json!({ OBJECTS: text, PARTS: parts.len().to_string() });
            places[at].write(fence, |_| json!({ "data": data })).await?;
        }
        Ok(Stored { parts, places })
    }

    fn place(&self, at: usize) -> State {
        State::new(self.client.clone(), &format!("{}-{at}", self.name))
    }
}

/// A part, and how many it says that there are.
async fn part(place: &State) -> Result<Option<(Part, usize)>, Error> {
    let Some(found) = place.read().await? else {
        return Ok(None);
    };
    let data = found.texts("/data");
    let text = data.get(OBJECTS).copied().unwrap_or("[]");
    let entries = serde_json::from_str(text).map_err(|source| Error::Unreadable {
        request: format!("get {}", place.target()),
        source: source.into(),
    })?;
    let count = data.get(PARTS).and_then(|text| text.parse().ok());
    Ok(Some((Part(entries), count.unwrap_or(1))))
}
