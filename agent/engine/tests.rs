//! The loop and the runner over a resource in memory, on a paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Attempt, Because, Chain, Class, Diagnosis, Difference, Event, EventKind, Failure, Graph,
    GraphBuilder, Mode, Outcome, Pacing, Plan, Report, Reporter, Reporters, Resource, Run, RunInfo,
    StepError, StepId, StepOptions, Verb, Waiting, run,
};

/// What the backend says at one look.
#[derive(Clone)]
enum Say {
    Current,
    Wait(&'static str),
    Unmet(&'static str),
    Change(&'static str),
    Fail(Class),
    Panic,
}

#[derive(Debug, thiserror::Error)]
#[error("the backend refuses")]
struct Refused(Class);

impl Failure for Refused {
    fn class(&self) -> Class {
        self.0
    }

    fn kind(&self) -> &'static str {
        "refused"
    }
}

#[derive(Clone)]
struct Named(&'static str);

impl From<Named> for Difference {
    fn from(Named(target): Named) -> Self {
        Self {
            verb: Verb::Update,
            target: target.to_owned(),
            fields: Vec::new(),
        }
    }
}

/// A backend that says one thing after the other, and the last one for ever.
#[derive(Default)]
struct Memory {
    script: Mutex<VecDeque<Say>>,
    last: Mutex<Option<Say>>,
    look: Duration,
    apply: Duration,
    fail_apply: Mutex<Option<Class>>,
    wake: Option<Arc<Notify>>,
    looks: Arc<Mutex<Vec<Instant>>>,
    diagnosis: Option<&'static str>,
}

impl Memory {
    fn new(script: impl IntoIterator<Item = Say>) -> Self {
        Self {
            script: Mutex::new(script.into_iter().collect()),
            ..Self::default()
        }
    }
}

impl Resource for Memory {
    type Observed = Say;
    type Change = Named;
    type Error = Refused;

    async fn observe(&self) -> Result<Say, Refused> {
        if !self.look.is_zero() {
            sleep(self.look).await;
        }
        self.looks.lock().unwrap().push(Instant::now());
        let next = self.script.lock().unwrap().pop_front();
        let mut last = self.last.lock().unwrap();
        let said = next.or_else(|| last.clone()).unwrap_or(Say::Current);
        *last = Some(said.clone());
        match said {
            Say::Fail(class) => Err(Refused(class)),
            Say::Panic => panic!("a bug on purpose"),
            other => Ok(other),
        }
    }

    fn plan(&self, observed: &Say) -> Result<Plan<Named>, Refused> {
        Ok(match observed {
            Say::Wait(what) => Plan::InProgress(Waiting::unavailable(*what)),
            Say::Unmet(what) => Plan::InProgress(Waiting::unmet(*what)),
            Say::Change(target) => Plan::Change(vec![Named(target)]),
            _ => Plan::Current,
        })
    }

    async fn apply(&self, _: Named) -> Result<(), Refused> {
        sleep(self.apply).await;
        self.fail_apply
            .lock()
            .unwrap()
            .take()
            .map_or(Ok(()), |class| Err(Refused(class)))
    }

    async fn changed(&self, _: &Say) {
        match &self.wake {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn diagnose(&self, seen: Result<&Say, &Refused>) -> Option<Diagnosis> {
        let of = if seen.is_ok() { "state" } else { "error" };
        self.diagnosis.map(|sentence| Diagnosis {
            sentence: sentence.to_owned(),
            evidence: vec![format!("read from the {of}")],
        })
    }
}

/// Writes down what it hears, with the seconds since it was made.
struct Listener {
    started: Instant,
    heard: Mutex<Vec<String>>,
}

impl Reporter for Listener {
    fn report(&self, event: &Event<'_>) {
        let text = match &event.kind {
            EventKind::StepStarted { step, .. } => format!("{step} started"),
            EventKind::StepWaiting {
                step,
                waiting,
                diagnosis,
                ..
            } => {
                let why = diagnosis.map_or_else(String::new, |why| format!(" ({})", why.sentence));
                format!("{step} waits for {}{why}", waiting.what)
            }
            EventKind::StepChanged { step, .. } => format!("{step} changed"),
            EventKind::StepFinished { report } => {
                format!("{} {}", report.id, report.outcome.word())
            }
            EventKind::GroupFinished { step, .. } => format!("{step} ended"),
            EventKind::RunStopping { .. } => "stopping".to_owned(),
            EventKind::RunStarted { .. } | EventKind::RunFinished { .. } => return,
        };
        let at = self.started.elapsed().as_secs();
        self.heard.lock().unwrap().push(format!("{at} {text}"));
    }
}

struct Bed {
    graph: GraphBuilder,
    mode: Mode,
    stop: CancellationToken,
    listener: Arc<Listener>,
}

fn bed() -> Bed {
    let listener = Listener {
        started: Instant::now(),
        heard: Mutex::default(),
    };
    Bed {
        graph: Graph::builder(),
        mode: Mode::Apply,
        stop: CancellationToken::new(),
        listener: Arc::new(listener),
    }
}

const MINUTE: Duration = Duration::from_mins(1);

fn options() -> StepOptions {
    StepOptions {
        kind: "memory",
        timeout: MINUTE,
        no_progress: None,
        optional: false,
    }
}

fn ids(names: &[&str]) -> Vec<StepId> {
    names.iter().map(|name| StepId::new(name)).collect()
}

impl Bed {
    fn group(&mut self, id: &str, needs: &[&str]) {
        self.graph.group(StepId::new(id), ids(needs));
    }

    fn step(&mut self, id: &str, needs: &[&str], resource: Memory) {
        self.step_with(id, needs, options(), resource);
    }

    fn step_with(&mut self, id: &str, needs: &[&str], options: StepOptions, resource: Memory) {
        self.graph
            .step(StepId::new(id), ids(needs), options, resource);
    }

    async fn run(self) -> (Report, Vec<String>) {
        let info = RunInfo {
            id: "1".to_owned(),
            bundle: "test".to_owned(),
            profile: None,
            namespace: "default".to_owned(),
            trace_id: None,
            attempt: Attempt::default(),
        };
        let report = run(Run {
            info,
            graph: self.graph.build().expect("a good graph"),
            mode: self.mode,
            // Pauses of exactly their length, on a clock that stands still between them.
            pacing: Pacing {
                jitter: 0,
                ..Pacing::default()
            },
            reporters: Reporters::new().with(self.listener.clone()),
            stop: self.stop,
        })
        .await;
        let heard = std::mem::take(&mut *self.listener.heard.lock().unwrap());
        (report, heard)
    }
}

fn words(report: &Report) -> Vec<(&str, &'static str)> {
    report
        .steps
        .iter()
        .map(|step| (step.id.as_str(), step.outcome.word()))
        .collect()
}

fn error_of<'a>(report: &'a Report, id: &str) -> &'a StepError {
    let step = report
        .steps
        .iter()
        .find(|step| step.id.as_str() == id)
        .expect("the step");
    match &step.outcome {
        Outcome::Failed { error, .. } => error,
        other => panic!("{id} did not fail: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_done_when_its_plan_is_empty() {
    let mut bed = bed();
    bed.step("a", &[], Memory::new([Say::Current]));
    bed.step(
        "b",
        &["a"],
        Memory::new([Say::Change("x"), Say::Wait("pods"), Say::Current]),
    );
    let (report, heard) = bed.run().await;
    assert_eq!(words(&report), [("a", "unchanged"), ("b", "changed")]);
    assert_eq!(
        heard,
        [
            "0 a started",
            "0 a unchanged",
            "0 b started",
            "0 b changed",
            "0 b waits for pods",
            "0 b changed"
        ]
    );
    assert_eq!(report.class(), None);
}

#[tokio::test(start_paused = true)]
async fn branches_run_side_by_side_and_needs_are_kept() {
    let slow = |seconds| Memory {
        look: Duration::from_secs(seconds),
        ..Memory::new([])
    };
    let mut bed = bed();
    bed.group("one", &[]);
    bed.step("one/a", &[], slow(10));
    bed.step("one/b", &[], slow(20));
    bed.group("two", &["one"]);
    bed.step("two/c", &[], slow(5));
    bed.group("side", &["one/a"]);
    bed.step("side/d", &[], slow(1));
    let (report, mut heard) = bed.run().await;
    heard.retain(|line| !line.ends_with("unchanged"));
    assert_eq!(
        heard,
        [
            "0 one started",
            "0 one/a started",
            "0 one/b started",
            "10 side started",
            "10 side/d started",
            "11 side ended",
            "20 one ended",
            "20 two started",
            "20 two/c started",
            "25 two ended"
        ]
    );
    assert_eq!(report.took.as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_is_a_wait() {
    let mut bed = bed();
    bed.step(
        "a",
        &[],
        Memory::new([
            Say::Fail(Class::Unavailable),
            Say::Fail(Class::Busy),
            Say::Current,
        ]),
    );
    let (report, heard) = bed.run().await;
    assert_eq!(words(&report), [("a", "unchanged")]);
    assert_eq!(heard[1], "0 a waits for the backend refuses");
    assert_eq!((report.steps[0].attempts, report.steps[0].retries), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_while_changing_is_a_new_look() {
    let mut bed = bed();
    let memory = Memory::new([Say::Change("x"), Say::Change("x"), Say::Current]);
    *memory.fail_apply.lock().unwrap() = Some(Class::Busy);
    bed.step("a", &[], memory);
    let (report, _) = bed.run().await;
    assert!(matches!(&report.steps[0].outcome, Outcome::Changed(changes) if changes.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_vain_has_the_class_of_what_was_last_seen() {
    let mut bed = bed();
    bed.step("check", &[], Memory::new([Say::Unmet("no rows")]));
    bed.step("server", &[], Memory::new([Say::Fail(Class::Unavailable)]));
    let (report, _) = bed.run().await;
    assert_eq!(error_of(&report, "check").class(), Class::Unmet);
    let error = error_of(&report, "server");
    assert_eq!(error.class(), Class::Unavailable);
    assert_eq!(
        Chain(error).to_string(),
        "waited 1m00s for: the backend refuses"
    );
    assert_eq!(report.class(), Some(Class::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_during_a_look_and_during_an_always_ready_one() {
    let mut bed = bed();
    bed.step(
        "slow",
        &[],
        Memory {
            look: 2 * MINUTE,
            ..Memory::new([])
        },
    );
    let wake = Arc::new(Notify::new());
    let busy = Memory {
        wake: Some(wake.clone()),
        ..Memory::new([Say::Wait("pods")])
    };
    bed.step("busy", &[], busy);
    tokio::spawn(async move {
        loop {
            wake.notify_one();
            tokio::task::yield_now().await;
            sleep(Duration::from_millis(1)).await;
        }
    });
    let (report, _) = bed.run().await;
    assert_eq!(report.took.as_secs(), 60);
    let slow = Chain(error_of(&report, "slow")).to_string();
    assert_eq!(slow, "waited 1m00s for: an answer to the first observe");
    assert!(matches!(
        error_of(&report, "busy"),
        StepError::TimedOut { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_hangs_is_named_and_not_what_was_seen_before() {
    let mut bed = bed();
    let hanging = Memory {
        apply: 2 * MINUTE,
        ..Memory::new([Say::Wait("pods"), Say::Change("Deployment x")])
    };
    bed.step("a", &[], hanging);
    let (report, _) = bed.run().await;
    let text = Chain(error_of(&report, "a")).to_string();
    assert_eq!(text, "waited 1m00s for: the answer to update Deployment x");
}

#[tokio::test(start_paused = true)]
async fn no_two_looks_are_closer_than_the_limit() {
    let mut bed = bed();
    let (wake, looks) = (Arc::new(Notify::new()), Arc::default());
    wake.notify_one();
    let script = [Say::Wait("a"), Say::Wait("b"), Say::Wait("c"), Say::Current];
    let memory = Memory {
        wake: Some(wake.clone()),
        looks: Arc::clone(&looks),
        ..Memory::new(script)
    };
    bed.step("a", &[], memory);
    tokio::spawn(async move {
        for _ in 0..10_000 {
            wake.notify_one();
            sleep(Duration::from_millis(1)).await;
        }
    });
    bed.run().await;
    let looks: Vec<Instant> = std::mem::take(&mut *looks.lock().unwrap());
    for pair in looks.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(100), "{looks:?}");
    }
    assert!(
        *looks.last().unwrap() - looks[0] < Duration::from_millis(400),
        "{looks:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_progress_a_step_ends_early() {
    let mut bed = bed();
    let options = StepOptions {
        no_progress: Some(Duration::from_secs(20)),
        ..options()
    };
    bed.step_with(
        "stuck",
        &[],
        options.clone(),
        Memory::new([Say::Wait("1 of 3"), Say::Wait("2 of 3")]),
    );
    let (report, _) = bed.run().await;
    assert_eq!(report.took.as_secs(), 20);
    let text = Chain(error_of(&report, "stuck")).to_string();
    assert_eq!(text, "waited 20.0s without progress for: 2 of 3");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_progress() {
    let mut bed = bed();
    let options = StepOptions {
        no_progress: Some(Duration::from_secs(20)),
        ..options()
    };
    let slow = Memory {
        apply: Duration::from_secs(15),
        ..Memory::new([Say::Wait("pods"), Say::Change("x"), Say::Wait("pods")])
    };
    bed.step_with("slow", &[], options, slow);
    let (report, _) = bed.run().await;
    assert_eq!(
        report.took.as_secs(),
        35,
        "the change and the patience after it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_diagnosed_and_told_at_a_quarter_and_at_half_of_its_time() {
    let mut bed = bed();
    let memory = Memory {
        diagnosis: Some("no node has room"),
        ..Memory::new([Say::Wait("pods")])
    };
    bed.step("a", &[], memory);
    let (report, heard) = bed.run().await;
    assert_eq!(
        heard,
        [
            "0 a started",
            "0 a waits for pods",
            "15 a waits for pods (no node has room)",
            "30 a waits for pods (no node has room)",
            "60 a failed"
        ]
    );
    let text = Chain(error_of(&report, "a")).to_string();
    assert_eq!(text, "waited 1m00s for: pods (no node has room)");
    let evidence = error_of(&report, "a").diagnosis().expect("a diagnosis");
    assert_eq!(evidence.evidence, ["read from the state"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_once_and_an_error_that_stays_are_diagnosed_too() {
    for (class, text) in [
        (Class::Diverged, "failed to observe: the backend refuses"),
        (
            Class::Unavailable,
            "waited 1m00s for: the backend refuses (its server is down)",
        ),
    ] {
        let mut bed = bed();
        let memory = Memory {
            diagnosis: Some("its server is down"),
            ..Memory::new([Say::Fail(class)])
        };
        bed.step("a", &[], memory);
        let (report, _) = bed.run().await;
        let error = error_of(&report, "a");
        assert_eq!(Chain(error).to_string(), text);
        let diagnosis = error.diagnosis().expect("a diagnosis");
        assert_eq!(diagnosis.evidence, ["read from the error"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_settles_is_named() {
    let mut bed = bed();
    bed.step("a", &[], Memory::new([Say::Change("Service lens/api")]));
    let (report, _) = bed.run().await;
    let error = error_of(&report, "a");
    assert_eq!(error.class(), Class::Diverged);
    assert_eq!(
        error.to_string(),
        "changed 5 times and still not current; would update Service lens/api again"
    );
    assert!(report.took < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_what_needs_it_and_nothing_else() {
    let mut bed = bed();
    bed.group("p", &[]);
    bed.step("p/bad", &[], Memory::new([Say::Fail(Class::Invalid)]));
    bed.step("p/good", &[], Memory::new([]));
    bed.step("p/after", &["p/bad"], Memory::new([]));
    bed.group("q", &["p"]);
    bed.step("q/late", &[], Memory::new([]));
    bed.step("r", &["p/good"], Memory::new([]));
    let (report, _) = bed.run().await;
    assert_eq!(
        words(&report),
        [
            ("p/bad", "failed"),
            ("p/good", "unchanged"),
            ("p/after", "skipped"),
            ("q/late", "skipped"),
            ("r", "unchanged")
        ]
    );
    let root = Because::Need(StepId::new("p/bad"));
    assert!(matches!(&report.steps[3].outcome, Outcome::Skipped { because } if *because == root));
}

#[tokio::test(start_paused = true)]
async fn an_optional_failure_harms_nobody() {
    let mut bed = bed();
    let options = StepOptions {
        optional: true,
        ..options()
    };
    bed.step_with(
        "maybe",
        &[],
        options,
        Memory::new([Say::Fail(Class::Invalid)]),
    );
    bed.step("after", &["maybe"], Memory::new([]));
    let (report, _) = bed.run().await;
    assert_eq!(
        words(&report),
        [("maybe", "failed"), ("after", "unchanged")]
    );
    assert_eq!(report.class(), None);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_skipped_is_not_what_others_need() {
    let mut bed = bed();
    bed.step("a", &[], Memory::new([Say::Fail(Class::Invalid)]));
    bed.group("g", &["a"]);
    let options = StepOptions {
        optional: true,
        ..options()
    };
    bed.step_with("g/maybe", &[], options, Memory::new([]));
    bed.group("empty", &["g"]);
    bed.step("c", &["empty"], Memory::new([]));
    let (report, _) = bed.run().await;
    assert_eq!(
        words(&report),
        [("a", "failed"), ("g/maybe", "skipped"), ("c", "skipped")]
    );
    let root = Because::Need(StepId::new("a"));
    assert!(matches!(&report.steps[2].outcome, Outcome::Skipped { because } if *because == root));
}

#[tokio::test(start_paused = true)]
async fn ten_failures_are_all_reported_and_the_greatest_decides() {
    let mut bed = bed();
    let names: Vec<String> = (0..10).map(|n| format!("s{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let class = if n == 7 {
            Class::Invalid
        } else {
            Class::Diverged
        };
        bed.step(name, &[], Memory::new([Say::Fail(class)]));
    }
    let (report, _) = bed.run().await;
    assert_eq!(report.failures().count(), 10);
    assert_eq!(report.class(), Some(Class::Invalid));
    assert_eq!(
        report.decisive().map(|(step, _)| step.id.as_str()),
        Some("s7")
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_step_only() {
    let mut bed = bed();
    bed.step("bug", &[], Memory::new([Say::Panic]));
    bed.step("good", &[], Memory::new([]));
    let (report, _) = bed.run().await;
    assert_eq!(words(&report), [("bug", "failed"), ("good", "unchanged")]);
    assert_eq!(
        Chain(error_of(&report, "bug")).to_string(),
        "panicked: a bug on purpose"
    );
    assert_eq!(report.class(), Some(Class::Bug));
}

async fn stopped_after(seconds: u64, memory: Memory) -> (Report, Vec<String>) {
    let mut bed = bed();
    bed.step("a", &[], memory);
    bed.step("b", &["a"], Memory::new([]));
    let stop = bed.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(seconds)).await;
        stop.cancel();
    });
    bed.run().await
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_wait_and_a_look_at_once() {
    for memory in [
        Memory::new([Say::Wait("pods")]),
        Memory {
            look: MINUTE / 2,
            ..Memory::new([])
        },
    ] {
        let (report, _) = stopped_after(10, memory).await;
        assert_eq!(report.took.as_secs(), 10);
        assert_eq!(words(&report), [("a", "failed"), ("b", "skipped")]);
        assert!(matches!(error_of(&report, "a"), StepError::Stopped { .. }));
        let sentence = crate::record::sentence(&report);
        assert!(
            sentence.starts_with(
                "test was told to stop after 10.0s with 2 steps left; a: told to stop"
            ),
            "{sentence}"
        );
        assert!(report.stopped);
        assert_eq!(report.class(), Some(Class::Busy));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_a_change_end_within_the_grace() {
    let change = |seconds| Memory {
        apply: Duration::from_secs(seconds),
        ..Memory::new([Say::Change("x"), Say::Current])
    };
    let (report, _) = stopped_after(10, change(15)).await;
    assert_eq!(report.took.as_secs(), 15);
    let Outcome::Failed { changed, .. } = &report.steps[0].outcome else {
        panic!("{report:?}")
    };
    assert_eq!(changed.len(), 1, "the change was made and is reported");
    let (report, heard) = stopped_after(10, change(50)).await;
    assert_eq!(
        report.took.as_secs(),
        30,
        "ten seconds and the grace of twenty: {heard:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_start_skips_everything() {
    let mut bed = bed();
    bed.step("a", &[], Memory::new([Say::Change("x")]));
    bed.stop.cancel();
    let (report, _) = bed.run().await;
    let stopped = &report.steps[0].outcome;
    assert!(
        matches!(
            stopped,
            Outcome::Skipped {
                because: Because::Stopped
            }
        ),
        "{stopped:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_preview_changes_nothing_and_says_what_comes_first() {
    let mut bed = bed();
    bed.mode = Mode::Preview;
    bed.group("p", &[]);
    bed.step(
        "p/x",
        &[],
        Memory {
            apply: MINUTE,
            ..Memory::new([Say::Change("x")])
        },
    );
    bed.group("q", &["p"]);
    bed.step("q/y", &[], Memory::new([Say::Fail(Class::Unavailable)]));
    bed.step("q/z", &[], Memory::new([Say::Current]));
    let (report, heard) = bed.run().await;
    assert_eq!(
        words(&report),
        [
            ("p/x", "changed"),
            ("q/y", "deferred"),
            ("q/z", "unchanged")
        ]
    );
    let Outcome::Deferred { after, error, .. } = &report.steps[1].outcome else {
        panic!("{heard:?}")
    };
    assert_eq!(after.as_ref().map(StepId::as_str), Some("p/x"));
    assert!(error.is_some(), "it is not known what would be changed");
    assert_eq!(report.took, Duration::ZERO);
}

/// Changes that take a second each, of which three may be made at a time.
#[derive(Default)]
struct Three {
    /// How many are being made, and the most there were.
    under_way: Arc<Mutex<(usize, usize)>>,
    /// Refused while the others are being made.
    refused: Option<&'static str>,
    made: Mutex<usize>,
}

impl Resource for Three {
    type Observed = usize;
    type Change = Named;
    type Error = Refused;

    const AT_ONCE: usize = 3;

    async fn observe(&self) -> Result<usize, Refused> {
        Ok(*self.made.lock().unwrap())
    }

    fn plan(&self, made: &usize) -> Result<Plan<Named>, Refused> {
        Ok(match made {
            0 => Plan::Change(["a", "b", "c", "d", "e", "f", "g"].map(Named).to_vec()),
            _ => Plan::Current,
        })
    }

    async fn apply(&self, Named(name): Named) -> Result<(), Refused> {
        if self.refused == Some(name) {
            sleep(Duration::from_millis(500)).await;
            return Err(Refused(Class::Invalid));
        }
        {
            let mut under_way = self.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        sleep(Duration::from_secs(1)).await;
        self.under_way.lock().unwrap().0 -= 1;
        *self.made.lock().unwrap() += 1;
        Ok(())
    }
}

async fn three(resource: Three) -> Report {
    let mut bed = bed();
    let id = StepId::new("a");
    bed.graph.step(id, Vec::new(), options(), resource);
    bed.run().await.0
}

#[tokio::test(start_paused = true)]
async fn changes_are_made_so_many_at_once_as_the_resource_says() {
    let resource = Three::default();
    let under_way = Arc::clone(&resource.under_way);
    let report = three(resource).await;
    assert_eq!(report.took.as_secs(), 3, "seven by threes");
    assert_eq!(*under_way.lock().unwrap(), (0, 3));
    let Outcome::Changed(changed) = &report.steps[0].outcome else {
        panic!("{report:?}")
    };
    let names: String = changed
        .iter()
        .map(|change| change.target.as_str())
        .collect();
    assert_eq!(names, "abcdefg", "told in their order");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_no_change_is_begun_and_those_under_way_end() {
    let report = three(Three {
        refused: Some("b"),
        ..Three::default()
    })
    .await;
    assert_eq!(report.took.as_secs(), 1);
    let Outcome::Failed { changed, error } = &report.steps[0].outcome else {
        panic!("{report:?}")
    };
    let names: Vec<&str> = changed
        .iter()
        .map(|change| change.target.as_str())
        .collect();
    assert_eq!(names, ["a", "c"], "what was under way is reported");
    assert!(matches!(error, StepError::Provider { .. }), "{error:?}");
}
