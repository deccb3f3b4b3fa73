//! The way of one signal to its server: a spool and the task that empties it.
//!
//! The collector is one of the things that the run installs, so spans of the first phases wait
//! here until it comes up. Nothing of this ever makes the run wait, except for the grace at its end.

use super::spool::{Attempt, Batch, Keep, Spool, Tally};
use super::transport::{Refusal, Transport};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// How long items are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(1);

/// The pauses between attempts grow from this …
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// … to this, so that a collector that has just come up is found soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause that a server can ask for.
const LONGEST_WISH: Duration = Duration::from_secs(30);

/// Puts what it has gathered into its pipe.
pub(super) trait Flush: Send + Sync {
    /// Does so now; when it returns, all that was there before is in the pipe.
    fn flush(&self);
}

/// One signal on its way.
#[derive(Debug)]
pub(super) struct Pipe {
    spool: Mutex<Spool>,
    /// Something was pushed, or may pass now.
    pushed: Notify,
    /// The number of the last batch that may be delivered.
    allowed: AtomicU64,
    /// There is a reason to try again before the pause is over.
    poked: Notify,
    /// A batch has come to its end.
    settled: Notify,
    ending: AtomicBool,
    answered: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Pipe {
    pub(super) fn new(keep: Keep) -> Self {
        Self {
            spool: Mutex::new(Spool::new(keep)),
            pushed: Notify::new(),
            allowed: AtomicU64::new(u64::MAX),
            poked: Notify::new(),
            settled: Notify::new(),
            ending: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            trouble: Mutex::default(),
        }
    }

    /// Takes a request of so many items; never blocks.
    pub(super) fn push(&self, bytes: Bytes, items: u64) {
        self.spool().push(bytes, items);
        self.pushed.notify_one();
    }

    /// All that is not known to have arrived, the oldest first.
    pub(super) fn pending(&self) -> Vec<Batch> {
        self.spool().pending()
    }

    /// Lets batches up to this number be delivered, and holds the others back until they may.
    /// All may pass unless this is called; the one that is in flight is not called back.
    pub(super) fn allow(&self, up_to: u64) {
        self.allowed.store(up_to, Ordering::SeqCst);
        self.pushed.notify_one();
    }

    /// Counts items of which no batch could be made.
    pub(super) fn lose(&self, items: u64, why: String) {
        self.spool().lose(items);
        self.say(why);
    }

    /// Ends the pause after a failed attempt: something became current, perhaps the collector.
    pub(super) fn poke(&self) {
        self.poked.notify_waiters();
    }

    /// Whether the server ever took something.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }

    pub(super) fn tally(&self) -> Tally {
        self.spool().tally()
    }

    /// Why the last batch that failed was not taken.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Delivers until it is aborted.
    pub(super) async fn run(self: Arc<Self>, transport: Transport, source: Arc<dyn Flush>) {
        let mut pause = FIRST_PAUSE;
        let mut flush_at = Instant::now() + GATHER;
        loop {
            if Instant::now() >= flush_at {
                source.flush();
                flush_at = Instant::now() + GATHER;
            }
            let allowed = self.allowed.load(Ordering::SeqCst);
            let first = self.spool().first(allowed);
            let Some(batch) = first else {
                // Pushed, allowed or neither, the next look decides.
                let _ = timeout_at(flush_at, self.pushed.notified()).await;
                continue;
            };
            let wish = match transport.send(batch.bytes).await {
                Ok(refused) => {
                    self.answered.store(true, Ordering::SeqCst);
                    pause = FIRST_PAUSE;
                    self.settle(
                        Attempt::Delivered {
                            refused: refused.items,
                        },
                        refused.why,
                    );
                    continue;
                }
                Err(Refusal::Never { why }) => {
                    self.settle(Attempt::Refused, Some(why));
                    continue;
                }
                Err(Refusal::NotNow { why, wish }) => {
                    self.settle(Attempt::Postponed, Some(why));
                    wish.map(|wish| wish.min(LONGEST_WISH))
                }
            };
            self.rest(wish.unwrap_or(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until all is delivered, at most for the grace.
    pub(super) async fn drain(&self, grace: Duration) {
        self.ending.store(true, Ordering::SeqCst);
        self.poked.notify_waiters();
        let empty = async {
            loop {
                let settled = self.settled.notified();
                if self.spool().is_empty() {
                    return;
                }
                settled.await;
            }
        };
        // What is left then is in the tally.
        let _ = timeout(grace, empty).await;
    }

    async fn rest(&self, pause: Duration) {
        let poked = self.poked.notified();
        let ending = self.ending.load(Ordering::SeqCst);
        let pause = if ending { FIRST_PAUSE } else { pause };
        // Poked or not, the next attempt decides.
        let _ = timeout(pause, poked).await;
    }

    fn settle(&self, attempt: Attempt, why: Option<String>) {
        self.spool().settle(attempt);
        if let Some(why) = why {
            self.say(why);
        }
        self.settled.notify_waiters();
    }

    fn say(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_pending() {
        let pipe = Pipe::new(Keep::Bytes(100));
        pipe.allow(1);
        pipe.push(Bytes::from_static(b"one"), 2);
        pipe.push(Bytes::from_static(b"two"), 3);
        let numbers: Vec<u64> = pipe.pending().iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(pipe.allowed.load(Ordering::SeqCst), 1);
    }
}
