//! In which order objects go that nothing else puts in order.

/// When an object is deleted: after all of an earlier turn are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Made by an operator, which may have to clear a finalizer: it is still there.
    Custom,
    /// What runs, and whatever is not named below.
    Workload,
    /// What workloads are made with.
    Configuration,
    /// What they were allowed to do.
    Right,
    /// What custom resources are made with.
    Definition,
    /// What others are in.
    Namespace,
}

impl Turn {
    pub(super) fn of(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Namespace") => Self::Namespace,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definition,
            ("", "ServiceAccount") | ("rbac.authorization.k8s.io", _) => Self::Right,
            (
                "",
                "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "PersistentVolume" | "Service",
            )
            | ("storage.k8s.io", _) => Self::Configuration,
            // Groups that come with Kubernetes have no dot, or this end.
            _ if group.contains('.') && !group.ends_with(".k8s.io") => Self::Custom,
            _ => Self::Workload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_goes_after_them() {
        let kinds = [
            ("postgres-operator.crunchydata.com", "PostgresCluster"),
            ("apps", "Deployment"),
            ("", "ConfigMap"),
            ("rbac.authorization.k8s.io", "ClusterRole"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("", "Namespace"),
        ];
        let turns = kinds.map(|(group, kind)| Turn::of(group, kind));
        assert!(turns.is_sorted_by(|one, next| one < next), "{turns:?}");
        // By their names they would be kinds of Kubernetes.
        assert_eq!(Turn::of("example.com", "Service"), Turn::Custom);
        assert_eq!(Turn::of("networking.k8s.io", "Ingress"), Turn::Workload);
        assert_eq!(Turn::of("", "Pod"), Turn::Workload);
    }
}
