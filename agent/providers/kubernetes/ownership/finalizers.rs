//! What an object that is to go is waited for with; a diagnosis says more.

use serde_json::Value;

use super::super::kind::Target;
use super::super::live::Live;

/// `Namespace lens: is being deleted, held by the finalizer kubernetes`
pub(super) fn waiting(target: &Target, live: &Live) -> String {
    match &finalizers(live)[..] {
        [] => format!("{target}: is being deleted"),
        [one] => format!("{target}: is being deleted, held by the finalizer {one}"),
        many => format!(
            "{target}: is being deleted, held by the finalizers {}",
            many.join(", ")
        ),
    }
}

fn finalizers(live: &Live) -> Vec<&str> {
    live.list("/metadata/finalizers")
        .iter()
        .chain(live.list("/spec/finalizers"))
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::kind::CONFIG_MAP;
    use super::*;

    #[test]
    fn finalizers_are_named() {
        let target = Target::new(CONFIG_MAP, "lens", "a");
        let of = |finalizers: Value| Live::new(json!({ "metadata": { "finalizers": finalizers } }));
        for (finalizers, expected) in [
            (json!([]), "ConfigMap lens/a: is being deleted"),
            (
                json!(["example.com/keep"]),
                "ConfigMap lens/a: is being deleted, held by the finalizer example.com/keep",
            ),
            (
                json!(["a/b", "c/d"]),
                "ConfigMap lens/a: is being deleted, held by the finalizers a/b, c/d",
            ),
        ] {
            assert_eq!(waiting(&target, &of(finalizers)), expected);
        }
    }
}
