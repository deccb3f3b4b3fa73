//! What was made and not yet delivered, in memory and bounded.
//!
//! Where there is a store, the oldest batches wait there, and memory holds the first one and the
//! newest ones. The spool only counts what is in the store; the pipe carries batches to and fro.

use super::store::Gone;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// With a store, memory holds only this part of what it may hold; the rest is for a burst that
/// comes faster than the disk writes, and for what is not on record yet.
const USUAL_PART: usize = 4;

/// One export request, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// Its place among all that were pushed, from 1 on.
    pub(super) number: u64,
    /// The request.
    pub(super) bytes: Bytes,
    /// How many spans, records or states it holds.
    pub(super) items: u64,
    /// When it was pushed.
    pub(super) made: SystemTime,
}

/// What a spool keeps while nobody takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// This many bytes; the oldest batches go first, because the root of the trace comes last.
    Bytes(usize),
    /// Only the last batch: metrics are cumulative, and servers refuse points that are late.
    Newest,
}

/// How many items came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that were made.
    pub made: u64,
    /// Those that the server took.
    pub delivered: u64,
    /// Those that the server refused for good, or that could not be made a request.
    pub refused: u64,
    /// Those for which there was no room while the server was away.
    pub dropped: u64,
    /// Those of all that an earlier process had left in the folder.
    pub taken_up: u64,
    /// Those that were left to the process that goes on with the trace.
    pub handed_on: u64,
}

impl Tally {
    /// Those that may still arrive.
    pub(super) fn left(self) -> u64 {
        self.made - self.delivered - self.refused - self.dropped - self.handed_on
    }
}

/// How long after they were made the batches arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Late {
    /// The first one.
    pub first: Option<Duration>,
    /// The one that waited longest.
    pub longest: Duration,
}

/// What is to be delivered now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This; [`Spool::settle`] must follow.
    Batch(Batch),
    /// One that must be brought from the store before.
    Stored,
    /// Nothing, or nothing that may.
    Nothing,
}

/// How an attempt to deliver the first batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Taken, but for so many items.
    Delivered { refused: u64 },
    /// Refused for good.
    Refused,
    /// To be tried again.
    Postponed,
}

/// A queue of batches; the first one stays until it is delivered or refused.
#[derive(Debug)]
pub(super) struct Spool {
    keep: Keep,
    /// The oldest one, once it was taken out to be delivered.
    first: Option<Batch>,
    /// Whether a server may just now be taking it.
    in_flight: bool,
    queue: VecDeque<Batch>,
    size: usize,
    has_store: bool,
    /// How many batches are in the store, or on their way to it.
    stored: u64,
    /// The number of the last batch.
    pushed: u64,
    tally: Tally,
    late: Late,
}

impl Spool {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            first: None,
            in_flight: false,
            queue: VecDeque::new(),
            size: 0,
            has_store: false,
            stored: 0,
            pushed: 0,
            tally: Tally::default(),
            late: Late::default(),
        }
    }

    /// One with a store, on which this was found; its batches are the first ones.
    pub(super) fn with_store(self, holds: Gone) -> Self {
        let mut tally = self.tally;
        tally.made += holds.items;
        tally.taken_up += holds.items;
        Self {
            has_store: true,
            stored: holds.batches,
            pushed: holds.batches,
            tally,
            ..self
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.stored == 0 && self.queue.is_empty()
    }

    /// How many bytes are in memory.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The number of the last batch that was pushed; 0 if there was none.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    pub(super) fn late(&self) -> Late {
        self.late
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Adds a batch and makes room for it.
    pub(super) fn push(&mut self, bytes: Bytes, items: u64) {
        self.pushed += 1;
        self.tally.made += items;
        self.size += bytes.len();
        self.queue.push_back(Batch {
            number: self.pushed,
            bytes,
            items,
            made: SystemTime::now(),
        });
        self.make_room();
    }

    /// Gives up the batches beyond this number: somebody else says what they are about.
    pub(super) fn hand_on(&mut self, beyond: u64) {
        let first = self.first.take_if(|first| first.number > beyond);
        let is_theirs = |batch: &Batch| batch.number > beyond;
        let (theirs, ours) = self.queue.drain(..).partition::<VecDeque<_>, _>(is_theirs);
        self.queue = ours;
        for batch in first.into_iter().chain(theirs) {
            self.size -= batch.bytes.len();
            self.tally.handed_on += batch.items;
        }
    }

    /// Counts items that never became a batch.
    pub(super) fn lose(&mut self, items: u64) {
        self.tally.made += items;
        self.tally.refused += items;
    }

    /// All in memory that is not known to have arrived, the oldest first.
    pub(super) fn pending(&self) -> Vec<Batch> {
        self.first.iter().chain(&self.queue).cloned().collect()
    }

    /// The same in two parts: what is older than the store, and what is newer.
    pub(super) fn pending_parts(&self) -> (Option<Batch>, Vec<Batch>) {
        (self.first.clone(), self.queue.iter().cloned().collect())
    }

    /// The first batch, if its number is not beyond this.
    pub(super) fn next(&mut self, up_to: u64) -> Next {
        if self.first.is_none() && self.stored > 0 {
            return Next::Stored;
        }
        if self.first.is_none() {
            self.first = self.queue.pop_front();
        }
        let batch = self.first.clone().filter(|batch| batch.number <= up_to);
        self.in_flight = batch.is_some();
        batch.map_or(Next::Nothing, Next::Batch)
    }

    /// Whether there is something for the store. It takes no batch beyond this number while memory
    /// can hold it: another process that finds it there would deliver it.
    pub(super) fn is_crowded(&self, up_to: u64) -> bool {
        let Keep::Bytes(limit) = self.keep else {
            return false;
        };
        let usual = limit / USUAL_PART;
        let is_nearly_full = self.size > limit - usual;
        let may_go = |oldest: &Batch| oldest.number <= up_to || is_nearly_full;
        self.has_store && self.size > usual && self.queue.front().is_some_and(may_go)
    }

    /// The oldest batch that memory need not hold, to be put in the store.
    pub(super) fn surplus(&mut self, up_to: u64) -> Option<Batch> {
        if !self.is_crowded(up_to) {
            return None;
        }
        let batch = self.queue.pop_front()?;
        self.size -= batch.bytes.len();
        self.stored += 1;
        Some(batch)
    }

    /// What was in the store, or was to come there, is lost.
    pub(super) fn lose_stored(&mut self, gone: Gone) {
        self.stored -= gone.batches;
        self.tally.dropped += gone.items;
    }

    /// Makes the oldest batch of the store the first one.
    pub(super) fn bring(&mut self, batch: Batch) {
        self.stored -= 1;
        self.size += batch.bytes.len();
        self.first = Some(batch);
    }

    /// Holds nothing any more: all of it is kept elsewhere. How much it was stays in the tally.
    pub(super) fn clear(&mut self) {
        (self.first, self.stored, self.size) = (None, 0, 0);
        self.queue.clear();
    }

    /// Says how the attempt with the first batch ended.
    pub(super) fn settle(&mut self, attempt: Attempt) {
        if !std::mem::take(&mut self.in_flight) {
            return;
        }
        if attempt == Attempt::Postponed {
            return self.make_room();
        }
        let Some(batch) = self.first.take() else {
            return;
        };
        self.size -= batch.bytes.len();
        let refused = match attempt {
            Attempt::Delivered { refused } => refused.min(batch.items),
            Attempt::Refused | Attempt::Postponed => batch.items,
        };
        self.tally.refused += refused;
        self.tally.delivered += batch.items - refused;
        if let Attempt::Delivered { .. } = attempt {
            let late = batch.made.elapsed().unwrap_or_default();
            self.late.first.get_or_insert(late);
            self.late.longest = self.late.longest.max(late);
        }
    }

    /// Drops the oldest batches that are too many; never the one in flight, nor the last one.
    fn make_room(&mut self) {
        while !self.queue.is_empty() && self.is_over() {
            // With a store the first one may come from there, and is there to be dropped.
            let oldest = if self.in_flight || self.has_store || self.first.is_none() {
                // The last one stays, however large it is.
                (self.queue.len() > 1)
                    .then(|| self.queue.pop_front())
                    .flatten()
            } else {
                self.first.take()
            };
            let Some(batch) = oldest else {
                return;
            };
            self.size -= batch.bytes.len();
            match self.keep {
                Keep::Bytes(_) => self.tally.dropped += batch.items,
                // A newer state says all that this one said.
                Keep::Newest => self.tally.made -= batch.items,
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.keep {
            Keep::Bytes(limit) => self.size > limit,
            Keep::Newest => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = u64::MAX;

    impl Spool {
        fn add(&mut self, name: &'static str, items: u64) {
            self.push(Bytes::from_static(name.as_bytes()), items);
        }

        fn first(&mut self, up_to: u64) -> Option<Batch> {
            match self.next(up_to) {
                Next::Batch(batch) => Some(batch),
                Next::Stored | Next::Nothing => None,
            }
        }
    }

    fn drain(spool: &mut Spool) -> Vec<Bytes> {
        let mut seen = Vec::new();
        while let Some(batch) = spool.first(ALL) {
            seen.push(batch.bytes);
            spool.settle(Attempt::Delivered { refused: 0 });
        }
        seen
    }

    #[test]
    fn the_first_stays_until_it_is_delivered() {
        let mut spool = Spool::new(Keep::Bytes(100));
        spool.add("one", 2);
        spool.add("two", 3);
        for _ in 0..3 {
            assert_eq!(
                spool.first(ALL).map(|it| it.bytes),
                Some(Bytes::from_static(b"one"))
            );
            spool.settle(Attempt::Postponed);
        }
        assert_eq!(drain(&mut spool), ["one", "two"]);
        assert_eq!(
            spool.tally(),
            Tally {
                made: 5,
                delivered: 5,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn without_room_the_oldest_go_but_never_the_one_in_flight() {
        let mut spool = Spool::new(Keep::Bytes(8));
        spool.add("one", 1);
        assert!(spool.first(ALL).is_some());
        for name in ["two", "six", "ten"] {
            spool.add(name, 1);
        }
        spool.settle(Attempt::Postponed);
        assert_eq!(drain(&mut spool), ["one", "ten"]);
        assert_eq!(
            spool.tally(),
            Tally {
                made: 4,
                delivered: 2,
                dropped: 2,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn a_batch_larger_than_the_room_is_kept_alone() {
        let mut spool = Spool::new(Keep::Bytes(2));
        spool.add("one", 1);
        spool.add("two", 1);
        assert_eq!(drain(&mut spool), ["two"]);
    }

    #[test]
    fn of_metrics_the_newest_state_is_kept() {
        let mut spool = Spool::new(Keep::Newest);
        spool.add("one", 1);
        assert!(spool.first(ALL).is_some());
        spool.add("two", 1);
        spool.add("six", 1);
        spool.settle(Attempt::Postponed);
        assert_eq!(drain(&mut spool), ["six"]);
        assert_eq!(
            spool.tally(),
            Tally {
                made: 1,
                delivered: 1,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn what_the_server_refuses_is_counted() {
        let mut spool = Spool::new(Keep::Bytes(100));
        spool.add("one", 5);
        spool.add("two", 5);
        spool.first(ALL);
        spool.settle(Attempt::Delivered { refused: 2 });
        spool.first(ALL);
        spool.settle(Attempt::Refused);
        spool.settle(Attempt::Refused);
        assert!(spool.is_empty());
        assert_eq!(
            spool.tally(),
            Tally {
                made: 10,
                delivered: 3,
                refused: 7,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn beyond_the_allowed_number_nothing_is_taken_out() {
        let mut spool = Spool::new(Keep::Bytes(100));
        for name in ["one", "two", "six"] {
            spool.add(name, 1);
        }
        assert_eq!(spool.first(0), None);
        let numbers: Vec<u64> = spool.pending().iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        for _ in 0..2 {
            assert!(spool.first(2).is_some());
            spool.settle(Attempt::Delivered { refused: 0 });
        }
        assert_eq!(spool.first(2), None);
        // Nothing is in flight then.
        spool.settle(Attempt::Delivered { refused: 0 });
        assert_eq!(drain(&mut spool), ["six"]);
        assert_eq!(spool.pending(), []);
    }

    #[test]
    fn what_another_goes_on_with_is_given_up() {
        let mut spool = Spool::new(Keep::Bytes(100));
        for name in ["one", "two", "six"] {
            spool.add(name, 1);
        }
        assert!(spool.first(1).is_some());
        spool.hand_on(1);
        assert_eq!(drain(&mut spool), ["one"], "it is in flight");
        spool.add("ten", 2);
        assert_eq!(spool.first(1), None);
        spool.hand_on(1);
        assert!(spool.is_empty() && spool.size() == 0);
        let tally = Tally {
            made: 5,
            delivered: 1,
            handed_on: 4,
            ..Tally::default()
        };
        assert_eq!(spool.tally(), tally);
    }

    #[test]
    fn with_a_store_memory_holds_the_first_and_the_newest() {
        let left = Gone {
            batches: 1,
            items: 4,
            ..Gone::default()
        };
        let mut spool = Spool::new(Keep::Bytes(16)).with_store(left);
        for name in ["one", "two", "six"] {
            spool.add(name, 1);
        }
        assert_eq!(spool.next(ALL), Next::Stored, "what was left comes first");
        let mut store = vec![Batch {
            number: 1,
            bytes: Bytes::from_static(b"old"),
            items: 4,
            made: SystemTime::now(),
        }];
        store.extend(std::iter::from_fn(|| spool.surplus(ALL)));
        assert_eq!((store.len(), spool.size), (3, 3));
        let numbers: Vec<u64> = store.iter().map(|batch| batch.number).collect();
        assert_eq!((numbers, spool.pushed()), (vec![1, 2, 3], 4));
        for batch in store.drain(..) {
            assert_eq!(spool.next(ALL), Next::Stored);
            spool.bring(batch.clone());
            assert_eq!(spool.next(ALL), Next::Batch(batch));
            spool.settle(Attempt::Delivered { refused: 0 });
        }
        assert_eq!(drain(&mut spool), ["six"]);
        let all = Tally {
            made: 7,
            delivered: 7,
            taken_up: 4,
            ..Tally::default()
        };
        assert_eq!(spool.tally(), all);
    }

    #[test]
    fn what_the_store_loses_is_dropped() {
        let mut spool = Spool::new(Keep::Bytes(4)).with_store(Gone::default());
        spool.add("one", 2);
        assert!(spool.surplus(ALL).is_some());
        spool.lose_stored(Gone {
            batches: 1,
            items: 2,
            ..Gone::default()
        });
        assert!(spool.is_empty());
        assert_eq!(spool.tally().dropped, 2);
    }
}
