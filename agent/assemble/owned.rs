//! The objects that a bundle owns, as the inventory has them.

use crate::bundle::{Action, Bundle};
use crate::providers::kubernetes::Entry;

/// The objects that the steps of a bundle make, each with the id of its step.
#[must_use]
pub fn owned(bundle: &Bundle) -> Vec<(String, Entry)> {
    let steps = bundle.leaves().into_iter();
    steps
        .filter_map(|(node, step)| {
            let entry = entry(bundle, &step.action)?;
            Some((node.id.clone(), entry))
        })
        .collect()
}

fn entry(bundle: &Bundle, action: &Action) -> Option<Entry> {
    match action {
        Action::Object(manifest) => {
            let entry = Entry::of_document(&manifest.object, false);
            let keep = bundle.keep.iter().any(|kind| is_of(&entry, kind));
            Some(Entry {
                keep: entry.keep || keep,
                ..entry
            })
        }
        Action::Secret(secret) => Some(Entry::of_secret(&secret.name)),
        _ => None,
    }
}

/// `Backup`, or `Backup.example.com`
fn is_of(entry: &Entry, kind: &str) -> bool {
    let (name, group) = match kind.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (kind, None),
    };
    let (own, _) = entry.api_version.split_once('/').unwrap_or_default();
    entry.kind == name && group.is_none_or(|group| group == own)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_named_with_or_without_its_group() {
        let document = json!({ "apiVersion": "example.com/v1", "kind": "Backup", "metadata": { "name": "a" } });
        let entry = Entry::of_document(&document, false);
        for (kind, expected) in [
            ("Backup", true),
            ("Backup.example.com", true),
            ("Backup.example.org", false),
            ("Restore", false),
        ] {
            assert_eq!(is_of(&entry, kind), expected, "{kind}");
        }
    }
}
