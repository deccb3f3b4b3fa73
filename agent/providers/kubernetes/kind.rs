//! What the API server must be told to find an object: its kind, where it is, and its name.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// A kind that the API server serves, in one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Empty for the core group.
    pub(super) group: Cow<'static, str>,
    pub(super) version: Cow<'static, str>,
    pub(super) name: Cow<'static, str>,
    /// The last part of its URL: `deployments`.
    pub(super) plural: Cow<'static, str>,
    pub(super) namespaced: bool,
}

pub(super) const CONFIG_MAP: Kind = Kind::known("", "v1", "ConfigMap", "configmaps");
pub(super) const DAEMON_SET: Kind = Kind::known("apps", "v1", "DaemonSet", "daemonsets");
pub(super) const DEPLOYMENT: Kind = Kind::known("apps", "v1", "Deployment", "deployments");
pub(super) const ENDPOINT_SLICE: Kind =
    Kind::known("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
pub(super) const EVENT: Kind = Kind::known("", "v1", "Event", "events");
pub(super) const JOB: Kind = Kind::known("batch", "v1", "Job", "jobs");
pub(super) const LEASE: Kind = Kind::known("coordination.k8s.io", "v1", "Lease", "leases");
pub(super) const NAMESPACE: Kind =
    Kind::known("", "v1", "Namespace", "namespaces").of_the_cluster();
pub(super) const NODE: Kind = Kind::known("", "v1", "Node", "nodes").of_the_cluster();
pub(super) const PERSISTENT_VOLUME_CLAIM: Kind =
    Kind::known("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
pub(super) const POD: Kind = Kind::known("", "v1", "Pod", "pods");
pub(super) const REPLICA_SET: Kind = Kind::known("apps", "v1", "ReplicaSet", "replicasets");
pub(super) const SECRET: Kind = Kind::known("", "v1", "Secret", "secrets");
pub(super) const SELF_SUBJECT_ACCESS_REVIEW: Kind = Kind::known(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
)
.of_the_cluster();
pub(super) const SERVICE: Kind = Kind::known("", "v1", "Service", "services");
pub(super) const STATEFUL_SET: Kind = Kind::known("apps", "v1", "StatefulSet", "statefulsets");
pub(super) const SUBJECT_ACCESS_REVIEW: Kind = Kind::known(
    "authorization.k8s.io",
    "v1",
    "SubjectAccessReview",
    "subjectaccessreviews",
)
.of_the_cluster();
pub(super) const STORAGE_CLASS: Kind =
    Kind::known("storage.k8s.io", "v1", "StorageClass", "storageclasses").of_the_cluster();
pub(super) const MUTATING_WEBHOOKS: Kind = Kind::known(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
)
.of_the_cluster();
pub(super) const VALIDATING_WEBHOOKS: Kind = Kind::known(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
)
.of_the_cluster();
pub(super) const CUSTOM_RESOURCE_DEFINITION: Kind = Kind::known(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
)
.of_the_cluster();

/// Kinds without which there is no Kubernetes.
const EVERYWHERE: [Kind; 12] = [
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE,
    Kind::known("", "v1", "ServiceAccount", "serviceaccounts"),
    STATEFUL_SET,
];

impl Kind {
    /// A kind that nobody has to ask for.
    pub(super) fn everywhere(api_version: &str, name: &str) -> Option<Self> {
        let place = split(api_version);
        let mut kinds = EVERYWHERE.into_iter();
        kinds.find(|kind| kind.name == name && place == (&*kind.group, &*kind.version))
    }

    /// A kind that every API server serves, so that nobody has to ask.
    const fn known(
        group: &'static str,
        version: &'static str,
        name: &'static str,
        plural: &'static str,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            name: Cow::Borrowed(name),
            plural: Cow::Borrowed(plural),
            namespaced: true,
        }
    }

    /// A kind that an operator brings, in the version that another object of its group has.
    pub(super) fn of_group(beside: &str, name: &'static str, plural: &'static str) -> Self {
        let (group, version) = split(beside);
        Self {
            group: group.to_owned().into(),
            version: version.to_owned().into(),
            ..Self::known("", "", name, plural)
        }
    }

    /// As it is asked for in all namespaces.
    pub(super) const fn of_the_cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// `v1`, `apps/v1`
    pub(super) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// As rights are written: `deployments.apps`, `secrets`.
    pub(super) fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// `v1`, `apps/v1`
fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// `apps/v1` → (`apps`, `v1`); the core group is empty.
pub(super) fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// One object of a kind, or where it would be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) kind: Kind,
    /// None for an object of the cluster.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Target {
    pub(super) fn new(kind: Kind, namespace: &str, name: impl Into<String>) -> Self {
        let namespace = kind.namespaced.then(|| namespace.to_owned());
        Self {
            kind,
            namespace,
            name: name.into(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.name, self.name),
            // A question in the form of an object.
            None if self.name.is_empty() => f.write_str(&self.kind.name),
            None => write!(f, "{} {}", self.kind.name, self.name),
        }
    }
}

/// What `GET /apis/GROUP/VERSION` answers.
#[derive(Debug, Deserialize)]
pub(super) struct ServedKinds {
    #[serde(rename = "groupVersion")]
    group_version: String,
    resources: Vec<ServedKind>,
}

#[derive(Debug, Deserialize)]
struct ServedKind {
    name: String,
    kind: String,
    namespaced: bool,
}

impl ServedKinds {
    /// The kinds, without parts of objects like `deployments/scale`.
    pub(super) fn into_kinds(self) -> Vec<Kind> {
        let (group, version) = split(&self.group_version);
        self.resources
            .into_iter()
            .filter(|served| !served.name.contains('/'))
            .map(|served| Kind {
                group: group.to_owned().into(),
                version: version.to_owned().into(),
                name: served.kind.into(),
                plural: served.name.into(),
                namespaced: served.namespaced,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn served_kinds_are_told_from_parts_of_objects() {
        let served: ServedKinds = serde_json::from_value(serde_json::json!({
            "groupVersion": "apps/v1",
            "resources": [
                { "name": "deployments", "kind": "Deployment", "namespaced": true, "verbs": ["get"] },
                { "name": "deployments/scale", "kind": "Scale", "namespaced": true, "verbs": ["get"] },
            ],
        }))
        .expect("an answer");
        assert_eq!(served.into_kinds(), [DEPLOYMENT]);
    }

    #[test]
    fn what_is_everywhere_is_known_in_its_own_group_and_version() {
        assert_eq!(Kind::everywhere("apps/v1", "Deployment"), Some(DEPLOYMENT));
        assert_eq!(Kind::everywhere("v1", "Namespace"), Some(NAMESPACE));
        for other in ["apps/v1beta1", "v1", "example.com/v1"] {
            assert_eq!(Kind::everywhere(other, "Deployment"), None, "{other}");
        }
    }

    #[test]
    fn an_object_of_the_cluster_has_no_namespace() {
        let class = Target::new(STORAGE_CLASS, "lens", "fast");
        assert_eq!(class.to_string(), "StorageClass fast");
        let secret = Target::new(SECRET, "lens", "login");
        assert_eq!(secret.to_string(), "Secret lens/login");
        let question = Target::new(SELF_SUBJECT_ACCESS_REVIEW, "", "");
        assert_eq!(question.to_string(), "SelfSubjectAccessReview");
    }
}
