//! The process under test: a run of the real engine over things in memory, with the telemetry that
//! the environment asks for.
//!
//! Spans cannot be tested in the process of the tests, which all share one subscriber. So the tests
//! start their own binary again and let it run this one "test". `FIRSTLIGHT_PROFILE` says what
//! happens, in words: `held busy 20000`.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use firstlight::engine::{
    self, Attempt, Class, Difference, Failure, Graph, Mode, Pacing, Plan, Reporters, Resource, Run,
    RunInfo, StepId, StepOptions, Verb, Waiting,
};
use firstlight::settings::{Otel, Settings};
use firstlight::telemetry::{LogTarget, RunIdentity, Telemetry};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How many calls a busy step makes: more than the SDK's own queue would hold.
pub(crate) const CALLS: usize = 5_000;

/// How many steps a run of many has: more than the metrics name.
pub(crate) const MANY: usize = 300;

/// The name of this "test".
pub(crate) const NAME: &str = "driver::run";

#[test]
#[ignore = "the other tests start it as a process of its own"]
fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(drive());
    // A name that is being looked up would hold the process back.
    runtime.shutdown_background();
}

async fn drive() {
    let settings = Settings::from_env().expect("the settings are right");
    let profile = settings.profile.clone().unwrap_or_default();
    let identity = RunIdentity::random();
    let telemetry = Telemetry::start(&settings, &Otel::from_env(), &identity, LogTarget::Stdout);
    let bundle = settings
        .bundle
        .as_ref()
        .map_or("lens".to_owned(), |it| it.display().to_string());
    let mode = match profile.as_str() {
        "look" => Mode::Preview,
        _ => Mode::Apply,
    };
    if mode == Mode::Apply {
        telemetry.pending(&bundle);
    }
    if ["look", "again"].contains(&profile.as_str()) {
        telemetry.was_current();
    }
    let kept_from_its_run = match profile.as_str() {
        "refused" => Some(Class::Forbidden),
        "another" => Some(Class::Busy),
        _ => None,
    };
    if let Some(class) = kept_from_its_run {
        telemetry.not_begun(class);
        println!("run ended: 0 ms, failed: true");
        return finish(telemetry).await;
    }
    if says(&profile, "linked") {
        telemetry.link_to("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    }
    let info = RunInfo {
        id: identity.id,
        bundle,
        profile: settings.profile.clone(),
        namespace: "first".to_owned(),
        trace_id: telemetry.trace_id(),
        attempt: Attempt::default(),
    };
    let stop = CancellationToken::new();
    if says(&profile, "stopped") {
        let stop = stop.clone();
        std::thread::spawn(move || {
            wait_for_a_line();
            stop.cancel();
        });
    }
    let began = Instant::now();
    let report = engine::run(Run {
        info,
        graph: graph(&profile),
        mode,
        pacing: Pacing::default(),
        reporters: Reporters::new().with(telemetry.reporter()),
        stop,
    })
    .await;
    println!(
        "run ended: {} ms, failed: {}",
        began.elapsed().as_millis(),
        report.class().is_some()
    );
    if says(&profile, "held") {
        // The test does something before the end of the telemetry.
        wait_for_a_line();
    }
    finish(telemetry).await;
}

async fn finish(telemetry: Telemetry) {
    let began = Instant::now();
    let delivery = telemetry.finish().await;
    println!("finished: {} ms, {delivery}", began.elapsed().as_millis());
}

fn wait_for_a_line() {
    let read = io::stdin().lock().read_line(&mut String::new());
    read.expect("a line");
}

fn says(profile: &str, word: &str) -> bool {
    profile.split(' ').any(|other| other == word)
}

/// How many of something there are, if the profile speaks of it: the number in it, or what is usual.
fn count(profile: &str, word: &str, usual: usize) -> Option<usize> {
    let number = || profile.split(' ').find_map(|word| word.parse().ok());
    says(profile, word).then(|| number().unwrap_or(usual))
}

fn graph(profile: &str) -> Graph {
    let mut graph = Graph::builder();
    let infrastructure = StepId::new("infrastructure");
    let schema = StepId::new("schema");
    graph.group(infrastructure.clone(), Vec::new());
    add(
        &mut graph,
        &infrastructure,
        Thing::new("collector", Nature::Slow),
    );
    if says(profile, "watched") {
        let free = Arc::<AtomicBool>::default();
        let freed = Arc::clone(&free);
        std::thread::spawn(move || {
            wait_for_a_line();
            freed.store(true, Ordering::SeqCst);
        });
        add(
            &mut graph,
            &infrastructure,
            Thing::new("gate", Nature::Held { free }),
        );
    }
    graph.group(schema.clone(), vec![infrastructure]);
    let calls = count(profile, "busy", CALLS).unwrap_or(1);
    add(
        &mut graph,
        &schema,
        Thing::new("database", Nature::Absent { calls }),
    );
    if says(profile, "flaky") {
        add(&mut graph, &schema, Thing::new("server", Nature::Flaky));
    }
    for number in 0..count(profile, "many", MANY).unwrap_or(0) {
        let thing = Thing::new("one", Nature::There);
        let id = schema.child(&number.to_string());
        graph.step(id, Vec::new(), options(), thing);
    }
    if says(profile, "steered") {
        add(&mut graph, &schema, Thing::new("gate", Nature::steered()));
    }
    if says(profile, "stopped") {
        let forever = Nature::Steered {
            since: Instant::now(),
            goes_on: Arc::default(),
        };
        add(&mut graph, &schema, Thing::new("gate", forever));
    }
    if says(profile, "failing") {
        add(&mut graph, &schema, Thing::new("migrate", Nature::Broken));
        let applications = StepId::new("applications");
        graph.group(applications.clone(), vec![schema]);
        add(
            &mut graph,
            &applications,
            Thing::new("grafana", Nature::Slow),
        );
    }
    graph.build().expect("the needs are there")
}

fn add(graph: &mut engine::GraphBuilder, group: &StepId, thing: Thing) {
    graph.step(group.child(thing.name), Vec::new(), options(), thing);
}

fn options() -> StepOptions {
    StepOptions {
        kind: "memory.thing",
        timeout: Duration::from_mins(10),
        no_progress: None,
        optional: false,
    }
}

/// Something in memory.
struct Thing {
    name: &'static str,
    nature: Nature,
    looks: Arc<AtomicU32>,
}

enum Nature {
    /// Current at the second look.
    Slow,
    /// Current once the test says so; until then it waits for one thing and then for another.
    Held { free: Arc<AtomicBool> },
    /// Made by a change of so many calls.
    Absent { calls: usize },
    /// Current at once.
    There,
    /// Cannot be looked at, once.
    Flaky,
    /// Current when the test has said so.
    Steered {
        since: Instant,
        goes_on: Arc<AtomicBool>,
    },
    /// Never current.
    Broken,
}

impl Nature {
    fn steered() -> Self {
        let goes_on = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&goes_on);
        std::thread::spawn(move || {
            wait_for_a_line();
            told.store(true, Ordering::SeqCst);
        });
        Self::Steered {
            since: Instant::now(),
            goes_on,
        }
    }
}

#[derive(Clone)]
struct Make(&'static str);

impl From<Make> for Difference {
    fn from(make: Make) -> Self {
        Self {
            verb: Verb::Create,
            target: format!("thing {}", make.0),
            fields: Vec::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("thing {0} is broken")]
struct Broken(&'static str, Class);

impl Failure for Broken {
    fn class(&self) -> Class {
        self.1
    }

    fn kind(&self) -> &'static str {
        "broken"
    }

    fn hints(&self) -> Vec<String> {
        vec!["mend it".to_owned()]
    }
}

impl Thing {
    fn new(name: &'static str, nature: Nature) -> Self {
        Self {
            name,
            nature,
            looks: Arc::default(),
        }
    }

    async fn call(&self) {
        let span = tracing::info_span!(
            target: "firstlight::providers::memory",
            "call",
            otel.name = "PUT /things/{name}",
            otel.kind = "client",
            http.request.method = "PUT",
        );
        tokio::task::yield_now().instrument(span).await;
    }
}

impl Resource for Thing {
    type Observed = u32;
    type Change = Make;
    type Error = Broken;

    async fn observe(&self) -> Result<u32, Broken> {
        tracing::info!(target: "firstlight::providers::memory", "looking");
        tracing::debug!(target: "hyper::client", "never exported");
        if let Some(at) = firstlight::trace_context::current() {
            // What the test knows of the span of this look without asking the pipe.
            println!("looked in: {} {}", self.name, at.traceparent);
        }
        if let Nature::Steered { since, .. } = &self.nature {
            // What the test waits for: the run goes on, and makes spans.
            println!("looked after: {} ms", since.elapsed().as_millis());
        }
        let looks = self.looks.fetch_add(1, Ordering::SeqCst);
        match (&self.nature, looks) {
            (Nature::Flaky, 0) => Err(Broken(self.name, Class::Unavailable)),
            _ => Ok(looks),
        }
    }

    fn plan(&self, looks: &u32) -> Result<Plan<Make>, Broken> {
        match (&self.nature, looks) {
            (Nature::Broken, _) => Err(Broken(self.name, Class::Diverged)),
            (Nature::Slow, 0) => Ok(Plan::InProgress(Waiting::unavailable(format!(
                "thing {}: 0 of 1 ready",
                self.name
            )))),
            (Nature::Steered { goes_on, .. }, looks) if !goes_on.load(Ordering::SeqCst) => {
                Ok(Plan::InProgress(Waiting::unavailable(format!(
                    "thing {}: {looks} looks in vain",
                    self.name
                ))))
            }
            (Nature::Held { free }, looks) if !free.load(Ordering::SeqCst) => {
                let there = (*looks).min(1);
                let what = format!("thing {}: {there} of 2 ready", self.name);
                Ok(Plan::InProgress(Waiting::unavailable(what)))
            }
            (Nature::Absent { .. }, 0) => Ok(Plan::Change(vec![Make(self.name)])),
            _ => Ok(Plan::Current),
        }
    }

    async fn apply(&self, _: Make) -> Result<(), Broken> {
        let Nature::Absent { calls } = self.nature else {
            return Ok(());
        };
        for _ in 0..calls {
            self.call().await;
        }
        Ok(())
    }
}
