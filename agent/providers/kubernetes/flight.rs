//! A question that many have at the same time, and that is asked once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::Error;

/// For how long a failure is the answer to all who ask: thousands of steps must not hammer a
/// server that is away.
const HOLD: Duration = Duration::from_millis(250);

type Answer<T> = Result<T, Arc<Error>>;

/// The first who has the question asks it, and all who come meanwhile share the answer.
///
/// It is asked in a task of its own: whoever is dropped, and be it all, the question goes on to
/// its end and stands in nobody's way. It ends with the flight at the latest.
pub(super) struct Flight<T: Clone>(Arc<Mutex<Way<T>>>);

struct Way<T: Clone> {
    under_way: Option<(Shared<BoxFuture<'static, Answer<T>>>, AbortHandle)>,
    failed: Option<(Instant, Arc<Error>)>,
}

impl<T: Clone> Default for Flight<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Way {
            under_way: None,
            failed: None,
        })))
    }
}

impl<T: Clone> Drop for Way<T> {
    fn drop(&mut self) {
        if let Some((_, task)) = self.under_way.take() {
            task.abort();
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// The answer to the question, which `ask` asks if nobody else is doing so.
    pub(super) async fn join(
        &self,
        ask: impl FnOnce() -> BoxFuture<'static, Result<T, Error>>,
    ) -> Result<T, Error> {
        let shared = {
            let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, error)) = &way.failed
                && at.elapsed() < HOLD
            {
                return Err(Error::Shared(Arc::clone(error)));
            }
            let (shared, _) = way.under_way.get_or_insert_with(|| self.depart(ask()));
            shared.clone()
        };
        shared.await.map_err(Error::Shared)
    }

    /// Asks, for as long as it takes, and takes note of how it ended.
    fn depart(
        &self,
        question: BoxFuture<'static, Result<T, Error>>,
    ) -> (Shared<BoxFuture<'static, Answer<T>>>, AbortHandle) {
        let way = Arc::downgrade(&self.0);
        // What it sends belongs to the first who asked.
        let question = question.instrument(Span::current());
        let shared = async move {
            let answer = question.await.map_err(Arc::new);
            if let Some(way) = way.upgrade() {
                let mut way = way.lock().unwrap_or_else(PoisonError::into_inner);
                way.under_way = None;
                let error = answer.as_ref().err();
                way.failed = error.map(|error| (Instant::now(), Arc::clone(error)));
            }
            answer
        };
        let shared = shared.boxed().shared();
        let task = tokio::spawn(shared.clone()).abort_handle();
        (shared, task)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::{Notify, Semaphore};

    use super::*;

    /// Counts how often it is asked, and answers after others had their turns.
    fn ask(asked: &Arc<AtomicU32>, well: bool) -> BoxFuture<'static, Result<u32, Error>> {
        let asked = Arc::clone(asked);
        async move {
            let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let problem = "no".to_owned();
            if well {
                Ok(number)
            } else {
                Err(Error::NotAnObject { problem })
            }
        }
        .boxed()
    }

    #[tokio::test]
    async fn many_share_one_answer_and_the_next_asks_again() {
        let (flight, asked) = (Flight::default(), Arc::default());
        let three = futures::future::join_all((0..3).map(|_| flight.join(|| ask(&asked, true))));
        for answer in three.await {
            assert_eq!(answer.expect("an answer"), 1);
        }
        let again = flight.join(|| ask(&asked, true)).await;
        assert_eq!(again.expect("an answer"), 2);
    }

    #[tokio::test]
    async fn who_is_dropped_leaves_the_question_to_the_others() {
        let (flight, asked) = (Flight::default(), Arc::default());
        let mut first = Box::pin(flight.join(|| ask(&asked, true)));
        assert!(futures::poll!(&mut first).is_pending());
        let second = flight.join(|| ask(&asked, true));
        drop(first);
        assert_eq!(second.await.expect("an answer"), 1);
    }

    /// Lets the tasks run that can.
    async fn turns() {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_abandoned_question_ends_by_itself() {
        let (flight, permits) = (Flight::default(), Arc::new(Semaphore::new(1)));
        let answers = Arc::new(Notify::new());
        let held = || {
            let (permits, answers) = (Arc::clone(&permits), Arc::clone(&answers));
            async move {
                let _permit = permits.acquire().await;
                answers.notified().await;
                Ok(1)
            }
            .boxed()
        };
        let mut first = Box::pin(flight.join(held));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        turns().await;
        answers.notify_one();
        turns().await;
        assert_eq!(permits.available_permits(), 1);
        let asked = Arc::default();
        let anew = flight.join(|| ask(&asked, true)).await;
        assert_eq!((anew.ok(), asked.load(Ordering::SeqCst)), (Some(1), 1));

        let mut last = Box::pin(flight.join(held));
        assert!(futures::poll!(&mut last).is_pending());
        drop(last);
        turns().await;
        assert_eq!(permits.available_permits(), 0);
        drop(flight);
        turns().await;
        assert_eq!(permits.available_permits(), 1, "it ends with the flight");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_holds_for_a_moment() {
        let (flight, asked) = (Flight::default(), Arc::default());
        for _ in 0..2 {
            let failed = flight.join(|| ask(&asked, false)).await;
            assert!(matches!(failed, Err(Error::Shared(_))));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(HOLD).await;
        assert!(flight.join(|| ask(&asked, true)).await.is_ok());
    }
}
