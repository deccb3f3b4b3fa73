//! Kinds that are ready as soon as they are there: they hold data or rules, and nothing runs
//! because of them alone.

const KINDS: [(&str, &[&str]); 13] = [
    (
        "",
        &[
            "ConfigMap",
            "Endpoints",
            "LimitRange",
            "PodTemplate",
            "ResourceQuota",
            "Secret",
            "ServiceAccount",
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apps", &["ControllerRevision"]),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("batch", &["CronJob"]),
    ("coordination.k8s.io", &["Lease"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    (
        "networking.k8s.io",
        &["Ingress", "IngressClass", "NetworkPolicy"],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodDisruptionBudget"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "StorageClass"]),
];

pub(super) fn is(group: &str, kind: &str) -> bool {
    KINDS
        .iter()
        .any(|(name, kinds)| *name == group && kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::is;

    #[test]
    fn a_kind_of_another_group_is_another_kind() {
        assert!(is("", "ConfigMap"));
        assert!(is("rbac.authorization.k8s.io", "Role"));
        assert!(!is("example.com", "Role"));
        assert!(!is("", "Pod"));
    }
}
