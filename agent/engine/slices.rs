//! The span of a wait, in slices.
//!
//! Only a span that has ended can be seen, so a long wait is not one span: a slice ends with the
//! reason that it has, and with its time. The looks meanwhile stand beside it, below the step.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{Span, field, info_span};

use super::spans::record_error;
use super::{Outcome, StepError, StepId, Waiting};

/// How long a slice is at most: so much later than it began a viewer sees it.
const SLICE: Duration = Duration::from_secs(15);

/// How much of a reason an attribute holds; an event and the log have all of it.
const WIDTH: usize = 256;

/// The slice that is open, if the step waits.
#[derive(Debug)]
pub(super) struct Slices {
    step: StepId,
    open: Option<(Span, Instant)>,
}

impl Slices {
    pub(super) fn new(step: &StepId) -> Self {
        Self {
            step: step.clone(),
            open: None,
        }
    }

    /// The step waits for this; says whether that began just now, or anew after some work.
    pub(super) fn wait(&mut self, waiting: &Waiting) {
        if self.open.is_none() {
            self.begin(waiting);
        }
    }

    /// The reason is another one.
    pub(super) fn turn(&mut self, waiting: &Waiting) {
        self.close("changed");
        self.begin(waiting);
    }

    /// Begins the next slice, if it is time; the reason is still the same.
    pub(super) fn cut(&mut self, waiting: Option<&Waiting>) {
        self.close("goes_on");
        if let Some(waiting) = waiting {
            self.begin(waiting);
        }
    }

    /// When the open slice has lasted long enough; far away if none is open.
    pub(super) fn due(&self) -> Instant {
        let began = self.open.as_ref().map(|(_, began)| *began);
        began.unwrap_or_else(Instant::now) + SLICE
    }

    /// What the last look has shown is no wait any more.
    pub(super) fn end(&mut self, outcome: Option<&Outcome>) {
        match outcome {
            Some(Outcome::Failed { error, .. }) => self.give_up(error),
            _ => self.close("ended"),
        }
    }

    /// It was waited in vain.
    pub(super) fn give_up(&mut self, error: &StepError) {
        if let Some((span, _)) = &self.open {
            record_error(span, error);
        }
        self.close("failed");
    }

    /// Whatever is told inside belongs to the slice.
    pub(super) fn inside(&self, tell: impl FnOnce()) {
        match &self.open {
            Some((span, _)) => span.in_scope(tell),
            None => tell(),
        }
    }

    fn begin(&mut self, waiting: &Waiting) {
        let span = info_span!(
            "wait",
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            cicd.pipeline.task.name = self.step.as_str(),
            firstlight.wait.target = self.step.as_str(),
            firstlight.wait.reason = cut(&waiting.what),
            firstlight.wait.class = waiting.class.word(),
            firstlight.outcome = field::Empty,
            error.type = field::Empty,
        );
        self.open = Some((span, Instant::now()));
    }

    fn close(&mut self, outcome: &'static str) {
        if let Some((span, _)) = self.open.take() {
            span.record("firstlight.outcome", outcome);
            // A span ends when it was last left, and not when it is dropped.
            span.in_scope(|| {});
        }
    }
}

fn cut(text: &str) -> &str {
    text.char_indices()
        .nth(WIDTH)
        .map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slice_has_its_time_and_the_next_one_has_its_own() {
        let mut slices = Slices::new(&StepId::new("a/b"));
        let (one, other) = (Waiting::unavailable("one"), Waiting::unavailable("other"));
        let began = Instant::now();
        slices.turn(&one);
        tokio::time::advance(SLICE / 3).await;
        slices.wait(&one);
        assert_eq!(slices.due(), began + SLICE, "the reason is still the same");
        tokio::time::advance(SLICE / 3).await;
        slices.turn(&other);
        assert_eq!(slices.due(), Instant::now() + SLICE);
        tokio::time::advance(SLICE).await;
        slices.cut(Some(&other));
        assert_eq!(slices.due(), Instant::now() + SLICE);
        slices.end(None);
        assert!(slices.open.is_none(), "{slices:?}");
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(WIDTH + 1)).chars().count(), WIDTH);
    }
}
