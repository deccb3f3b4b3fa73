//! The pause between two looks: the only place where the agent waits.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::converge::Context;
use super::diagnosis::ask;
use super::slices::Slices;
use super::{Diagnosis, Difference, EventKind, Outcome, Resource, Stage, StepError, Waiting};

/// How a pause ended.
pub(super) enum Wake {
    /// Look again.
    Look,
    /// The step is over.
    GiveUp(StepError),
}

/// What is done when time is over.
#[derive(Clone, Copy)]
pub(super) enum Call<'a> {
    Look,
    Plan,
    Change(&'a Difference),
}

impl Call<'_> {
    pub(super) fn stage(self) -> Stage {
        match self {
            Self::Look => Stage::Observe,
            Self::Plan => Stage::Plan,
            Self::Change(_) => Stage::Apply,
        }
    }
}

/// How long the next pause is, and when patience ends.
pub(super) struct Pause {
    started: Instant,
    deadline: Instant,
    no_progress: Option<Duration>,
    progress: Instant,
    next: Duration,
    first: Duration,
    longest: Duration,
    quarter: u32,
    last: Option<Waiting>,
    error: Option<StepError>,
    diagnosis: Option<Diagnosis>,
    waited: Duration,
    slices: Slices,
}

impl Pause {
    pub(super) fn new(context: &Context) -> Self {
        let started = Instant::now();
        Self {
            started,
            deadline: started + context.options.timeout,
            no_progress: context.options.no_progress,
            progress: started,
            next: context.pacing.first_pause,
            first: context.pacing.first_pause,
            longest: context.pacing.longest_pause,
            quarter: 1,
            last: None,
            error: None,
            diagnosis: None,
            waited: Duration::ZERO,
            slices: Slices::new(&context.id),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// A change was made: patience begins anew.
    pub(super) fn progressed(&mut self) {
        self.progress = Instant::now();
    }

    /// The step does not wait any more: it is at work, or it has ended.
    pub(super) fn over(&mut self, outcome: Option<&Outcome>) {
        self.slices.end(outcome);
    }

    /// What a call was waiting for: a change names itself, a look repeats what was seen last.
    fn waited_for(&self, call: Call<'_>) -> Option<Waiting> {
        match call {
            Call::Change(Difference { verb, target, .. }) => {
                let answer = format!("the answer to {verb} {target}");
                Some(Waiting::unavailable(answer))
            }
            Call::Look | Call::Plan => self.last.clone(),
        }
    }

    /// The failure of a step that was told to stop.
    pub(super) fn stopped(&self, call: Call<'_>) -> StepError {
        StepError::Stopped {
            stage: call.stage(),
            last_seen: self.waited_for(call),
        }
    }

    /// The failure of a step whose time is over during a call.
    pub(super) fn timed_out(&self, call: Call<'_>) -> StepError {
        let stage = call.stage();
        let nothing = || Waiting::unavailable(format!("an answer to the first {stage}"));
        StepError::TimedOut {
            after: self.started.elapsed(),
            no_progress: false,
            last_seen: self.waited_for(call).unwrap_or_else(nothing),
            diagnosis: self.diagnosis.clone(),
            error: None,
        }
    }

    /// Waits until something may have changed, or until patience ends.
    pub(super) async fn wait<R: Resource>(
        &mut self,
        context: &Context,
        resource: &R,
        observed: Option<&R::Observed>,
        (looked, waiting, error): (Instant, Waiting, Option<StepError>),
    ) -> Wake {
        let began = Instant::now();
        self.take_note(context, waiting, error);
        let until = began + context.pacing.about(self.next);
        self.next = (self.next * 2).min(self.longest);
        let mut changed = pin!(changed(resource, observed));
        let wake = loop {
            let patience = self.patience();
            let quarter = self.quarter_due(context);
            let slice = self.slices.due();
            tokio::select! {
                biased;
                () = context.stop.cancelled() => {
                    break Wake::GiveUp(self.stopped(Call::Look));
                }
                () = sleep_until(patience) => {
                    self.diagnose(context, resource, observed, false).await;
                    break Wake::GiveUp(self.give_up());
                }
                () = sleep_until(quarter) => {
                    // Whoever looks now and then shall find it said again, but not too often.
                    let again = self.quarter == 2;
                    self.quarter += 1;
                    self.diagnose(context, resource, observed, again).await;
                }
                () = sleep_until(slice) => self.slices.cut(self.last.as_ref()),
                () = &mut changed => {
                    // No two looks are too close, however often the backend changes.
                    sleep_until(looked + context.pacing.between_looks).await;
                    break Wake::Look;
                }
                () = sleep_until(until) => break Wake::Look,
            }
        };
        self.waited += began.elapsed();
        if let Wake::GiveUp(error) = &wake {
            self.slices.give_up(error);
        }
        wake
    }

    /// A new text is progress: the pauses start short again.
    fn take_note(&mut self, context: &Context, waiting: Waiting, error: Option<StepError>) {
        self.error = error;
        if self.last.as_ref() == Some(&waiting) {
            self.slices.wait(&waiting);
            return;
        }
        self.slices.turn(&waiting);
        self.progress = Instant::now();
        self.next = self.first;
        self.diagnosis = None;
        self.tell(context, &waiting);
        self.last = Some(waiting);
    }

    fn tell(&self, context: &Context, waiting: &Waiting) {
        self.slices.inside(|| {
            context.reporters.send(EventKind::StepWaiting {
                step: &context.id,
                waiting,
                diagnosis: self.diagnosis.as_ref(),
                elapsed: self.started.elapsed(),
            });
        });
    }

    fn patience(&self) -> Instant {
        let no_progress = self.no_progress.map(|limit| self.progress + limit);
        no_progress.map_or(self.deadline, |limit| limit.min(self.deadline))
    }

    /// When the next quarter of the step's time is over; the last one is the deadline itself.
    fn quarter_due(&self, context: &Context) -> Instant {
        if self.quarter >= 4 {
            return self.deadline;
        }
        self.started + context.options.timeout / 4 * self.quarter
    }

    async fn diagnose<R: Resource>(
        &mut self,
        context: &Context,
        resource: &R,
        observed: Option<&R::Observed>,
        again: bool,
    ) {
        let error = self.error.as_ref().and_then(StepError::provider);
        let Some(seen) = observed.map(Ok).or(error.map(Err)) else {
            return;
        };
        let Some(diagnosis) = ask(resource, seen, context.pacing.diagnosis).await else {
            return;
        };
        // Its evidence grows with every event; only another sentence is news.
        let known = self.diagnosis.as_ref().map(|known| &known.sentence);
        let is_news = known != Some(&diagnosis.sentence);
        self.diagnosis = Some(diagnosis);
        if let Some(waiting) = self.last.as_ref().filter(|_| is_news || again) {
            self.tell(context, waiting);
        }
    }

    fn give_up(&mut self) -> StepError {
        let now = Instant::now();
        let no_progress = now < self.deadline;
        let since = if no_progress {
            self.progress
        } else {
            self.started
        };
        StepError::TimedOut {
            after: now - since,
            no_progress,
            last_seen: self
                .last
                .clone()
                .unwrap_or_else(|| Waiting::unavailable("the first look")),
            diagnosis: self.diagnosis.clone(),
            error: self.error.take().map(Box::new),
        }
    }
}

async fn changed<R: Resource>(resource: &R, observed: Option<&R::Observed>) {
    match observed {
        Some(observed) => resource.changed(observed).await,
        None => pending().await,
    }
}
