//! The API server is away, slow, or asks to be left alone: the run goes on, and nothing is
//! written twice.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use firstlight::engine::{Event, EventKind, Mode, Report, Reporter, Reporters};
use firstlight::providers::kubernetes::Client;
use http::Method;
use serde_json::{Value, json};
use testbed::{ApiServer, Attempt, Proxy, eventually};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::bed::{Bed, object};
use super::front::Front;
use super::widgets::{Many, Widgets, outcomes, since};

fn config(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "name": name } })
}

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("number-{number}"))
        .collect()
}

/// Counts what happens in a run, and tells when so many changes were made.
#[derive(Default)]
struct Progress {
    waiting: Mutex<HashSet<String>>,
    changed: AtomicUsize,
    tell_at: usize,
    told: Notify,
}

impl Progress {
    fn count_change(&self) {
        if self.changed.fetch_add(1, Ordering::SeqCst) + 1 == self.tell_at {
            self.told.notify_one();
        }
    }

    fn telling_at(changes: usize) -> Arc<Self> {
        Arc::new(Self {
            tell_at: changes,
            ..Self::default()
        })
    }
}

impl Reporter for Progress {
    fn report(&self, event: &Event<'_>) {
        match event.kind {
            EventKind::StepWaiting { step, .. } => {
                let mut waiting = self.waiting.lock().expect("the steps");
                waiting.insert(step.to_string());
            }
            EventKind::StepChanged { .. } => self.count_change(),
            _ => {}
        }
    }
}

/// Widgets that are waited for, and settings.
fn start(
    client: &Client,
    widgets: &Widgets,
    of_each: usize,
    progress: &Arc<Progress>,
) -> JoinHandle<Report> {
    let mut many = Many::new();
    for name in names(of_each) {
        let widget = object(client.clone(), widgets.document(&name), false, true);
        many.step(&format!("widget-{name}"), widget);
        let config = object(client.clone(), config(&name), false, true);
        many.step(&format!("config-{name}"), config);
    }
    let reporters = Reporters::new().with(Arc::clone(progress) as Arc<dyn Reporter>);
    tokio::spawn(many.run(Mode::Apply, reporters))
}

async fn until_waiting(progress: &Progress, count: usize) {
    eventually("all wait", Duration::from_mins(1), async || match progress
        .waiting
        .lock()
        .expect("the steps")
        .len()
    {
        waiting if waiting >= count => Attempt::Done(()),
        waiting => Attempt::NotYet(format!("{waiting} of {count}")),
    })
    .await
    .expect("all wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_twenty_seconds_is_survived() {
    const COUNT: usize = 40;
    const OUTAGE: Duration = Duration::from_secs(20);
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let fresh = widgets.requests(&bed).await;
    let mut proxy = Proxy::start(bed.address()).await.expect("a proxy");
    let client = bed.at(&format!("https://{}", proxy.address())).await;
    let progress = Progress::telling_at(0);
    let run = start(&client, &widgets, COUNT, &progress);
    until_waiting(&progress, COUNT).await;
    proxy.refuse().await;
    proxy.cut().await;
    let began = Instant::now();
    let names = names(COUNT);
    let (first, second) = names.split_at(COUNT / 2);
    for name in first {
        widgets.make_ready(&bed, name).await;
    }
    eventually(
        "the outage is long enough",
        2 * OUTAGE,
        async || match began.elapsed() {
            passed if passed >= OUTAGE => Attempt::Done(()),
            passed => Attempt::NotYet(format!("{passed:?}")),
        },
    )
    .await
    .expect("time passes");
    assert!(!run.is_finished(), "half of them are not ready");
    proxy.allow().await.expect("the port is still ours");
    let back = Instant::now();
    for name in second {
        widgets.make_ready(&bed, name).await;
    }
    let report = run.await.expect("it ends");
    println!("current {:?} after the outage", back.elapsed());
    // A write whose answer was lost is found to be made, and counts as unchanged.
    let found = outcomes(&report);
    assert_eq!(found.values().sum::<usize>(), 2 * COUNT, "{found:?}");
    let cost = since(&fresh, &widgets.requests(&bed).await);
    assert_eq!(cost.get("APPLY"), Some(&(COUNT as u64)), "{cost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_only_take_longer() {
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let fresh = widgets.requests(&bed).await;
    let proxy = Proxy::start(bed.address()).await.expect("a proxy");
    let client = bed.at(&format!("https://{}", proxy.address())).await;
    proxy.delay(Duration::from_millis(250));
    let progress = Progress::telling_at(0);
    let run = start(&client, &widgets, 10, &progress);
    until_waiting(&progress, 10).await;
    for name in names(10) {
        widgets.make_ready(&bed, &name).await;
    }
    let report = run.await.expect("it ends");
    assert_eq!(outcomes(&report), BTreeMap::from([("changed", 20)]));
    let cost = since(&fresh, &widgets.requests(&bed).await);
    assert_eq!(cost.get("APPLY"), Some(&10), "{cost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_asks_to_be_left_alone_is_left_alone() {
    let bed = Arc::new(Bed::new().await);
    let front = Front::start(Arc::clone(&bed)).await;
    let client = bed.at(&front.address()).await;
    let mut many = Many::new();
    for name in names(5) {
        many.step(&name, object(client.clone(), config(&name), false, true));
    }
    // The second write is turned away for a second, and the next two fail in other ways.
    front.turn_away(
        "PATCH",
        &[(2, 429, Some(1)), (3, 503, None), (4, 500, None)],
    );
    let report = many.run(Mode::Apply, Reporters::new()).await;
    let found = outcomes(&report);
    assert_eq!(found.values().sum::<usize>(), 5, "{found:?}");
    let rest = front.left_alone();
    assert!(
        rest >= Duration::from_millis(990),
        "asked again after {rest:?}"
    );
    for name in names(5) {
        bed.get(&bed.core("configmaps", &name)).await;
    }
}

/// The version of a list of all widgets now.
async fn version(bed: &Bed, widgets: &Widgets) -> String {
    let all = bed.get(&widgets.path("")).await;
    let version = all["metadata"]["resourceVersion"].as_str();
    version.expect("a version").to_owned()
}

/// Waits until the server answers a watch from this version with 410.
async fn is_gone(bed: &Bed, widgets: &Widgets, version: &str) {
    let all = widgets.path("");
    let watch = format!("{all}?watch=true&timeoutSeconds=1&resourceVersion={version}");
    let gone = eventually("410 Gone", Duration::from_mins(1), async || {
        match bed.ask(Method::GET, &watch, "application/json", None).await {
            Ok(event) if event["object"]["code"] == 410 => Attempt::Done(()),
            Err(kube::Error::Api(status)) if status.code == 410 => Attempt::Done(()),
            Ok(event) => Attempt::NotYet(event.to_string()),
            Err(error) => Attempt::not_yet(&error),
        }
    });
    gone.await.expect("the server has forgotten it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_410_a_new_list_is_asked_for() {
    const COUNT: usize = 20;
    let bed = Bed::new().await;
    let widgets = Widgets::define(&bed).await;
    let progress = Progress::telling_at(0);
    let run = start(&bed.client, &widgets, COUNT, &progress);
    until_waiting(&progress, COUNT).await;
    let seen = version(&bed, &widgets).await;
    let before = widgets.requests(&bed).await;
    // A definition that changes makes the server end all watches of its kind, and forget what was
    // before: nobody can go on from what he has seen.
    widgets.change_definition(&bed).await;
    is_gone(&bed, &widgets, &seen).await;
    for name in names(COUNT) {
        widgets.make_ready(&bed, &name).await;
    }
    let report = run.await.expect("it ends");
    assert_eq!(outcomes(&report), BTreeMap::from([("changed", 2 * COUNT)]));
    // Nothing was written again, and nothing read by its name.
    let cost = since(&before, &widgets.requests(&bed).await);
    let verbs: Vec<&str> = cost.keys().map(String::as_str).collect();
    assert_eq!(verbs, ["LIST"], "{cost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_at_ten_points_is_survived() {
    const COUNT: usize = 20;
    let server = ApiServer::start().await.expect("an API server of its own");
    let mut slowest = Duration::ZERO;
    for point in 0..10 {
        let bed = Bed::of(server.cluster()).await;
        bed.create_namespace().await;
        let widgets = Widgets::define(&bed).await;
        // From the first write to the last, and then while all wait.
        let progress = Progress::telling_at(1 + point * (2 * COUNT - 1) / 9);
        let run = start(&bed.client, &widgets, COUNT, &progress);
        progress.told.notified().await;
        server.kill().await.expect("it is killed");
        server.restart().await.expect("it is up again");
        let back = Instant::now();
        for name in names(COUNT) {
            let path = widgets.path(&name);
            eventually("it was made", Duration::from_mins(1), async || {
                match bed.ask(Method::GET, &path, "application/json", None).await {
                    Ok(_) => Attempt::Done(()),
                    Err(error) => Attempt::not_yet(&error),
                }
            })
            .await
            .expect("each is made");
            widgets.make_ready(&bed, &name).await;
        }
        let report = run.await.expect("it ends");
        slowest = back.elapsed().max(slowest);
        let found = outcomes(&report);
        assert_eq!(found.values().sum::<usize>(), 2 * COUNT, "{found:?}");
        // One whose answer was lost is found to be there, and not written again.
        for name in names(COUNT) {
            let widget = bed.get(&widgets.path(&name)).await;
            assert_eq!(widget["metadata"]["generation"], 1, "{widget}");
        }
    }
    println!("current at most {slowest:?} after the server was back");
}
