//! The form in which OpenSearch gives back what it was sent, so that equal documents compare equal.

use serde_json::{Map, Value};

use crate::engine::{Difference, Extent, FieldChange, Plan, Verb, differences};

/// Plans for a document that a PUT replaces as a whole. Keys outside `known` are the server's own.
pub(super) fn plan_whole(
    target: String,
    ours: &Value,
    theirs: Option<&Value>,
    known: &[&str],
) -> Plan<Difference> {
    let (verb, found) = match theirs {
        None => (Verb::Create, &Value::Null),
        Some(found) => (Verb::Update, found),
    };
    let fields = whole(ours, found, known);
    if theirs.is_some() && fields.is_empty() {
        return Plan::Current;
    }
    Plan::Change(vec![Difference {
        verb,
        target,
        fields,
    }])
}

fn whole(ours: &Value, theirs: &Value, known: &[&str]) -> Vec<FieldChange> {
    let form = |document: &Value| template(&only(document, known));
    differences(&form(ours), &form(theirs), Extent::Whole)
}

/// What has to change in a document of which only some fields are ours.
pub(super) fn subset(ours: &Value, theirs: &Value) -> Vec<FieldChange> {
    differences(ours, theirs, Extent::Named)
}

fn only(document: &Value, known: &[&str]) -> Value {
    let fields = document.as_object().into_iter().flatten();
    let fields = fields.filter(|(key, _)| known.contains(&key.as_str()));
    Value::Object(
        fields
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

/// An index or component template: lists are lists, settings flat and text, no empty parts.
fn template(document: &Value) -> Value {
    let mut document = document.clone();
    for key in ["index_patterns", "composed_of"] {
        if let Some(text @ Value::String(_)) = document.get(key).cloned() {
            document[key] = Value::Array(vec![text]);
        }
    }
    if document.get("data_stream").is_some_and(Value::is_object) {
        // The server adds the name of the field that it would take anyway.
        document["data_stream"] = stream(&document["data_stream"]);
    }
    if let Some(inner) = document.get("template").and_then(Value::as_object) {
        document["template"] = Value::Object(content(inner));
    }
    without_empty(&document)
}

fn stream(options: &Value) -> Value {
    let mut options = options.clone();
    if options["timestamp_field"].is_null() {
        options["timestamp_field"] = serde_json::json!({ "name": "@timestamp" });
    }
    options
}

fn content(inner: &Map<String, Value>) -> Map<String, Value> {
    let form = |(key, value): (&String, &Value)| {
        let value = match key.as_str() {
            "settings" => Value::Object(settings(value)),
            "aliases" => aliases(value),
            _ => value.clone(),
        };
        (key.clone(), value)
    };
    inner.iter().map(form).collect()
}

/// Settings with one flat, fully prefixed key each, and text as values: `index.number_of_shards: "1"`.
pub(super) fn settings(nested: &Value) -> Map<String, Value> {
    let mut flat = Map::new();
    flatten("", nested, &mut flat);
    flat
}

fn flatten(path: &str, value: &Value, flat: &mut Map<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(&path, value, flat);
            }
        }
        leaf => {
            let key = match path.strip_prefix("index.") {
                Some(_) => path.to_owned(),
                None => format!("index.{path}"),
            };
            flat.insert(key, words(leaf));
        }
    }
}

/// Every number and truth value as its text.
fn words(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(words).collect()),
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        other => other.clone(),
    }
}

/// The routing of an alias is stored as two.
pub(super) fn aliases(aliases: &Value) -> Value {
    let mut aliases = aliases.clone();
    for (_, options) in aliases.as_object_mut().into_iter().flatten() {
        let Some(options) = options.as_object_mut() else {
            continue;
        };
        if let Some(routing) = options.remove("routing") {
            for key in ["index_routing", "search_routing"] {
                let option = options.entry(key).or_insert_with(|| routing.clone());
                *option = words(option);
            }
        }
    }
    aliases
}

/// Empty parts below `template`, and an empty list of components, mean the same as none.
fn without_empty(document: &Value) -> Value {
    let mut document = document.clone();
    let empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    if let Some(inner) = document.get_mut("template").and_then(Value::as_object_mut) {
        inner.retain(|_, value| !empty(value));
    }
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|key, value| {
            !(matches!(key.as_str(), "template" | "composed_of" | "_meta") && empty(value))
        });
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KNOWN: &[&str] = &[
        "index_patterns",
        "composed_of",
        "template",
        "data_stream",
        "_meta",
    ];

    #[test]
    fn what_the_server_rewrites_is_no_difference() {
        let ours = json!({
            "index_patterns": "logs-*",
            "data_stream": {},
            "composed_of": [],
            "template": {
                "settings": {"number_of_shards": 1, "index": {"hidden": true}, "index.codec": "best"},
                "aliases": {"a": {"routing": 1}, "b": {}},
                "mappings": {},
            },
            "_meta": {"owner": "us", "gone": null},
        });
        let theirs = json!({
            "index_patterns": ["logs-*"],
            "data_stream": {"timestamp_field": {"name": "@timestamp"}},
            "template": {
                "settings": {"index": {"number_of_shards": "1", "hidden": "true", "codec": "best"}},
                "aliases": {"a": {"index_routing": "1", "search_routing": "1"}, "b": {}},
            },
            "_meta": {"owner": "us"},
            "created_date": 17,
        });
        assert_eq!(whole(&ours, &theirs, KNOWN), []);
    }

    #[test]
    fn what_somebody_added_is_a_difference() {
        let ours = json!({"template": {"settings": {"number_of_shards": 1}}});
        let theirs = json!({"template": {"settings": {"index": {
            "number_of_shards": "2", "codec": "best"}}}});
        let found = whole(&ours, &theirs, KNOWN);
        let found: Vec<_> = found.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(
            found,
            [
                "template.settings.index.number_of_shards",
                "template.settings.index.codec"
            ]
        );
    }

    #[test]
    fn settings_are_flat_text_and_null_is_unset() {
        let nested =
            json!({"index": {"sort": {"field": ["a"], "order": null}}, "blocks.write": false});
        let flat = Value::Object(settings(&nested));
        assert_eq!(
            flat,
            json!({"index.sort.field": ["a"], "index.blocks.write": "false"})
        );
    }
}
