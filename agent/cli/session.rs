//! What commands share: the bundle, the cluster, the telemetry, and one run over the graph.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::CliError;
use super::only::only;
use crate::assemble::{Backends, Pruning, Trace, assemble};
use crate::bundle::{Bundle, Options};
use crate::engine::{
    self, Attempt, Class, Graph, Mode, Pacing, Report, Reporter, Reporters, Run, RunInfo,
};
use crate::providers::kubernetes::{self, Entry, Holder, Inventory};
use crate::providers::postgres::Cancels;
use crate::record::{RunRecord, TelemetryRecord};
use crate::settings::{Otel, Settings};
use crate::telemetry::{Delivery, LogTarget, Progress, RunIdentity, Telemetry};

/// The most bytes of a container's end that Kubernetes keeps.
const TERMINATION_LIMIT: usize = 4096;

/// How long the API server may be away where nothing else is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// After so long without an answer it is said what is waited for.
const QUIET: Duration = Duration::from_secs(2);

/// What is looked for without changing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preview {
    /// What a run would change; what is not there yet is tried out.
    Plan,
    /// Whether everything is as it should be; what runs is asked too.
    Check,
}

/// Everything that a run, real or not, needs.
pub(super) struct Session {
    pub(super) client: kubernetes::Client,
    pub(super) bundle: Bundle,
    /// The record of what the bundle owns.
    pub(super) inventory: Inventory,
    /// What it has now, once somebody has asked.
    pub(super) desired: OnceLock<Vec<Entry>>,
    /// The record of its last run.
    pub(super) runs: kubernetes::RunRecord,
    pub(super) stop: CancellationToken,
    /// What Postgres is still to be told.
    cancels: Cancels,
    /// Whether it is about the whole bundle, and not only about one phase.
    pub(super) whole: bool,
    identity: RunIdentity,
    /// Which pod of a Job we are; not set for what is no pod's work.
    attempt: OnceLock<Attempt>,
    telemetry: Telemetry,
    log: LogTarget,
    /// Whether it was said that the API server does not answer.
    has_told: AtomicBool,
}

impl Session {
    /// A session that changes nothing, and so keeps quiet on the way.
    pub(super) async fn open(settings: &Settings, otel: &Otel) -> Result<Self, CliError> {
        Self::open_as(settings, otel, LogTarget::AtEnd, RunIdentity::random()).await
    }

    /// A session of a run, which other pods of the Job may have begun, and may go on with.
    pub(super) async fn open_with_log(
        settings: &Settings,
        otel: &Otel,
        log: LogTarget,
    ) -> Result<Self, CliError> {
        let uid = settings.job_uid.as_deref();
        let identity = uid.map_or_else(RunIdentity::random, RunIdentity::of_job);
        Self::open_as(settings, otel, log, identity).await
    }

    async fn open_as(
        settings: &Settings,
        otel: &Otel,
        log: LogTarget,
        identity: RunIdentity,
    ) -> Result<Self, CliError> {
        let (client, bundle) = open(settings).await?;
        let bundle = match &settings.only {
            Some(phase) => only(bundle, phase)?,
            None => bundle,
        };
        let whole = settings.only.is_none();
        let namespace = Some(client.namespace().to_owned());
        let settings = Settings {
            namespace,
            ..settings.clone()
        };
        let telemetry = Telemetry::start(&settings, otel, &identity, log);
        Ok(Self {
            inventory: Inventory::new(client.clone(), &bundle.name),
            desired: OnceLock::new(),
            runs: kubernetes::RunRecord::new(client.clone(), &bundle.name),
            client,
            bundle,
            stop: CancellationToken::new(),
            cancels: Cancels::default(),
            whole,
            identity,
            attempt: OnceLock::new(),
            telemetry,
            log,
            has_told: AtomicBool::new(false),
        })
    }

    /// Does what is no step, as often as it takes the API server to answer: a moment in which it
    /// cannot must not fail a run.
    pub(super) async fn insist<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let with = (&Pacing::default(), &self.stop);
        let last = Mutex::new(None);
        let ask = async || {
            let answer = ask().await;
            if let Err(error) = &answer
                && error.may_pass()
            {
                let error = error.sentence();
                tracing::debug!(error, "no answer; asking again");
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            answer
        };
        let mut asked = pin!(engine::again(with, PATIENCE, CliError::may_pass, ask));
        if let Ok(answer) = timeout(QUIET, &mut asked).await {
            return answer;
        }
        let error = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.tell_of_silence(error);
        asked.await
    }

    /// Once: who starts a run should not have to guess why nothing happens.
    fn tell_of_silence(&self, error: Option<String>) {
        if self.has_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let server = self.client.server();
        if self.log == LogTarget::AtEnd {
            let why = error.map_or_else(String::new, |error| format!(": {error}"));
            eprintln!("waiting for answers of the API server at {server}{why}");
        } else {
            tracing::info!(server, error, "waiting for answers of the API server");
        }
    }

    /// The graph of a run.
    pub(super) fn graph(&self, pruning: Pruning) -> Result<Graph, CliError> {
        let trace = match self.telemetry.trace_id() {
            None if self.telemetry.is_untraced() => Trace::Untraced,
            id => Trace::Own(id),
        };
        self.graph_with(trace, pruning, None)
    }

    fn graph_with(
        &self,
        trace: Trace,
        pruning: Pruning,
        preview: Option<Preview>,
    ) -> Result<Graph, CliError> {
        let backends = Backends {
            kubernetes: self.client.clone(),
            cancels: self.cancels.clone(),
            trace,
            rehearse: preview == Some(Preview::Plan),
            what_runs: preview == Some(Preview::Check),
            pruning,
        };
        Ok(assemble(&self.bundle, &backends)?)
    }

    /// Looks once at everything and changes nothing.
    pub(super) async fn preview(
        &self,
        pruning: Pruning,
        preview: Preview,
    ) -> Result<Report, CliError> {
        let last = last_run(&self.client, &self.bundle.name).await?;
        self.follow(last.as_ref());
        let trace = match last.and_then(|run| run.trace_id) {
            None if self.telemetry.is_untraced() => Trace::Untraced,
            id => Trace::Last(id),
        };
        let graph = self.graph_with(trace, pruning, Some(preview))?;
        Ok(self.run(graph, Mode::Preview, None).await)
    }

    /// Runs a graph to its end.
    pub(super) async fn run(
        &self,
        graph: Graph,
        mode: Mode,
        reporter: Option<Arc<dyn Reporter>>,
    ) -> Report {
        let mut reporters = Reporters::new().with(self.telemetry.reporter());
        if let Some(reporter) = reporter {
            reporters = reporters.with(reporter);
        }
        let info = RunInfo {
            id: self.identity.id.clone(),
            bundle: self.bundle.name.clone(),
            profile: self.bundle.profile.clone(),
            namespace: self.bundle.namespace.clone(),
            trace_id: self.telemetry.trace_id(),
            attempt: self.attempt.get().cloned().unwrap_or_default(),
        };
        let (pacing, stop) = (Pacing::default(), self.stop.clone());
        let run = Run {
            info,
            graph,
            mode,
            pacing,
            reporters,
            stop,
        };
        let report = engine::run(run).await;
        // A statement that was given up would else go on, and keep its locks, without us.
        self.cancels.told().await;
        report
    }

    fn link_to(&self, last: Option<&RunRecord>) {
        let ids = last.and_then(|last| last.trace_id.as_ref().zip(last.span_id.as_ref()));
        if let Some((trace, span)) = ids {
            self.telemetry.link_to(trace, span);
        }
    }

    /// The id of the run's own span, in hex, once it has begun and if it is traced.
    pub(super) fn span_id(&self) -> Option<String> {
        self.telemetry.span_id()
    }

    /// Who holds the lock: this pod, or this process outside of a cluster.
    pub(super) fn holder(&self, settings: &Settings) -> Holder {
        let process = || {
            format!(
                "process-{}-{:08x}",
                std::process::id(),
                rand::random::<u32>()
            )
        };
        Holder {
            pod: settings.pod_name.clone().unwrap_or_else(process),
            uid: settings.pod_uid.clone(),
            job: settings.job_name.clone(),
            job_uid: settings.job_uid.clone(),
            instance: Some(self.identity.instance.clone()),
            run_span: self.telemetry.run_span().map(str::to_owned),
        }
    }

    /// Says which attempt the run is; only the first word counts.
    pub(super) fn is_attempt(&self, attempt: Attempt) {
        let _ = self.attempt.set(attempt);
    }

    /// Makes the run a part of the one that an earlier pod began, by the `traceparent` of that.
    pub(super) fn go_on_below(&self, first: &str) {
        self.telemetry.go_on_below(first);
    }

    /// What another pod would need to go on with the trace.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.telemetry.progress()
    }

    /// Finds out from the record of the last run whether what differs now is drift, and which trace
    /// was before this one. Only telemetry says so, and what cannot be read is another run's record.
    pub(super) fn look_back(&self, record: &str) {
        if self.telemetry.is_on() {
            let last: Option<RunRecord> = serde_json::from_str(record).ok();
            self.follow(last.as_ref());
        }
    }

    fn follow(&self, last: Option<&RunRecord>) {
        self.link_to(last);
        if last.is_some_and(|last| last.made_current(&self.bundle.digest)) {
            self.telemetry.was_current();
        }
    }

    /// Says that this session is an installation, which is measured as one.
    pub(super) fn installs(&self) {
        self.telemetry.pending(&self.bundle.name);
    }

    /// Says that it came to nothing.
    pub(super) fn not_begun(&self, class: Class) {
        self.telemetry.not_begun(class);
    }

    /// What the run is made of, if it is about the whole bundle.
    pub(super) fn digest(&self) -> Option<String> {
        self.whole.then(|| self.bundle.digest.clone())
    }

    /// What has become of the telemetry by now.
    pub(super) async fn telemetry_so_far(&self) -> Option<TelemetryRecord> {
        self.telemetry.so_far().await.record()
    }

    /// Delivers what telemetry is left, and says so if not all of it arrived.
    pub(super) async fn close(self) -> Delivery {
        self.telemetry.finish().await
    }
}

/// Connects to the cluster and loads the bundle for the namespace that the connection names.
pub(super) async fn open(settings: &Settings) -> Result<(kubernetes::Client, Bundle), CliError> {
    let client = kubernetes::Client::connect(settings.namespace.clone()).await?;
    let bundle = load(settings, client.namespace())?;
    client.act_for(&bundle.name);
    Ok((client, bundle))
}

/// The record of the last run, if there is one.
pub(super) async fn last_run(
    client: &kubernetes::Client,
    bundle: &str,
) -> Result<Option<RunRecord>, CliError> {
    let stored = kubernetes::RunRecord::new(client.clone(), bundle);
    let Some(text) = stored.read().await? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(CliError::Record)
}

/// Loads the bundle without a cluster.
pub(super) fn load_offline(settings: &Settings) -> Result<Bundle, CliError> {
    load(settings, settings.namespace.as_deref().unwrap_or("default"))
}

fn load(settings: &Settings, namespace: &str) -> Result<Bundle, CliError> {
    let options = Options {
        root: settings
            .bundle
            .clone()
            .unwrap_or_else(|| PathBuf::from(".")),
        profile: settings.profile.clone(),
        values_files: settings.values.clone(),
        set: settings.set.clone(),
        namespace: namespace.to_owned(),
    };
    Ok(Bundle::load(&options)?)
}

/// Leaves the sentence where Kubernetes reads why a container ended.
pub(super) fn leave_word(path: &Path, sentence: &str) {
    let mut end = sentence.len().min(TERMINATION_LIMIT);
    while !sentence.is_char_boundary(end) {
        end -= 1;
    }
    let written = std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(&sentence.as_bytes()[..end]));
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "failed to leave the termination message");
    }
}
