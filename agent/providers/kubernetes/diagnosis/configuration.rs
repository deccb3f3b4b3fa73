//! Secrets and `ConfigMap`s that a pod names, and those that are not there or lack a key.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::super::live::Live;
use super::container::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum SourceKind {
    Secret,
    ConfigMap,
}

/// An object that a pod is configured from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Source {
    pub(in super::super) kind: SourceKind,
    pub(in super::super) name: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SourceKind::Secret => "Secret",
            SourceKind::ConfigMap => "ConfigMap",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// A source, and the key of it that is used; none where all are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Need {
    pub(in super::super) source: Source,
    pub(in super::super) key: Option<String>,
}

/// What the pod cannot start without: for its volumes and for the environment of its containers.
pub(in super::super) fn needs(pod: &Live) -> Vec<Need> {
    let mut needs = Vec::new();
    for volume in pod.list("/spec/volumes") {
        volume_needs(volume, &mut needs);
    }
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in pod.list(list) {
            environment_needs(container, &mut needs);
        }
    }
    needs
}

fn volume_needs(volume: &Value, needs: &mut Vec<Need>) {
    let projected = volume.pointer("/projected/sources");
    let projected = projected.and_then(Value::as_array).into_iter().flatten();
    for place in projected.chain([volume]) {
        let (secret, map) = (&place["secret"], &place["configMap"]);
        let secret_name = match text(secret, "/secretName") {
            "" => text(secret, "/name"),
            name => name,
        };
        file_needs(SourceKind::Secret, secret_name, secret, needs);
        file_needs(SourceKind::ConfigMap, text(map, "/name"), map, needs);
    }
}

fn file_needs(kind: SourceKind, name: &str, place: &Value, needs: &mut Vec<Need>) {
    if name.is_empty() || place["optional"] == true {
        return;
    }
    let items = place["items"].as_array().map(Vec::as_slice);
    let keys = items.unwrap_or_default().iter();
    let mut keys: Vec<Option<&str>> = keys.map(|item| item["key"].as_str()).collect();
    if keys.is_empty() {
        keys.push(None);
    }
    needs.extend(keys.into_iter().map(|key| need(kind, name, key)));
}

fn environment_needs(container: &Value, needs: &mut Vec<Need>) {
    let list = |key: &str| container[key].as_array().into_iter().flatten();
    for (kind, of_one, of_all) in [
        (SourceKind::Secret, "secretKeyRef", "secretRef"),
        (SourceKind::ConfigMap, "configMapKeyRef", "configMapRef"),
    ] {
        let keys = list("env").map(|variable| &variable["valueFrom"][of_one]);
        let all = list("envFrom").map(|from| &from[of_all]);
        for place in keys.chain(all) {
            let name = text(place, "/name");
            if !name.is_empty() && place["optional"] != true {
                needs.push(need(kind, name, place["key"].as_str()));
            }
        }
    }
}

fn need(kind: SourceKind, name: &str, key: Option<&str>) -> Need {
    Need {
        source: Source {
            kind,
            name: name.to_owned(),
        },
        key: key.map(str::to_owned),
    }
}

/// Which needs are not met, by the keys that were read; what could not be read is taken to be there.
pub(in super::super) fn unmet(
    needs: &[Need],
    keys: &BTreeMap<Source, Option<Vec<String>>>,
) -> Option<String> {
    let mut said: Vec<String> = Vec::new();
    for Need { source, key } in needs {
        let lacks = match (keys.get(source), key) {
            (Some(None), _) => format!("{source} does not exist"),
            (Some(Some(there)), Some(key)) if !there.contains(key) => {
                format!("{source} has no key {key}, {}", has(there))
            }
            _ => continue,
        };
        if !said.contains(&lacks) {
            said.push(lacks);
        }
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// The names of the keys that there are: the one that is meant may be spelt otherwise.
fn has(keys: &[String]) -> String {
    match keys {
        [] => "it is empty".to_owned(),
        keys => format!("it has {}", keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(kind: SourceKind, name: &str) -> Source {
        Source {
            kind,
            name: name.to_owned(),
        }
    }

    #[test]
    fn everything_that_a_pod_names_is_found() {
        let pod = Live::new(json!({ "spec": {
            "volumes": [
                { "name": "a", "secret": { "secretName": "ca", "items": [{ "key": "ca.crt" }] } },
                { "name": "b", "configMap": { "name": "files" } },
                { "name": "c", "configMap": { "name": "extra", "optional": true } },
                { "name": "d", "projected": { "sources": [{ "secret": { "name": "token" } }] } },
                { "name": "e", "emptyDir": {} },
            ],
            "containers": [{ "name": "web",
                "env": [
                    { "name": "A", "value": "1" },
                    { "name": "B", "valueFrom": { "secretKeyRef": { "name": "login", "key": "user" } } },
                    { "name": "C", "valueFrom": { "configMapKeyRef": {
                        "name": "maybe", "key": "x", "optional": true } } },
                ],
                "envFrom": [{ "configMapRef": { "name": "settings" } }],
            }],
        } }));
        let found: Vec<String> = needs(&pod)
            .iter()
            .map(|need| format!("{} {}", need.source, need.key.as_deref().unwrap_or("*")))
            .collect();
        assert_eq!(
            found,
            [
                "Secret ca ca.crt",
                "ConfigMap files *",
                "Secret token *",
                "Secret login user",
                "ConfigMap settings *",
            ]
        );
    }

    #[test]
    fn what_lacks_is_named_with_what_is_there() {
        let login = source(SourceKind::Secret, "login");
        let needs = |key: &str| vec![need(SourceKind::Secret, "login", Some(key))];
        let there = |keys: &[&str]| {
            let keys = keys.iter().map(|&key| key.to_owned()).collect();
            BTreeMap::from([(login.clone(), Some(keys))])
        };
        for (keys, expected) in [
            (BTreeMap::new(), None),
            (there(&["password"]), None),
            (
                there(&["pass", "user"]),
                Some("Secret login has no key password, it has pass, user"),
            ),
            (
                there(&[]),
                Some("Secret login has no key password, it is empty"),
            ),
            (
                BTreeMap::from([(login.clone(), None)]),
                Some("Secret login does not exist"),
            ),
        ] {
            assert_eq!(unmet(&needs("password"), &keys).as_deref(), expected);
        }
    }
}
