//! What has left the bundle.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error, diagnosis};
use super::deletion::{DeletionChange, State, look, next};
use super::{AT_ONCE, Entry, Inventory, Turn, rights};
use crate::engine::{Diagnosis, Plan, Resource};

/// Deletes the objects on record that are not in the bundle any more.
///
/// What is to go only the server knows, so all of it is this one step: turn by
/// turn, each after the one before is gone. What may not be deleted stays, and with it only what
/// comes in a later turn, because that may still serve it.
pub struct Prune {
    client: Client,
    inventory: Inventory,
    desired: Vec<Entry>,
    with_data: bool,
    rehearse: bool,
}

/// The objects that are there and are to go, turn by turn.
#[derive(Debug)]
pub struct PruneObserved(Vec<Orphan>);

#[derive(Debug)]
struct Orphan {
    target: Target,
    live: Arc<Live>,
    /// Whether it may be deleted.
    may_go: bool,
}

impl PruneObserved {
    /// What the next look is for: of the earliest turn, one that is on its way.
    fn awaited(&self) -> Option<&Orphan> {
        let turn = self.0.first().map(Orphan::turn);
        let mut due = self.0.iter().take_while(|it| Some(it.turn()) == turn);
        let going = due.find(|orphan| orphan.live.is_being_deleted());
        going.or(self.0.first())
    }
}

impl Orphan {
    fn turn(&self) -> Turn {
        Turn::of(&self.target.kind.group, &self.target.kind.name)
    }
}

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

    /// All changes of one plan are of one turn.
    const AT_ONCE: usize = AT_ONCE;

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
            State::Present(target, live) => Some((target, live)),
            State::Gone | State::Kept => None,
        });
        let orphan = |(target, live)| Orphan {
            target,
            live,
            may_go: true,
        };
        let mut orphans: Vec<Orphan> = present.map(orphan).collect();
        let targets: Vec<&Target> = orphans.iter().map(|orphan| &orphan.target).collect();
        for (at, _) in rights::missing(&self.client, &targets).await? {
            orphans[at].may_go = false;
        }
        Ok(PruneObserved(orphans))
    }

    fn plan(&self, observed: &PruneObserved) -> Result<Plan<DeletionChange>, Error> {
        plan(&observed.0, self.rehearse)
    }

    async fn apply(&self, change: DeletionChange) -> Result<(), Error> {
        change.make(&self.client).await
    }

    async fn changed(&self, seen: &PruneObserved) {
        match seen.awaited() {
            Some(Orphan { target, live, .. }) => {
                let version = Some(live.version());
                self.client.watches().changed(target, version).await;
            }
            None => std::future::pending().await,
        }
    }

    async fn diagnose(&self, seen: Result<&PruneObserved, &Error>) -> Option<Diagnosis> {
        let Orphan { target, live, .. } = seen.ok()?.awaited()?;
        diagnosis::diagnose(&self.client, target, live, &[]).await
    }
}

/// The changes of the earliest turn that is still there, or what it waits for; of all turns `at_once`.
fn plan(found: &[Orphan], at_once: bool) -> Result<Plan<DeletionChange>, Error> {
    let earliest = found.iter().map(Orphan::turn).min();
    let is_due = |orphan: &&Orphan| at_once || Some(orphan.turn()) == earliest;
    let mut changes = Vec::new();
    let mut waits = Vec::new();
    let mut denied = 0;
    for Orphan {
        target,
        live,
        may_go,
    } in found.iter().filter(is_due)
    {
        match next(target, live) {
            Err(waiting) => waits.push(waiting),
            Ok(change) if *may_go => changes.push(change),
            Ok(_) => denied += 1,
        }
    }
    // What is shown at once is all of it, or why it is not.
    let is_whole = denied == 0 || !at_once;
    if is_whole && !changes.is_empty() {
        return Ok(Plan::Change(changes));
    }
    match waits.into_iter().next() {
        Some(waiting) if changes.is_empty() => Ok(Plan::InProgress(waiting)),
        _ if denied > 0 => Err(may_not(found)),
        _ => Ok(Plan::Current),
    }
}

/// All that may not be deleted, of whichever turn, and how many others stay with it.
fn may_not(found: &[Orphan]) -> Error {
    let denied = found.iter().filter(|orphan| !orphan.may_go);
    let denied: Vec<String> = denied.map(|orphan| orphan.target.to_string()).collect();
    Error::MayNotDelete {
        others: found.len() - denied.len(),
        denied,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::kind::{CONFIG_MAP, DEPLOYMENT, Kind};
    use super::*;
    use crate::engine::Difference;

    fn planned(found: &[Orphan], at_once: bool) -> Result<Vec<String>, String> {
        match plan(found, at_once).map_err(|error| error.to_string())? {
            Plan::Change(changes) => Ok(changes
                .into_iter()
                .map(|change| Difference::from(change).target)
                .collect()),
            Plan::InProgress(waiting) => Err(waiting.what),
            Plan::Current => Ok(Vec::new()),
        }
    }

    fn orphan(target: Target, live: Live) -> Orphan {
        Orphan {
            target,
            live: Arc::new(live),
            may_go: true,
        }
    }

    #[test]
    fn what_may_not_be_deleted_keeps_only_what_comes_after_it() {
        let there = |kind: Kind, name: &str, may_go| Orphan {
            may_go,
            ..orphan(
                Target::new(kind, "lens", name),
                Live::new(json!({ "metadata": {} })),
            )
        };
        let mut found = vec![
            there(DEPLOYMENT, "a", false),
            there(DEPLOYMENT, "b", true),
            there(CONFIG_MAP, "c", true),
            there(CONFIG_MAP, "d", false),
        ];
        let names = "Deployment lens/a, ConfigMap lens/d";
        let alone = format!("not allowed to delete what has left the bundle: {names}");
        let after = |stay| format!("{alone}; {stay}, which is deleted only after that");
        let two = format!("{alone}; 2 more stay, which are deleted only after that");
        assert_eq!(
            planned(&found, false),
            Ok(vec!["Deployment lens/b".to_owned()])
        );
        assert_eq!(planned(&found, true), Err(two));
        found.remove(1);
        assert_eq!(planned(&found, false), Err(after("1 more stays")));
        found.remove(1);
        assert_eq!(planned(&found, false), Err(alone.clone()));
    }

    #[test]
    fn what_is_on_its_way_is_awaited_and_not_what_may_not_go() {
        let there = |kind: Kind, name: &str, live: Value| {
            orphan(
                Target::new(kind, "lens", name),
                Live::new(json!({ "metadata": live })),
            )
        };
        let going = || json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        let awaited = |found: Vec<Orphan>| {
            let seen = PruneObserved(found);
            seen.awaited().map(|orphan| orphan.target.name.clone())
        };
        let of_this_turn = vec![
            there(DEPLOYMENT, "a", json!({})),
            there(DEPLOYMENT, "b", going()),
            there(CONFIG_MAP, "c", going()),
        ];
        assert_eq!(awaited(of_this_turn).as_deref(), Some("b"));
        let of_the_next = vec![
            there(DEPLOYMENT, "a", json!({})),
            there(CONFIG_MAP, "c", going()),
        ];
        assert_eq!(awaited(of_the_next).as_deref(), Some("a"));
        assert_eq!(awaited(Vec::new()), None);
    }

    #[test]
    fn an_operator_outlives_its_resources() {
        let cluster = Kind::of_group("example.com/v1", "Cluster", "clusters");
        let at = |kind: Kind| Target::new(kind, "lens", "a");
        let there = || Live::new(json!({ "metadata": {} }));
        let held = Live::new(json!({ "metadata": {
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/keep"] } }));
        let mut found = vec![
            orphan(at(cluster.clone()), there()),
            orphan(at(DEPLOYMENT), there()),
            orphan(at(CONFIG_MAP), there()),
        ];
        let all = ["Cluster lens/a", "Deployment lens/a", "ConfigMap lens/a"];
        assert_eq!(planned(&found, true), Ok(all.map(str::to_owned).to_vec()));
        assert_eq!(planned(&found, false), Ok(vec![all[0].to_owned()]));
        found[0].live = Arc::new(held);
        let waits = "Cluster lens/a: is being deleted, held by the finalizer example.com/keep";
        assert_eq!(planned(&found, false), Err(waits.to_owned()));
        found.remove(0);
        assert_eq!(planned(&found, false), Ok(vec![all[1].to_owned()]));
        assert_eq!(planned(&[], false), Ok(Vec::new()));
    }
}
