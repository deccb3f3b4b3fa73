//! What holds data, so that it is not deleted by the way.

use super::super::live::Live;

/// Objects that hold data, or whose end takes others with it that do.
const KINDS: [(&str, &str); 9] = [
    ("", "Namespace"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("opensearch.opster.io", "OpenSearchCluster"),
    ("opensearch.org", "OpenSearchCluster"),
    ("operator.victoriametrics.com", "VMCluster"),
    ("operator.victoriametrics.com", "VMSingle"),
    ("postgres-operator.crunchydata.com", "PostgresCluster"),
];

/// Whether objects of a kind hold data.
pub(super) fn is_held_by(group: &str, kind: &str) -> bool {
    KINDS.contains(&(group, kind))
}

/// Whether the end of this very object takes data with it.
pub(super) fn ends_with(live: &Live) -> bool {
    let retention = live.text("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted");
    let claims = live.list("/spec/volumeClaimTemplates");
    retention == "Delete" && !claims.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_of_another_group_is_another_kind() {
        assert!(is_held_by("", "Namespace"));
        assert!(!is_held_by("example.com", "Namespace"));
        assert!(!is_held_by("apps", "StatefulSet"));
    }

    #[test]
    fn a_stateful_set_may_take_its_claims_along() {
        let set = |policy: &str| {
            Live::new(json!({ "spec": {
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": policy },
                "volumeClaimTemplates": [{}] } }))
        };
        assert!(ends_with(&set("Delete")));
        assert!(!ends_with(&set("Retain")));
    }
}
