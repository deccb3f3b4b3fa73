//! Many objects at once: what they cost, and how soon a change is seen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use firstlight::engine::{Event, EventKind, Mode, Outcome, Report, Reporter, Reporters};
use firstlight::providers::kubernetes::{Client, Entry, Fence, Inventory, Prune};
use serde_json::{Value, json};
use testbed::{Attempt, eventually};

use super::bed::{Bed, object};
use super::widgets::{Many, Widgets, outcomes, since};

/// What measures time, or needs much of it, has the test bed for itself as far as it goes.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("number-{number}"))
}

/// Checks that so many requests of each verb were made, and hardly more lists: beside ours there
/// are those of the garbage collector, which looks at a new kind when it has found it, and one
/// more of ours where a busy server has cut a watch.
fn costs(requests: &BTreeMap<String, u64>, others: &[(&str, u64)], lists: u64) {
    let (made, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        requests.iter().partition(|(verb, _)| *verb == "LIST");
    let made: u64 = made.into_values().sum();
    assert!(made <= lists + 4, "{made} lists");
    let rest: Vec<(&str, u64)> = rest
        .iter()
        .map(|(verb, count)| (verb.as_str(), **count))
        .collect();
    assert_eq!(rest, others);
}

fn config(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "number": name, "more": "text" } })
}

/// Widgets that are waited for, and settings.
fn graph(client: &Client, widgets: &Widgets, of_each: usize, wait: bool) -> Many {
    let mut many = Many::new();
    for name in names(of_each) {
        let widget = widgets.document(&name);
        many.step(
            &format!("widget-{name}"),
            object(client.clone(), widget, false, wait),
        );
        many.step(
            &format!("config-{name}"),
            object(client.clone(), config(&name), false, wait),
        );
    }
    many
}

/// Takes note when the changes of each kind began and ended.
#[derive(Default)]
struct Spells(Mutex<BTreeMap<String, (Instant, Instant)>>);

impl Reporter for Spells {
    fn report(&self, event: &Event<'_>) {
        if let EventKind::StepChanged { change, took, .. } = event.kind {
            let kind = change.target.split(' ').next().unwrap_or_default();
            let mut spells = self.0.lock().expect("the spells");
            let now = Instant::now();
            let began = now.checked_sub(took).unwrap_or(now);
            let spell = spells.entry(kind.to_owned()).or_insert((began, now));
            spell.1 = now;
        }
    }
}

impl Spells {
    fn told(&self) -> String {
        let spells = self.0.lock().expect("the spells");
        let told = spells.iter().map(|(kind, (from, to))| {
            let took = *to - *from;
            format!("{kind} {took:?}")
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

/// Takes note when each step ended, and how many wait.
#[derive(Default)]
struct Ends {
    ended: Mutex<HashMap<String, SystemTime>>,
    waiting: Mutex<HashSet<String>>,
}

impl Reporter for Ends {
    fn report(&self, event: &Event<'_>) {
        match event.kind {
            EventKind::StepFinished { report } => {
                let mut ended = self.ended.lock().expect("the ends");
                ended.insert(report.id.to_string(), event.at);
            }
            EventKind::StepWaiting { step, .. } => {
                let mut waiting = self.waiting.lock().expect("the steps");
                waiting.insert(step.to_string());
            }
            _ => {}
        }
    }
}

async fn all_wait(ends: &Ends, count: usize) {
    eventually(
        "all steps wait",
        Duration::from_mins(1),
        async || match ends.waiting.lock().expect("the steps").len() {
            waiting if waiting >= count => Attempt::Done(()),
            waiting => Attempt::NotYet(format!("{waiting} of {count}")),
        },
    )
    .await
    .expect("all wait");
}

/// The same as they are on record.
fn entries(widgets: &Widgets, of_each: usize) -> Vec<Entry> {
    let documents = names(of_each).flat_map(|name| [widgets.document(&name), config(&name)]);
    documents
        .map(|document| Entry::of_document(&document, false))
        .collect()
}

async fn preview(client: &Client, widgets: &Widgets, of_each: usize) -> Report {
    let graph = graph(client, widgets, of_each, false);
    graph.run(Mode::Preview, Reporters::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_object_costs_no_request_of_its_own() {
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let fresh = widgets.requests(&bed).await;
    let report = graph(&bed.client, &widgets, 100, false);
    let report = report.run(Mode::Apply, Reporters::new()).await;
    assert_eq!(outcomes(&report), BTreeMap::from([("changed", 200)]));
    let applied = widgets.requests(&bed).await;
    costs(&since(&fresh, &applied), &[("APPLY", 100)], 1);

    let report = preview(&bed.reader().await, &widgets, 100).await;
    assert_eq!(outcomes(&report), BTreeMap::from([("unchanged", 200)]));
    costs(&since(&applied, &widgets.requests(&bed).await), &[], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_lists_are_not_allowed_each_object_is_read_by_its_name() {
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    for verbs in [
        &["get", "patch", "create"][..],
        &["get", "list", "patch", "create"],
    ] {
        let user = bed.user(verbs).await;
        let report = graph(&user, &widgets, 3, false).run(Mode::Apply, Reporters::new());
        let found = outcomes(&report.await);
        assert_eq!(found.values().sum::<usize>(), 6, "{found:?}");
        assert_eq!(found.get("failed"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_objects_are_applied_awaited_left_alone_and_pruned() {
    const OF_EACH: usize = 1000;
    let _alone = ALONE.lock().await;
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let inventory = Inventory::new(bed.client.clone(), "lens");
    let entries = entries(&widgets, OF_EACH);
    let announced = inventory.announce(&entries, Fence(0)).await;
    announced.expect("on record");
    let fresh = widgets.requests(&bed).await;
    let began = Instant::now();
    let ends = Arc::new(Ends::default());
    let reporters = Reporters::new().with(Arc::clone(&ends) as Arc<dyn Reporter>);
    let run = graph(&bed.client, &widgets, OF_EACH, true).run(Mode::Apply, reporters);
    let run = tokio::spawn(run);
    all_wait(&ends, OF_EACH).await;
    let waiting = began.elapsed();
    for name in names(OF_EACH) {
        widgets.make_ready(&bed, &name).await;
    }
    let report = run.await.expect("it ends");
    assert_eq!(
        outcomes(&report),
        BTreeMap::from([("changed", 2 * OF_EACH)])
    );
    let made = widgets.requests(&bed).await;
    costs(&since(&fresh, &made), &[("APPLY", OF_EACH as u64)], 1);

    let settled = Instant::now();
    let again = graph(&bed.reader().await, &widgets, OF_EACH, true);
    let report = again.run(Mode::Apply, Reporters::new()).await;
    assert_eq!(
        outcomes(&report),
        BTreeMap::from([("unchanged", 2 * OF_EACH)])
    );
    // Two pages of 500.
    let found = widgets.requests(&bed).await;
    costs(&since(&made, &found), &[], 2);
    let again = settled.elapsed();

    let settled = inventory.settle(&entries, Fence(0)).await;
    settled.expect("on record");
    let pruning = Instant::now();
    prune(&bed, 2 * OF_EACH).await;
    let left = bed.get(&widgets.path("")).await;
    assert_eq!(left["items"], json!([]));
    // The server's garbage collector, which ends each deletion, asks and writes too.
    let deleted = since(&found, &widgets.requests(&bed).await);
    assert_eq!(deleted.get("APPLY"), None, "{deleted:?}");
    println!(
        "2,000 applied in {waiting:?}, looked at again in {again:?}, pruned in {:?}: {deleted:?}",
        pruning.elapsed()
    );
}

/// Deletes everything on record, as a run of a bundle with nothing in it that has seen nothing yet.
async fn prune(bed: &Bed, objects: usize) {
    let spells = Arc::new(Spells::default());
    let prune = || async {
        let client = bed.administrator().await;
        let mut many = Many::new();
        many.step("prune", Prune::new(client, "lens", Vec::new(), false));
        let told = Arc::clone(&spells) as Arc<dyn Reporter>;
        many.run(Mode::Apply, Reporters::new().with(told)).await
    };
    let report = prune().await;
    println!("asked to go in {}", spells.told());
    assert_eq!(outcomes(&report), BTreeMap::from([("changed", 1)]));
    let Outcome::Changed(deleted) = &report.steps[0].outcome else {
        panic!("{:?}", report.steps[0].outcome);
    };
    assert_eq!(deleted.len(), objects);
    assert_eq!(outcomes(&prune().await), BTreeMap::from([("unchanged", 1)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_grows_as_the_objects_do() {
    for of_each in [250, 500, 1000] {
        let bed = Bed::new().await;
        let widgets = Widgets::define(&bed).await;
        let fresh = widgets.requests(&bed).await;
        let report = graph(&bed.client, &widgets, of_each, false);
        let report = report.run(Mode::Apply, Reporters::new()).await;
        assert_eq!(
            outcomes(&report),
            BTreeMap::from([("changed", 2 * of_each)])
        );
        let made = widgets.requests(&bed).await;
        costs(&since(&fresh, &made), &[("APPLY", of_each as u64)], 1);

        preview(&bed.reader().await, &widgets, of_each).await;
        let pages = of_each.div_ceil(500) as u64;
        costs(&since(&made, &widgets.requests(&bed).await), &[], pages);
    }
}

/// From when a change is sent, which is earlier than when the server makes it, to the end of the
/// step that waits for it: the median and the 99th percentile of so many.
async fn delays(bed: &Bed, widgets: &Widgets) -> (Duration, Duration) {
    const COUNT: usize = 500;
    let names: Vec<String> = names(COUNT).collect();
    let ends = Arc::new(Ends::default());
    let mut many = Many::new();
    for name in &names {
        let widget = object(bed.client.clone(), widgets.document(name), false, true);
        many.step(name, widget);
    }
    let reporters = Reporters::new().with(Arc::clone(&ends) as Arc<dyn Reporter>);
    let run = tokio::spawn(many.run(Mode::Apply, reporters));
    all_wait(&ends, COUNT).await;
    let mut asked = Vec::with_capacity(COUNT);
    for name in &names {
        asked.push((name.clone(), SystemTime::now()));
        widgets.make_ready(bed, name).await;
    }
    outcomes(&run.await.expect("it ends"));
    let ended = ends.ended.lock().expect("the ends");
    let delay = |(name, asked): &(String, SystemTime)| ended[name].duration_since(*asked);
    let delays: Result<Vec<Duration>, _> = asked.iter().map(delay).collect();
    let mut delays = delays.expect("time goes on");
    delays.sort_unstable();
    (delays[COUNT / 2], delays[COUNT * 99 / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_wait_follows_the_change_at_once() {
    let _alone = ALONE.lock().await;
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let (median, most) = delays(&bed, &widgets).await;
    println!("from a change to the end of its step: median {median:?}, p99 {most:?}");
    // Without the watch the engine would look again after pauses of up to five seconds.
    assert!(median < Duration::from_millis(500), "{median:?}");
    assert!(most < Duration::from_secs(2), "{most:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_that_stands_behind_a_service_is_heard_of_at_once() {
    // By then the engine's pauses are of three seconds and more.
    const LONG: Duration = Duration::from_secs(8);
    let _alone = ALONE.lock().await;
    let bed = Bed::new().await;
    let ends = Arc::new(Ends::default());
    let mut many = Many::new();
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "clusterIP": "None", "selector": { "app": "web" }, "ports": [{ "port": 80 }] } });
    many.step("web", object(bed.client.clone(), service, false, true));
    let reporters = Reporters::new().with(Arc::clone(&ends) as Arc<dyn Reporter>);
    let began = Instant::now();
    let run = tokio::spawn(many.run(Mode::Apply, reporters));
    all_wait(&ends, 1).await;
    let pauses_are_long = eventually("the pauses are long", 2 * LONG, async || {
        match began.elapsed() {
            passed if passed >= LONG => Attempt::Done(()),
            passed => Attempt::NotYet(format!("{passed:?}")),
        }
    });
    pauses_are_long.await.expect("time passes");
    let asked = SystemTime::now();
    post_slice(&bed, "web").await;
    let report = run.await.expect("it ends");
    assert_eq!(outcomes(&report), BTreeMap::from([("changed", 1)]));
    let ended = ends.ended.lock().expect("the ends")["web"];
    let delay = ended.duration_since(asked).expect("time goes on");
    println!("from the first slice to the end of its Service's step: {delay:?}");
    assert!(delay < Duration::from_secs(1), "{delay:?}");
}

/// One endpoint that is ready, behind a Service.
async fn post_slice(bed: &Bed, service: &str) {
    let slices = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
        bed.namespace
    );
    let labels = json!({ "kubernetes.io/service-name": service });
    let endpoint = json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true } });
    let slice = json!({ "metadata": { "name": service, "labels": labels },
        "addressType": "IPv4", "endpoints": [endpoint] });
    bed.post(&slices, slice).await;
}

/// How often the API server was asked for a list of endpoint slices, by anybody.
async fn slice_lists(bed: &Bed) -> u64 {
    let metrics = bed.text("/metrics").await;
    let of_slices = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && line.contains("resource=\"endpointslices\"")
            && line.contains("verb=\"LIST\"")
    };
    let counts = metrics.lines().filter(of_slices);
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_wait_share_one_look_at_what_is_behind_them() {
    const COUNT: usize = 100;
    let _alone = ALONE.lock().await;
    let bed = Bed::new().await;
    let ends = Arc::new(Ends::default());
    let mut many = Many::new();
    for name in names(COUNT) {
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "clusterIP": "None", "selector": { "app": name }, "ports": [{ "port": 80 }] } });
        many.step(&name, object(bed.client.clone(), service, false, true));
    }
    let before = slice_lists(&bed).await;
    let reporters = Reporters::new().with(Arc::clone(&ends) as Arc<dyn Reporter>);
    let run = tokio::spawn(many.run(Mode::Apply, reporters));
    all_wait(&ends, COUNT).await;
    for name in names(COUNT) {
        post_slice(&bed, &name).await;
    }
    let report = run.await.expect("it ends");
    assert_eq!(outcomes(&report), BTreeMap::from([("changed", COUNT)]));
    let looks: u32 = report.steps.iter().map(|step| step.attempts).sum();
    let lists = slice_lists(&bed).await - before;
    println!("{looks} looks at {COUNT} services asked for {lists} lists of what is behind them");
    // Other tests look at slices too.
    assert!(lists <= 20, "{lists} lists for {looks} looks");
}
