//! The inventory, cut into parts that a `ConfigMap` can hold.

use std::collections::BTreeMap;

use super::{Entry, Key};

/// What a `ConfigMap` holds is at most 1 MiB; the rest is for its other fields.
pub(super) const LIMIT: usize = 900 * 1024;

/// One part, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part(pub(super) Vec<Entry>);

/// The parts that hold these entries, each of at most `limit` bytes.
///
/// An entry stays in the part where it is, so that parts can be written one after the other and
/// nothing is ever in none; a part is never taken away.
pub(super) fn arrange(stored: &[Part], entries: Vec<Entry>, limit: usize) -> Vec<Part> {
    let mut new: BTreeMap<Key, Entry> = entries
        .into_iter()
        .map(|entry| (entry.key(), entry))
        .collect();
    let mut parts: Vec<Part> = stored
        .iter()
        .map(|part| {
            let kept = part.0.iter().filter_map(|entry| new.remove(&entry.key()));
            Part(kept.collect())
        })
        .collect();
    if parts.is_empty() {
        parts.push(Part::default());
    }
    let mut size = parts.last().map_or(0, Part::size);
    for entry in new.into_values() {
        let more = bytes(&entry);
        if size + more > limit {
            parts.push(Part::default());
            size = 0;
        }
        size += more;
        if let Some(last) = parts.last_mut() {
            last.0.push(entry);
        }
    }
    parts
}

impl Part {
    fn size(&self) -> usize {
        self.0.iter().map(bytes).sum()
    }
}

/// With the comma behind it.
fn bytes(entry: &Entry) -> usize {
    serde_json::to_string(entry).map_or(0, |text| text.len() + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(name: &str) -> Entry {
        let document =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
        Entry::of_document(&document, false)
    }

    fn names(parts: &[Part]) -> Vec<Vec<&str>> {
        parts
            .iter()
            .map(|part| part.0.iter().map(|entry| entry.name.as_str()).collect())
            .collect()
    }

    #[test]
    fn an_entry_stays_in_its_part_and_new_ones_come_last() {
        let limit = bytes(&entry("a")) * 2;
        let list = |names: &[&str]| names.iter().map(|name| entry(name)).collect::<Vec<_>>();
        let first = arrange(&[], list(&["b", "c", "d"]), limit);
        assert_eq!(names(&first), [vec!["b", "c"], vec!["d"]]);
        // "a" would come first by its name, and goes to the end; "b" leaves a gap that stays.
        let next = arrange(&first, list(&["a", "c", "d", "e"]), limit);
        assert_eq!(names(&next), [vec!["c"], vec!["d", "a"], vec!["e"]]);
        let none = arrange(&next, Vec::new(), limit);
        assert_eq!(names(&none), [Vec::<&str>::new(), vec![], vec![]]);
        assert_eq!(arrange(&[], Vec::new(), limit), [Part::default()]);
    }
}
