//! The kinds of which we know when they are ready.
//!
//! A leaf: the provider judges by it, and a bundle with another kind must say how itself.

/// The groups and kinds that hold data or rules: ready as soon as they are there, because
/// nothing runs because of them alone.
const AT_ONCE: [(&str, &[&str]); 17] = [
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
    // The pieces of a configuration: the configuration itself tells.
    ("fluentbit.fluent.io", FLUENT_PIECES),
    ("fluentd.fluent.io", FLUENT_PIECES),
    (
        "monitoring.coreos.com",
        &[
            "AlertmanagerConfig",
            "PodMonitor",
            "Probe",
            "PrometheusRule",
            "ScrapeConfig",
            "ServiceMonitor",
        ],
    ),
    (
        "networking.k8s.io",
        &["Ingress", "IngressClass", "NetworkPolicy"],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    // What the operator's webhook writes into pods that ask for it.
    ("opentelemetry.io", &["Instrumentation"]),
    ("policy", &["PodDisruptionBudget"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "StorageClass"]),
];

const FLUENT_PIECES: &[&str] = &[
    "ClusterFilter",
    "ClusterInput",
    "ClusterMultilineParser",
    "ClusterOutput",
    "ClusterParser",
    "Filter",
    "Input",
    "MultilineParser",
    "Output",
    "Parser",
];

const OPENSEARCH: &[&str] = &[
    "OpenSearchCluster",
    "OpenSearchISMPolicy",
    "OpensearchActionGroup",
    "OpensearchComponentTemplate",
    "OpensearchIndexTemplate",
    "OpensearchRole",
    "OpensearchSnapshotPolicy",
    "OpensearchTenant",
    "OpensearchUser",
    "OpensearchUserRoleBinding",
];

/// The groups and kinds with a rule.
const RULED: [(&str, &[&str]); 15] = [
    (
        "",
        &[
            "Namespace",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "ReplicationController",
            "Service",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    (
        "apps",
        &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
    ),
    ("batch", &["Job"]),
    (
        "cert-manager.io",
        &[
            "Certificate",
            "CertificateRequest",
            "ClusterIssuer",
            "Issuer",
        ],
    ),
    (
        "fluentbit.fluent.io",
        &["ClusterFluentBitConfig", "Collector", "FluentBit"],
    ),
    (
        "fluentd.fluent.io",
        &["ClusterFluentdConfig", "Fluentd", "FluentdConfig"],
    ),
    (
        "grafana.integreatly.org",
        &[
            "Grafana",
            "GrafanaAlertRuleGroup",
            "GrafanaContactPoint",
            "GrafanaDashboard",
            "GrafanaDatasource",
            "GrafanaFolder",
            "GrafanaLibraryPanel",
            "GrafanaMuteTiming",
            "GrafanaNotificationPolicy",
            "GrafanaNotificationTemplate",
        ],
    ),
    (
        "monitoring.coreos.com",
        &[
            "Alertmanager",
            "Prometheus",
            "PrometheusAgent",
            "ThanosRuler",
        ],
    ),
    ("opensearch.opster.io", OPENSEARCH),
    ("opensearch.org", OPENSEARCH),
    (
        "opentelemetry.io",
        &["OpenTelemetryCollector", "TargetAllocator"],
    ),
    (
        "operator.victoriametrics.com",
        &[
            "VLogs",
            "VMAgent",
            "VMAlert",
            "VMAlertmanager",
            "VMAlertmanagerConfig",
            "VMAuth",
            "VMCluster",
            "VMNodeScrape",
            "VMPodScrape",
            "VMProbe",
            "VMRule",
            "VMScrapeConfig",
            "VMServiceScrape",
            "VMSingle",
            "VMStaticScrape",
            "VMUser",
        ],
    ),
    ("postgres-operator.crunchydata.com", &["PostgresCluster"]),
];

/// Whether an object of this kind is ready as soon as it is there; the core group is empty.
#[must_use]
pub fn is_ready_at_once(group: &str, kind: &str) -> bool {
    has(&AT_ONCE, group, kind)
}

/// Whether we know when an object of this kind is ready.
#[must_use]
pub fn is_known(group: &str, kind: &str) -> bool {
    has(&RULED, group, kind) || is_ready_at_once(group, kind)
}

/// All kinds with a rule, with their groups.
pub fn ruled() -> impl Iterator<Item = (&'static str, &'static str)> {
    let groups = RULED.into_iter();
    groups.flat_map(|(group, kinds)| kinds.iter().map(move |kind| (group, *kind)))
}

fn has(table: &[(&str, &[&str])], group: &str, kind: &str) -> bool {
    let mut groups = table.iter();
    groups.any(|(name, kinds)| *name == group && kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_another_group_is_another_kind() {
        assert!(is_ready_at_once("", "ConfigMap"));
        assert!(is_ready_at_once("rbac.authorization.k8s.io", "Role"));
        assert!(!is_known("example.com", "Role"));
        assert!(is_known("", "Pod"));
        assert!(!is_ready_at_once("", "Pod"));
    }

    #[test]
    fn no_kind_is_in_both_tables() {
        assert!(ruled().all(|(group, kind)| !is_ready_at_once(group, kind)));
    }
}
