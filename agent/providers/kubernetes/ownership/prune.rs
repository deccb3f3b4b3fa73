//! What has left the bundle.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error, diagnosis};
use super::deletion::{DeletionChange, State, look, next};
use super::{AT_ONCE, Entry, Inventory, Turn};
use crate::engine::{Diagnosis, Plan, Resource};

/// Deletes the objects on record that are not in the bundle any more.
///
/// What is to go only the server knows, so all of it is this one step: turn by
/// turn, each after the one before is gone.
pub struct Prune {
    client: Client,
    inventory: Inventory,
    desired: Vec<Entry>,
    with_data: bool,
    rehearse: bool,
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
            rehearse: false,
        }
    }

    /// Whether nothing is going to be deleted now, so that all of it is shown at once.
    #[must_use]
    pub fn rehearse(self, rehearse: bool) -> Self {
        Self { rehearse, ..self }
    }
}

impl Resource for Prune {
    type Observed = PruneObserved;
    type Change = DeletionChange;
    type Error = Error;

    async fn observe(&self) -> Result<PruneObserved, Error> {
        let mut orphans = self.inventory.orphans(&self.desired).await?;
        orphans.sort_by_key(Entry::turn);
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
        Ok(plan(&observed.0, self.rehearse))
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

/// The changes of the earliest turn that is still there, or what it waits for; of all turns `at_once`.
fn plan(found: &[(Target, Live)], at_once: bool) -> Plan<DeletionChange> {
    let turn = |target: &Target| Turn::of(&target.kind.group, &target.kind.name);
    let earliest = found.iter().map(|(target, _)| turn(target)).min();
    let due = found
        .iter()
        .filter(|(target, _)| at_once || Some(turn(target)) == earliest);
    let mut changes = Vec::new();
    let mut waits = Vec::new();
    for (target, live) in due {
        match next(target, live) {
            Ok(change) => changes.push(change),
            Err(waiting) => waits.push(waiting),
        }
    }
    if !changes.is_empty() {
        return Plan::Change(changes);
    }
    match waits.into_iter().next() {
        Some(waiting) => Plan::InProgress(waiting),
        None => Plan::Current,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::kind::{CONFIG_MAP, DEPLOYMENT, Kind};
    use super::*;
    use crate::engine::Difference;

    fn planned(found: &[(Target, Live)], at_once: bool) -> Result<Vec<String>, String> {
        match plan(found, at_once) {
            Plan::Change(changes) => Ok(changes
                .into_iter()
                .map(|change| Difference::from(change).target)
                .collect()),
            Plan::InProgress(waiting) => Err(waiting.what),
            Plan::Current => Ok(Vec::new()),
        }
    }

    #[test]
    fn an_operator_outlives_its_resources() {
        let cluster = Kind::of_group("example.com/v1", "Cluster", "clusters");
        let at = |kind: Kind| Target::new(kind, "lens", "a");
        let there = || Live::new(json!({ "metadata": {} }));
        let held = Live::new(json!({ "metadata": {
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/keep"] } }));
        let mut found = vec![
            (at(cluster.clone()), there()),
            (at(DEPLOYMENT), there()),
            (at(CONFIG_MAP), there()),
        ];
        let all = ["Cluster lens/a", "Deployment lens/a", "ConfigMap lens/a"];
        assert_eq!(planned(&found, true), Ok(all.map(str::to_owned).to_vec()));
        assert_eq!(planned(&found, false), Ok(vec![all[0].to_owned()]));
        found[0].1 = held;
        let waits = "Cluster lens/a: is being deleted, held by the finalizer example.com/keep";
        assert_eq!(planned(&found, false), Err(waits.to_owned()));
        found.remove(0);
        assert_eq!(planned(&found, false), Ok(vec![all[1].to_owned()]));
        assert_eq!(planned(&[], false), Ok(Vec::new()));
    }
}
