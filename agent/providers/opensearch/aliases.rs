//! Which aliases an index lacks.

use serde_json::{Value, json};

use super::normal_form;
use crate::engine::FieldChange;

/// The names of the aliases that have to be added or set anew, and the fields that differ.
pub(super) fn missing(ours: &Value, found: &Value) -> (Vec<String>, Vec<FieldChange>) {
    let ours = normal_form::aliases(ours);
    let (mut names, mut fields) = (Vec::new(), Vec::new());
    for (name, options) in ours.as_object().into_iter().flatten() {
        let found = found.get(name).unwrap_or(&Value::Null);
        let below = |options: &Value| json!({ "aliases": { name: options } });
        let mut differing = normal_form::subset(&below(options), &below(found));
        // A single index without the mark is written to all the same.
        let unmarked = found.is_object() && found.get("is_write_index").is_none();
        differing.retain(|field| !(unmarked && field.path.ends_with(".is_write_index")));
        if !differing.is_empty() {
            names.push(name.clone());
        }
        fields.extend(differing);
    }
    (names, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_different_ones_are_missing() {
        let ours = json!({
            "write": {"is_write_index": true},
            "unmarked": {"is_write_index": true},
            "routed": {"routing": "1"},
            "plain": {},
            "absent": {},
        });
        let found = json!({
            "write": {"is_write_index": false},
            "unmarked": {},
            "routed": {"index_routing": "1", "search_routing": "1"},
            "plain": {"filter": {"term": {"a": 1}}},
            "foreign": {},
        });
        let (names, fields) = missing(&ours, &found);
        assert_eq!(names, ["absent", "write"]);
        let paths: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["aliases.absent", "aliases.write.is_write_index"]);
    }
}
