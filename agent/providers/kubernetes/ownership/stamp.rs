//! The mark on each object that says which bundles apply it.
//!
//! The server's list of field managers cannot: it knows all bundles by the one name of the agent.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::Client;
use super::super::live::Live;
use crate::engine::FieldChange;

/// `NAMESPACE.BUNDLE`, with a comma between them if more than one bundle applies the object.
pub(super) const ANNOTATION: &str = "firstlight.dev/owner";
const POINTER: &str = "/metadata/annotations/firstlight.dev~1owner";

/// Whose an object is by its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// It has none: it was made by others, or before there were marks.
    Nobody,
    /// Of this bundle and no other.
    Us,
    /// Of this bundle and others.
    Shared,
    /// Of other bundles.
    Others,
}

pub(super) fn holder(client: &Client, live: &Live) -> Holder {
    holder_for(client.owner(), live)
}

fn holder_for(us: Option<&str>, live: &Live) -> Holder {
    let owners: BTreeSet<&str> = owners(live).collect();
    let is_named = us.is_some_and(|us| owners.contains(us));
    match owners.len() {
        0 => Holder::Nobody,
        1 if is_named => Holder::Us,
        _ if is_named => Holder::Shared,
        _ => Holder::Others,
    }
}

/// Marks a document as ours, beside those that the object is marked with already.
pub(in super::super) fn put(client: &Client, live: Option<&Live>, document: &mut Value) {
    if let Some(us) = client.owner() {
        put_for(us, live, document);
    }
}

fn put_for(us: &str, live: Option<&Live>, document: &mut Value) {
    let mut all: BTreeSet<&str> = live.into_iter().flat_map(owners).collect();
    all.insert(us);
    let all: Vec<&str> = all.into_iter().collect();
    let Some(metadata) = document.get_mut("metadata") else {
        return;
    };
    if metadata["annotations"].is_null() {
        metadata["annotations"] = json!({});
    }
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.insert(ANNOTATION.to_owned(), all.join(",").into());
    }
}

/// Whether a change is the mark alone.
pub(super) fn is_it(change: &FieldChange) -> bool {
    let after = change.after.as_deref().unwrap_or_default();
    match change.path.strip_prefix("metadata.annotations") {
        Some("") if change.before.is_none() => {
            let after: Option<Value> = serde_json::from_str(after).ok();
            let names = after.as_ref().and_then(Value::as_object);
            names.is_some_and(|names| names.keys().all(|name| name == ANNOTATION))
        }
        Some(below) => below.strip_prefix('[') == Some("firstlight.dev/owner]"),
        None => false,
    }
}

/// The bundles that an object is marked with.
pub(super) fn owners(live: &Live) -> impl Iterator<Item = &str> {
    let names = live.text(POINTER).split(',');
    names.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(mark: Option<&str>) -> Live {
        let annotations = mark.map(|mark| json!({ ANNOTATION: mark }));
        Live::new(json!({ "metadata": { "annotations": annotations } }))
    }

    #[test]
    fn an_object_is_ours_only_if_no_other_bundle_applies_it() {
        for (us, mark, expected) in [
            (Some("lens.a"), None, Holder::Nobody),
            (Some("lens.a"), Some(""), Holder::Nobody),
            (Some("lens.a"), Some("lens.a"), Holder::Us),
            (Some("lens.a"), Some("lens.a,lens.b"), Holder::Shared),
            (Some("lens.a"), Some("lens.b"), Holder::Others),
            (Some("lens.a"), Some("lens.ab"), Holder::Others),
            (Some("lens.a"), Some("shop.a"), Holder::Others),
            (None, Some("lens.a"), Holder::Others),
            (None, None, Holder::Nobody),
        ] {
            assert_eq!(holder_for(us, &marked(mark)), expected, "{mark:?}");
        }
    }

    #[test]
    fn the_mark_is_told_from_other_changes() {
        let change = |path: &str, before: Option<&str>, after: &str| FieldChange {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
            sensitive: false,
        };
        let mark = "metadata.annotations[firstlight.dev/owner]";
        let all = "metadata.annotations";
        assert!(is_it(&change(mark, None, "lens.a")));
        assert!(is_it(&change(mark, Some("lens.a"), "lens.a,lens.b")));
        let only = r#"{"firstlight.dev/owner":"lens.a"}"#;
        assert!(is_it(&change(all, None, only)));
        let more = r#"{"a":"1","firstlight.dev/owner":"lens.a"}"#;
        assert!(!is_it(&change(all, None, more)));
        assert!(!is_it(&change("metadata.annotations.a", None, "1")));
        assert!(!is_it(&change("data.a", None, "1")));
    }

    #[test]
    fn a_mark_is_put_beside_those_of_others() {
        for (before, expected) in [
            (None, "lens.b"),
            (Some("lens.b"), "lens.b"),
            (Some("lens.a"), "lens.a,lens.b"),
            (Some("lens.a,lens.b"), "lens.a,lens.b"),
            (Some("lens.c"), "lens.b,lens.c"),
        ] {
            let mut document = json!({ "metadata": { "annotations": { "a": "1" } } });
            put_for("lens.b", Some(&marked(before)), &mut document);
            let expected = json!({ "a": "1", ANNOTATION: expected });
            assert_eq!(document["metadata"]["annotations"], expected);
        }
        for empty in [json!({}), json!({ "annotations": null })] {
            let mut document = json!({ "metadata": empty });
            put_for("lens.b", None, &mut document);
            let expected = json!({ "annotations": { ANNOTATION: "lens.b" } });
            assert_eq!(document["metadata"], expected);
        }
    }
}
