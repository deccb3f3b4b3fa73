//! Kinds of the tests' own.

use serde_json::{Value, json};

/// A namespaced kind whose objects may say anything in their spec and their status.
#[derive(Debug, Clone)]
pub struct CustomKind {
    group: String,
    version: String,
    kind: String,
    has_status: bool,
}

impl CustomKind {
    /// A kind `Widget` is served as `widgets`, and its status is written apart.
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            has_status: true,
        }
    }

    /// Whoever writes an object writes its status too.
    #[must_use]
    pub fn without_status(self) -> Self {
        Self {
            has_status: false,
            ..self
        }
    }

    /// `widgets`
    #[must_use]
    pub fn plural(&self) -> String {
        format!("{}s", self.kind.to_lowercase())
    }

    /// The name of its definition.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.plural(), self.group)
    }

    /// Its `CustomResourceDefinition`.
    #[must_use]
    pub fn definition(&self) -> Value {
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let schema = json!({ "type": "object", "properties": { "spec": open, "status": open } });
        let mut version = json!({ "name": self.version, "served": true, "storage": true,
                                  "schema": { "openAPIV3Schema": schema } });
        if self.has_status {
            version["subresources"] = json!({ "status": {} });
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": self.name() },
            "spec": {
                "group": self.group,
                "scope": "Namespaced",
                "names": { "kind": self.kind, "plural": self.plural(),
                           "singular": self.kind.to_lowercase(), "listKind": format!("{}List", self.kind) },
                "versions": [version],
            },
        })
    }
}
