//! Which objects a bundle owns, kept in `ConfigMap`s.

use std::collections::{HashMap, HashSet};

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::super::fence::Fence;
use super::super::kind::{CONFIG_MAP, Target};
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
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Everything on record; what the steps of this client see is compared with it from now on.
    ///
    /// # Errors
    /// When the API server cannot be asked, or the record is not ours.
    pub async fn read(&self) -> Result<Vec<Entry>, Error> {
        let parts = self.parts().await?;
        self.opened(&parts).await
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
    /// [`Error::Fenced`] after a later holder of the lock; and when the API server does not take it.
    pub async fn announce(&self, desired: &[Entry], fence: Fence) -> Result<(), Error> {
        let stored = self.parts().await?;
        let mut entries = self.opened(&stored).await?;
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
        self.replace(&stored, entries, fence).await
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
        let stored = self.parts().await?;
        let recorded = self.opened(&stored).await?;
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
        self.replace(&stored, all, fence).await?;
        Ok(Settled { entries, left })
    }

    /// Takes the whole record away.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn remove(&self) -> Result<(), Error> {
        // The first part, which knows how many there are, goes last.
        for at in (0..self.parts().await?.len()).rev() {
            let target = self.target(at);
            if let Some(found) = self.client.get(&target).await? {
                self.client.discard(&target, &found).await?;
            }
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

    async fn parts(&self) -> Result<Vec<Part>, Error> {
        let Some((first, count)) = self.part(0).await? else {
            return Ok(Vec::new());
        };
        let others = try_join_all((1..count).map(|at| self.part(at))).await?;
        let others = others.into_iter().map(|part| part.unwrap_or_default().0);
        Ok(std::iter::once(first).chain(others).collect())
    }

    /// A part, and how many it says that there are.
    async fn part(&self, at: usize) -> Result<Option<(Part, usize)>, Error> {
        let target = self.target(at);
        let Some(found) = self.client.get(&target).await? else {
            return Ok(None);
        };
        let data = found.texts("/data");
        let text = data.get(OBJECTS).copied().unwrap_or("[]");
        let entries = serde_json::from_str(text).map_err(|source| Error::Unreadable {
            request: format!("get {target}"),
            source: source.into(),
        })?;
        let count = data.get(PARTS).and_then(|text| text.parse().ok());
        Ok(Some((Part(entries), count.unwrap_or(1))))
    }

    /// Writes the parts that differ, the first one last: it says how many there are.
    async fn replace(
        &self,
        stored: &[Part],
        entries: Vec<Entry>,
        fence: Fence,
    ) -> Result<(), Error> {
        let parts = arrange(stored, entries, LIMIT);
        for (at, part) in parts.iter().enumerate().rev() {
            let count_differs = at == 0 && stored.len() != parts.len();
            if stored.get(at) == Some(part) && !count_differs {
                continue;
            }
            let text = serde_json::to_string(&part.0).unwrap_or_default();
            let data = json!({ OBJECTS: text, PARTS: parts.len().to_string() });
            fence.write(&self.client, &self.target(at), &data).await?;
        }
        Ok(())
    }

    fn target(&self, at: usize) -> Target {
        let name = format!("{}-{at}", self.name);
        Target::new(CONFIG_MAP, self.client.namespace(), name)
    }
}
