//! What is no step, and still must not fail because a server could not answer for a moment.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Pacing;

/// Asks until there is an answer, with the pauses that are between two looks, for as long as the
/// failure may pass and `patience` lasts. A stop ends it at the next failure.
///
/// # Errors
/// The last failure.
pub async fn again<T, E>(
    (pacing, stop): (&Pacing, &CancellationToken),
    patience: Duration,
    may_pass: impl Fn(&E) -> bool,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let deadline = Instant::now() + patience;
    let mut pause = pacing.first_pause;
    loop {
        let failed = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let next = Instant::now() + pacing.about(pause);
        if !may_pass(&failed) || next > deadline {
            return Err(failed);
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(failed),
            () = sleep_until(next) => {}
        }
        pause = (pause * 2).min(pacing.longest_pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Fails so often before it answers; how often it was asked, and how long that took.
    async fn asked(failures: u32, passes: bool, stop: &CancellationToken) -> (bool, u32, Duration) {
        let (mut count, began) = (0, Instant::now());
        let pacing = Pacing {
            jitter: 0,
            ..Pacing::default()
        };
        let answer = again(
            (&pacing, stop),
            PATIENCE,
            |()| passes,
            async || {
                count += 1;
                if count > failures { Ok(()) } else { Err(()) }
            },
        );
        (answer.await.is_ok(), count, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_may_pass_is_waited_for() {
        let stop = CancellationToken::new();
        let (well, count, took) = asked(2, true, &stop).await;
        assert_eq!((well, count), (true, 3));
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(310));
        let (well, count, _) = asked(2, false, &stop).await;
        assert_eq!((well, count), (false, 1), "it does not pass");
    }

    #[test]
    fn two_that_wait_equally_long_do_not_wake_together() {
        let (pacing, second) = (Pacing::default(), Duration::from_secs(1));
        let pauses: Vec<_> = (0..100).map(|_| pacing.about(second)).collect();
        let quarter_more = Duration::from_millis(1250);
        assert!(
            pauses.iter().all(|it| (second..=quarter_more).contains(it)),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|it| *it != pauses[0]), "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_and_a_stop_end_it() {
        let stop = CancellationToken::new();
        let (well, count, took) = asked(u32::MAX, true, &stop).await;
        assert!(!well && count > 5, "{count}");
        assert!(took <= PATIENCE, "{took:?}");
        stop.cancel();
        let (well, count, _) = asked(1, true, &stop).await;
        assert_eq!((well, count), (false, 1));
    }
}
