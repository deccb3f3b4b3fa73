//! Between memory and disk: batches are put in the store and brought back.

use super::{Pipe, guard, say};
use crate::telemetry::size::Size;
use crate::telemetry::spool::{Batch, Keep};
use crate::telemetry::store::{Gone, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::spawn_blocking;
use tracing::warn;

impl Pipe {
    /// Puts in the store what memory has no room for.
    pub(super) async fn stow(self: &Arc<Self>) {
        loop {
            self.crowded.notified().await;
            self.at_store(Self::make_room).await;
        }
    }

    /// Does something with files where no step has to wait for them.
    pub(super) async fn at_store(self: &Arc<Self>, work: fn(&Self, &mut Store)) {
        let pipe = Arc::clone(self);
        let done = spawn_blocking(move || {
            if let Some(store) = &pipe.store {
                work(&pipe, &mut guard(store));
            }
        });
        // It fails only when the runtime ends, and the run with it.
        let _ = done.await;
    }

    pub(super) fn bring(&self, store: &mut Store) {
        match store.take() {
            Some(Ok(batch)) => self.spool().bring(batch),
            Some(Err((items, error))) => {
                self.spool().lose_stored(Gone {
                    batches: 1,
                    items,
                    ..Gone::default()
                });
                let place = store.place().display();
                say(&self.disk, format!("failed to read from {place}: {error}"));
            }
            None => {}
        }
    }

    fn make_room(&self, store: &mut Store) {
        loop {
            let allowed = self.allowed.load(Ordering::SeqCst);
            let surplus = self.spool().surplus(allowed);
            let Some(batch) = surplus else {
                return;
            };
            let (mut gone, put) = store.put(&batch);
            let place = store.place().display();
            if let Err(error) = put {
                gone.batches += 1;
                gone.items += batch.items;
                say(&self.disk, format!("failed to write to {place}: {error}"));
            } else if gone.disk_is_full {
                say(&self.disk, format!("the disk under {place} is full"));
            }
            self.spool().lose_stored(gone);
        }
    }

    /// Hands over what was not delivered, the oldest first, until one is not taken.
    pub(in crate::telemetry) fn leave<E>(
        &self,
        mut each: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let store = self.store.as_ref().map(guard);
        let (first, newest) = self.spool().pending_parts();
        first.into_iter().try_for_each(&mut each)?;
        if let Some(store) = &store {
            let lost = store.each(&mut each)?;
            self.spool().lose_stored(lost);
        }
        newest.into_iter().try_for_each(each)
    }

    /// Holds nothing any more, because all of it is kept elsewhere; a thread that only now comes to
    /// make room finds nothing to write.
    pub(in crate::telemetry) fn clear(&self) {
        let mut store = self.store.as_ref().map(guard);
        if let Some(store) = &mut store {
            store.clear();
        }
        self.spool().clear();
    }

    /// All has arrived: so has what was brought from the store.
    pub(in crate::telemetry) fn close(&self) {
        if let Some(store) = &self.store {
            guard(store).done();
        }
    }

    /// Why there was no room for what was dropped.
    pub(in crate::telemetry) fn shortage(&self) -> Option<String> {
        if self.tally().dropped == 0 {
            return None;
        }
        let disk = guard(&self.disk).clone();
        disk.or_else(|| match (&self.store, self.keep) {
            (Some(store), _) => {
                let store = guard(store);
                let (limit, place) = (Size(store.limit()), store.place().display());
                Some(format!("{limit} in {place} were full"))
            }
            (None, Keep::Bytes(limit)) => {
                let limit = Size(limit as u64);
                Some(format!(
                    "{limit} of memory were full; FIRSTLIGHT_SPOOL_DIR names a folder for more"
                ))
            }
            (None, Keep::Newest) => None,
        })
    }

    /// Once, while something can still be done about it.
    pub(super) fn tell_of_shortage(&self) {
        let Some(why) = self.shortage() else {
            return;
        };
        if !self.told.swap(true, Ordering::SeqCst) {
            warn!(
                name: "telemetry.dropping", target: "firstlight",
                "telemetry that cannot be delivered is dropped, the oldest first: {why}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::folder::Folder;
    use bytes::Bytes;
    use futures::FutureExt as _;

    #[test]
    fn why_something_was_dropped_is_known() {
        let pipe = Pipe::new(Keep::Bytes(4 << 20), None);
        assert_eq!(pipe.shortage(), None);
        for _ in 0..3 {
            pipe.push(Bytes::from(vec![0; 3 << 20]), 1);
        }
        assert_eq!(
            pipe.shortage().as_deref(),
            Some("4 MiB of memory were full; FIRSTLIGHT_SPOOL_DIR names a folder for more")
        );
    }

    #[test]
    fn what_an_earlier_process_has_left_is_never_held_back() {
        let parent = tempfile::tempdir().expect("a folder");
        let opened = |run: &str| {
            let folder = Arc::new(Folder::open(parent.path(), run).expect("opened"));
            let store = Store::open(folder, "spans", 1000).expect("opened");
            Pipe::new(Keep::Bytes(8), Some(store))
        };
        let first = opened("one");
        for name in ["one", "two"] {
            first.push(Bytes::from_static(name.as_bytes()), 1);
            first.make_room(&mut guard(first.store.as_ref().expect("a store")));
        }
        drop(first);
        let second = opened("two");
        second.push(Bytes::from_static(b"six"), 1);
        second.allow(0);
        assert_eq!(second.allowed.load(Ordering::SeqCst), 2);
        let numbers: Vec<u64> = second.pending().iter().map(|it| it.number).collect();
        assert_eq!((numbers, second.pushed()), (vec![3], 3));
    }

    #[test]
    fn what_is_held_back_stays_in_memory() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = Arc::new(Folder::open(parent.path(), "one").expect("opened"));
        let store = Store::open(folder, "spans", 1000).expect("opened");
        let pipe = Pipe::new(Keep::Bytes(20), Some(store));
        pipe.allow(1);
        let stow = || pipe.make_room(&mut guard(pipe.store.as_ref().expect("a store")));
        for number in 0..3_u8 {
            pipe.push(Bytes::from(vec![number; 5]), 1);
            stow();
        }
        let is_told = || pipe.crowded.notified().now_or_never().is_some();
        while is_told() {}
        let in_memory = || {
            pipe.pending()
                .iter()
                .map(|it| it.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(in_memory(), [2, 3]);
        pipe.allow(3);
        assert!(is_told());
        stow();
        assert_eq!(in_memory(), [3]);
        // Nothing is dropped for it.
        for number in 4..9_u8 {
            pipe.push(Bytes::from(vec![number; 5]), 1);
            stow();
        }
        assert_eq!(in_memory(), [6, 7, 8]);
        assert_eq!(pipe.tally().dropped, 0);
    }

    #[test]
    fn what_is_left_is_handed_over_in_its_order() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = Arc::new(Folder::open(parent.path(), "one").expect("opened"));
        let store = Store::open(Arc::clone(&folder), "spans", 1000).expect("opened");
        let pipe = Pipe::new(Keep::Bytes(40), Some(store));
        for number in 0..8_u8 {
            pipe.push(Bytes::from(vec![number; 5]), 1);
            pipe.make_room(&mut guard(pipe.store.as_ref().expect("a store")));
        }
        pipe.bring(&mut guard(pipe.store.as_ref().expect("a store")));
        let mut left = Vec::new();
        let refused = pipe.leave(|batch| if batch.number > 6 { Err(()) } else { Ok(()) });
        assert_eq!(refused, Err(()));
        pipe.leave(|batch| {
            left.push(batch.bytes[0]);
            Ok::<(), ()>(())
        })
        .expect("all are taken");
        assert_eq!(left, [0, 1, 2, 3, 4, 5, 6, 7]);
        pipe.clear();
        folder.tidy();
        assert_eq!(std::fs::read_dir(parent.path()).expect("read").count(), 0);
    }

    #[test]
    fn who_comes_too_late_to_make_room_writes_nothing() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = Arc::new(Folder::open(parent.path(), "one").expect("opened"));
        let store = Store::open(Arc::clone(&folder), "spans", 1000).expect("opened");
        let pipe = Pipe::new(Keep::Bytes(40), Some(store));
        for number in 0..8_u8 {
            pipe.push(Bytes::from(vec![number; 5]), 1);
        }
        let mut left = 0;
        pipe.leave(|_| {
            left += 1;
            Ok::<(), ()>(())
        })
        .expect("all are taken");
        pipe.clear();
        pipe.make_room(&mut guard(pipe.store.as_ref().expect("a store")));
        folder.tidy();
        let kept = std::fs::read_dir(parent.path()).expect("read").count();
        assert_eq!((left, kept, pipe.tally().made), (8, 0, 8));
    }
}
