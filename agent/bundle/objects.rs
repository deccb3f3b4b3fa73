//! What can be told of Kubernetes objects without a cluster: that two steps apply the same one,
//! or that no API server takes it as it is.

use std::collections::HashMap;

use serde_json::Value;

use super::mistakes::{Found, Mistake};
use super::needs::flat;
use super::{Action, Body, Manifest, Node};

/// What the store of an API server takes of one object.
const LARGEST: usize = 3 * MIB / 2;
/// What a `ConfigMap` or a Secret holds.
const LARGEST_DATA: usize = MIB;
const MIB: usize = 1024 * 1024;

/// How long names may be, where that is less than for others.
const SHORT_NAMES: [(&str, usize); 3] = [("CronJob", 52), ("Namespace", 63), ("Service", 63)];
const LONGEST_NAME: usize = 253;

/// What tells an object from all others: its group, kind, namespace and name.
type Identity<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Reports objects that cannot be applied as they are.
pub(super) fn check(phases: &[Node], namespace: &str, found: &Found) {
    let mut first: HashMap<Identity<'_>, &Node> = HashMap::new();
    for node in flat(phases) {
        let Body::Step(step) = &node.body else {
            continue;
        };
        let identity = match &step.action {
            Action::Object(manifest) => {
                take(manifest, found);
                identity(&manifest.object, namespace)
            }
            Action::Secret(secret) => ("", "Secret", namespace, secret.name.as_str()),
            _ => continue,
        };
        let other = *first.entry(identity).or_insert(node);
        // Two steps of one name are reported as such.
        if other.id != node.id {
            let (_, kind, namespace, name) = identity;
            let what = format!(
                "`{}` and `{}` both make {kind} {namespace}/{name}",
                other.id, node.id
            );
            let mistake = Mistake::new((&node.location).into(), what);
            let hint = format!(
                "leave it to one of them; the other is in {}",
                other.location
            );
            found.add(mistake.hint(hint));
        }
    }
}

fn identity<'a>(object: &'a Value, namespace: &'a str) -> Identity<'a> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let version = text("/apiVersion").unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    (
        group,
        text("/kind").unwrap_or_default(),
        text("/metadata/namespace").unwrap_or(namespace),
        text("/metadata/name").unwrap_or_default(),
    )
}

/// Reports a name that is too long, and an object that is too large.
fn take(manifest: &Manifest, found: &Found) {
    let (group, kind, _, name) = identity(&manifest.object, "");
    let report = |what: String, hint: &str| {
        found.add(Mistake::new((&manifest.location).into(), what).hint(hint));
    };
    let known = ["", "batch"].contains(&group);
    let short = SHORT_NAMES
        .iter()
        .find(|(short, _)| known && *short == kind);
    let longest = short.map_or(LONGEST_NAME, |(_, longest)| *longest);
    if name.chars().count() > longest {
        let count = name.chars().count();
        report(
            format!(
                "the name of this {kind} has {count} characters, of which {longest} are allowed"
            ),
            "choose a shorter `metadata.name`",
        );
    }
    let size = |value: &Value| value.to_string().len();
    let of_data = matches!((group, kind), ("", "ConfigMap" | "Secret"));
    let data = ["data", "binaryData", "stringData"];
    let data: usize = data
        .iter()
        .filter_map(|key| manifest.object.get(key))
        .map(size)
        .sum();
    let all = size(&manifest.object);
    let hint = "keep what is large elsewhere: in an image, a volume or several objects";
    if of_data && data > LARGEST_DATA {
        report(too_large(kind, data, LARGEST_DATA), hint);
    } else if all > LARGEST {
        report(too_large(kind, all, LARGEST), hint);
    }
}

fn too_large(kind: &str, bytes: usize, limit: usize) -> String {
    let mib = |bytes: usize| format!("{}.{}", bytes / MIB, bytes % MIB * 10 / MIB);
    format!(
        "this {kind} has {} MiB, more than the {} MiB that an API server takes",
        mib(bytes),
        mib(limit)
    )
}
