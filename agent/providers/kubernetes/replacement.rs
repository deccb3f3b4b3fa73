//! Which objects may be deleted and made anew when a field of theirs cannot be changed.

use super::Error;
use super::kind::split;
use super::live::Live;
use crate::engine::FieldChange;

/// Kinds that hold no data: all that there is of them stands in their document. A custom resource
/// is never one, because its operator may take the data away with it.
const KINDS: [(&str, &[&str]); 9] = [
    ("", &["Pod", "ReplicationController", "Service"]),
    ("apps", &["DaemonSet", "Deployment", "ReplicaSet"]),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("batch", &["CronJob", "Job"]),
    (
        "networking.k8s.io",
        &["Ingress", "IngressClass", "NetworkPolicy"],
    ),
    ("policy", &["PodDisruptionBudget"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRoleBinding", "RoleBinding"],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "StorageClass"]),
];

/// Whether nothing is lost when the object is deleted and made anew.
pub(super) fn is_expendable(live: &Live) -> bool {
    let group = split(live.text("/apiVersion")).0;
    match (group, live.text("/kind")) {
        ("apps", "StatefulSet") => live.list("/spec/volumeClaimTemplates").is_empty(),
        // Nobody else can have written into one that is immutable.
        ("", "ConfigMap" | "Secret") => {
            live.at("/immutable").and_then(serde_json::Value::as_bool) == Some(true)
        }
        (group, kind) => KINDS
            .iter()
            .any(|(name, kinds)| *name == group && kinds.contains(&kind)),
    }
}

/// The fields that only a new object can have, where the step allows one.
pub(super) fn changes(
    live: &Live,
    target: String,
    fields: Vec<String>,
    allowed: bool,
) -> Result<(Vec<FieldChange>, bool), Error> {
    let expendable = is_expendable(live);
    if !(allowed && expendable) {
        return Err(Error::Immutable {
            target,
            fields,
            expendable: expendable && !allowed,
        });
    }
    let change = |path| FieldChange {
        path,
        before: None,
        after: None,
        sensitive: false,
    };
    Ok((fields.into_iter().map(change).collect(), true))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_may_hold_data_is_never_expendable() {
        let object = |api_version: &str, kind: &str, more: Value| {
            let mut object = json!({ "apiVersion": api_version, "kind": kind });
            if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
                object.extend(more);
            }
            Live::new(object)
        };
        let templates = json!({ "spec": { "volumeClaimTemplates": [{}] } });
        for (api_version, kind, more, expected) in [
            ("apps/v1", "Deployment", json!({}), true),
            ("batch/v1", "Job", json!({}), true),
            ("apps/v1", "StatefulSet", json!({}), true),
            ("apps/v1", "StatefulSet", templates, false),
            ("v1", "PersistentVolumeClaim", json!({}), false),
            ("v1", "PersistentVolume", json!({}), false),
            ("v1", "Namespace", json!({}), false),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                json!({}),
                false,
            ),
            ("v1", "Secret", json!({ "immutable": true }), true),
            ("v1", "Secret", json!({}), false),
            ("example.com/v1", "Job", json!({}), false),
        ] {
            let object = object(api_version, kind, more);
            assert_eq!(is_expendable(&object), expected, "{object:?}");
        }
    }
}
