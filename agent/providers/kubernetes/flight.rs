//! A question that many have at the same time, and that is asked once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::Error;

/// For how long a failure is the answer to all who ask: thousands of steps must not hammer a
/// server that is away.
const HOLD: Duration = Duration::from_millis(250);

type Answer<T> = Result<T, Arc<Error>>;

/// The first who has the question asks it, and all who come meanwhile share the answer. Whoever
/// is dropped leaves the question to the others.
pub(super) struct Flight<T: Clone>(Mutex<Way<T>>);

struct Way<T: Clone> {
    under_way: Option<Shared<BoxFuture<'static, Answer<T>>>>,
    failed: Option<(Instant, Arc<Error>)>,
}

impl<T: Clone> Default for Flight<T> {
    fn default() -> Self {
        Self(Mutex::new(Way {
            under_way: None,
            failed: None,
        }))
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
            let ask = || {
                ask()
                    .map(|answer| answer.map_err(Arc::new))
                    .boxed()
                    .shared()
            };
            way.under_way.get_or_insert_with(ask).clone()
        };
        let answer = shared.clone().await;
        let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if way.under_way.as_ref().is_some_and(|it| it.ptr_eq(&shared)) {
            way.under_way = None;
            let error = answer.as_ref().err();
            way.failed = error.map(|error| (Instant::now(), Arc::clone(error)));
        }
        answer.map_err(Error::Shared)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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
