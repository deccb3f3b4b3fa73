//! Asking again until an answer is final: the one place of the tests that pauses.

use crate::Error;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What one look at something that takes time has shown.
#[derive(Debug)]
pub enum Attempt<T> {
    /// It is so; here is what was found.
    Done(T),
    /// Not yet, because of this. The next look decides.
    NotYet(String),
    /// It will never be so, because of this. Asking again is of no use.
    Never(String),
}

impl<T> Attempt<T> {
    /// Not yet, for the reason that the error chain gives.
    pub fn not_yet(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::NotYet(chain(error))
    }

    /// Never, for the reason that the error chain gives.
    pub fn never(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Never(chain(error))
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Looks until the attempt is done, with growing pauses between 10 ms and half a second.
///
/// # Errors
/// [`Error::Late`] after `within`, with the last answer; [`Error::Never`] as soon as an attempt
/// says so. An attempt that hangs is ended at the deadline and named as the reason.
pub async fn eventually<T, F>(what: &str, within: Duration, mut attempt: F) -> Result<T, Error>
where
    F: AsyncFnMut() -> Attempt<T>,
{
    let deadline = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    let mut last = String::from("nothing");
    let mut attempts = 0_u32;
    let late = |last: String, attempts| Error::Late {
        what: what.to_owned(),
        within,
        attempts,
        last,
    };
    loop {
        attempts += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left.max(FIRST_PAUSE), attempt()).await {
            Ok(Attempt::Done(found)) => return Ok(found),
            Ok(Attempt::NotYet(because)) => last = because,
            Ok(Attempt::Never(because)) => {
                return Err(Error::Never {
                    what: what.to_owned(),
                    because,
                });
            }
            Err(_) => {
                return Err(late(
                    format!("attempt {attempts} has not ended; before it: {last}"),
                    attempts,
                ));
            }
        }
        if Instant::now() + pause >= deadline {
            return Err(late(last, attempts));
        }
        #[expect(clippy::disallowed_methods, reason = "the one pause between two looks")]
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// The causes of an error in one line, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Attempt, eventually};
    use crate::Error;
    use std::future::pending;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(60);

    #[tokio::test]
    async fn it_asks_until_the_answer_is_done() {
        let mut asked = 0;
        let found = eventually("the third answer", Duration::from_secs(5), async || {
            asked += 1;
            if asked == 3 {
                Attempt::Done(asked)
            } else {
                Attempt::NotYet(format!("answer {asked}"))
            }
        })
        .await;
        assert!(matches!(found, Ok(3)), "{found:?}");
    }

    #[tokio::test]
    async fn a_late_answer_is_quoted() {
        let mut asked = 0;
        let found = eventually("a green light", SHORT, async || {
            asked += 1;
            Attempt::<()>::NotYet(format!("red light {asked}"))
        })
        .await;
        let error = found.expect_err("it is never done").to_string();
        assert!(error.contains("a green light"), "{error}");
        assert!(error.contains(&format!("red light {asked}")), "{error}");
    }

    #[tokio::test]
    async fn never_ends_at_once() {
        let found = eventually("a server", Duration::from_mins(1), async || {
            Attempt::<()>::Never("it has exited with 1".to_owned())
        })
        .await;
        assert!(matches!(found, Err(Error::Never { .. })), "{found:?}");
    }

    #[tokio::test]
    async fn a_hanging_attempt_is_ended_and_named() {
        let found = eventually("an answer", SHORT, async || pending::<Attempt<()>>().await).await;
        let error = found.expect_err("it hangs").to_string();
        assert!(error.contains("has not ended"), "{error}");
    }

    #[tokio::test]
    async fn it_can_run_in_a_task_of_its_own() {
        let task =
            tokio::spawn(async { eventually("this", SHORT, async || Attempt::Done(1)).await });
        assert!(matches!(task.await, Ok(Ok(1))));
    }
}
