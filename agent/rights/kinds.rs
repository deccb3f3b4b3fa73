//! What a kind is called in a URL, and whether it is in a namespace.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Guess;
use crate::bundle::{Action, Bundle};

/// How rights name a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespaced: bool,
    pub(super) guess: Option<Guess>,
}

/// The groups whose kinds are served by Kubernetes itself.
const OWN_GROUPS: [&str; 19] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Those of them that are in no namespace.
const OF_THE_CLUSTER: [&str; 30] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "StorageVersionMigration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// The kinds that a bundle defines: (group, kind) → (plural, whether namespaced).
pub(super) struct Kinds(BTreeMap<(String, String), (String, bool)>);

impl Kinds {
    pub(super) fn of(bundle: &Bundle) -> Self {
        let definitions = bundle.leaves().into_iter().filter_map(|(_, step)| {
            let Action::Object(manifest) = &step.action else {
                return None;
            };
            defined(&manifest.object)
        });
        Self(definitions.collect())
    }

    pub(super) fn served(&self, api_version: &str, kind: &str) -> Served {
        let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
        let defined = self.0.get(&(group.to_owned(), kind.to_owned()));
        if let Some((plural, namespaced)) = defined {
            return Served {
                group: group.to_owned(),
                plural: plural.clone(),
                namespaced: *namespaced,
                guess: None,
            };
        }
        let own = is_own(group);
        Served {
            group: group.to_owned(),
            plural: plural(kind),
            namespaced: !(own && OF_THE_CLUSTER.contains(&kind)),
            guess: (!own).then(|| Guess {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
            }),
        }
    }
}

/// Whether a group is served by Kubernetes itself.
pub(super) fn is_own(group: &str) -> bool {
    OWN_GROUPS.contains(&group)
}

/// What a definition defines.
fn defined(object: &Value) -> Option<((String, String), (String, bool))> {
    if object["kind"] != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| Some(object.pointer(pointer)?.as_str()?.to_owned());
    let kind = (text("/spec/group")?, text("/spec/names/kind")?);
    let namespaced = object.pointer("/spec/scope")? == "Namespaced";
    Some((kind, (text("/spec/names/plural")?, namespaced)))
}

/// The regular plural, as nearly all kinds have it.
fn plural(kind: &str) -> String {
    let singular = kind.to_lowercase();
    if singular == "endpoints" {
        return singular;
    }
    let before_y = singular.strip_suffix('y');
    if let Some(stem) = before_y.filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        return format!("{stem}ies");
    }
    let hisses = ["s", "x", "z", "ch", "sh"];
    if hisses.iter().any(|end| singular.ends_with(end)) {
        return format!("{singular}es");
    }
    format!("{singular}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_those_of_kubernetes() {
        for (kind, expected) in [
            ("ConfigMap", "configmaps"),
            ("Ingress", "ingresses"),
            ("StorageClass", "storageclasses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Endpoints", "endpoints"),
            ("EndpointSlice", "endpointslices"),
            ("Gateway", "gateways"),
            ("PodDisruptionBudget", "poddisruptionbudgets"),
        ] {
            assert_eq!(plural(kind), expected);
        }
    }

    #[test]
    fn only_kinds_of_others_are_guessed() {
        let kinds = Kinds(BTreeMap::from([(
            ("example.com".to_owned(), "Sheep".to_owned()),
            ("sheep".to_owned(), false),
        )]));
        let served = |api_version: &str, kind: &str| {
            let served = kinds.served(api_version, kind);
            (served.plural, served.namespaced, served.guess.is_some())
        };
        assert_eq!(
            served("v1", "Namespace"),
            ("namespaces".to_owned(), false, false)
        );
        assert_eq!(
            served("apps/v1", "Deployment"),
            ("deployments".to_owned(), true, false)
        );
        assert_eq!(
            served("example.com/v1", "Sheep"),
            ("sheep".to_owned(), false, false)
        );
        assert_eq!(
            served("example.com/v1", "Goat"),
            ("goats".to_owned(), true, true)
        );
        // A kind of another group is another kind.
        assert_eq!(
            served("example.com/v1", "Namespace"),
            ("namespaces".to_owned(), true, true)
        );
    }
}
