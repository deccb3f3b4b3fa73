//! State that only the latest holder of the lock may write.
//!
//! Every write carries the number of the lock's holder (`leaseTransitions`) and the version that
//! was read before: a run that lost its lock without knowing finds a greater number and is refused,
//! and of two that write at once one is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;
use serde_json::{Value, json};

use super::kind::{CONFIG_MAP, Target};
use super::live::Live;
use super::{Client, Error, MANAGER};

/// The number of the holder that wrote last.
const TRANSITIONS: &str = "firstlight.dev/lease-transitions";

/// Which holder of the lock we are, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// A `ConfigMap` of the run's state.
///
/// Who holds the lock is the only one who writes it, so it is read once a run: each write goes on
/// from the version that was read or written last, and reads only if that is not the last any more.
pub(super) struct State {
    client: Client,
    target: Target,
    /// None where it is to be read first.
    known: Mutex<Option<Known>>,
}

/// What has to be known of it to write it.
enum Known {
    Absent,
    There {
        version: String,
        writer: Option<Fence>,
    },
}

impl Known {
    fn of(found: Option<&Live>) -> Self {
        found.map_or(Self::Absent, |live| Self::There {
            version: live.version().to_owned(),
            writer: stored(live),
        })
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

    /// Makes it hold these keys, as the holder of the lock; others that it has stay.
    pub(super) async fn write(&self, data: &Value, fence: Fence) -> Result<(), Error> {
        // Taken, so that after a failure it is read anew.
        let known = self.known().take();
        if let Some(known) = known {
            match self.put(&known, data, fence).await {
                // Somebody has written to it since.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                other => return other,
            }
        }
        let found = self.client.get(&self.target).await?;
        self.put(&Known::of(found.as_ref()), data, fence).await
    }

    /// Takes it away.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        *self.known() = None;
        match self.client.get(&self.target).await? {
            Some(found) => self.client.discard(&self.target, &found).await,
            None => Ok(()),
        }
    }

    async fn put(&self, known: &Known, data: &Value, fence: Fence) -> Result<(), Error> {
        let written = match known {
            Known::Absent => {
                let document = fence.document(&self.target, data);
                self.client.create(&self.target, &document).await?
            }
            Known::There { version, writer } => {
                fence.check(&self.target, *writer)?;
                let patch = fence.patch(version, data);
                self.client.merge(&self.target, &patch).await?
            }
        };
        *self.known() = Some(Known::of(Some(&written)));
        Ok(())
    }
}

impl Fence {
    /// Of this very version.
    fn patch(self, version: &str, data: &Value) -> Value {
        json!({
            "metadata": {
                "resourceVersion": version,
                "labels": { "app.kubernetes.io/managed-by": MANAGER },
                "annotations": { TRANSITIONS: self.0.to_string() },
            },
            "data": data,
        })
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

    fn check(self, target: &Target, writer: Option<Self>) -> Result<(), Error> {
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
    let names = [lock.to_owned(), format!("{lock}-inventory-0")];
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
