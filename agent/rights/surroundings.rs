//! What is read beside an object: to tell whether it is ready, and why it is not.

use serde_json::Value;

use super::Verb;
use super::grants::HELD;
use super::kinds::{Served, is_own};
use Verb::{Get, List, Watch};

/// Group, plural, verbs and what for.
pub(super) type Neighbour = (&'static str, &'static str, &'static [Verb], &'static str);

const WHY_NOT: &str = "why it is not ready";
const WHETHER: &str = "whether it is ready";

const PODS: Neighbour = ("", "pods", &[Get, List], WHY_NOT);
const EVENTS: Neighbour = ("", "events", &[List], WHY_NOT);
const REPLICA_SETS: Neighbour = ("apps", "replicasets", &[List], WHY_NOT);
const SLICES: Neighbour = (
    "discovery.k8s.io",
    "endpointslices",
    &[List, Watch],
    "whether somebody answers behind it",
);
const STORAGE_CLASSES: Neighbour = (
    "storage.k8s.io",
    "storageclasses",
    &[Get, List],
    "what its claims wait for; a run does without too",
);
/// A claim that waits for a pod is as ready as it can be, and only its class tells.
const OWN_CLASS: Neighbour = (
    "storage.k8s.io",
    "storageclasses",
    &[Get],
    "whether it is bound only when a pod uses it",
);
const LOGS: Neighbour = (
    "",
    LOG,
    &[Get],
    "the last words of a container that fails; a run does without too",
);
const CLAIMS: Neighbour = ("", "persistentvolumeclaims", &[Get], WHY_NOT);
/// What a walk down from a custom resource lists.
const OWNED: [Neighbour; 10] = [
    NODES,
    STORAGE_CLASSES,
    PODS,
    LOGS,
    EVENTS,
    CLAIMS,
    ("apps", "deployments", &[List], WHY_NOT),
    ("apps", "statefulsets", &[List], WHY_NOT),
    ("apps", "daemonsets", &[List], WHY_NOT),
    ("batch", "jobs", &[List], WHY_NOT),
];
const DEPLOYMENTS: Neighbour = ("apps", "deployments", &[Get, List, Watch], WHETHER);
const STATEFUL_SETS: Neighbour = ("apps", "statefulsets", &[Get, List, Watch], WHETHER);
const DAEMON_SETS: Neighbour = ("apps", "daemonsets", &[Get, List, Watch], WHETHER);
const JOBS: Neighbour = ("batch", "jobs", &[Get, List, Watch], WHETHER);
const GRAFANAS: Neighbour = ("grafana.integreatly.org", "grafanas", &[List], WHETHER);

const NODES: Neighbour = (
    "",
    "nodes",
    &[List],
    "why a pod is not scheduled; a run does without too",
);

/// Those of the neighbours that are in no namespace.
pub(super) const IN_NO_NAMESPACE: [&str; 2] = ["nodes", "storageclasses"];

/// What only a diagnosis reads and not everybody grants: the cluster's own things, and logs.
const DISPENSABLE: [&str; 3] = ["nodes", LOG, "storageclasses"];

/// Whether a run does without a right to read all of a resource.
pub(super) fn is_dispensable(resource: &str, why: &str) -> bool {
    DISPENSABLE.contains(&resource) && ![OWN_CLASS.3, HELD].contains(&why)
}

/// What containers write.
const LOG: &str = "pods/log";

/// The neighbours of a kind.
pub(super) fn of(served: &Served) -> Vec<Neighbour> {
    let workload = [PODS, LOGS, EVENTS, CLAIMS, NODES, STORAGE_CLASSES];
    match (served.group.as_str(), served.plural.as_str()) {
        ("apps", "deployments") => [&workload[..], &[REPLICA_SETS]].concat(),
        ("batch", "cronjobs") => Vec::new(),
        ("apps" | "batch", _) | ("", "pods" | "replicationcontrollers") => workload.to_vec(),
        ("", "persistentvolumeclaims") => vec![PODS, EVENTS, STORAGE_CLASSES, OWN_CLASS],
        ("", "services") => vec![PODS, EVENTS, SLICES],
        (group, _) if is_own(group) => Vec::new(),
        (group, plural) => [&OWNED[..], &[REPLICA_SETS], rule(group, plural)].concat(),
    }
}

/// What the rule of readiness of a custom kind reads.
fn rule(group: &str, plural: &str) -> &'static [Neighbour] {
    match (group, plural) {
        ("opensearch.opster.io" | "opensearch.org", "opensearchclusters") => {
            &[STATEFUL_SETS, DEPLOYMENTS, JOBS]
        }
        ("operator.victoriametrics.com", _) => &[STATEFUL_SETS, DEPLOYMENTS, DAEMON_SETS],
        ("postgres-operator.crunchydata.com", _) => &[STATEFUL_SETS, DEPLOYMENTS],
        ("grafana.integreatly.org", "grafanas") => &[DEPLOYMENTS],
        ("grafana.integreatly.org", _) => &[GRAFANAS],
        ("fluentbit.fluent.io", _) => &[DAEMON_SETS],
        ("fluentd.fluent.io", _) | ("monitoring.coreos.com", "prometheusagents") => {
            &[STATEFUL_SETS, DAEMON_SETS]
        }
        ("monitoring.coreos.com", _) => &[STATEFUL_SETS],
        _ => &[],
    }
}

/// The Secrets that an operator makes and that are looked for.
pub(super) fn secrets(object: &Value) -> Vec<String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or_default();
    match text("/kind") {
        Some("PostgresCluster") => {
            let users = object.pointer("/spec/users").and_then(Value::as_array);
            let users = users.into_iter().flatten();
            let users: Vec<&str> = users.filter_map(|user| user["name"].as_str()).collect();
            let users = if users.is_empty() { vec![name] } else { users };
            let secret = |user: &str| format!("{name}-pguser-{user}");
            users.into_iter().map(secret).collect()
        }
        Some("FluentBit") => {
            let config = text("/spec/fluentBitConfigName");
            config.into_iter().map(str::to_owned).collect()
        }
        Some("FluentBitConfig" | "ClusterFluentBitConfig") => vec![name.to_owned()],
        _ => Vec::new(),
    }
}

/// Whether nothing is ever waited for, in a kind that must not be listed without need.
pub(super) fn is_ready_at_once(served: &Served) -> bool {
    const KINDS: [(&str, &str); 12] = [
        ("", "namespaces"),
        ("", "secrets"),
        ("networking.k8s.io", "ingressclasses"),
        ("node.k8s.io", "runtimeclasses"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("scheduling.k8s.io", "priorityclasses"),
        ("storage.k8s.io", "csidrivers"),
        ("storage.k8s.io", "storageclasses"),
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
        ),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
        ),
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies",
        ),
    ];
    KINDS.contains(&(served.group.as_str(), served.plural.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_claim_that_is_waited_for_cannot_do_without_its_class() {
        let dispensable = |group: &str, plural: &str, verb: Verb| {
            let neighbours = of(&Served {
                group: group.to_owned(),
                plural: plural.to_owned(),
                namespaced: true,
                guess: None,
            });
            let mut classes = neighbours.into_iter().filter(|(_, resource, verbs, _)| {
                *resource == "storageclasses" && verbs.contains(&verb)
            });
            classes.all(|(_, resource, _, why)| is_dispensable(resource, why))
        };
        assert!(!dispensable("", "persistentvolumeclaims", Get));
        assert!(dispensable("", "persistentvolumeclaims", List));
        assert!(dispensable("apps", "statefulsets", Get));
        assert!(!is_dispensable("pods", WHETHER));
    }
}
