//! What can be changed in the mapping of a living index, and what cannot.

use serde_json::{Map, Value};

use crate::engine::FieldChange;

/// What separates a mapping from the one we want.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Drift {
    /// Can be put while the index exists: new fields and mild parameters.
    pub(super) possible: Vec<FieldChange>,
    /// Needs a new index.
    pub(super) impossible: Vec<FieldChange>,
}

/// Parameters of a field that the server lets nobody change.
const FROZEN: &[&str] = &[
    "type",
    "index",
    "doc_values",
    "store",
    "analyzer",
    "normalizer",
    "similarity",
    "format",
    "index_options",
    "term_vector",
    "null_value",
    "scaling_factor",
    "enabled",
    "path",
    "dimension",
    "method",
    "_source",
    "_routing",
];

/// Compares a mapping with the living one. What is only there is left alone: fields are never taken away.
pub(super) fn drift(ours: &Value, theirs: &Value) -> Drift {
    let mut drift = Drift::default();
    let none = Map::new();
    let ours = ours.as_object().unwrap_or(&none);
    let theirs = theirs.as_object().unwrap_or(&none);
    field("mappings", ours, theirs, &mut drift);
    drift
}

/// Compares one field, or the root.
fn field(path: &str, ours: &Map<String, Value>, theirs: &Map<String, Value>, drift: &mut Drift) {
    for (key, wanted) in ours.iter().filter(|(_, wanted)| !wanted.is_null()) {
        let below = format!("{path}.{key}");
        match (key.as_str(), wanted) {
            ("properties" | "fields", Value::Object(wanted)) => {
                let found = theirs.get(key).unwrap_or(&Value::Null);
                children(&below, wanted, found, drift);
            }
            _ => parameter(&below, key, wanted, (ours, theirs), drift),
        }
    }
}

fn children(path: &str, ours: &Map<String, Value>, theirs: &Value, drift: &mut Drift) {
    for (name, wanted) in ours {
        let path = format!("{path}.{name}");
        match (wanted, &theirs[name]) {
            (Value::Object(wanted), Value::Object(found)) => field(&path, wanted, found, drift),
            (wanted, found) => drift.possible.push(change(&path, wanted, found)),
        }
    }
}

fn parameter(
    path: &str,
    key: &str,
    wanted: &Value,
    (ours, theirs): (&Map<String, Value>, &Map<String, Value>),
    drift: &mut Drift,
) {
    let found = theirs.get(key).unwrap_or(&Value::Null);
    if plain(wanted) == plain(found) || found.is_null() && is_default(key, wanted, ours) {
        return;
    }
    let change = change(path, wanted, found);
    if FROZEN.contains(&key) {
        drift.impossible.push(change);
    } else {
        drift.possible.push(change);
    }
}

/// Whether the server leaves this parameter out when it shows the mapping, because it is the default.
fn is_default(key: &str, wanted: &Value, field: &Map<String, Value>) -> bool {
    let kind = field
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("object");
    match (key, plain(wanted).as_str()) {
        ("type", "object") => field.contains_key("properties"),
        ("index" | "doc_values" | "enabled" | "coerce", "true")
        | ("store" | "ignore_malformed" | "eager_global_ordinals" | "fielddata", "false")
        | ("similarity", "BM25")
        | ("term_vector", "no")
        | ("format", "strict_date_optional_time||epoch_millis")
        | ("boost", "1" | "1.0")
        | (_, "{}" | "[]") => true,
        ("norms", "true") => kind == "text",
        ("norms", "false") => kind == "keyword",
        ("index_options", options) => options == if kind == "text" { "positions" } else { "docs" },
        _ => false,
    }
}

fn change(path: &str, wanted: &Value, found: &Value) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        before: (!found.is_null()).then(|| plain(found)),
        after: Some(plain(wanted)),
        sensitive: false,
    }
}

/// Texts, numbers and truth values are one to the server: it shows `false` as `"false"`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(changes: &[FieldChange]) -> Vec<&str> {
        changes.iter().map(|change| change.path.as_str()).collect()
    }

    #[test]
    fn defaults_that_the_server_leaves_out_are_no_drift() {
        let ours = json!({
            "dynamic": false,
            "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "keyword", "index": true}}},
                "t": {"type": "text", "norms": true, "fields": {"raw": {"type": "keyword"}}},
                "d": {"type": "date", "format": "strict_date_optional_time||epoch_millis"},
            },
        });
        let theirs = json!({
            "dynamic": "false",
            "properties": {
                "a": {"properties": {"b": {"type": "keyword"}}},
                "t": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
                "d": {"type": "date"},
                "foreign": {"type": "long"},
            },
        });
        assert_eq!(drift(&ours, &theirs), Drift::default());
    }

    #[test]
    fn new_fields_and_mild_parameters_are_possible() {
        let ours = json!({"properties": {
            "a": {"type": "keyword", "ignore_above": 512},
            "new": {"type": "long"},
        }});
        let theirs = json!({"properties": {"a": {"type": "keyword", "ignore_above": 256}}});
        let drift = drift(&ours, &theirs);
        assert_eq!(
            paths(&drift.possible),
            [
                "mappings.properties.a.ignore_above",
                "mappings.properties.new"
            ]
        );
        assert_eq!(drift.impossible, []);
    }

    #[test]
    fn types_are_frozen_also_for_a_field_that_is_called_type() {
        let ours = json!({"properties": {"type": {"type": "long"}, "b": {"type": "text"}}});
        let theirs = json!({"properties": {"type": {"type": "keyword"}, "b": {"type": "text"}}});
        let drift = drift(&ours, &theirs);
        assert_eq!(paths(&drift.impossible), ["mappings.properties.type.type"]);
        assert_eq!(drift.possible, []);
    }
}
