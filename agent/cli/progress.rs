//! Keeps on record, while a run lasts, what another pod needs to go on with its trace.
//!
//! No step waits for it, and no run fails for it: a record that cannot be kept only means that a
//! pod that dies leaves a trace with open ends.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::session::Session;
use super::succession::Ended;
use crate::engine::{Chain, Failure as _};
use crate::providers::kubernetes::{
    self, Author, Before, Error, Fence, Held, Left, PodEnd, Progress, pod_end,
};
use crate::telemetry::{self, Death, Delivery, Snapshot, Unrecorded};

/// It is written no more often than this in the beginning, so that a run of a moment is seen while
/// it lasts …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … than this later …
const PAUSE: Duration = Duration::from_secs(1);
/// … and a large one less often: each write costs the API server all of it.
const BYTES_PER_SECOND: f64 = 100.0 * 1024.0;
/// So long each request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long the trace waits for an API server that does not answer, before it goes on without.
const SILENCE: Duration = Duration::from_secs(30);

/// The record of a run that lasts.
pub(super) struct Keeper {
    work: Arc<Work>,
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// What is kept when the run has ended.
pub(super) struct Kept(Arc<Work>);

struct Work {
    trace: telemetry::Progress,
    store: Progress,
    client: kubernetes::Client,
    author: Author,
    fence: Fence,
    bundle: String,
    before: Vec<Ended>,
}

/// What to do about a record that could not be written.
enum Failed {
    /// Try again.
    Later,
    /// Do without.
    Never,
    /// Leave the trace to whoever takes the lock: that one has what is on record, and ends it.
    Superseded,
}

impl Keeper {
    /// Begins to keep it; none where no other pod would go on, or nothing is traced.
    pub(super) fn start(session: &Session, lease: &Held, before: Vec<Ended>) -> Option<Self> {
        let trace = session.progress()?;
        let holder = lease.holder();
        let work = Arc::new(Work {
            trace,
            store: Progress::new(session.client.clone(), &session.bundle.name),
            client: session.client.clone(),
            author: Author {
                pod: holder.pod.clone(),
                uid: holder.uid.clone(),
                attempt: lease.succession().number,
            },
            fence: lease.fence(),
            bundle: session.bundle.name.clone(),
            before,
        });
        work.trace.hold_back();
        let (end, ending) = oneshot::channel();
        let task = tokio::spawn(Arc::clone(&work).keep(ending));
        Some(Self { work, task, end })
    }

    /// Puts the end of the run on record, after which everything may be delivered.
    pub(super) async fn finish(self) -> Kept {
        // That it has ended by itself is as good.
        let _ = self.end.send(());
        let mut task = self.task;
        if timeout(PATIENCE, &mut task).await.is_err() {
            task.abort();
            // Only then nothing is held back any more by an answer that comes late.
            let _ = task.await;
            debug!("no answer to the last record of the trace");
        }
        self.work.trace.let_go();
        Kept(self.work)
    }
}

impl Kept {
    /// Forgets what has arrived; what has not is for the next pod.
    pub(super) async fn forget(self, delivery: &Delivery) {
        if !delivery.has_all_spans() {
            return;
        }
        let Self(work) = self;
        let cleared = work.store.clear(&work.author, work.fence);
        match timeout(PATIENCE, cleared).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(error = %Chain(&error), "failed to empty the record of the trace");
            }
            Err(_) => debug!("no answer when emptying the record of the trace"),
        }
    }
}

impl Work {
    async fn keep(self: Arc<Self>, mut end: oneshot::Receiver<()>) {
        let (mut has_taken_over, mut is_last) = (false, false);
        let (mut failing, mut usual) = (None, FIRST_PAUSE);
        loop {
            let began = Instant::now();
            let written = async {
                if !has_taken_over {
                    self.take_over().await?;
                    has_taken_over = true;
                }
                self.write().await
            };
            let pause = match timeout(PATIENCE, written)
                .await
                .unwrap_or_else(|_| self.silent())
            {
                Ok(rest) => {
                    failing = None;
                    let pause = usual + rest;
                    usual = (usual * 2).min(PAUSE);
                    pause
                }
                Err(Failed::Superseded) => return self.trace.leave(),
                Err(Failed::Never) => return self.trace.let_go(),
                Err(Failed::Later) => {
                    let since = *failing.get_or_insert(began);
                    if since.elapsed() + PAUSE >= SILENCE {
                        self.trace.let_go();
                    }
                    PAUSE
                }
            };
            if is_last {
                return;
            }
            is_last = timeout(pause, &mut end).await.is_ok();
        }
    }

    fn silent(&self) -> Result<Duration, Failed> {
        self.trace.try_again();
        debug!("no answer when writing the record of the trace");
        Err(Failed::Later)
    }

    /// Writes down what would be lost now; how much longer than usual to wait before the next time.
    async fn write(&self) -> Result<Duration, Failed> {
        let Some(snapshot) = self.trace.snapshot() else {
            return Ok(Duration::ZERO);
        };
        let written = self.store.write(&snapshot.parts, &self.author, self.fence);
        if let Err(error) = written.await {
            self.trace.try_again();
            return Err(failed(&error));
        }
        self.trace.recorded(&snapshot);
        if snapshot.left_out > 0 {
            debug!(
                spans = snapshot.left_out,
                "no room on record for spans that have not arrived"
            );
        }
        Ok(rest(&snapshot))
    }

    /// Sends what the processes before could not.
    async fn take_over(&self) -> Result<(), Failed> {
        let left = self.store.take(self.fence).await;
        let left = left.map_err(|error| failed(&error))?;
        let recorded = left.as_ref().and_then(|left| left.fence);
        if let Some(left) = left.filter(|left| !left.parts.is_empty()) {
            self.go_on_from(&left).await?;
        }
        // Whoever wrote the record has seen to those before.
        let unrecorded = |ended: &&Ended| Some(ended.who.fence) > recorded;
        for Ended { who, how } in self.before.iter().filter(unrecorded) {
            self.bury(who, how);
        }
        Ok(())
    }

    async fn go_on_from(&self, left: &Left) -> Result<(), Failed> {
        let author = &left.author;
        let mut before = self.before.iter();
        let known = before.find(|it| left.fence == Some(it.who.fence));
        let how = match known {
            Some(ended) => ended.how.clone(),
            None => pod_end(&self.client, &author.pod, author.uid.as_deref())
                .await
                .map_err(|error| failed(&error))?,
        };
        let last_heard = known.and_then(|ended| ended.who.renewed());
        let death = death(author.attempt, how, [left.written, last_heard]);
        let taken = self.trace.take_over(&left.parts, &death);
        info!(
            ended = taken.ended,
            open = taken.closed,
            unreadable = taken.broken,
            "went on with the trace of pod {}: {} spans had ended, {} were open",
            author.pod,
            taken.ended,
            taken.closed
        );
        Ok(())
    }

    /// Nothing of it is on record, and so nothing of it was sent, but it was there.
    fn bury(&self, who: &Before, how: &PodEnd) {
        let (Some(run), Some(started)) = (who.run.clone(), who.started()) else {
            return;
        };
        let dead = Unrecorded {
            bundle: self.bundle.clone(),
            attempt: who.attempt,
            pod: who.pod.clone(),
            pod_uid: who.uid.clone(),
            instance: who.instance.clone(),
            run,
            first: who.first.clone(),
            started,
        };
        self.trace.bury(
            &dead,
            &death(who.attempt, how.clone(), [who.renewed(), None]),
        );
    }
}

fn failed(error: &Error) -> Failed {
    match error {
        Error::Fenced { .. } | Error::Lost { .. } => Failed::Superseded,
        error if error.class().is_transient() => {
            debug!(error = %Chain(error), "failed to write the record of the trace");
            Failed::Later
        }
        error => {
            warn!(
                error = %Chain(error),
                "failed to keep the run's trace on record; if this pod dies, its spans stay open"
            );
            Failed::Never
        }
    }
}

/// What is said of spans that a process could not end. It ended when it was last heard of, or
/// later: Kubernetes counts whole seconds.
fn death(attempt: u32, how: PodEnd, heard: [Option<SystemTime>; 2]) -> Death {
    let last = heard.into_iter().flatten().chain(how.at).max();
    Death {
        said: format!("attempt {attempt} was cut short: {}", how.said),
        kind: how.kind,
        at: last.unwrap_or_else(SystemTime::now),
    }
}

/// How much longer than usual to wait after so large a record.
fn rest(snapshot: &Snapshot) -> Duration {
    let bytes: usize = snapshot.parts.values().map(Bytes::len).sum();
    #[expect(clippy::cast_precision_loss, reason = "it is less than a megabyte")]
    let seconds = bytes as f64 / BYTES_PER_SECOND;
    Duration::from_secs_f64(seconds)
}
