//! The way of one signal to its server: a spool and the task that empties it.
//!
//! The collector is one of the things that the run installs, so spans of the first phases wait
//! here until it comes up. Nothing of this ever makes the run wait, except for the grace at its end.

mod storing;

use super::spool::{Attempt, Batch, Keep, Late, Next, Spool, Tally};
use super::store::Store;
use super::transport::{Refusal, Transport};
use bytes::Bytes;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long items are gathered before they are sent: from this, so that a run of a moment is seen
/// while it lasts …
const FIRST_GATHER: Duration = Duration::from_millis(100);

/// … to this.
const GATHER: Duration = Duration::from_secs(1);

/// The pauses between attempts grow from this …
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// … to this, so that a collector that has just come up is found soon. Nothing else ends them but
/// the end of the run: what steps do says nothing of a server.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause that a server can ask for …
const LONGEST_WISH: Duration = Duration::from_secs(30);

/// … and when the run has ended, so that it is asked once more within the usual grace.
const LAST_WISH: Duration = Duration::from_secs(5);

/// Puts what it has gathered into its pipe.
pub(super) trait Flush: Send + Sync {
    /// Does so now; when it returns, all that was there before is in the pipe.
    fn flush(&self);
}

/// One signal on its way.
#[derive(Debug)]
pub(super) struct Pipe {
    keep: Keep,
    spool: Mutex<Spool>,
    /// Where batches wait that memory has no room for. Its lock is taken before that of the spool.
    store: Option<Mutex<Store>>,
    /// Something was pushed, or may pass now.
    pushed: Notify,
    /// There is something for the store.
    crowded: Notify,
    /// The number of the last batch that an earlier process has left.
    taken_up: u64,
    /// The number of the last batch that may be delivered.
    allowed: AtomicU64,
    /// Whether what may not be delivered is left to another process.
    is_left: AtomicBool,
    /// An attempt has come to its end.
    settled: Notify,
    /// The run has ended: from now on the server is asked again and again until the grace is over.
    ending: CancellationToken,
    answered: AtomicBool,
    /// Whether the last attempt was in vain.
    is_stuck: AtomicBool,
    /// Why the last attempt that was in vain was.
    trouble: Mutex<Option<String>>,
    /// Why something was refused for good.
    refusal: Mutex<Option<String>>,
    /// Why the store could not take or give something.
    disk: Mutex<Option<String>>,
    told: AtomicBool,
}

impl Pipe {
    pub(super) fn new(keep: Keep, store: Option<Store>) -> Self {
        let spool = Spool::new(keep);
        let spool = match &store {
            Some(store) => spool.with_store(store.holds()),
            None => spool,
        };
        Self {
            keep,
            taken_up: spool.pushed(),
            spool: Mutex::new(spool),
            store: store.map(Mutex::new),
            pushed: Notify::new(),
            crowded: Notify::new(),
            allowed: AtomicU64::new(u64::MAX),
            is_left: AtomicBool::new(false),
            settled: Notify::new(),
            ending: CancellationToken::new(),
            answered: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            trouble: Mutex::default(),
            refusal: Mutex::default(),
            disk: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }

    /// Takes a request of so many items; never blocks.
    pub(super) fn push(&self, bytes: Bytes, items: u64) {
        self.spool().push(bytes, items);
        self.look_for_room();
        self.pushed.notify_one();
    }

    /// All in memory that is not known to have arrived, the oldest first.
    pub(super) fn pending(&self) -> Vec<Batch> {
        self.spool().pending()
    }

    /// The number of the last batch that was pushed; 0 if there was none.
    pub(super) fn pushed(&self) -> u64 {
        self.spool().pushed()
    }

    /// Lets batches up to this number be delivered, and holds the others back until they may.
    /// All may pass unless this is called; the one that is in flight is not called back, and those
    /// of earlier processes may always pass. What was left to another process stays left.
    pub(super) fn allow(&self, up_to: u64) {
        if self.is_left.load(Ordering::SeqCst) {
            return;
        }
        self.allowed
            .store(up_to.max(self.taken_up), Ordering::SeqCst);
        self.look_for_room();
        self.pushed.notify_one();
    }

    fn look_for_room(&self) {
        let allowed = self.allowed.load(Ordering::SeqCst);
        if self.spool().is_crowded(allowed) {
            self.crowded.notify_one();
        }
    }

    /// Gives up what may not be delivered, now and from now on: another process says it.
    pub(super) fn leave_rest(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        self.pushed.notify_one();
    }

    /// Counts items of which no batch could be made.
    pub(super) fn lose(&self, items: u64, why: String) {
        self.spool().lose(items);
        say(&self.refusal, why);
    }

    /// Whether the server is there: it took something, or asked for a pause.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }

    pub(super) fn tally(&self) -> Tally {
        self.spool().tally()
    }

    pub(super) fn late(&self) -> Late {
        self.spool().late()
    }

    /// Why not all has arrived, as far as a server has said it.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = guard(&self.trouble).clone();
        trouble
            .filter(|_| self.tally().left() > 0)
            .or_else(|| guard(&self.refusal).clone())
    }

    /// Delivers until it is aborted.
    pub(super) async fn run(self: Arc<Self>, transport: Transport, source: Arc<dyn Flush>) {
        tokio::join!(self.deliver(&transport, source.as_ref()), self.stow());
    }

    async fn deliver(self: &Arc<Self>, transport: &Transport, source: &dyn Flush) {
        let (mut pause, mut gather) = (FIRST_PAUSE, FIRST_GATHER);
        let mut flush_at = Instant::now() + gather;
        loop {
            if Instant::now() >= flush_at {
                source.flush();
                gather = (gather * 2).min(GATHER);
                flush_at = Instant::now() + gather;
                self.tell_of_shortage();
            }
            let Some(batch) = self.next().await else {
                // Pushed, allowed or neither, the next look decides.
                let _ = timeout_at(flush_at, self.pushed.notified()).await;
                continue;
            };
            let wish = match transport.send(batch.bytes).await {
                Ok(refused) => {
                    self.answered.store(true, Ordering::SeqCst);
                    pause = FIRST_PAUSE;
                    let refused = (refused.items, refused.why);
                    self.settle(Attempt::Delivered { refused: refused.0 }, refused.1);
                    if self.store.is_some() {
                        self.at_store(|_, store| store.done()).await;
                    }
                    continue;
                }
                Err(Refusal::Never { why }) => {
                    self.settle(Attempt::Refused, Some(why));
                    continue;
                }
                Err(Refusal::NotNow { why, wish }) => {
                    self.settle(Attempt::Postponed, Some(why));
                    wish
                }
            };
            match wish {
                Some(wish) => {
                    // Who asks for a pause is there, and will take it.
                    self.answered.store(true, Ordering::SeqCst);
                    self.grant(wish.max(pause)).await;
                }
                None => self.rest(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The first batch that may be delivered, brought from the store if it is there.
    async fn next(self: &Arc<Self>) -> Option<Batch> {
        let mut next = self.look();
        if next == Next::Stored {
            self.at_store(Self::bring).await;
            next = self.look();
            if self.is_left.load(Ordering::SeqCst) {
                // There may be more in the store to be given up.
                self.pushed.notify_one();
            }
        }
        match next {
            Next::Batch(batch) => Some(batch),
            // What could not be read from the store is lost; the one behind it may be read next.
            Next::Nothing | Next::Stored => None,
        }
    }

    /// What there is, once that is given up which is left to another process.
    fn look(&self) -> Next {
        let allowed = self.allowed.load(Ordering::SeqCst);
        let mut spool = self.spool();
        if self.is_left.load(Ordering::SeqCst) {
            spool.hand_on(allowed);
            self.settled.notify_waiters();
        }
        spool.next(allowed)
    }

    /// Waits until all is delivered, at most for the grace.
    pub(super) async fn drain(&self, grace: Duration) {
        self.ending.cancel();
        // What is left then is in the tally.
        let _ = timeout(grace, self.until(Self::is_empty)).await;
    }

    /// Waits until all is delivered, at most so long, and only while the server takes it.
    pub(super) async fn settle_down(&self, at_most: Duration) {
        let is_over = |pipe: &Self| pipe.is_empty() || pipe.is_stuck.load(Ordering::SeqCst);
        let _ = timeout(at_most, self.until(is_over)).await;
    }

    /// Waits, at most so long, until less than this is on its way.
    pub(super) async fn has_room(&self, bytes: usize, at_most: Duration) -> bool {
        let is_over = |pipe: &Self| pipe.spool().size() < bytes;
        timeout(at_most, self.until(is_over)).await.is_ok()
    }

    async fn until(&self, is_over: impl Fn(&Self) -> bool) {
        loop {
            let settled = self.settled.notified();
            if is_over(self) {
                return;
            }
            settled.await;
        }
    }

    /// Whether all has come to its end.
    pub(super) fn is_empty(&self) -> bool {
        self.spool().is_empty()
    }

    /// What the server asked for is granted, whatever happens meanwhile.
    async fn grant(&self, wish: Duration) {
        let until = Instant::now() + wish.min(LONGEST_WISH);
        if timeout_at(until, self.ending.cancelled()).await.is_ok() {
            let last = Instant::now() + LAST_WISH;
            let _ = timeout_at(until.min(last), pending::<()>()).await;
        }
    }

    async fn rest(&self, pause: Duration) {
        // The end or the pause, the next attempt decides.
        let _ = if self.ending.is_cancelled() {
            timeout(FIRST_PAUSE, pending()).await
        } else {
            timeout(pause, self.ending.cancelled()).await
        };
    }

    fn settle(&self, attempt: Attempt, why: Option<String>) {
        self.spool().settle(attempt);
        let is_stuck = attempt == Attempt::Postponed;
        self.is_stuck.store(is_stuck, Ordering::SeqCst);
        if let Some(why) = why {
            let place = if is_stuck {
                &self.trouble
            } else {
                &self.refusal
            };
            say(place, why);
        }
        self.settled.notify_waiters();
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        guard(&self.spool)
    }
}

fn say(place: &Mutex<Option<String>>, what: String) {
    *guard(place) = Some(what);
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_something_was_refused_outlasts_what_passes() {
        let pipe = Pipe::new(Keep::Bytes(100), None);
        pipe.push(Bytes::from_static(b"one"), 2);
        pipe.push(Bytes::from_static(b"two"), 3);
        let attempt = |attempt, why: &str| {
            assert!(matches!(pipe.look(), Next::Batch(_)));
            pipe.settle(attempt, Some(why.to_owned()));
        };
        attempt(Attempt::Delivered { refused: 1 }, "too old");
        attempt(Attempt::Postponed, "connection refused");
        assert_eq!(pipe.trouble().as_deref(), Some("connection refused"));
        attempt(Attempt::Delivered { refused: 1 }, "too new");
        assert_eq!(pipe.trouble().as_deref(), Some("too new"));
    }

    #[test]
    fn what_is_held_back_is_pending() {
        let pipe = Pipe::new(Keep::Bytes(100), None);
        pipe.allow(1);
        pipe.push(Bytes::from_static(b"one"), 2);
        pipe.push(Bytes::from_static(b"two"), 3);
        let numbers: Vec<u64> = pipe.pending().iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(pipe.allowed.load(Ordering::SeqCst), 1);
    }
}
