//! What was made and not yet delivered, in memory and bounded.

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::SystemTime;

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
    /// Those that the server refused for good.
    pub refused: u64,
    /// Those for which there was no room while the server was away.
    pub dropped: u64,
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
    pushed: u64,
    tally: Tally,
}

impl Spool {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            first: None,
            in_flight: false,
            queue: VecDeque::new(),
            size: 0,
            pushed: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.queue.is_empty()
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

    /// Counts items that never became a batch.
    pub(super) fn lose(&mut self, items: u64) {
        self.tally.made += items;
    }

    /// All that is not known to have arrived, the oldest first.
    pub(super) fn pending(&self) -> Vec<Batch> {
        self.first.iter().chain(&self.queue).cloned().collect()
    }

    /// The first batch if its number is not beyond this, to be delivered now; [`Spool::settle`]
    /// must follow.
    pub(super) fn first(&mut self, up_to: u64) -> Option<Batch> {
        if self.first.is_none() {
            self.first = self.queue.pop_front();
        }
        let batch = self.first.clone().filter(|batch| batch.number <= up_to);
        self.in_flight = batch.is_some();
        batch
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
    }

    /// Drops the oldest batches that are too many; never the one in flight, nor the last one.
    fn make_room(&mut self) {
        while !self.queue.is_empty() && self.is_over() {
            let oldest = if self.in_flight || self.first.is_none() {
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
                refused: 0,
                dropped: 2
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
                dropped: 0
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
}
