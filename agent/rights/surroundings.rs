//! What is read beside an object: to tell whether it is ready, and why it is not.

use super::Verb;
use super::kinds::{Served, is_own};
use Verb::{Get, List};

/// Group, plural, verbs and what for.
pub(super) type Neighbour = (&'static str, &'static str, &'static [Verb], &'static str);

const WHY_NOT: &str = "why it is not ready";

const PODS: Neighbour = ("", "pods", &[Get, List], WHY_NOT);
const EVENTS: Neighbour = ("", "events", &[List], WHY_NOT);
const REPLICA_SETS: Neighbour = ("apps", "replicasets", &[List], WHY_NOT);
const STORAGE_CLASSES: Neighbour = (
    "storage.k8s.io",
    "storageclasses",
    &[Get],
    "whether its claims wait for a pod",
);

/// Those of the neighbours that are in no namespace.
pub(super) const IN_NO_NAMESPACE: [&str; 1] = ["storageclasses"];

/// The neighbours of a kind.
pub(super) fn of(served: &Served) -> Vec<Neighbour> {
    match (served.group.as_str(), served.plural.as_str()) {
        ("apps", "deployments") => vec![PODS, EVENTS, REPLICA_SETS],
        ("batch", "cronjobs") => Vec::new(),
        ("apps" | "batch", _) | ("", "pods") => vec![PODS, EVENTS],
        ("", "persistentvolumeclaims") => vec![EVENTS, STORAGE_CLASSES],
        ("", "services") => vec![EVENTS],
        (group, _) if is_own(group) => Vec::new(),
        _ => vec![EVENTS],
    }
}

/// Whether nothing is ever waited for.
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
