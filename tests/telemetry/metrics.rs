//! What a run measures, as the collector receives it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::unique;

use crate::child::Driver;
use crate::driver::MANY;
use crate::received::{Collector, Received, attributes, list, text};

/// A run of the driver, and what came of it. All metrics of the run are in its last request.
async fn run(profile: &str) -> Received {
    steered(profile, async |_| {}).await
}

/// The same of a run in which something happens.
async fn steered(profile: &str, happens: impl AsyncFnOnce(&mut Driver)) -> Received {
    let (id, collector) = (unique("measured"), Collector::new());
    let mut driver = Driver::start(
        profile,
        &[
            ("FIRSTLIGHT_BUNDLE", "lens"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
        ],
    );
    happens(&mut driver).await;
    let said = driver.end().await;
    assert!(
        said.delivery.contains("metrics delivered"),
        "{}",
        said.delivery
    );
    let made = said.spans().0;
    let ended = |received: &Received| {
        let active = points(received, "cicd.pipeline.run.active");
        let is_over = active.iter().all(|(_, value)| *value == 0.0);
        let has_memory = received.metrics.contains_key("process.memory.usage");
        if is_over && has_memory && received.spans.len() >= made {
            Ok(())
        } else {
            let (spans, metrics) = (received.spans.len(), received.metrics.keys());
            Err(format!("{spans} of {made} spans, {metrics:?}"))
        }
    };
    collector.when(&id, ended).await
}

type Attributes = BTreeMap<String, String>;

/// The points of a metric: the sum of a histogram, the value of another.
fn points(received: &Received, metric: &str) -> Vec<(Attributes, f64)> {
    let Some(metric) = received.metrics.get(metric) else {
        return Vec::new();
    };
    let data = ["sum", "gauge", "histogram"]
        .into_iter()
        .find_map(|kind| metric.get(kind));
    let points = list(&data.expect("one of these")["dataPoints"]);
    points
        .iter()
        .map(|point| (attributes(point), value(point)))
        .collect()
}

fn value(point: &Value) -> f64 {
    let value = ["sum", "asDouble", "asInt"]
        .into_iter()
        .find_map(|key| point.get(key));
    let value = value.expect("a value");
    let number = value.as_f64();
    number.unwrap_or_else(|| text(value).parse().expect("a number"))
}

/// The values of a metric by one of its attributes.
fn by(received: &Received, metric: &str, attribute: &str) -> BTreeMap<String, f64> {
    let points = points(received, metric).into_iter();
    points
        .map(|(mut attributes, value)| (attributes.remove(attribute).unwrap_or_default(), value))
        .collect()
}

fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, f64)>) -> BTreeMap<String, f64> {
    let counts = counts.into_iter();
    counts
        .map(|(word, count)| (word.to_owned(), count))
        .collect()
}

#[tokio::test]
async fn a_run_is_measured() {
    let received = run("fine").await;
    let units: BTreeMap<&str, String> = received
        .metrics
        .iter()
        .map(|(name, metric)| (name.as_str(), text(&metric["unit"])))
        .collect();
    let wanted = [
        ("cicd.pipeline.run.active", "{run}"),
        ("cicd.pipeline.run.duration", "s"),
        ("firstlight.process.memory.peak", "By"),
        ("firstlight.run.last_success", "s"),
        ("firstlight.run.resources", "{resource}"),
        ("firstlight.step.duration", "s"),
        ("firstlight.step.wait", "s"),
        ("process.memory.usage", "By"),
    ];
    let wanted: BTreeMap<&str, String> = wanted.map(|(name, unit)| (name, unit.to_owned())).into();
    assert_eq!(units, wanted);
    for metric in received.metrics.keys() {
        for (attributes, _) in points(&received, metric) {
            assert_eq!(attributes["cicd.pipeline.name"], "lens", "{metric}");
        }
    }
    assert_eq!(
        by(
            &received,
            "cicd.pipeline.run.active",
            "cicd.pipeline.run.state"
        ),
        counts([("pending", 0.0), ("executing", 0.0), ("finalizing", 0.0)])
    );
    let run = &points(&received, "cicd.pipeline.run.duration")[0].0;
    assert_eq!(run["cicd.pipeline.run.state"], "executing");
    assert_eq!(run["cicd.pipeline.result"], "success");
    assert!(!run.contains_key("error.type"));
    assert_eq!(
        by(&received, "firstlight.run.resources", "firstlight.outcome"),
        counts([
            ("changed", 1.0),
            ("failed", 0.0),
            ("skipped", 0.0),
            ("unchanged", 1.0)
        ])
    );
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("later");
    let success = points(&received, "firstlight.run.last_success")[0].1;
    assert!((success - now.as_secs_f64()).abs() < 120.0, "{success}");
    let memory = points(&received, "process.memory.usage")[0].1;
    let peak = points(&received, "firstlight.process.memory.peak")[0].1;
    assert!(
        memory > 1e6 && memory <= peak && peak < 1e9,
        "{memory} of {peak}"
    );
}

#[tokio::test]
async fn no_state_comes_after_the_last_one() {
    let collector = Collector::new();
    let endpoint = collector.endpoint("http/protobuf");
    // So often that one would be on its way whenever the run ends.
    let often = ("OTEL_METRIC_EXPORT_INTERVAL", "1");
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), often];
    let said = Driver::start("fine", &variables).end().await;
    assert_eq!(said.at("WARN"), Vec::<Value>::new());
    assert!(
        said.delivery.ends_with(", metrics delivered"),
        "{}",
        said.delivery
    );
}

#[tokio::test]
async fn steps_are_measured_apart() {
    let received = run("flaky").await;
    let durations = points(&received, "firstlight.step.duration");
    let waits = points(&received, "firstlight.step.wait");
    let of = |points: &[(Attributes, f64)]| -> BTreeSet<Attributes> {
        points
            .iter()
            .map(|(attributes, _)| attributes.clone())
            .collect()
    };
    assert_eq!(of(&durations), of(&waits));
    let steps = by(&received, "firstlight.step.wait", "cicd.pipeline.task.name");
    assert_eq!(
        steps.keys().collect::<Vec<_>>(),
        [
            "infrastructure/collector",
            "schema/database",
            "schema/server"
        ]
    );
    // It is current at the second look, a tenth of a second after the first.
    assert!(steps["infrastructure/collector"] >= 0.1, "{steps:?}");
    assert_eq!(
        by(
            &received,
            "firstlight.step.retries",
            "cicd.pipeline.task.name"
        ),
        counts([("schema/server", 1.0)])
    );
    let (server, _) = durations
        .iter()
        .find(|(attributes, _)| attributes["cicd.pipeline.task.name"] == "schema/server")
        .expect("it is measured");
    assert_eq!(server["firstlight.phase"], "schema");
    assert_eq!(server["firstlight.kind"], "memory.thing");
    assert_eq!(server["firstlight.outcome"], "unchanged");
}

#[tokio::test]
async fn a_failed_run_counts_what_failed() {
    let received = run("failing").await;
    assert_eq!(
        by(&received, "cicd.pipeline.run.errors", "error.type"),
        counts([("broken", 1.0)])
    );
    let run = &points(&received, "cicd.pipeline.run.duration")[0].0;
    assert_eq!(run["cicd.pipeline.result"], "failure");
    assert_eq!(run["error.type"], "broken");
    assert!(!received.metrics.contains_key("firstlight.run.last_success"));
    assert_eq!(points(&received, "firstlight.run.last_failure").len(), 1);
    let resources = by(&received, "firstlight.run.resources", "firstlight.outcome");
    assert_eq!((resources["failed"], resources["skipped"]), (1.0, 1.0));
}

#[tokio::test]
async fn a_run_that_does_not_begin_is_a_failed_one() {
    let received = run("refused").await;
    let run = &points(&received, "cicd.pipeline.run.duration")[0].0;
    assert_eq!(run["cicd.pipeline.run.state"], "pending");
    assert_eq!(run["cicd.pipeline.result"], "error");
    assert_eq!(run["error.type"], "forbidden");
    assert_eq!(points(&received, "firstlight.run.last_failure").len(), 1);
}

/// Neither of these succeeded, and nothing is wrong with the installation.
fn assert_tells_neither(received: &Received) {
    for metric in ["last_success", "last_failure"] {
        let metric = format!("firstlight.run.{metric}");
        assert!(!received.metrics.contains_key(&metric), "{metric}");
    }
}

#[tokio::test]
async fn a_run_that_found_another_at_work_is_skipped() {
    let received = run("another").await;
    let run = &points(&received, "cicd.pipeline.run.duration")[0].0;
    assert_eq!(run["cicd.pipeline.run.state"], "pending");
    assert_eq!(run["cicd.pipeline.result"], "skip");
    assert_tells_neither(&received);
}

#[tokio::test]
async fn a_run_that_was_stopped_is_cancelled() {
    let received = steered("stopped", async |driver| {
        driver.until("looked after: ").await;
        driver.go_on().await;
    });
    let received = received.await;
    let run = &points(&received, "cicd.pipeline.run.duration")[0].0;
    assert_eq!(run["cicd.pipeline.result"], "cancellation");
    assert_tells_neither(&received);
    let of = |name: &str| attributes(received.span(name));
    assert_eq!(of("RUN lens")["cicd.pipeline.result"], "cancellation");
    assert_eq!(
        of("schema/gate")["cicd.pipeline.task.run.result"],
        "cancellation"
    );
}

#[tokio::test]
async fn differences_after_a_run_that_left_none_are_drift() {
    for profile in ["look", "again"] {
        let received = run(profile).await;
        let drift = points(&received, "firstlight.run.drift");
        assert_eq!(drift.len(), 1, "{profile}");
        assert_eq!(drift[0].1.to_string(), "1", "{profile}");
        let is_run = received.metrics.contains_key("cicd.pipeline.run.duration");
        assert_eq!(is_run, profile == "again", "a look is no run");
    }
}

#[tokio::test]
async fn a_run_of_many_steps_does_not_name_them() {
    let received = run("many").await;
    let steps = points(&received, "firstlight.step.duration");
    assert!(steps.len() < 5, "{steps:?}");
    let phases: BTreeSet<_> = steps
        .iter()
        .map(|(it, _)| it["firstlight.phase"].as_str())
        .collect();
    assert_eq!(phases, BTreeSet::from(["infrastructure", "schema"]));
    let resources = by(&received, "firstlight.run.resources", "firstlight.outcome");
    let all: f64 = resources.values().sum();
    assert_eq!(all.to_string(), (MANY + 2).to_string());
}
