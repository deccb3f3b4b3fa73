//! An operator that does not react to its custom resource.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::super::MANAGER;
use super::super::live::Live;
use super::super::time;
use super::scene::Scene;
use super::walk::{Level, level};

/// An operator that the bundle names, and where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// As the bundle calls it.
    pub name: String,
    /// The namespace of its Deployment.
    pub namespace: String,
    /// The labels of its Deployment.
    pub selector: BTreeMap<String, String>,
    /// The full names of the definitions that it serves: `grafanas.grafana.integreatly.org`.
    pub definitions: Vec<String>,
}

/// What was read of it.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) name: String,
    pub(super) namespace: String,
    /// Of the custom resource.
    pub(super) watched: String,
    pub(super) deployments: Vec<Live>,
    /// Why the first of them that is not ready is not.
    pub(super) below: Option<String>,
    pub(super) leases: Vec<Live>,
    /// What its service account may not do, as `list grafanas`.
    pub(super) denied: Vec<String>,
}

/// Why nobody has acted on the object, or else that nobody has; none if there is no sign of either.
pub(super) fn cause(scene: &Scene) -> Option<String> {
    let object = &scene.object;
    if level(object) != Level::Custom {
        return None;
    }
    let operator = scene.operator.as_ref();
    let broken = operator.and_then(|operator| operator.cause(scene.now));
    broken.or_else(|| untouched(object))
}

/// What the object itself shows: that no controller ever wrote to it, or not since its last change.
fn untouched(object: &Live) -> Option<String> {
    let managed = object.list("/metadata/managedFields");
    let others = managed.iter().any(|entry| entry["manager"] != MANAGER);
    if !managed.is_empty() && !others {
        return Some(format!(
            "no controller has written to it: its only field manager is {MANAGER}"
        ));
    }
    let (generation, observed) = (object.generation()?, observed(object)?);
    if observed >= generation {
        return None;
    }
    let status = managed
        .iter()
        .filter(|entry| entry["subresource"] == "status");
    let last = status.max_by_key(|entry| entry["time"].as_str().map(str::to_owned))?;
    let (by, at) = (last["manager"].as_str()?, last["time"].as_str()?);
    Some(format!(
        "its controller {by} wrote its status last at {at}, of generation {observed}; \
         it is at {generation}"
    ))
}

/// The newest generation that its status speaks of, as a whole or in a condition.
fn observed(object: &Live) -> Option<i64> {
    let conditions = object.list("/status/conditions").iter();
    let newest = conditions
        .filter_map(|it| it["observedGeneration"].as_i64())
        .max();
    object.observed_generation().or(newest)
}

impl Operator {
    fn cause(&self, now: SystemTime) -> Option<String> {
        let name = &self.name;
        let Some(first) = self.deployments.first() else {
            return Some(format!(
                "operator {name} is not there: no Deployment with its labels in namespace {}",
                self.namespace
            ));
        };
        let place = format!("Deployment {}/{}", self.namespace, first.name());
        if self.deployments.iter().all(is_scaled_to_zero) {
            return Some(format!(
                "operator {name} does not run: {place} is scaled to zero (spec.replicas is 0)"
            ));
        }
        if let Some(below) = &self.below {
            return Some(format!("operator {name} is not ready: {below}"));
        }
        let elsewhere = self.deployments.iter().find_map(|it| self.elsewhere(it));
        if let Some((setting, namespaces)) = elsewhere {
            return Some(format!(
                "operator {name} does not watch namespace {}: {setting} of {place} is {namespaces}",
                self.watched
            ));
        }
        if !self.denied.is_empty() {
            return Some(format!(
                "operator {name} lacks rights: its service account may not {}",
                self.denied.join(", ")
            ));
        }
        let stale = self
            .leases
            .iter()
            .find_map(|lease| self.stale(lease, now))?;
        Some(format!("operator {name} does not react: {stale}"))
    }

    /// What was read of it, for the report.
    pub(super) fn evidence(&self) -> Vec<String> {
        let place = &self.namespace;
        let deployments = self.deployments.iter().map(|it| {
            format!(
                "Deployment {place}/{}: spec.replicas is {}, status.readyReplicas {}",
                it.name(),
                it.at("/spec/replicas").unwrap_or(&Value::from(1)),
                it.count("/status/readyReplicas")
            )
        });
        let leases = self.leases.iter().filter(|lease| self.holds(lease));
        let leases = leases.map(|lease| {
            let [holder, renewed] =
                ["/spec/holderIdentity", "/spec/renewTime"].map(|field| lease.text(field));
            format!(
                "Lease {place}/{}: held by {holder}, renewed at {renewed}",
                lease.name()
            )
        });
        deployments.chain(leases).collect()
    }

    /// Whether a Lease is held by a pod of it.
    fn holds(&self, lease: &Live) -> bool {
        let holder = lease.text("/spec/holderIdentity");
        let is_its = |it: &Live| holder.starts_with(&format!("{}-", it.name()));
        self.deployments.iter().any(is_its)
    }

    /// The setting by which it watches other namespaces only.
    fn elsewhere(&self, deployment: &Live) -> Option<(String, String)> {
        let containers = deployment.list("/spec/template/spec/containers");
        let mut settings = containers.iter().flat_map(watched);
        settings.find(|(_, namespaces)| {
            let mut each = namespaces.split(',').map(str::trim);
            !namespaces.trim().is_empty() && !each.any(|it| it == self.watched || it == "*")
        })
    }

    /// A Lease of one of its pods that nobody renews.
    fn stale(&self, lease: &Live, now: SystemTime) -> Option<String> {
        if !self.holds(lease) {
            return None;
        }
        let holder = lease.text("/spec/holderIdentity");
        let renewed = lease.text("/spec/renewTime");
        let lasts = lease.count("/spec/leaseDurationSeconds").max(1);
        let lasts = Duration::from_secs(lasts.unsigned_abs());
        let age = now.duration_since(time::parse(renewed)?).ok()?;
        (age > 2 * lasts).then(|| {
            format!(
                "its Lease {}/{} was renewed last at {renewed} by {holder}, and lasts {} s",
                self.namespace,
                lease.name(),
                lasts.as_secs()
            )
        })
    }
}

pub(super) fn is_scaled_to_zero(deployment: &Live) -> bool {
    deployment.at("/spec/replicas") == Some(&Value::from(0))
}

/// The settings by which operators are told which namespaces to watch, and their values.
fn watched(container: &Value) -> Vec<(String, String)> {
    const VARIABLES: [&str; 4] = [
        "WATCH_NAMESPACE",
        "WATCH_NAMESPACES",
        "PGO_TARGET_NAMESPACE",
        "PGO_TARGET_NAMESPACES",
    ];
    const OPTIONS: [&str; 2] = ["watch-namespace", "watch-namespaces"];
    let list = |key: &str| container[key].as_array().into_iter().flatten();
    let variables = list("env").filter_map(|variable| {
        let name = variable["name"].as_str()?;
        let value = variable["value"].as_str()?;
        VARIABLES
            .contains(&name)
            .then(|| (name.to_owned(), value.to_owned()))
    });
    let options = list("args").chain(list("command")).filter_map(|option| {
        let (name, value) = option.as_str()?.split_once('=')?;
        OPTIONS
            .contains(&name.trim_start_matches('-'))
            .then(|| (name.to_owned(), value.to_owned()))
    });
    variables.chain(options).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operator(spec: &Value) -> Operator {
        Operator {
            name: "widgets".to_owned(),
            namespace: "ops".to_owned(),
            watched: "lens".to_owned(),
            deployments: vec![Live::new(
                json!({ "metadata": { "name": "widgets" }, "spec": spec }),
            )],
            below: None,
            leases: Vec::new(),
            denied: Vec::new(),
        }
    }

    fn watching(container: &Value) -> Operator {
        operator(&json!({ "template": { "spec": { "containers": [container] } } }))
    }

    fn lease(renewed: &str) -> Live {
        Live::new(json!({ "metadata": { "name": "leader" }, "spec": {
            "holderIdentity": "widgets-5d7-x_1", "renewTime": renewed, "leaseDurationSeconds": 15 } }))
    }

    #[test]
    fn why_it_does_not_react() {
        let now = time::parse("2026-01-01T00:01:00.000000Z").expect("a time");
        let variable = json!({ "env": [{ "name": "WATCH_NAMESPACE", "value": "a, b" }] });
        let option = json!({ "args": ["--watch-namespaces=a"] });
        let both = json!({ "env": [{ "name": "WATCH_NAMESPACE", "value": "a,lens" },
                                   { "name": "PGO_TARGET_NAMESPACE", "value": "" }] });
        let absent = Operator {
            deployments: Vec::new(),
            ..operator(&json!({}))
        };
        let unready = Operator {
            below: Some("pod widgets-1: Evicted".to_owned()),
            ..operator(&json!({}))
        };
        let denied = Operator {
            denied: vec!["list widgets".to_owned(), "watch widgets".to_owned()],
            ..operator(&json!({}))
        };
        let with_lease = |renewed: &str| Operator {
            leases: vec![lease(renewed)],
            ..operator(&json!({}))
        };
        for (operator, expected) in [
            (
                absent,
                Some(
                    "operator widgets is not there: no Deployment with its labels in namespace ops",
                ),
            ),
            (
                operator(&json!({ "replicas": 0 })),
                Some(
                    "operator widgets does not run: Deployment ops/widgets is scaled to zero \
                     (spec.replicas is 0)",
                ),
            ),
            (
                unready,
                Some("operator widgets is not ready: pod widgets-1: Evicted"),
            ),
            (
                watching(&variable),
                Some(
                    "operator widgets does not watch namespace lens: WATCH_NAMESPACE of Deployment \
                     ops/widgets is a, b",
                ),
            ),
            (
                watching(&option),
                Some(
                    "operator widgets does not watch namespace lens: --watch-namespaces of \
                     Deployment ops/widgets is a",
                ),
            ),
            (watching(&both), None),
            (
                denied,
                Some(
                    "operator widgets lacks rights: its service account may not list widgets, \
                     watch widgets",
                ),
            ),
            (
                with_lease("2026-01-01T00:00:00.000000Z"),
                Some(
                    "operator widgets does not react: its Lease ops/leader was renewed last at \
                     2026-01-01T00:00:00.000000Z by widgets-5d7-x_1, and lasts 15 s",
                ),
            ),
            (with_lease("2026-01-01T00:00:50.000000Z"), None),
        ] {
            assert_eq!(operator.cause(now).as_deref(), expected);
        }
    }

    #[test]
    fn what_the_object_shows() {
        let object = |managed: Value, observed: i64| {
            Live::new(
                json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {
                "generation": 2, "managedFields": managed },
                "status": { "observedGeneration": observed } }),
            )
        };
        let ours = json!({ "manager": MANAGER });
        let theirs = json!({ "manager": "widgets", "subresource": "status",
                             "time": "2026-01-01T00:00:00Z" });
        let in_a_condition = Live::new(json!({ "apiVersion": "example.com/v1", "kind": "Widget",
            "metadata": { "generation": 2, "managedFields": [ours, theirs] },
            "status": { "conditions": [{ "type": "Reconciled", "observedGeneration": 1 }] } }));
        for (object, expected) in [
            (
                object(json!([ours]), 0),
                Some("no controller has written to it: its only field manager is firstlight"),
            ),
            (
                object(json!([ours, theirs]), 1),
                Some(
                    "its controller widgets wrote its status last at 2026-01-01T00:00:00Z, of \
                     generation 1; it is at 2",
                ),
            ),
            (object(json!([ours, theirs]), 2), None),
            (
                in_a_condition,
                Some(
                    "its controller widgets wrote its status last at 2026-01-01T00:00:00Z, of \
                     generation 1; it is at 2",
                ),
            ),
        ] {
            assert_eq!(cause(&Scene::of(object)).as_deref(), expected);
        }
    }
}
