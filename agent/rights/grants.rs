//! What Kubernetes asks of whoever writes Roles and binds them: to have what they grant, or else the
//! rights `escalate` and `bind`, which allow to grant anything.

use serde_json::Value;

use super::Verb::{self, Bind, Create, Delete, Escalate, Get, List, Patch, Watch};
use super::steps::{Found, Place, text};
use crate::bundle::{Action, Bundle};

/// What only a diagnosis reads can be done without, but not what is granted to others.
pub(super) const HELD: &str = "granted to others, which takes having it";

/// One right that a Role grants.
struct Granted<'a> {
    verb: Verb,
    group: &'a str,
    resource: &'a str,
    name: Option<&'a str>,
}

impl Found<'_> {
    /// The rights to write this Role or binding.
    pub(super) fn grants(&mut self, object: &Value, place: &Place, name: &str) {
        if place.group != "rbac.authorization.k8s.io" {
            return;
        }
        let namespace = place.namespace.as_deref();
        if matches!(place.resource.as_str(), "roles" | "clusterroles") {
            let why = "a role may grant what the agent itself has not";
            return match granted(object) {
                Some(granted) => self.hold(&granted, namespace),
                None => self.add(Escalate, place, Some(name), why),
            };
        }
        let role = role_of(self.bundle, object, namespace);
        if let Some(granted) = role.and_then(granted) {
            return self.hold(&granted, namespace);
        }
        let role = Place {
            resource: match text(object, "/roleRef/kind") {
                "Role" => "roles".to_owned(),
                _ => "clusterroles".to_owned(),
            },
            ..place.clone()
        };
        let why = "a binding may grant what the agent itself has not";
        self.add(Bind, &role, Some(text(object, "/roleRef/name")), why);
    }

    fn hold(&mut self, granted: &[Granted<'_>], namespace: Option<&str>) {
        for right in granted {
            let place = Place {
                namespace: namespace.map(str::to_owned),
                group: right.group.to_owned(),
                resource: right.resource.to_owned(),
                guess: None,
            };
            self.add(right.verb, &place, right.name, HELD);
        }
    }
}

/// The Role that is bound, if the bundle has it: only then it is known what it grants.
fn role_of<'a>(bundle: &'a Bundle, binding: &Value, namespace: Option<&str>) -> Option<&'a Value> {
    let (kind, name) = (
        text(binding, "/roleRef/kind"),
        text(binding, "/roleRef/name"),
    );
    let is_it = |object: &&Value| {
        let within = match text(object, "/metadata/namespace") {
            "" => &bundle.namespace,
            given => given,
        };
        text(object, "/kind") == kind
            && text(object, "/metadata/name") == name
            && (kind == "ClusterRole" || Some(within) == namespace)
    };
    let mut objects = bundle.leaves().into_iter().filter_map(|(_, step)| {
        let Action::Object(manifest) = &step.action else {
            return None;
        };
        Some(&manifest.object)
    });
    objects.find(is_it)
}

/// The rights of a Role that grants only single rights of the kind that the agent asks for.
fn granted(role: &Value) -> Option<Vec<Granted<'_>>> {
    if !role["aggregationRule"].is_null() {
        return None;
    }
    let mut all = Vec::new();
    for rule in role["rules"].as_array()? {
        let verbs = texts(&rule["verbs"])?.into_iter().map(verb);
        let verbs = verbs.collect::<Option<Vec<_>>>()?;
        let names = match texts(&rule["resourceNames"]) {
            Some(names) => names.into_iter().map(Some).collect(),
            None => vec![None],
        };
        for group in texts(&rule["apiGroups"])? {
            for resource in texts(&rule["resources"])? {
                for (verb, name) in verbs
                    .iter()
                    .flat_map(|verb| names.iter().map(|name| (*verb, *name)))
                {
                    all.push(Granted {
                        verb,
                        group,
                        resource,
                        name,
                    });
                }
            }
        }
    }
    let is_plain = |right: &Granted<'_>| right.group != "*" && !right.resource.contains('*');
    all.iter().all(is_plain).then_some(all)
}

fn texts(list: &Value) -> Option<Vec<&str>> {
    let items = list.as_array().filter(|items| !items.is_empty())?;
    items.iter().map(Value::as_str).collect()
}

/// None for those that the agent never has, and for all at once.
fn verb(name: &str) -> Option<Verb> {
    [Get, List, Watch, Create, Patch, Delete]
        .into_iter()
        .find(|verb| verb.as_str() == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_plain_rules_are_taken_apart() {
        let said = |rules: Value| {
            let role = json!({ "rules": rules });
            let rights = granted(&role)?;
            let each = rights.iter().map(|right| {
                format!(
                    "{} {}/{} {}",
                    right.verb,
                    right.group,
                    right.resource,
                    right.name.unwrap_or("-")
                )
            });
            Some(each.collect::<Vec<_>>())
        };
        let plain = json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] },
            { "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["a"], "verbs": ["patch"] },
        ]);
        let expected = [
            "get /pods -",
            "list /pods -",
            "patch apps/deployments/scale a",
        ];
        assert_eq!(said(plain).expect("plain"), expected);
        assert_eq!(said(json!([])), Some(Vec::new()));
        for rule in [
            json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["*"] }),
            json!({ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "impersonate"] }),
            json!({ "apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"] }),
            json!({ "apiGroups": [""], "resources": ["*"], "verbs": ["get"] }),
            json!({ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }),
        ] {
            assert_eq!(said(json!([rule.clone()])), None, "{rule}");
        }
        let gathered = json!({ "rules": [], "aggregationRule": { "clusterRoleSelectors": [] } });
        assert!(granted(&gathered).is_none());
    }
}
