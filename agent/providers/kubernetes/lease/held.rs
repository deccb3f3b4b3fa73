//! The lock while it is ours.

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Holder, Lease, Succession};
use crate::providers::kubernetes::Error;
use crate::providers::kubernetes::fence::Fence;
use crate::providers::kubernetes::live::Live;

/// A Lease that is ours; dropped without [`Held::release`] it runs out by itself.
pub struct Held {
    pub(super) lease: Lease,
    pub(super) fence: Fence,
    pub(super) succession: Succession,
    /// Of the Lease, as of the last renewal.
    pub(super) version: watch::Receiver<String>,
    /// Closed when the renewal has ended.
    pub(super) lost: watch::Receiver<Option<String>>,
    /// Stops the renewal.
    pub(super) stop: CancellationToken,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Held {
    /// Which holder of this Lease we are: what every write of state is to carry.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Who we are, as the Lease says.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.lease.holder
    }

    /// Which attempt we are, and who was before us.
    #[must_use]
    pub fn succession(&self) -> &Succession {
        &self.succession
    }

    /// Why the Lease is not ours any more, if that is known; does not wait.
    #[must_use]
    pub fn loss(&self) -> Option<Error> {
        let reason = self.lost.borrow().clone();
        reason.map(|reason| self.lease.lost(reason))
    }

    /// Ends with the reason when the Lease is not ours any more.
    pub async fn lost(&self) -> Error {
        let mut lost = self.lost.clone();
        let reason = match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "because its renewal has ended".to_owned(),
        };
        self.lease.lost(reason)
    }

    /// Gives the Lease back, so that the next run need not wait.
    ///
    /// # Errors
    /// When the API server does not take it: it may be asked again, else the Lease runs out by itself.
    pub async fn release(&self) -> Result<(), Error> {
        self.give_back(&Map::new()).await
    }

    /// Gives the Lease back before the run has begun, so that the next pod of the Job does not take
    /// it for an attempt, and goes on from who was before us.
    ///
    /// # Errors
    /// See [`Held::release`].
    pub async fn forgo(&self) -> Result<(), Error> {
        self.give_back(&Succession::undone()).await
    }

    async fn give_back(&self, notes: &Map<String, Value>) -> Result<(), Error> {
        self.end().await;
        let version = self.version.borrow().clone();
        match self.give_back_of(&version, notes).await {
            // Somebody has written to it; it may still be ours.
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => match self.find().await? {
                Some(found) => self.give_back_of(found.version(), notes).await,
                None => Ok(()),
            },
            other => other,
        }
    }

    async fn give_back_of(&self, version: &str, notes: &Map<String, Value>) -> Result<(), Error> {
        let patch = json!({
            "metadata": { "resourceVersion": version, "annotations": notes },
            "spec": { "holderIdentity": null, "renewTime": null, "acquireTime": null },
        });
        let lease = &self.lease;
        lease.client.merge(&lease.target, &patch).await.map(drop)
    }

    /// Takes the Lease away, because nothing is left that it keeps.
    ///
    /// # Errors
    /// See [`Held::release`].
    pub async fn remove(&self) -> Result<(), Error> {
        self.end().await;
        match self.find().await? {
            Some(found) => {
                let lease = &self.lease;
                lease.client.discard(&lease.target, &found).await
            }
            None => Ok(()),
        }
    }

    /// Renews no more.
    async fn end(&self) {
        self.stop.cancel();
        // Not aborted: a renewal under way must not come after the release.
        let mut lost = self.lost.clone();
        while lost.changed().await.is_ok() {}
        self.lease.client.hold().end();
    }

    /// The Lease if it is still ours.
    async fn find(&self) -> Result<Option<Live>, Error> {
        let found = self.lease.client.get(&self.lease.target).await?;
        let identity = self.lease.identity();
        Ok(found.filter(|found| found.text("/spec/holderIdentity") == identity))
    }
}
