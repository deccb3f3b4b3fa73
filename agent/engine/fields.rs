//! Comparing two documents field by field.

use serde_json::Value;

use super::FieldChange;

/// How much of the other side must be as we want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What they have and we do not want is a difference too: the document is ours as a whole.
    Whole,
    /// Only the fields that we name are compared; the elements of an array are ours as a whole.
    Named,
}

/// What has to change in `theirs` to make it `ours`, leaf by leaf: `panels[2].title`.
///
/// A null is an absent field, and numbers are compared by value. What is named `secret` by the
/// caller must not come here: the values are shown.
#[must_use]
pub fn differences(ours: &Value, theirs: &Value, extent: Extent) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", Some(ours), Some(theirs), extent, &mut changes);
    changes
}

fn compare(
    path: &str,
    ours: Option<&Value>,
    theirs: Option<&Value>,
    extent: Extent,
    changes: &mut Vec<FieldChange>,
) {
    let (ours, theirs) = (present(ours), present(theirs));
    match (ours, theirs) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let foreign = b.keys().filter(|key| !a.contains_key(*key));
            let foreign = foreign.filter(|_| extent == Extent::Whole);
            for key in a.keys().chain(foreign) {
                compare(&below(path, key), a.get(key), b.get(key), extent, changes);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for at in 0..a.len().max(b.len()) {
                let path = format!("{path}[{at}]");
                compare(&path, a.get(at), b.get(at), Extent::Whole, changes);
            }
        }
        (Some(one), None) | (None, Some(one)) if !is_leaf(one) => {
            for (step, part) in parts(path, one) {
                let (a, b) = if ours.is_some() {
                    (Some(part), None)
                } else {
                    (None, Some(part))
                };
                compare(&step, a, b, extent, changes);
            }
        }
        (a, b) if a.zip(b).is_some_and(|(a, b)| same(a, b)) || (a.is_none() && b.is_none()) => {}
        (a, b) => changes.push(FieldChange {
            path: path.to_owned(),
            before: b.map(text),
            after: a.map(text),
            sensitive: false,
        }),
    }
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn parts<'a>(path: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.map(|(key, part)| (below(path, key), part)).collect()
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(at, part)| (format!("{path}[{at}]"), part))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(ours: &Value, theirs: &Value, extent: Extent) -> Vec<String> {
        let show = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
        differences(ours, theirs, extent)
            .into_iter()
            .map(|field| {
                format!(
                    "{}: {} → {}",
                    field.path,
                    show(field.before),
                    show(field.after)
                )
            })
            .collect()
    }

    #[test]
    fn equal_documents_have_no_differences() {
        let ours = json!({"a": [1, {"b": null}], "c": 1.0});
        let theirs = json!({"a": [1.0, {}], "c": 1, "d": null});
        assert_eq!(lines(&ours, &theirs, Extent::Whole), [""; 0]);
    }

    #[test]
    fn each_leaf_has_its_path() {
        let ours = json!({"a": {"b": "x", "new": {"deep": [true]}}, "list": [1, 2]});
        let theirs = json!({"a": {"b": "y"}, "list": [1], "foreign": {"k": 3}});
        assert_eq!(
            lines(&ours, &theirs, Extent::Whole),
            [
                "a.b: y → x",
                "a.new.deep[0]: - → true",
                "list[1]: - → 2",
                "foreign.k: 3 → -",
            ]
        );
    }

    #[test]
    fn what_we_do_not_name_is_theirs_but_not_inside_an_array() {
        let ours = json!({"a": {"b": 1}, "list": [{"x": 1}]});
        let theirs = json!({"a": {"b": 1, "c": 2}, "list": [{"x": 1, "y": 2}], "z": 0});
        assert_eq!(lines(&ours, &theirs, Extent::Named), ["list[0].y: 2 → -"]);
    }

    #[test]
    fn another_shape_is_one_difference() {
        let found = lines(&json!({"a": {}}), &json!({"a": "x"}), Extent::Named);
        assert_eq!(found, ["a: x → {}"]);
    }
}
