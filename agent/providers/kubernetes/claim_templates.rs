//! The claims of a `StatefulSet`, as they are written and as the server keeps them.
//!
//! The list is of one piece for the server, so its defaults inside stand among our fields: without
//! this every `StatefulSet` with claims would cost a dry run in every run.

use serde_json::{Value, json};

use super::quantity;

/// Whether a write of these templates would surely change none of those that are there.
pub(super) fn surely_same(desired: &Value, live: &Value) -> bool {
    let (Some(desired), Some(live)) = (desired.as_array(), live.as_array()) else {
        return false;
    };
    let pairs = || desired.iter().zip(live);
    desired.len() == live.len() && pairs().all(|(one, other)| same(&normal(one), &normal(other)))
}

/// With what the server fills in, and without the status that every new claim has.
fn normal(template: &Value) -> Value {
    let mut template = template.clone();
    for (place, name, default) in [
        ("", "apiVersion", json!("v1")),
        ("", "kind", json!("PersistentVolumeClaim")),
        ("", "status", json!({ "phase": "Pending" })),
        ("/spec", "volumeMode", json!("Filesystem")),
    ] {
        let fields = template.pointer_mut(place).and_then(Value::as_object_mut);
        let Some(fields) = fields else { continue };
        let value = fields.entry(name).or_insert(Value::Null);
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        if value.is_null() || is_empty {
            *value = default;
        }
    }
    template
}

/// Equal, where a field that is null is none, and an amount of storage is an amount.
fn same(one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return false;
    };
    let names = one.keys().chain(other.keys());
    names.into_iter().all(|name| {
        let of = |fields: &serde_json::Map<String, Value>| {
            fields.get(name).cloned().unwrap_or(Value::Null)
        };
        let (one, other) = (of(one), of(other));
        let amounts = matches!(name.as_str(), "requests" | "limits");
        same(&one, &other) || amounts && same_amounts(&one, &other)
    })
}

fn same_amounts(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return false;
    };
    let text = |amount: &Value| match amount {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    one.len() == other.len()
        && one.iter().all(|(name, amount)| {
            let other = other.get(name);
            other.is_some_and(|other| quantity::same(&text(amount), &text(other)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Value {
        json!([{ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1024Mi" } } } }])
    }

    fn kept() -> Value {
        json!([{ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "data", "creationTimestamp": null },
            "spec": { "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
                "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Pending" } }])
    }

    #[test]
    fn what_the_server_fills_in_is_no_difference() {
        assert!(surely_same(&written(), &kept()));
        let mut in_full = written();
        in_full[0]["spec"]["volumeMode"] = "Filesystem".into();
        in_full[0]["status"] = json!({});
        assert!(surely_same(&in_full, &kept()));
    }

    #[test]
    fn everything_else_is_one() {
        let change = |pointer: &str, value: Value| {
            let mut changed = written();
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            let parent = changed.pointer_mut(parent).expect("it is there");
            parent[name] = value;
            changed
        };
        for (pointer, value) in [
            ("/0/metadata/name", json!("logs")),
            ("/0/metadata/labels", json!({ "a": "b" })),
            ("/0/spec/volumeMode", json!("Block")),
            ("/0/spec/storageClassName", json!("fast")),
            ("/0/spec/accessModes", json!(["ReadWriteMany"])),
            (
                "/0/spec/resources",
                json!({ "requests": { "storage": "2Gi" } }),
            ),
            ("/0/spec/resources", json!({})),
        ] {
            let changed = change(pointer, value);
            assert!(!surely_same(&changed, &kept()), "{pointer}");
        }
        let mut more = written();
        more.as_array_mut().expect("a list").push(json!({}));
        assert!(!surely_same(&more, &kept()));
        let mut block = kept();
        block[0]["spec"]["volumeMode"] = "Block".into();
        assert!(!surely_same(&written(), &block));
    }
}
