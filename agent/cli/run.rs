//! Make everything current: lock, run, and leave word everywhere of how it went.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::progress::{Keeper, Kept};
use super::session::{Session, leave_word};
use super::succession::go_on;
use super::task::Task;
use super::{CliError, print_json, pruning, say, style, wants_json};
use crate::console::{self, LiveTree, Style};
use crate::engine::{Chain, Graph, Mode, Report, Reporter};
use crate::providers::kubernetes::{self, Fence, Held, Job, JobEvent, Lease, Severity};
use crate::record::RunRecord;
use crate::settings::{LogFormat, Otel, Settings};
use crate::telemetry::LogTarget;

/// How long the last words may take of a run that was told to stop.
const LEAVING: Duration = Duration::from_secs(4);
/// How long they may take where nobody waits for the end.
const UNHURRIED: Duration = Duration::from_mins(1);

pub(super) async fn run(
    settings: &Settings,
    otel: &Otel,
    pruning: pruning::Arguments,
) -> Result<u8, CliError> {
    let session = open(settings, otel).await?;
    let task = Task::Run(pruning.of(&session));
    carry_out(session, settings, &task).await
}

/// A session that shows on the way what it does.
pub(super) async fn open(settings: &Settings, otel: &Otel) -> Result<Session, CliError> {
    let log = log_target(settings, wants_tree(settings));
    Session::open_with_log(settings, otel, log).await
}

/// Does a task under the lock.
pub(super) async fn carry_out(
    session: Session,
    settings: &Settings,
    task: &Task,
) -> Result<u8, CliError> {
    let signals = stop_on_signals(session.stop.clone())?;
    let graph = task.graph(&session)?;
    if matches!(task, Task::Run(_)) {
        session.installs();
    }
    let begun = Box::pin(begin(&session, settings, task));
    let lease = match unless_stopped(&session.stop, begun).await {
        Ok(lease) => lease,
        Err(error) => {
            session.not_begun(error.class());
            let exit = error.class().exit_code();
            let sentence = error.sentence();
            in_time(&session.stop, tell_job(&session, settings, exit, &sentence)).await;
            signals.abort();
            session.close().await;
            return Err(error);
        }
    };
    let progress = match task {
        Task::Run(_) => {
            let before = Box::pin(go_on(&session, &lease)).await;
            Keeper::start(&session, &lease, before)
        }
        // What it would keep is among what it takes away.
        Task::Uninstall { .. } => None,
    };
    let tree = wants_tree(settings).then(|| LiveTree::start(tree_style(settings)));
    let report = run_locked(&session, graph, &lease, tree.clone()).await;
    if let Some(tree) = tree {
        tree.finish();
    }
    let lost = lease.loss().map(|lost| lost.to_string());
    let mut record = task.record(&report, lost);
    record.span_id = session.span_id();
    record.digest = session.digest();
    let mut is_kept = true;
    let kept = Box::pin(async {
        record.telemetry = session.telemetry_so_far().await;
        is_kept = keep(&session, settings, task, &mut record, &lease).await;
    });
    let (progress, ()) = tokio::join!(finish(progress), in_time(&session.stop, kept));
    // Only now: the next holder reads what was written before.
    in_time(&session.stop, release(&session, &lease, is_kept)).await;
    signals.abort();
    let delivery = session.close().await;
    if let Some(progress) = progress {
        progress.forget(&delivery).await;
    }
    record.telemetry = delivery.record();
    tell(settings, &record)?;
    Ok(record.exit)
}

/// Puts the end of the run's trace on record, before anything else is done at its end.
async fn finish(progress: Option<Keeper>) -> Option<Kept> {
    match progress {
        Some(progress) => Some(progress.finish().await),
        None => None,
    }
}

/// Takes the lock and asks for all rights at the same time; without them the lock is given back.
async fn begin(session: &Session, settings: &Settings, task: &Task) -> Result<Held, CliError> {
    let name = format!("firstlight-{}", session.bundle.name);
    let holder = session.holder(settings);
    // Whoever did not hear that it is ours finds that it is.
    let take = async || {
        let free = Lease::find(&session.client, &name, holder.clone()).await?;
        let (held, ()) = free.take_reading(task.read_ahead(session)).await?;
        Ok(held)
    };
    let ask = async || task.ask(session).await;
    // Whoever is told to stop meanwhile has the lock to give back, and not a question to wait for.
    let ask = async {
        tokio::select! {
            answer = session.insist(ask) => answer,
            () = session.stop.cancelled() => Err(CliError::Stopped),
        }
    };
    let (rights, lease) = tokio::join!(ask, session.insist(take));
    let lease = match (rights, lease) {
        (Ok(()), lease) => lease?,
        (Err(missing), Ok(lease)) => return Err(give_back(session, &lease, missing).await),
        // Without rights it does not matter who else is at work.
        (Err(missing), Err(_)) => return Err(missing),
    };
    let fence = lease.fence();
    let begun = session.insist(async || task.begin(session, fence).await);
    match begun.await {
        Ok(()) => Ok(lease),
        Err(error) => Err(give_back(session, &lease, error).await),
    }
}

/// The error says more than that the lock could not be given back, which then runs out.
async fn give_back(session: &Session, lease: &Held, error: CliError) -> CliError {
    let _ = session.insist(async || Ok(lease.forgo().await?)).await;
    error
}

/// What is asked before the first step may be under way for longer than Kubernetes lets a pod live
/// that was told to stop.
async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = stop.cancelled() => {}
    }
    timeout(LEAVING, work)
        .await
        .unwrap_or(Err(CliError::Stopped))
}

/// Runs as long as the Lease is ours; a run that lost it stops before its next change.
async fn run_locked(
    session: &Session,
    graph: Graph,
    lease: &Held,
    tree: Option<Arc<LiveTree>>,
) -> Report {
    let reporter = tree.map(|tree| tree as Arc<dyn Reporter>);
    let mut run = std::pin::pin!(session.run(graph, Mode::Apply, reporter));
    tokio::select! {
        biased;
        report = &mut run => report,
        lost = lease.lost() => {
            error!(error = %Chain(&lost), "lost the Lease; stopping");
            session.stop.cancel();
            run.await
        }
    }
}

/// SIGTERM and SIGINT stop the run in good order.
fn stop_on_signals(stop: CancellationToken) -> Result<JoinHandle<()>, CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    }))
}

/// Leaves the record and the sentence where people look. What cannot be left does not fail the run.
/// Whether anything is on record then.
async fn keep(
    session: &Session,
    settings: &Settings,
    task: &Task,
    record: &mut RunRecord,
    lease: &Held,
) -> bool {
    if let Some(path) = &settings.termination_log {
        leave_word(path, &record.sentence);
    }
    let (exit, sentence) = (record.exit, record.sentence.clone());
    let settled = async {
        // What is on record is the next holder's affair.
        lease.loss().is_some() || settle(session, task, record, lease.fence()).await
    };
    let (is_kept, ()) = tokio::join!(settled, tell_job(session, settings, exit, &sentence));
    is_kept
}

/// Gives the lock back, so that the next run need not wait; takes it away where nothing is on record.
async fn release(session: &Session, lease: &Held, is_kept: bool) {
    let give_back = async || {
        if is_kept {
            Ok(lease.release().await?)
        } else {
            Ok(lease.remove().await?)
        }
    };
    if let Err(error) = session.insist(give_back).await {
        let error = error.sentence();
        warn!(error, "failed to release the Lease; it expires by itself");
    }
}

/// Writes inventory and record. Whether anything is on record then.
async fn settle(session: &Session, task: &Task, record: &mut RunRecord, fence: Fence) -> bool {
    let settle = async || task.settle(session, fence, record).await;
    let settled = session.insist(settle).await;
    let is_kept = settled.unwrap_or_else(|error| {
        warn!(error = error.sentence(), "failed to write the inventory");
        true
    });
    if is_kept {
        write(session, record, fence).await;
    }
    is_kept
}

async fn write(session: &Session, record: &RunRecord, fence: Fence) {
    match record.to_json(kubernetes::RunRecord::LIMIT) {
        Ok(text) => {
            let written = session.insist(async || Ok(session.runs.write(&text, fence).await?));
            if let Err(error) = written.await {
                warn!(error = error.sentence(), "failed to write the run record");
            }
        }
        Err(error) => warn!(%error, "failed to write the run record as JSON"),
    }
}

/// The sentence as an Event on our Job.
async fn tell_job(session: &Session, settings: &Settings, exit: u8, sentence: &str) {
    let name = settings.job_name.clone();
    let uid = settings.job_uid.clone();
    let job = name.map(|name| Job { name, uid });
    let (severity, reason) = match exit {
        0 => (Severity::Normal, "Current"),
        _ => (Severity::Warning, "Failed"),
    };
    let event = JobEvent::new(session.client.clone(), job);
    let now = SystemTime::now();
    let send = async || Ok(event.send(severity, reason, sentence, now).await?);
    if let Err(error) = session.insist(send).await {
        let error = error.sentence();
        warn!(error, "failed to send the Event about the Job");
    }
}

/// Kubernetes kills a pod that takes too long to end once it was told to, and then its sentence is
/// not printed.
async fn in_time(stop: &CancellationToken, work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let unhurried = timeout(UNHURRIED, async {
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = &mut work => true,
        }
    });
    let is_done = match unhurried.await {
        Ok(false) => timeout(LEAVING, work).await.is_ok(),
        Ok(true) => true,
        Err(_) => false,
    };
    if !is_done {
        warn!("the API server did not answer at the end of the run");
    }
}

/// The end of the output: for machines the record, for people a summary whose last line is the sentence.
fn tell(settings: &Settings, record: &RunRecord) -> Result<(), CliError> {
    if wants_json(settings) {
        return print_json(record);
    }
    say(&console::summary(record, style(settings)));
    Ok(())
}

fn wants_tree(settings: &Settings) -> bool {
    let auto = settings.log.unwrap_or_default() == LogFormat::Auto;
    auto && !wants_json(settings) && std::io::stderr().is_terminal()
}

fn tree_style(settings: &Settings) -> Style {
    if settings.no_color {
        Style::Plain
    } else {
        Style::Colour
    }
}

fn log_target(settings: &Settings, tree: bool) -> LogTarget {
    match (tree, wants_json(settings)) {
        (true, _) => LogTarget::AtEnd,
        (false, true) => LogTarget::Stderr,
        (false, false) => LogTarget::Stdout,
    }
}
