//! Which fields of an object are ours, and what a write would change of them.
//!
//! The API server keeps for each manager the set of its fields, as a tree with names like
//! `f:spec` (a field), `k:{"name":"web"}` (an item of a list by its keys) and `v:"x"` (an item
//! by its value). A name without anything below it stands for the whole value.

use serde_json::{Map, Value};

use super::kind::split;
use super::{MANAGER, claim_templates, quantity};
use crate::engine::FieldChange;

/// Our set in an object's `metadata.managedFields`; none if nothing is ours.
pub(super) fn owned(object: &Value) -> Option<&Value> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    entries
        .iter()
        .find(|entry| {
            entry["manager"] == MANAGER
                && entry["operation"] == "Apply"
                && entry.get("subresource").is_none()
        })
        .map(|entry| &entry["fieldsV1"])
}

/// Whether a write of `desired` would surely change nothing of ours. False: only the server knows.
pub(super) fn surely_same(desired: &Value, live: &Value) -> bool {
    let mut desired = desired.clone();
    // These say which object is meant; the server keeps them in no one's set.
    if let Some(fields) = desired.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("name");
            metadata.remove("namespace");
            if metadata.is_empty() {
                fields.remove("metadata");
            }
        }
    }
    match owned(live) {
        Some(owned) => same(&desired, live, owned, Texts::of(live)),
        // An object of which we name no field, like a Namespace, leaves us no set.
        None => desired.as_object().is_some_and(Map::is_empty),
    }
}

/// What texts can be at a place of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Kept as they are.
    Plain,
    /// Plain here, and amounts below some names.
    Mixed,
    /// Amounts, which the server rewrites.
    Amounts,
}

impl Texts {
    /// The names below which kinds that come with Kubernetes have amounts.
    const AMOUNTS: [&str; 12] = [
        "requests",
        "limits",
        "hard",
        "capacity",
        "default",
        "defaultRequest",
        "max",
        "min",
        "sizeLimit",
        "divisor",
        "averageValue",
        "podFixed",
    ];

    /// Only kinds that come with Kubernetes have amounts; custom resources are kept as they are.
    fn of(live: &Value) -> Self {
        let api_version = live["apiVersion"].as_str().unwrap_or_default();
        match (split(api_version).0, live["kind"].as_str()) {
            ("", Some("ConfigMap" | "Secret")) => Self::Plain,
            ("" | "apps" | "batch" | "autoscaling" | "node.k8s.io" | "storage.k8s.io", _) => {
                Self::Mixed
            }
            _ => Self::Plain,
        }
    }

    /// Whether a field of this name is that of a `StatefulSet`: no other kind that comes with
    /// Kubernetes has it.
    fn has_claims(self, name: &str) -> bool {
        self == Self::Mixed && name == "volumeClaimTemplates"
    }

    fn below(self, name: &str) -> Self {
        match self {
            // Labels and annotations may have any name.
            Self::Mixed if name == "metadata" => Self::Plain,
            Self::Mixed if Self::AMOUNTS.contains(&name) => Self::Amounts,
            other => other,
        }
    }
}

fn same(desired: &Value, live: &Value, owned: &Value, texts: Texts) -> bool {
    let below = names(owned);
    if below.is_empty() {
        return same_value(desired, live, texts);
    }
    match desired {
        Value::Object(fields) => {
            fields.len() == below.len()
                && fields.iter().all(|(name, desired)| {
                    match (live.get(name), owned.get(format!("f:{name}"))) {
                        (Some(live), Some(_)) if texts.has_claims(name) => {
                            claim_templates::surely_same(desired, live)
                        }
                        (Some(live), Some(owned)) => same(desired, live, owned, texts.below(name)),
                        // It is ours and not there: the server leaves out what says nothing.
                        (None, Some(_)) => says_nothing(desired),
                        (_, None) => false,
                    }
                })
        }
        Value::Array(items) => same_items(items, live, &below, texts),
        _ => false,
    }
}

fn same_items(items: &[Value], live: &Value, below: &[(&str, &Value)], texts: Texts) -> bool {
    let Some(live) = live.as_array() else {
        return false;
    };
    let mut places = Vec::with_capacity(items.len());
    let all = items.iter().all(|item| {
        let Some((name, owned)) = below.iter().find(|(name, _)| names_item(name, item)) else {
            return false;
        };
        let place = live.iter().position(|live| names_live_item(name, live));
        places.extend(place);
        place.is_some_and(|place| same(item, &live[place], owned, texts))
    });
    // A name that stands for two of our items would hide one of the server's.
    all && items.len() == below.len() && places.is_sorted_by(|one, next| one < next)
}

fn same_value(desired: &Value, live: &Value, texts: Texts) -> bool {
    if desired == live {
        return true;
    }
    let amounts = texts == Texts::Amounts;
    match (desired, live) {
        (Value::Number(one), Value::Number(other)) => {
            (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        (Value::String(one), Value::String(other)) => amounts && quantity::same(one, other),
        (Value::Number(one), Value::String(other)) => {
            amounts && quantity::same(&one.to_string(), other)
        }
        _ => false,
    }
}

/// Whether this is what a field has that is not there.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// The names below a name, without the one that stands for the thing itself.
fn names(owned: &Value) -> Vec<(&str, &Value)> {
    let names = owned.as_object().into_iter().flatten();
    names
        .filter(|(name, _)| *name != ".")
        .map(|(name, below)| (name.as_str(), below))
        .collect()
}

/// Whether an item of our document is the one that a name means; keys with a default may be left out.
fn names_item(name: &str, item: &Value) -> bool {
    match Name::parse(name) {
        Some(Name::Keys(keys)) => {
            item.is_object()
                && keys
                    .iter()
                    .all(|(key, value)| item.get(key).is_none_or(|found| found == value))
        }
        Some(Name::Value(value)) => *item == value,
        _ => false,
    }
}

fn names_live_item(name: &str, item: &Value) -> bool {
    match Name::parse(name) {
        Some(Name::Keys(keys)) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
        Some(Name::Value(value)) => *item == value,
        _ => false,
    }
}

/// One name of the tree, read.
enum Name<'a> {
    Field(&'a str),
    Keys(Map<String, Value>),
    Value(Value),
    Index(usize),
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (kind, rest) = name.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest)),
            "k" => serde_json::from_str(rest).ok().map(Self::Keys),
            "v" => serde_json::from_str(rest).ok().map(Self::Value),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    fn find<'v>(&self, within: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Field(name) => within.get(name),
            Self::Index(index) => within.get(index),
            Self::Value(value) => within.as_array()?.iter().find(|item| *item == value),
            Self::Keys(keys) => within
                .as_array()?
                .iter()
                .find(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value))),
        }
    }

    fn path(&self, parent: &str) -> String {
        match self {
            Self::Field(name) if parent.is_empty() => (*name).to_owned(),
            Self::Field(name) if name.contains('.') => format!("{parent}[{name}]"),
            Self::Field(name) => format!("{parent}.{name}"),
            Self::Index(index) => format!("{parent}[{index}]"),
            Self::Value(value) => format!("{parent}[{}]", shown(value)),
            Self::Keys(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(key, value)| format!("{key}={}", shown(value)))
                    .collect();
                format!("{parent}[{}]", keys.join(","))
            }
        }
    }
}

/// What a write changes of our fields: those that are ours before it or after it.
///
/// Fields that others set, admission and defaults among them, are not ours and not shown.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let (had, has) = (owned(before), owned(after));
    if had.is_none() && has.is_none() {
        return Vec::new();
    }
    let nothing = Value::Null;
    let mut walk = Walk {
        secret: after["kind"] == "Secret",
        found: Vec::new(),
    };
    walk.compare(
        "",
        [had.unwrap_or(&nothing), has.unwrap_or(&nothing)],
        [Some(before), Some(after)],
    );
    if walk.found.is_empty() && had != has {
        walk.found.push(FieldChange {
            path: "metadata.managedFields".to_owned(),
            before: None,
            after: Some(format!("owned by {MANAGER}")),
            sensitive: false,
        });
    }
    walk.found
}

struct Walk {
    secret: bool,
    found: Vec<FieldChange>,
}

impl Walk {
    fn compare(&mut self, path: &str, owned: [&Value; 2], values: [Option<&Value>; 2]) {
        if values[0] == values[1] {
            return;
        }
        let [had, has] = owned.map(names);
        let is_new_or_gone = !path.is_empty() && values.contains(&None);
        if is_new_or_gone || had.is_empty() && has.is_empty() {
            self.report(path, values);
            return;
        }
        let lost = had
            .iter()
            .filter(|(name, _)| has.iter().all(|(other, _)| other != name));
        for (name, _) in has.iter().chain(lost) {
            let Some(part) = Name::parse(name) else {
                continue;
            };
            let nothing = Value::Null;
            self.compare(
                &part.path(path),
                owned.map(|owned| owned.get(name).unwrap_or(&nothing)),
                values.map(|value| value.and_then(|value| part.find(value))),
            );
        }
    }

    fn report(&mut self, path: &str, values: [Option<&Value>; 2]) {
        let sensitive = self.secret && (path.starts_with("data") || path.starts_with("stringData"));
        let [before, after] = values.map(|value| {
            value.map(|value| {
                if sensitive {
                    "(sensitive)".to_owned()
                } else {
                    shown(value)
                }
            })
        });
        self.found.push(FieldChange {
            path: path.to_owned(),
            before,
            after,
            sensitive,
        });
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(mut object: Value, owned: &Value) -> Value {
        object["metadata"]["managedFields"] = json!([
            { "manager": "other", "operation": "Update", "fieldsV1": { "f:data": {} } },
            { "manager": MANAGER, "operation": "Apply", "fieldsV1": owned },
        ]);
        object
    }

    fn containers(image: &str, more: Option<&str>) -> Value {
        let port = json!({ "containerPort": 80, "protocol": "TCP" });
        let mut containers = vec![json!({ "name": "web", "image": image, "ports": [port],
            "resources": { "requests": { "cpu": "500m" } }, "imagePullPolicy": "Always" })];
        containers.extend(more.map(|name| json!({ "name": name })));
        let port = json!({ ".": {}, "f:containerPort": {} });
        let owned = json!({ "f:spec": { "f:containers": { "k:{\"name\":\"web\"}": {
            ".": {}, "f:name": {}, "f:image": {},
            "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": port },
            "f:resources": { "f:requests": { "f:cpu": {} } } } } } });
        let pod =
            json!({ "apiVersion": "v1", "kind": "Pod", "spec": { "containers": containers } });
        live(pod, &owned)
    }

    fn desired(image: &str) -> Value {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x", "namespace": "y" },
            "spec": { "containers": [{ "name": "web", "image": image,
                "ports": [{ "containerPort": 80 }],
                "resources": { "requests": { "cpu": 0.5 } } }] } })
    }

    #[test]
    fn a_document_is_compared_through_the_set_of_its_fields() {
        assert!(surely_same(&desired("a"), &containers("a", None)));
        assert!(surely_same(
            &desired("a"),
            &containers("a", Some("injected"))
        ));
        assert!(!surely_same(&desired("b"), &containers("a", None)));
    }

    #[test]
    fn amounts_are_amounts_only_where_the_server_says_so() {
        let owned = json!({ "f:spec": { "f:requests": { "f:cpu": {} } } });
        let here = |api_version: &str, cpu: Value| json!({ "apiVersion": api_version, "kind": "Thing", "spec": { "requests": { "cpu": cpu } } });
        for (api_version, one, other, expected) in [
            ("v1", json!("1000m"), json!("1"), true),
            ("v1", json!(1), json!("1"), true),
            ("v1", json!("2"), json!("1"), false),
            ("example.com/v1", json!("1000m"), json!("1"), false),
            ("example.com/v1", json!(1.0), json!(1), true),
            (
                "example.com/v1",
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992_u64),
                false,
            ),
        ] {
            let live = live(here(api_version, other), &owned);
            assert_eq!(
                surely_same(&here(api_version, one), &live),
                expected,
                "{live}"
            );
        }
    }

    #[test]
    fn what_says_nothing_may_be_left_out() {
        let owned = json!({ "f:spec": { "f:env": {}, "f:value": {}, "f:replicas": {} } });
        let desired =
            |replicas: u64| json!({ "spec": { "env": [], "value": "", "replicas": replicas } });
        let live = live(json!({ "spec": {} }), &owned);
        assert!(surely_same(&desired(0), &live));
        assert!(!surely_same(&desired(1), &live));
    }

    #[test]
    fn more_or_fewer_fields_than_ours_are_not_the_same() {
        let mut more = desired("a");
        more["spec"]["hostNetwork"] = true.into();
        assert!(!surely_same(&more, &containers("a", None)));
        let mut fewer = desired("a");
        fewer["spec"]["containers"][0]["ports"] = json!([]);
        assert!(!surely_same(&fewer, &containers("a", None)));
        assert!(!surely_same(&desired("a"), &json!({ "metadata": {} })));
    }

    #[test]
    fn an_object_of_which_we_name_nothing_is_the_same() {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "x" } });
        let live = json!({ "metadata": { "name": "x", "labels": { "a": "b" } } });
        assert!(surely_same(&namespace, &live));
        assert_eq!(changes(&live, &live), []);
    }

    #[test]
    fn only_our_fields_are_shown_as_changes() {
        let found = changes(&containers("a", None), &containers("b", Some("injected")));
        assert_eq!(
            found,
            [FieldChange {
                path: "spec.containers[name=web].image".to_owned(),
                before: Some("a".to_owned()),
                after: Some("b".to_owned()),
                sensitive: false,
            }]
        );
    }

    #[test]
    fn what_leaves_our_set_is_shown_if_it_goes_away() {
        let had = live(
            json!({ "data": { "a": "1", "b": "2" } }),
            &json!({ "f:data": { "f:a": {}, "f:b": {} } }),
        );
        let gone = live(
            json!({ "data": { "a": "1" } }),
            &json!({ "f:data": { "f:a": {} } }),
        );
        let found = changes(&had, &gone);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), &found[0].after), ("data.b", &None));
        let kept = live(
            json!({ "data": { "a": "1", "b": "2" } }),
            &json!({ "f:data": { "f:a": {} } }),
        );
        assert_eq!(changes(&had, &kept)[0].path, "metadata.managedFields");
    }
}
