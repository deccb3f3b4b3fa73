//! The loop: observe, plan, apply, look again.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field, info_span};

use super::diagnosis::ask;
use super::error::Failure;
use super::spans::record_error;
use super::wait::{Call, Pause, Wake};
use super::{
    Difference, EventKind, Outcome, Pacing, Plan, Reporters, Resource, Stage, StepError, StepId,
    StepOptions, Waiting,
};

/// Whether a run changes things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Makes every step current.
    Apply,
    /// Looks once at every step and says what would be changed.
    Preview,
}

/// What the loop needs to know of the step and the run.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) id: StepId,
    pub(super) options: StepOptions,
    pub(super) mode: Mode,
    pub(super) pacing: Pacing,
    pub(super) stop: CancellationToken,
    pub(super) reporters: Reporters,
}

/// How the loop ended.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) attempts: u32,
    pub(super) waited: Duration,
}

/// A resource whose types are erased: what the graph holds.
pub(super) trait Converge: Send + Sync {
    fn converge(&self, context: Context) -> Pin<Box<dyn Future<Output = Ending> + Send + '_>>;
}

impl<R: Resource> Converge for R {
    fn converge(&self, context: Context) -> Pin<Box<dyn Future<Output = Ending> + Send + '_>> {
        Box::pin(Loop::new(self, context).run())
    }
}

/// What to do after an attempt.
enum Next<O> {
    End(Outcome),
    LookAgain,
    Wait(Option<O>, Waiting, Option<StepError>),
}

impl<O> Next<O> {
    /// What came of the attempt.
    fn word(&self) -> &'static str {
        match self {
            Self::End(outcome) => outcome.word(),
            Self::LookAgain => "changed",
            Self::Wait(_, _, None) => "waiting",
            Self::Wait(_, _, Some(_)) => "failed",
        }
    }
}

struct Loop<'a, R: Resource> {
    resource: &'a R,
    context: Context,
    pause: Pause,
    changed: Vec<Difference>,
    rounds: u32,
    attempts: u32,
}

impl<'a, R: Resource> Loop<'a, R> {
    fn new(resource: &'a R, context: Context) -> Self {
        let pause = Pause::new(&context);
        Self {
            resource,
            context,
            pause,
            changed: Vec::new(),
            rounds: 0,
            attempts: 0,
        }
    }

    async fn run(mut self) -> Ending {
        let outcome = loop {
            let looked = Instant::now();
            match self.attempt().await {
                Next::End(outcome) => {
                    self.pause.over(Some(&outcome));
                    break outcome;
                }
                Next::LookAgain => self.pause.over(None),
                Next::Wait(observed, waiting, error) => {
                    if self.context.mode == Mode::Preview {
                        break Outcome::Deferred {
                            waiting,
                            after: None,
                            error,
                        };
                    }
                    let wake = self.pause.wait(
                        &self.context,
                        self.resource,
                        observed.as_ref(),
                        (looked, waiting, error),
                    );
                    if let Wake::GiveUp(error) = wake.await {
                        break self.failed(error);
                    }
                }
            }
        };
        Ending {
            outcome,
            attempts: self.attempts,
            waited: self.pause.waited(),
        }
    }

    /// One look, and the changes that it shows to be needed, as one span.
    async fn attempt(&mut self) -> Next<R::Observed> {
        self.attempts += 1;
        let span = info_span!(
            "attempt",
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            cicd.pipeline.task.name = self.context.id.as_str(),
            firstlight.attempt = self.attempts,
            firstlight.outcome = field::Empty,
            error.type = field::Empty,
        );
        let next = self.look_and_change().instrument(span.clone()).await;
        span.record("firstlight.outcome", next.word());
        if let Next::End(Outcome::Failed { error, .. }) | Next::Wait(_, _, Some(error)) = &next {
            record_error(&span, error);
        }
        next
    }

    async fn look_and_change(&mut self) -> Next<R::Observed> {
        let observed = match self.guard(Call::Look, self.resource.observe()).await {
            Ok(Ok(observed)) => observed,
            Ok(Err(error)) => return self.provider_failed(Stage::Observe, None, error).await,
            Err(error) => return Next::End(self.failed(error)),
        };
        match self.resource.plan(&observed) {
            Err(error) => {
                self.provider_failed(Stage::Plan, Some(&observed), error)
                    .await
            }
            Ok(Plan::Current) => Next::End(self.current()),
            Ok(Plan::InProgress(waiting)) => Next::Wait(Some(observed), waiting, None),
            Ok(Plan::Change(changes)) if self.context.mode == Mode::Preview => Next::End(
                Outcome::Changed(changes.into_iter().map(Into::into).collect()),
            ),
            Ok(Plan::Change(changes)) => self.change(changes).await,
        }
    }

    async fn change(&mut self, changes: Vec<R::Change>) -> Next<R::Observed> {
        let first = changes.first().cloned().map(Into::into);
        if let Some(error) = self.not_settling(first).await {
            return Next::End(self.failed(error));
        }
        let (made, failure) = self.make(changes).await;
        if !made.is_empty() {
            self.pause.progressed();
        }
        self.changed.extend(made);
        match failure {
            None => {
                self.rounds += 1;
                Next::LookAgain
            }
            Some(Ok(error)) => self.provider_failed(Stage::Apply, None, error).await,
            Some(Err(error)) => Next::End(self.failed(error)),
        }
    }

    /// Makes the changes, so many at once as the resource says. After a failure none is begun, and
    /// those under way are let end: what was done is to be known.
    async fn make(
        &self,
        changes: Vec<R::Change>,
    ) -> (Vec<Difference>, Option<Result<R::Error, StepError>>) {
        let has_failed = AtomicBool::new(false);
        // Collected first, because a stream that borrows across its closures does not compile.
        let works: Vec<_> = changes
            .into_iter()
            .map(|change| self.make_one(change, &has_failed))
            .collect();
        let mut ended = pin!(stream::iter(works).buffered(R::AT_ONCE.max(1)));
        let (mut made, mut failure) = (Vec::new(), None);
        while let Some(end) = ended.next().await {
            match end {
                Some(Ok(difference)) => made.push(difference),
                Some(Err(failed)) => failure = failure.or(Some(failed)),
                None => {}
            }
        }
        (made, failure)
    }

    /// None if it was not begun.
    async fn make_one(
        &self,
        change: R::Change,
        has_failed: &AtomicBool,
    ) -> Option<Result<Difference, Result<R::Error, StepError>>> {
        if has_failed.load(Ordering::Relaxed) {
            return None;
        }
        let difference: Difference = change.clone().into();
        let began = Instant::now();
        let answer = self.guard(Call::Change(&difference), self.resource.apply(change));
        let failure = match answer.await {
            Ok(Ok(())) => {
                self.context.reporters.send(EventKind::StepChanged {
                    step: &self.context.id,
                    change: &difference,
                    took: began.elapsed(),
                });
                return Some(Ok(difference));
            }
            Ok(Err(error)) => Ok(error),
            Err(error) => Err(error),
        };
        has_failed.store(true, Ordering::Relaxed);
        Some(Err(failure))
    }

    /// Before all changes are made once more: gives up after too many rounds, else pauses.
    async fn not_settling(&mut self, first: Option<Difference>) -> Option<StepError> {
        if self.rounds == 0 {
            return None;
        }
        if self.rounds >= self.context.pacing.rounds {
            let planned = first.as_ref().map_or_else(String::new, describe);
            return Some(StepError::Unsettled {
                rounds: self.rounds,
                planned,
            });
        }
        let pause = self.context.pacing.first_pause * 2_u32.saturating_pow(self.rounds);
        let pause = pause.min(self.context.pacing.longest_pause);
        let until = Instant::now() + self.context.pacing.about(pause);
        tokio::select! {
            () = self.context.stop.cancelled() => Some(self.pause.stopped(Call::Plan)),
            () = sleep_until(until) => None,
        }
    }

    /// Runs one call to the provider within the step's deadline; a stop ends a look at once
    /// and a change after the grace.
    async fn guard<T>(
        &self,
        call: Call<'_>,
        work: impl Future<Output = T>,
    ) -> Result<T, StepError> {
        let stop = &self.context.stop;
        if stop.is_cancelled() {
            return Err(self.pause.stopped(call));
        }
        // A call that is always ready never lets its timer fire, so the clock is asked too.
        if Instant::now() >= self.pause.deadline() {
            return Err(self.pause.timed_out(call));
        }
        let grace = match call {
            Call::Change(_) => self.context.pacing.grace,
            Call::Look | Call::Plan => Duration::ZERO,
        };
        let stopped = async {
            stop.cancelled().await;
            sleep_until(Instant::now() + grace).await;
        };
        tokio::select! {
            biased;
            answer = timeout_at(self.pause.deadline(), work) => {
                answer.map_err(|_| self.pause.timed_out(call))
            }
            () = stopped => Err(self.pause.stopped(call)),
        }
    }

    async fn provider_failed(
        &mut self,
        stage: Stage,
        observed: Option<&R::Observed>,
        error: R::Error,
    ) -> Next<R::Observed> {
        let class = error.class();
        let waiting = Waiting::for_error(&error, class);
        let diagnosis = if class.is_transient() {
            // Who waits asks in time.
            None
        } else {
            let seen = observed.ok_or(&error);
            ask(self.resource, seen, self.context.pacing.diagnosis).await
        };
        let error = StepError::Provider {
            stage,
            class,
            kind: error.kind(),
            hints: error.hints(),
            excerpt: error.excerpt(),
            diagnosis,
            source: Box::new(error),
        };
        if class.is_transient() {
            Next::Wait(None, waiting, Some(error))
        } else {
            Next::End(self.failed(error))
        }
    }

    fn current(&mut self) -> Outcome {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            Outcome::Unchanged
        } else {
            Outcome::Changed(changed)
        }
    }

    fn failed(&mut self, error: StepError) -> Outcome {
        Outcome::Failed {
            changed: std::mem::take(&mut self.changed),
            error,
        }
    }
}

fn describe(change: &Difference) -> String {
    let fields: Vec<_> = change
        .fields
        .iter()
        .map(|field| field.path.as_str())
        .take(3)
        .collect();
    let fields = if fields.is_empty() {
        String::new()
    } else {
        format!(" ({})", fields.join(", "))
    };
    format!("{} {}{fields}", change.verb, change.target)
}
