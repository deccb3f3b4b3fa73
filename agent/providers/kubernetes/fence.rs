//! State that only the latest holder of the lock may write.
//!
//! Every write carries the number of the lock's holder (`leaseTransitions`) and the version that
//! was read before: a run that lost its lock without knowing finds a greater number and is refused,
//! and of two that write at once one is. That one may have read what is not so any more, so it is
//! told, and looks again.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{CONFIG_MAP, Target};
use super::live::Live;
use super::{Client, Error, MANAGER};

/// The number of the holder that wrote last.
const TRANSITIONS: &str = "firstlight.dev/lease-transitions";

/// Which holder of the lock we are, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fence(pub i64);

/// A `ConfigMap` of the run's state.
///
/// Who holds the lock is the only one who writes it, so it is read once a run: each write goes on
/// from the version that was read or written last. Where that is not the last any more the write
/// fails, and the next one reads.
pub(super) struct State {
    client: Client,
    target: Target,
    /// None where it is to be read first.
    known: Mutex<Option<Known>>,
}

/// What has to be known of it to write it.
pub(super) struct Known {
    /// None where it is not there.
    version: Option<String>,
    writer: Option<Fence>,
    /// The keys of its binary data.
    pub(super) keys: BTreeSet<String>,
}

impl Known {
    pub(super) fn of(found: Option<&Live>) -> Self {
        let keys = found.map(|found| found.texts("/binaryData").into_keys());
        Self {
            version: found.map(|found| found.version().to_owned()),
            writer: found.and_then(stored),
            keys: keys.into_iter().flatten().map(str::to_owned).collect(),
        }
    }
}

impl State {
    /// The `ConfigMap` of this name in the client's namespace.
    pub(super) fn new(client: Client, name: &str) -> Self {
        Self {
            target: Target::new(CONFIG_MAP, client.namespace(), name),
            client,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is called in messages.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// It, if it is there.
    pub(super) async fn read(&self) -> Result<Option<Live>, Error> {
        let found = self.client.get(&self.target).await?;
        *self.known() = Some(Known::of(found.as_ref()));
        Ok(found)
    }

    /// Writes fields of it, made from what is known of it, as the holder of the lock; the others
    /// that it has stay.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is not as it was read: what follows from that is to be thought
    /// over; [`Error::Fenced`] after a later holder of the lock.
    pub(super) async fn write(
        &self,
        fence: Fence,
        fields: impl FnOnce(&Known) -> Value,
    ) -> Result<(), Error> {
        // Taken, so that after a failure it is read anew.
        let known = self.known().take();
        let known = match known {
            Some(known) => known,
            None => Known::of(self.client.get(&self.target).await?.as_ref()),
        };
        fence.check(&self.target, known.writer)?;
        let written = self.put(&known, fence.signed(fields(&known))).await?;
        *self.known() = Some(Known::of(Some(&written)));
        Ok(())
    }

    /// Takes it away.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        *self.known() = None;
        match self.client.get(&self.target).await? {
            Some(found) => self.client.discard(&self.target, &found).await,
            None => Ok(()),
        }
    }

    async fn put(&self, known: &Known, mut document: Value) -> Result<Live, Error> {
        let Some(version) = &known.version else {
            document["apiVersion"] = CONFIG_MAP.api_version().into();
            document["kind"] = CONFIG_MAP.name.as_ref().into();
            document["metadata"]["name"] = self.target.name.as_str().into();
            return self.client.create(&self.target, &document).await;
        };
        document["metadata"]["resourceVersion"] = version.as_str().into();
        match self.client.merge(&self.target, &document).await {
            // It was there, so somebody was faster.
            Err(Error::NotFound { request, message }) => Err(Error::Conflict { request, message }),
            other => other,
        }
    }
}

impl Fence {
    /// The fields with our number and our name.
    fn signed(self, mut fields: Value) -> Value {
        let metadata = &mut fields["metadata"];
        metadata["labels"]["app.kubernetes.io/managed-by"] = MANAGER.into();
        metadata["annotations"][TRANSITIONS] = self.0.to_string().into();
        fields
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
    let names = ["", "-inventory-0", "-progress"].map(|what| format!("{lock}{what}"));
    let reads = names.map(|name| {
        let target = Target::new(CONFIG_MAP, client.namespace(), name);
        async move { client.get(&target).await }
    });
    let found = try_join_all(reads).await?;
    let last = found.iter().flatten().filter_map(stored).max();
    Ok(last.map_or(0, |Fence(last)| last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_signed_beside_what_it_says() {
        let fields = json!({ "metadata": { "annotations": { "a": "b" } }, "data": { "c": "d" } });
        let expected = json!({
            "metadata": {
                "labels": { "app.kubernetes.io/managed-by": MANAGER },
                "annotations": { "a": "b", TRANSITIONS: "7" },
            },
            "data": { "c": "d" },
        });
        assert_eq!(Fence(7).signed(fields), expected);
    }

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
