//! What belongs to an object, and which of it is the worst.

use serde_json::Value;

use super::super::live::Live;
use super::container::{self, Trouble};

/// Where an object stands on the way down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// A definition of somebody else's, whose operator makes the rest.
    Custom,
    Workload,
    Pod,
    Claim,
    Service,
    ApiService,
    /// Nothing belongs to it.
    Leaf,
}

pub(super) fn level(live: &Live) -> Level {
    let api_version = live.text("/apiVersion");
    let group = super::super::kind::split(api_version).0;
    match (group, live.text("/kind")) {
        ("", "Pod") => Level::Pod,
        ("", "PersistentVolumeClaim") => Level::Claim,
        ("", "Service") => Level::Service,
        ("apiregistration.k8s.io", "APIService") => Level::ApiService,
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            Level::Workload
        }
        (group, _) if group.contains('.') && !group.ends_with(".k8s.io") => Level::Custom,
        _ => Level::Leaf,
    }
}

pub(super) fn is_owned_by(live: &Live, owner: &str) -> bool {
    let owners = live.list("/metadata/ownerReferences");
    owners.iter().any(|reference| reference["uid"] == owner)
}

/// The labels that operators give to what they make, instead of or beside an owner reference.
const LABELS: [&str; 3] = [
    "postgres-operator.crunchydata.com/cluster",
    "opster.io/opensearch-cluster",
    "opensearch.org/opensearch-cluster",
];

/// Whether a workload or a pod was made for a custom resource.
pub(super) fn belongs(live: &Live, custom: &Live) -> bool {
    if is_owned_by(live, custom.uid()) {
        return true;
    }
    let labels = live.texts("/metadata/labels");
    let names = |label: &str| labels.get(label) == Some(&custom.name());
    // Everybody may use this label, so the other one must say that it was an operator.
    let manager = labels.get("app.kubernetes.io/managed-by");
    let by_operator = manager.is_some_and(|manager| manager.ends_with("operator"));
    LABELS.into_iter().any(names) || (by_operator && names("app.kubernetes.io/instance"))
}

/// The replica set of a Deployment's latest revision.
pub(super) fn newest(sets: Vec<Live>, deployment: &str) -> Option<Live> {
    let owned = sets.into_iter().filter(|set| is_owned_by(set, deployment));
    owned.max_by_key(|set| {
        let annotations = set.texts("/metadata/annotations");
        let revision = annotations.get("deployment.kubernetes.io/revision");
        revision.and_then(|text| text.parse::<i64>().ok())
    })
}

/// Whether a workload has fewer pods ready than it is to have.
pub(super) fn lacks(workload: &Live) -> bool {
    let wanted = |pointer: &str, default: i64| {
        workload
            .at(pointer)
            .and_then(Value::as_i64)
            .unwrap_or(default)
    };
    match workload.text("/kind") {
        "DaemonSet" => {
            workload.count("/status/numberReady")
                < workload.count("/status/desiredNumberScheduled").max(1)
        }
        "Job" => workload.holds("Complete").is_none(),
        _ => workload.count("/status/readyReplicas") < wanted("/spec/replicas", 1),
    }
}

fn is_well(pod: &Live) -> bool {
    let is_ready = pod.condition("Ready").is_some_and(|it| it.is_true());
    is_ready || pod.text("/status/phase") == "Succeeded"
}

/// The pod that is not well and says most: one that says nothing may only be slower than the
/// others. Among equals the youngest.
pub(super) fn worst(pods: Vec<Live>) -> Option<Live> {
    let unwell = pods.into_iter().filter(|pod| !is_well(pod));
    unwell.max_by(|one, other| rank(one).cmp(&rank(other)))
}

fn rank(pod: &Live) -> (u8, &str, &str) {
    let says = match container::worst(pod).map(|container| container.trouble) {
        Some(Trouble::Unready) => 1,
        Some(_) => 3,
        None if pod.denies("PodScheduled").is_some() => 2,
        None => 0,
    };
    (says, pod.text("/metadata/creationTimestamp"), pod.name())
}

/// A workload's label selector, as the API server takes it.
pub(in super::super) fn selector(live: &Live) -> Option<String> {
    live.at("/spec/selector")?;
    let labels = live.texts("/spec/selector/matchLabels");
    let mut parts: Vec<String> = labels
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for expression in live.list("/spec/selector/matchExpressions") {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array();
        let values: Vec<&str> = values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        match expression["operator"].as_str() {
            Some("In") => parts.push(format!("{key} in ({values})")),
            Some("NotIn") => parts.push(format!("{key} notin ({values})")),
            Some("Exists") => parts.push(key.to_owned()),
            Some("DoesNotExist") => parts.push(format!("!{key}")),
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors() {
        let live = |selector: Value| Live::new(json!({ "spec": { "selector": selector } }));
        let both = live(
            json!({ "matchLabels": { "app": "web" }, "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["a", "b"] },
            { "key": "old", "operator": "DoesNotExist" }] }),
        );
        assert_eq!(
            selector(&both).as_deref(),
            Some("app=web,tier in (a,b),!old")
        );
        assert_eq!(selector(&Live::new(json!({ "spec": {} }))), None);
    }

    #[test]
    fn levels() {
        for (api_version, kind, expected) in [
            ("v1", "Pod", Level::Pod),
            ("apps/v1", "DaemonSet", Level::Workload),
            ("v1", "ConfigMap", Level::Leaf),
            ("policy/v1", "PodDisruptionBudget", Level::Leaf),
            ("networking.k8s.io/v1", "Ingress", Level::Leaf),
            ("grafana.integreatly.org/v1beta1", "Grafana", Level::Custom),
        ] {
            let live = Live::new(json!({ "apiVersion": api_version, "kind": kind }));
            assert_eq!(level(&live), expected, "{kind}");
        }
    }

    #[test]
    fn what_an_operator_made_belongs_to_its_resource() {
        let custom = Live::new(json!({ "metadata": { "name": "hippo", "uid": "c" } }));
        let made = |metadata: Value| belongs(&Live::new(json!({ "metadata": metadata })), &custom);
        assert!(made(json!({ "ownerReferences": [{ "uid": "c" }] })));
        assert!(made(
            json!({ "labels": { "postgres-operator.crunchydata.com/cluster": "hippo" } })
        ));
        let instance = |manager: &str| {
            json!({ "labels": { "app.kubernetes.io/instance": "hippo",
                               "app.kubernetes.io/managed-by": manager } })
        };
        assert!(made(instance("vm-operator")));
        assert!(!made(instance("Helm")));
        assert!(!made(json!({ "labels": { "app": "hippo" } })));
    }

    #[test]
    fn the_newest_replica_set_counts() {
        let set = |name: &str, revision: &str, owner: &str| {
            Live::new(
                json!({ "metadata": { "name": name, "ownerReferences": [{ "uid": owner }],
                "annotations": { "deployment.kubernetes.io/revision": revision } } }),
            )
        };
        let sets = vec![
            set("old", "9", "d"),
            set("new", "10", "d"),
            set("foreign", "11", "e"),
        ];
        assert_eq!(
            newest(sets, "d").expect("a set").name(),
            "new",
            "by number, not by text"
        );
    }

    #[test]
    fn the_pod_that_says_most_is_the_worst() {
        let pod = |name: &str, status: Value| {
            Live::new(json!({ "metadata": { "name": name }, "status": status }))
        };
        let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        let starting = json!({ "phase": "Pending" });
        let pulling = json!({ "containerStatuses": [{ "name": "a", "state": { "waiting": {
            "reason": "ErrImagePull" } } }] });
        let pods = vec![
            pod("a", ready.clone()),
            pod("b", pulling),
            pod("c", starting),
        ];
        assert_eq!(worst(pods).expect("a pod").name(), "b");
        assert_eq!(worst(vec![pod("a", ready)]), None);
    }
}
