//! What this run has seen of the objects that it makes current.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::kind::Target;
use super::super::live::Live;
use super::{Entry, Key};

/// Shared by all steps of a run; starts with what the inventory says.
#[derive(Debug, Default)]
pub(in super::super) struct Ledger(Mutex<BTreeMap<Key, Note>>);

#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    pub(super) uid: Option<String>,
    pub(super) adopted: bool,
    pub(super) sight: Sight,
}

/// What this run has seen of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing: it is only on record.
    #[default]
    Unseen,
    /// It is there, and a write would change it.
    Different,
    /// It is there, and a write would change nothing.
    Equal,
    /// It is not there, or is not ours.
    Gone,
}

impl Ledger {
    fn notes(&self) -> MutexGuard<'_, BTreeMap<Key, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is on record.
    pub(super) fn open(&self, entries: &[Entry]) {
        let mut notes = self.notes();
        for entry in entries {
            let note = notes.entry(entry.key()).or_default();
            if note.sight == Sight::Unseen {
                note.uid.clone_from(&entry.uid);
            }
            note.adopted |= entry.adopted;
        }
    }

    pub(super) fn note(&self, target: &Target) -> Note {
        let notes = self.notes();
        notes.get(&Key::of(target)).cloned().unwrap_or_default()
    }

    pub(super) fn of(&self, key: &Key) -> Note {
        self.notes().get(key).cloned().unwrap_or_default()
    }

    pub(super) fn saw(&self, target: &Target, live: &Live, adopted: bool, equal: bool) {
        let mut notes = self.notes();
        let note = notes.entry(Key::of(target)).or_default();
        note.uid = Some(live.uid().to_owned());
        note.adopted |= adopted;
        note.sight = if equal {
            Sight::Equal
        } else {
            Sight::Different
        };
    }

    /// Whether that is news.
    pub(super) fn saw_gone(&self, key: Key) -> bool {
        let mut notes = self.notes();
        let note = notes.entry(key).or_default();
        let before = std::mem::replace(&mut note.sight, Sight::Gone);
        before != Sight::Gone
    }

    /// Whether this run has made this very object current, by whatever name.
    pub(super) fn has_seen(&self, uid: &str) -> bool {
        let notes = self.notes();
        notes.values().any(|note| {
            let is_there = matches!(note.sight, Sight::Different | Sight::Equal);
            is_there && note.uid.as_deref() == Some(uid)
        })
    }
}
