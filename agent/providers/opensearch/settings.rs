//! What can be changed in the settings of a living index, and what cannot.

use serde_json::{Map, Value};

use crate::engine::FieldChange;

/// What can be set while the index is open, and what cannot.
pub(super) fn drift(
    wanted: &Map<String, Value>,
    found: &Map<String, Value>,
) -> (Vec<FieldChange>, Vec<FieldChange>) {
    let wanted = wanted
        .iter()
        .filter(|(key, value)| found.get(*key) != Some(*value));
    let differing = wanted.map(|(key, value)| FieldChange {
        path: key.clone(),
        before: found.get(key).map(plain),
        after: Some(plain(value)),
        sensitive: false,
    });
    differing.partition(|field| !is_static(&field.path))
}

/// Settings that are fixed when the index is made. What is missing here the server refuses itself.
fn is_static(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "index.number_of_shards",
        "index.number_of_routing_shards",
        "index.routing_partition_size",
        "index.codec",
        "index.soft_deletes.enabled",
        "index.load_fixed_bitset_filters_eagerly",
        "index.shard.check_on_startup",
        "index.knn",
    ];
    const PREFIXES: &[&str] = &[
        "index.sort.",
        "index.analysis.",
        "index.store.",
        "index.similarity.",
        "index.replication.",
        "index.remote_store.",
    ];
    KEYS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::opensearch::normal_form;
    use serde_json::json;

    #[test]
    fn only_dynamic_settings_can_be_set() {
        let wanted = json!({"number_of_shards": 2, "codec": "best_compression",
            "number_of_replicas": 1, "refresh_interval": "5s", "sort.field": ["a"]});
        let found = json!({"index": {"number_of_shards": "1", "codec": "best_compression",
            "number_of_replicas": "0", "uuid": "x"}});
        let flat = normal_form::settings;
        let (possible, frozen) = drift(&flat(&wanted), &flat(&found));
        let paths = |fields: Vec<FieldChange>| fields.into_iter().map(|field| field.path);
        let possible: Vec<_> = paths(possible).collect();
        assert_eq!(
            possible,
            ["index.number_of_replicas", "index.refresh_interval"]
        );
        let frozen: Vec<_> = paths(frozen).collect();
        assert_eq!(frozen, ["index.number_of_shards", "index.sort.field"]);
    }
}
