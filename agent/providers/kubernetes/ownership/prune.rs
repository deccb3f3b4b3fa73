//! What has left the bundle.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error, diagnosis};
use super::deletion::{DeletionChange, State, look, next};
use super::{AT_ONCE, Entry, Inventory};
use crate::engine::{Diagnosis, Plan, Resource};

/// Deletes the objects on record that are not in the bundle any more.
///
/// What is to go only the server knows, so all of it is the change list of this one step.
pub struct Prune {
    client: Client,
    inventory: Inventory,
    desired: Vec<Entry>,
    with_data: bool,
}

/// The objects that are there and are to go.
#[derive(Debug)]
pub struct PruneObserved(Vec<(Target, Live)>);

impl Prune {
    /// Everything on record of a bundle but `desired`; objects that hold data only `with_data`.
    #[must_use]
    pub fn new(client: Client, bundle: &str, desired: Vec<Entry>, with_data: bool) -> Self {
        Self {
            inventory: Inventory::new(client.clone(), bundle),
            client,
            desired,
            with_data,
        }
    }
}

impl Resource for Prune {
    type Observed = PruneObserved;
    type Change = DeletionChange;
    type Error = Error;

    async fn observe(&self) -> Result<PruneObserved, Error> {
        let mut orphans = self.inventory.orphans(&self.desired).await?;
        orphans.sort_by_key(|entry| order(&entry.kind));
        // Collected first, because a stream that borrows across its closures does not compile.
        let looks: Vec<_> = orphans
            .iter()
            .map(|entry| look(&self.client, entry, self.with_data))
            .collect();
        let states: Vec<State> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        let present = states.into_iter().filter_map(|state| match state {
            State::Present(found) => Some(*found),
            State::Gone | State::Kept => None,
        });
        Ok(PruneObserved(present.collect()))
    }

    fn plan(&self, observed: &PruneObserved) -> Result<Plan<DeletionChange>, Error> {
        let mut changes = Vec::new();
        let mut waits = Vec::new();
        for (target, live) in &observed.0 {
            match next(target, live) {
                Ok(change) => changes.push(change),
                Err(waiting) => waits.push(waiting),
            }
        }
        if !changes.is_empty() {
            return Ok(Plan::Change(changes));
        }
        Ok(match waits.into_iter().next() {
            Some(waiting) => Plan::InProgress(waiting),
            None => Plan::Current,
        })
    }

    async fn apply(&self, change: DeletionChange) -> Result<(), Error> {
        change.make(&self.client).await
    }

    async fn changed(&self, seen: &PruneObserved) {
        match seen.0.first() {
            Some((target, live)) => {
                let version = Some(live.version());
                self.client.watches().changed(target, version).await;
            }
            None => std::future::pending().await,
        }
    }

    async fn diagnose(&self, seen: Result<&PruneObserved, &Error>) -> Option<Diagnosis> {
        let (target, live) = seen.ok()?.0.first()?;
        diagnosis::diagnose(&self.client, target, live, &[]).await
    }
}

/// What others are made with goes after them.
fn order(kind: &str) -> usize {
    match kind {
        "Namespace" => 4,
        "CustomResourceDefinition" => 3,
        "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => 2,
        "ConfigMap"
        | "Secret"
        | "PersistentVolumeClaim"
        | "PersistentVolume"
        | "Service"
        | "StorageClass" => 1,
        _ => 0,
    }
}
