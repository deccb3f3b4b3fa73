//! From what the engine tells to points of metrics.

use super::instruments::Instruments;
use super::memory;
use crate::engine::{Class, Outcome, Report, StepId, StepReport};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A run of more steps than these names its phases only: each name is some thirty series, and
/// they are new ones in each run.
const NAMED: usize = 250;

/// The states of a run, by the words of the CI/CD conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The lock and the rights are asked for.
    Pending,
    /// The steps run.
    Executing,
    /// The record is written and the lock given back.
    Finalizing,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Executing => "executing",
            Self::Finalizing => "finalizing",
        }
    }
}

/// Measures one run. Looks (`plan`, `check`) and uninstallations are no runs here, or an alert
/// about the last installation would be about them too.
#[derive(Debug)]
pub(in crate::telemetry) struct Measures {
    instruments: Instruments,
    /// Whose run it is, which each point carries.
    pipeline: Arc<OnceLock<KeyValue>>,
    /// None if it is not a run that installs, or if it is over.
    state: Mutex<Option<State>>,
    began: Instant,
    names_steps: AtomicBool,
    /// Whether the last run has made the same bundle current.
    was_current: AtomicBool,
}

impl Measures {
    pub(in crate::telemetry) fn new(provider: &SdkMeterProvider) -> Self {
        let meter = provider.meter("firstlight");
        let pipeline = Arc::default();
        memory::observe(&meter, &pipeline);
        Self {
            instruments: Instruments::new(&meter),
            pipeline,
            state: Mutex::default(),
            began: Instant::now(),
            names_steps: AtomicBool::new(true),
            was_current: AtomicBool::new(false),
        }
    }

    /// An installation begins.
    pub(in crate::telemetry) fn pending(&self, bundle: &str) {
        self.name(bundle);
        self.enter(Some(State::Pending));
    }

    /// Whatever differs now is drift.
    pub(in crate::telemetry) fn was_current(&self) {
        self.was_current.store(true, Ordering::SeqCst);
    }

    pub(in crate::telemetry) fn run_started(&self, bundle: &str, steps: usize) {
        self.name(bundle);
        self.names_steps.store(steps <= NAMED, Ordering::SeqCst);
        if self.installs() {
            self.enter(Some(State::Executing));
        }
    }

    pub(in crate::telemetry) fn step_finished(&self, report: &StepReport) {
        // What never started took no time; a zero would falsify the picture.
        if !self.installs() || report.started.is_none() {
            return;
        }
        let mut attributes = self.of_step(&report.id);
        attributes.push(KeyValue::new("firstlight.kind", report.kind));
        attributes.push(KeyValue::new("firstlight.outcome", report.outcome.word()));
        if let Outcome::Failed { error, .. } = &report.outcome {
            attributes.push(KeyValue::new("error.type", error.kind()));
        }
        let Instruments {
            step_duration,
            step_wait,
            step_retries,
            ..
        } = &self.instruments;
        step_duration.record(report.took.as_secs_f64(), &attributes);
        step_wait.record(report.waited.as_secs_f64(), &attributes);
        if report.retries > 0 {
            step_retries.add(report.retries.into(), &attributes);
        }
    }

    pub(in crate::telemetry) fn run_finished(&self, report: &Report) {
        self.drifted(report);
        if !self.installs() {
            return;
        }
        for word in ["unchanged", "changed", "failed", "skipped"] {
            let attributes = self.with([KeyValue::new("firstlight.outcome", word)]);
            let count = report.count(word) as u64;
            self.instruments.run_resources.record(count, &attributes);
        }
        for (_, error) in report.failures() {
            self.failed(error.kind());
        }
        let kind = report.decisive().map(|(_, error)| error.kind());
        self.took(State::Executing, report.result(), kind, report.took);
        self.enter(Some(State::Finalizing));
    }

    /// The run has ended before its first step.
    pub(in crate::telemetry) fn not_begun(&self, class: Class) {
        if !self.installs() {
            return;
        }
        let waited = self.began.elapsed();
        // That another run is at work says nothing against this one.
        if class == Class::Busy {
            return self.took(State::Pending, "skip", None, waited);
        }
        let kind = word(class);
        self.failed(kind);
        self.took(State::Pending, "error", Some(kind), waited);
    }

    /// The run is over, however it went.
    pub(in crate::telemetry) fn ended(&self) {
        if self.installs() {
            self.enter(None);
        }
    }

    fn installs(&self) -> bool {
        self.state().is_some()
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One run less in the state before, one more in this one.
    fn enter(&self, state: Option<State>) {
        let before = std::mem::replace(&mut *self.state(), state);
        let steps = [(before, -1), (state, 1)];
        for (state, by) in steps.into_iter().filter_map(|(of, by)| Some((of?, by))) {
            let attributes = self.with([in_state(state)]);
            self.instruments.run_active.add(by, &attributes);
        }
    }

    fn name(&self, bundle: &str) {
        let name = bundle.to_owned();
        // One process runs one bundle, so a second name would be the same.
        self.pipeline
            .get_or_init(|| KeyValue::new("cicd.pipeline.name", name));
    }

    fn with(&self, attributes: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        let name = self.pipeline.get().cloned();
        name.into_iter().chain(attributes).collect()
    }

    fn of_step(&self, step: &StepId) -> Vec<KeyValue> {
        let phase = KeyValue::new("firstlight.phase", step.phase().to_owned());
        let mut attributes = self.with([phase]);
        if self.names_steps.load(Ordering::SeqCst) {
            attributes.push(KeyValue::new("cicd.pipeline.task.name", step.to_string()));
        }
        attributes
    }

    fn failed(&self, kind: &'static str) {
        let attributes = self.with([KeyValue::new("error.type", kind)]);
        self.instruments.run_errors.add(1, &attributes);
    }

    fn took(&self, state: State, result: &'static str, kind: Option<&'static str>, took: Duration) {
        let mut attributes = self.with([
            in_state(state),
            KeyValue::new("cicd.pipeline.result", result),
        ]);
        attributes.extend(kind.map(|kind| KeyValue::new("error.type", kind)));
        let duration = &self.instruments.run_duration;
        duration.record(took.as_secs_f64(), &attributes);
        let ended = match result {
            "success" => &self.instruments.run_last_success,
            "failure" | "timeout" | "error" => &self.instruments.run_last_failure,
            // One that was stopped, or had no turn, tells neither.
            _ => return,
        };
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        ended.record(now.as_secs_f64(), &self.with([]));
    }

    /// A look tells it too: that is what it is for.
    fn drifted(&self, report: &Report) {
        if !self.was_current.load(Ordering::SeqCst) {
            return;
        }
        let differences = report.steps.iter().map(|step| match &step.outcome {
            Outcome::Changed(changes)
            | Outcome::Failed {
                changed: changes, ..
            } => changes.len(),
            _ => 0,
        });
        let count = differences.sum::<usize>() as u64;
        self.instruments.run_drift.record(count, &self.with([]));
    }
}

fn in_state(state: State) -> KeyValue {
    KeyValue::new("cicd.pipeline.run.state", state.word())
}

/// What kept a run from its first step.
fn word(class: Class) -> &'static str {
    match class {
        Class::Unmet => "unmet",
        Class::Unavailable => "unavailable",
        Class::Busy => "busy",
        Class::Bug => "bug",
        Class::Diverged => "diverged",
        Class::Forbidden => "forbidden",
        Class::Invalid => "invalid",
    }
}
