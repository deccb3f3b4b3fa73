//! What was made and not yet delivered, in memory and bounded.

use bytes::Bytes;
use std::collections::VecDeque;

/// One export request, encoded.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// The request.
    pub(super) bytes: Bytes,
    /// How many spans, records or states it holds.
    pub(super) items: u64,
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
    queue: VecDeque<Batch>,
    size: usize,
    in_flight: bool,
    tally: Tally,
}

impl Spool {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            keep,
            queue: VecDeque::new(),
            size: 0,
            in_flight: false,
            tally: Tally::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Adds a batch and makes room for it.
    pub(super) fn push(&mut self, batch: Batch) {
        self.tally.made += batch.items;
        self.size += batch.bytes.len();
        self.queue.push_back(batch);
        self.make_room();
    }

    /// Counts items that never became a batch.
    pub(super) fn lose(&mut self, items: u64) {
        self.tally.made += items;
    }

    /// The first batch, to be delivered now; [`Spool::settle`] must follow.
    pub(super) fn first(&mut self) -> Option<Batch> {
        let batch = self.queue.front().cloned();
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
        let Some(batch) = self.queue.pop_front() else {
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
        let oldest = usize::from(self.in_flight);
        while self.queue.len() > oldest + 1 && self.is_over() {
            let Some(batch) = self.queue.remove(oldest) else {
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

    fn batch(name: &'static str, items: u64) -> Batch {
        Batch {
            bytes: Bytes::from_static(name.as_bytes()),
            items,
        }
    }

    fn drain(spool: &mut Spool) -> Vec<Bytes> {
        let mut seen = Vec::new();
        while let Some(batch) = spool.first() {
            seen.push(batch.bytes);
            spool.settle(Attempt::Delivered { refused: 0 });
        }
        seen
    }

    #[test]
    fn the_first_stays_until_it_is_delivered() {
        let mut spool = Spool::new(Keep::Bytes(100));
        spool.push(batch("one", 2));
        spool.push(batch("two", 3));
        for _ in 0..3 {
            assert_eq!(
                spool.first().map(|it| it.bytes),
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
        spool.push(batch("one", 1));
        assert!(spool.first().is_some());
        for name in ["two", "six", "ten"] {
            spool.push(batch(name, 1));
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
        spool.push(batch("one", 1));
        spool.push(batch("two", 1));
        assert_eq!(drain(&mut spool), ["two"]);
    }

    #[test]
    fn of_metrics_the_newest_state_is_kept() {
        let mut spool = Spool::new(Keep::Newest);
        spool.push(batch("one", 1));
        assert!(spool.first().is_some());
        spool.push(batch("two", 1));
        spool.push(batch("six", 1));
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
        spool.push(batch("one", 5));
        spool.push(batch("two", 5));
        spool.first();
        spool.settle(Attempt::Delivered { refused: 2 });
        spool.first();
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
}
