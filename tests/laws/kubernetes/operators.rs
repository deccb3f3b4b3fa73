//! The operators of the stack, played by a stand-in into a real API server: what the rules ask
//! for is really there to be read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use firstlight::engine::{Plan, Resource};
use firstlight::providers::kubernetes::Object;
use serde_json::{Value, json};
use testbed::{Attempt, Judged, Recording, StandIn, eventually};

use super::bed::{Bed, object};

/// The clock of the recording that is played. It is long past, so that nothing passes for having
/// been quiet for a while only because its recording is played faster than it was made.
static NOW_MS: AtomicI64 = AtomicI64::new(0);

fn clock() -> SystemTime {
    let now = NOW_MS.load(Ordering::Relaxed) + 3_600_000;
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now).expect("a time"))
}

/// What the agent makes of the object now; none once it is current.
async fn waits_for(resource: &Object) -> Option<String> {
    let observed = resource.observe().await.expect("the server answers");
    match resource.plan(&observed) {
        Ok(Plan::Current) => None,
        Ok(Plan::InProgress(waiting)) => Some(waiting.what),
        Ok(Plan::Change(changes)) => panic!("it would change {changes:?}"),
        Err(error) => Some(format!("failed: {error}")),
    }
}

/// The document that the user has, and the object made of it.
async fn apply(bed: &Bed, recorded: &Value) -> Judged {
    let metadata = json!({ "name": recorded["metadata"]["name"] });
    let document = json!({ "apiVersion": recorded["apiVersion"], "kind": recorded["kind"],
                           "metadata": metadata, "spec": recorded["spec"] });
    let resource = object(bed.again().await, document.clone(), true, false);
    let observed = resource.observe().await.expect("the server answers");
    if let Plan::Change(changes) = resource.plan(&observed).expect("a plan") {
        for change in changes {
            resource.apply(change).await.expect("it is applied");
        }
    }
    let path = StandIn::new(&bed.api).path(recorded);
    let live = bed.get(&path).await;
    let uid = live["metadata"]["uid"].as_str().expect("a uid").to_owned();
    Judged { uid, document }
}

/// Plays a recording and looks after each line, as somebody who sees the cluster for the first
/// time; at the end as somebody who stays.
async fn play(name: &str) {
    let recording = Recording::open(name).expect("a recording");
    let bed = Bed::new().await;
    let mut stand_in = StandIn::new(&bed.api);
    for (api_version, kind) in recording.foreign_kinds() {
        let defined = stand_in.define(api_version, kind).await;
        defined.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
    }
    let mut judged: Option<Judged> = None;
    for (number, line) in recording.lines.iter().enumerate() {
        NOW_MS.fetch_max(line.at_ms, Ordering::Relaxed);
        let played = if recording.is_judged(&line.object) {
            let known = judged.as_ref().map(|judged| &judged.document["spec"]);
            if known != Some(&line.object["spec"]) {
                judged = Some(apply(&bed, &line.object).await);
            }
            stand_in.status(&line.object).await
        } else {
            let about = judged.clone().unwrap_or_default();
            stand_in.play(line, &about).await
        };
        played.unwrap_or_else(|error| panic!("{name}:{number}: {error:?}"));
        let Some(Judged { document, .. }) = &judged else {
            continue;
        };
        let fresh = object(bed.again().await, document.clone(), true, true).with_clock(clock);
        let said = waits_for(&fresh).await;
        println!("{name}:{number}: {}", said.as_deref().unwrap_or("current"));
        assert!(
            said.is_some() || recording.was_ready(number),
            "{name}:{number}"
        );
    }
    let Judged { document, .. } = judged.expect("it was made");
    let stays = object(bed.client.clone(), document, true, true).with_clock(clock);
    eventually("a current object", Duration::from_secs(20), async || {
        NOW_MS.fetch_add(15_000, Ordering::Relaxed);
        match waits_for(&stays).await {
            None => Attempt::Done(()),
            Some(why) => Attempt::NotYet(why),
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{name}: {error}"));
    bed.remove().await;
}

#[tokio::test]
async fn what_operators_were_recorded_to_write_is_judged_from_the_api_server() {
    for name in [
        "pgo/postgrescluster--created-and-ready-with-proxy",
        "opensearch-operator/opensearchcluster--rolling-restart",
        "victoria-metrics-operator/vmcluster--rolling-update",
        "victoria-metrics-operator/vmagent--update-while-controller-manager-hangs",
        "grafana-operator/grafana--rolling-update",
        "grafana-operator/grafanadashboard--no-matching-instance",
        "grafana-operator/grafanadatasource--changed-while-operator-stopped",
        "fluent-operator/fluentbit--created-and-ready",
        "opentelemetry-operator/opentelemetrycollector--config-changed",
    ] {
        NOW_MS.store(0, Ordering::Relaxed);
        play(name).await;
    }
}
