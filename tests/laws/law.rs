//! What the laws of all providers have in common.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use firstlight::engine::{
    Class, Event, EventKind, Failure, Graph, Mode, Outcome, Pacing, Plan, Reporter, Reporters,
    Resource, Run, RunInfo, StepError, StepId, StepOptions, Waiting,
};
use firstlight::secret::{Credential, ReadSecret, SecretError, SecretRef, Secrets, Sensitive};
use testbed::{Attempt, eventually};
use tokio_util::sync::CancellationToken;

/// A test has no Secrets: every credential is given.
pub(crate) struct NoSecrets;

impl Secrets for NoSecrets {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a> {
        Box::pin(async { Err(SecretError::Missing(reference.clone())) })
    }
}

/// No Secrets, as a provider wants them.
pub(crate) fn no_secrets() -> Arc<dyn Secrets> {
    Arc::new(NoSecrets)
}

/// A credential that is known.
pub(crate) fn plain(value: &str) -> Credential {
    Credential::Plain(Sensitive::new(value))
}

/// Makes ring the TLS provider of this process, as `main` does.
pub(crate) fn install_tls() {
    // Fails only where another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs one resource as a graph of one step.
async fn run(resource: impl Resource, mode: Mode, timeout: Duration) -> Outcome {
    watched(
        resource,
        mode,
        timeout,
        Reporters::new(),
        CancellationToken::new(),
    )
    .await
}

async fn watched(
    resource: impl Resource,
    mode: Mode,
    timeout: Duration,
    reporters: Reporters,
    stop: CancellationToken,
) -> Outcome {
    let mut graph = Graph::builder();
    let options = StepOptions {
        kind: "test",
        timeout,
        no_progress: None,
        optional: false,
    };
    graph.step(StepId::new("test"), Vec::new(), options, resource);
    let info = RunInfo {
        id: "test".to_owned(),
        bundle: "test".to_owned(),
        profile: None,
        namespace: "test".to_owned(),
        trace_id: None,
    };
    let report = firstlight::engine::run(Run {
        info,
        graph: graph.build().expect("one step has no needs"),
        mode,
        pacing: Pacing::default(),
        reporters,
        stop,
    });
    let mut steps = report.await.steps;
    steps.pop().expect("there is one step").outcome
}

const PATIENCE: Duration = Duration::from_mins(1);

/// Law 1: before it is there, a preview says that it would be made.
pub(crate) async fn fresh(resource: impl Resource) {
    let outcome = run(resource, Mode::Preview, PATIENCE).await;
    assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
}

/// What a preview says of it.
pub(crate) async fn preview(resource: impl Resource) -> Outcome {
    run(resource, Mode::Preview, PATIENCE).await
}

/// Laws 2 and 4: it becomes current by changes.
pub(crate) async fn changes(resource: impl Resource) -> Vec<String> {
    match run(resource, Mode::Apply, PATIENCE).await {
        Outcome::Changed(changes) => changes
            .iter()
            .map(|change| format!("{} {}", change.verb, change.target))
            .collect(),
        outcome => panic!("{outcome:?}"),
    }
}

/// Law 3: nothing is left to do. That the server saw no write is proven beside it.
pub(crate) async fn unchanged(resource: impl Resource) {
    let outcome = run(resource, Mode::Apply, PATIENCE).await;
    assert!(matches!(outcome, Outcome::Unchanged), "{outcome:?}");
}

/// Law 5: its first change is dropped at every await in turn, each time of another object, and
/// afterwards it converges.
pub(crate) async fn cut_short<R: Resource>(make: impl Fn(usize) -> R) {
    for polls in 1.. {
        let resource = make(polls);
        let observed = resource.observe().await.expect("the server answers");
        let Ok(Plan::Change(changes)) = resource.plan(&observed) else {
            panic!("object {polls} is there already");
        };
        let change = changes.into_iter().next().expect("a plan is never empty");
        let done = poll_at_most(polls, resource.apply(change)).await;
        settles(make(polls)).await;
        if done.is_some() {
            assert!(polls > 1, "the change was never cut short");
            return;
        }
    }
}

/// Law 6: two runs at once both end well.
pub(crate) async fn two_at_once<R: Resource>(make: impl Fn() -> R) {
    tokio::join!(settles(make()), settles(make()));
}

/// It becomes current, by changes or without.
pub(crate) async fn settles(resource: impl Resource) {
    let outcome = run(resource, Mode::Apply, PATIENCE).await;
    assert!(outcome.is_settled(), "{outcome:?}");
}

/// Law 7: a failure that may pass is waited for.
pub(crate) async fn waits(resource: impl Resource) {
    let observed = resource.observe().await;
    let error = observed.err().expect("the server is down");
    assert_eq!(error.class(), Class::Unavailable, "{error}");
}

/// Law 7: a failure that cannot pass ends the step at once, says what it means and what to do.
pub(crate) async fn fails(resource: impl Resource) -> (Class, String, Vec<String>) {
    match run(resource, Mode::Apply, PATIENCE).await {
        Outcome::Failed { error, .. } => {
            let StepError::Provider {
                class,
                source,
                hints,
                ..
            } = error
            else {
                panic!("{error:?}");
            };
            (class, source.to_string(), hints)
        }
        outcome => panic!("{outcome:?}"),
    }
}

/// What it waits for in vain.
pub(crate) async fn last_seen(resource: impl Resource) -> (Class, String) {
    match run(resource, Mode::Apply, Duration::from_secs(2)).await {
        Outcome::Failed {
            error: StepError::TimedOut { last_seen, .. },
            ..
        } => (last_seen.class, last_seen.what),
        outcome => panic!("{outcome:?}"),
    }
}

/// What it waits for first. Ends as soon as that is known, however long the look takes.
pub(crate) async fn waits_for(resource: impl Resource) -> (Class, String) {
    let first = Arc::new(FirstWait::default());
    let stop = first.stop.clone();
    let reporters = Reporters::new().with(Arc::clone(&first) as Arc<dyn Reporter>);
    let outcome = watched(resource, Mode::Apply, PATIENCE, reporters, stop).await;
    let seen = first.seen.get().cloned();
    let Some(Waiting { what, class }) = seen else {
        panic!("it did not wait: {outcome:?}");
    };
    (class, what)
}

/// All that a run says it waits for.
#[derive(Default)]
pub(crate) struct Waits(Mutex<Vec<String>>);

impl Waits {
    pub(crate) fn said(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

impl Reporter for Waits {
    fn report(&self, event: &Event<'_>) {
        if let EventKind::StepWaiting { waiting, .. } = event.kind {
            let mut said = self.0.lock().expect("nobody panics with it");
            said.push(waiting.what.clone());
        }
    }
}

/// How a run ends that is listened to.
pub(crate) async fn listened(resource: impl Resource, waits: Arc<Waits>) -> Outcome {
    let reporters = Reporters::new().with(waits);
    let stop = CancellationToken::new();
    watched(resource, Mode::Apply, PATIENCE, reporters, stop).await
}

#[derive(Default)]
struct FirstWait {
    seen: OnceLock<Waiting>,
    stop: CancellationToken,
}

impl Reporter for FirstWait {
    fn report(&self, event: &Event<'_>) {
        if let EventKind::StepWaiting { waiting, .. } = event.kind {
            // Only the first counts; a later one comes before the run has stopped.
            let _ = self.seen.set(waiting.clone());
            self.stop.cancel();
        }
    }
}

/// Polls a future so many times and then drops it, as a deadline or a crash would.
async fn poll_at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits until a resource waits for this, or cannot tell because of it. It must never be current.
pub(crate) async fn says(resource: &impl Resource, words: &str, patience: Duration) {
    let current = || Attempt::Never("it is current".to_owned());
    hears(resource, words, patience, current).await;
}

/// The same of one that may be current until then.
pub(crate) async fn comes_to_say(resource: &impl Resource, words: &str, patience: Duration) {
    let current = || Attempt::NotYet("it is current".to_owned());
    hears(resource, words, patience, current).await;
}

async fn hears(
    resource: &impl Resource,
    words: &str,
    patience: Duration,
    current: fn() -> Attempt<()>,
) {
    let said = eventually(words, patience, async || {
        let said = match resource.observe().await {
            Ok(observed) => match resource.plan(&observed) {
                Ok(Plan::InProgress(waiting)) => waiting.what,
                Ok(_) => return current(),
                Err(error) => error.to_string(),
            },
            Err(error) if error.class() == Class::Unavailable => error.to_string(),
            Err(error) => return Attempt::Never(error.to_string()),
        };
        if said.contains(words) {
            Attempt::Done(())
        } else {
            Attempt::NotYet(said)
        }
    });
    said.await.expect("it is said");
}
