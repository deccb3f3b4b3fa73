//! State that only the latest holder of the lock may write.
//!
//! Every write carries the number of the lock's holder (`leaseTransitions`) and the version that
//! was read before: a run that lost its lock without knowing finds a greater number and is refused,
//! and of two that write at once one is.

use serde_json::{Value, json};

use super::kind::{CONFIG_MAP, Target};
use super::live::Live;
use super::{Client, Error, MANAGER};

/// The number of the holder that wrote last.
pub(super) const TRANSITIONS: &str = "firstlight.dev/lease-transitions";

/// Which holder of the lock we are, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub i64);

impl Fence {
    /// Makes the `ConfigMap` hold these keys; others that it has stay.
    pub(super) async fn write(
        self,
        client: &Client,
        target: &Target,
        data: &Value,
    ) -> Result<(), Error> {
        let Some(found) = client.get(target).await? else {
            client.create(target, &self.document(target, data)).await?;
            return Ok(());
        };
        self.check(target, stored(&found))?;
        let patch = json!({
            "metadata": {
                "resourceVersion": found.version(),
                "labels": { "app.kubernetes.io/managed-by": MANAGER },
                "annotations": { TRANSITIONS: self.0.to_string() },
            },
            "data": data,
        });
        client.merge(target, &patch).await?;
        Ok(())
    }

    fn document(self, target: &Target, data: &Value) -> Value {
        json!({
            "apiVersion": CONFIG_MAP.api_version(),
            "kind": CONFIG_MAP.name,
            "metadata": {
                "name": target.name,
                "labels": { "app.kubernetes.io/managed-by": MANAGER },
                "annotations": { TRANSITIONS: self.0.to_string() },
            },
            "data": data,
        })
    }

    pub(super) fn check(self, target: &Target, writer: Option<Self>) -> Result<(), Error> {
        match writer {
            Some(later) if later > self => Err(Error::Fenced {
                target: target.to_string(),
                ours: self.0,
                theirs: later.0,
            }),
            _ => Ok(()),
        }
    }
}

/// Who wrote this last, if it says so.
pub(super) fn stored(found: &Live) -> Option<Fence> {
    let annotations = found.texts("/metadata/annotations");
    annotations.get(TRANSITIONS)?.parse().ok().map(Fence)
}

/// The number for a lock that is made anew: later than all that was written under one before it.
pub(super) async fn next(client: &Client, lock: &str) -> Result<i64, Error> {
    let mut last = None;
    for name in [lock.to_owned(), format!("{lock}-inventory-0")] {
        let target = Target::new(CONFIG_MAP, client.namespace(), name);
        let found = client.get(&target).await?;
        last = last.max(found.as_ref().and_then(stored));
    }
    Ok(last.map_or(0, |Fence(last)| last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_greater_number_refuses() {
        let target = Target::new(CONFIG_MAP, "lens", "firstlight-lens");
        let found =
            |annotations: Value| Live::new(json!({ "metadata": { "annotations": annotations } }));
        for (annotations, allowed) in [
            (json!({}), true),
            (json!({ TRANSITIONS: "6" }), true),
            (json!({ TRANSITIONS: "7" }), true),
            (json!({ TRANSITIONS: "8" }), false),
            (json!({ TRANSITIONS: "edited" }), true),
        ] {
            let checked = Fence(7).check(&target, stored(&found(annotations.clone())));
            assert_eq!(checked.is_ok(), allowed, "{annotations}");
        }
        let refused = Fence(7).check(&target, stored(&found(json!({ TRANSITIONS: "8" }))));
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "ConfigMap lens/firstlight-lens was written by holder 8 of the lock, after us, who are holder 7"
        );
    }
}
