//! Whether the lock of the run is still ours: asked before every write.
//!
//! A write of the run's state also carries the holder's number (see `fence`), because its object
//! can tell a later holder. Other objects cannot, so this is as near to them as a fence can be:
//! nothing is sent once it is known that the lock was lost, or has not been renewed for so long
//! that it may have been.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use crate::engine::Took;

/// What is known of the lock.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Nobody has taken it: a preview, or a run that has ended.
    #[default]
    Unlocked,
    Held {
        lease: String,
        renewed: Instant,
        /// For so long after that it is ours.
        lasts: Duration,
    },
    Lost {
        lease: String,
        reason: String,
    },
}

impl Hold {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is ours, counted from when we asked for that.
    pub(super) fn keep(&self, lease: impl Into<String>, asked: Instant, lasts: Duration) {
        *self.state() = State::Held {
            lease: lease.into(),
            renewed: asked,
            lasts,
        };
    }

    pub(super) fn lose(&self, lease: impl Into<String>, reason: impl Into<String>) {
        *self.state() = State::Lost {
            lease: lease.into(),
            reason: reason.into(),
        };
    }

    /// It was given back. One that was lost stays so.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if let State::Held { .. } = *state {
            *state = State::Unlocked;
        }
    }

    /// Whether a write may be sent now.
    ///
    /// # Errors
    /// [`Error::Lost`] after that.
    pub(super) fn check(&self, now: Instant) -> Result<(), Error> {
        match &*self.state() {
            State::Unlocked => Ok(()),
            State::Held {
                lease,
                renewed,
                lasts,
            } => {
                let since = now.saturating_duration_since(*renewed);
                if since < *lasts {
                    return Ok(());
                }
                Err(Error::Lost {
                    lease: lease.clone(),
                    reason: not_renewed(since),
                })
            }
            State::Lost { lease, reason } => Err(Error::Lost {
                lease: lease.clone(),
                reason: reason.clone(),
            }),
        }
    }
}

/// How a lock is lost that nobody has taken.
pub(super) fn not_renewed(since: Duration) -> String {
    format!("because it could not be renewed for {}", Took(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_once_the_lock_is_lost_or_too_old() {
        let (hold, start) = (Hold::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let said = |now| hold.check(now).map_err(|error| error.to_string());
        assert_eq!(said(after(99)), Ok(()), "nobody has taken it");
        hold.keep("Lease lens/firstlight", after(10), Duration::from_secs(30));
        assert_eq!(said(after(39)), Ok(()));
        let old = "lost the lock because it could not be renewed for 30.0s (Lease lens/firstlight)";
        assert_eq!(said(after(40)), Err(old.to_owned()));
        hold.keep("Lease lens/firstlight", after(40), Duration::from_secs(30));
        assert_eq!(said(after(41)), Ok(()), "it was renewed after all");
        hold.lose("Lease lens/firstlight", "to pod b");
        let lost = Err("lost the lock to pod b (Lease lens/firstlight)".to_owned());
        assert_eq!(said(after(41)), lost);
        hold.end();
        assert_eq!(said(after(41)), lost, "it is not ours to give back");
        hold.keep("Lease lens/firstlight", after(42), Duration::from_secs(30));
        hold.end();
        assert_eq!(said(after(99)), Ok(()));
    }
}
