//! An object that is to go, with what depends on it.

use std::sync::Arc;

use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error, diagnosis};
use super::stamp::{self, Holder};
use super::{Entry, data, finalizers};
use crate::engine::{Diagnosis, Difference, Plan, Resource, Verb, Waiting};

/// Makes an object absent and waits until it is.
///
/// One that is not the object on record, that somebody else has made, or that holds data without
/// `with_data`, is left alone.
pub struct Deletion {
    client: Client,
    entry: Entry,
    with_data: bool,
}

/// What there is of it.
#[derive(Debug)]
pub struct DeletionObserved(State);

#[derive(Debug)]
pub(super) enum State {
    /// It is not there, or not what we have made.
    Gone,
    /// It is there and stays.
    Kept,
    /// It is there and is to go.
    Present(Target, Arc<Live>),
}

/// One object less.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletionChange {
    target: Target,
    seen: Arc<Live>,
}

impl From<DeletionChange> for Difference {
    fn from(change: DeletionChange) -> Self {
        Self {
            verb: Verb::Delete,
            target: change.target.to_string(),
            fields: Vec::new(),
        }
    }
}

impl Deletion {
    /// An object of the inventory; one that holds data goes only `with_data`.
    #[must_use]
    pub fn new(client: Client, entry: Entry, with_data: bool) -> Self {
        Self {
            client,
            entry,
            with_data,
        }
    }
}

/// Looks for an object on record, in what the shared list and watch of its kind know: a deletion
/// names the version that was seen, so an older sight deletes nothing. Takes note if it is gone.
pub(super) async fn look(client: &Client, entry: &Entry, with_data: bool) -> Result<State, Error> {
    let found = match entry.target_of_any_version(client).await? {
        Some(target) => client.look(&target).await?.map(|live| (target, live)),
        None => None,
    };
    let ours = found
        .as_ref()
        .filter(|(_, live)| is_ours(stamp::holder(client, live), entry, live));
    let Some((target, live)) = ours.cloned() else {
        let is_news = client.ledger().saw_gone(entry.key());
        if let Some((target, live)) = found.filter(|_| is_news && !entry.adopted) {
            tell_shared(client, &target, &live);
        }
        return Ok(State::Gone);
    };
    let holds_data = entry.keep || data::ends_with(&live);
    if holds_data && !with_data || client.ledger().has_seen(live.uid()) {
        return Ok(State::Kept);
    }
    Ok(State::Present(target, live))
}

/// Says why an object stays that this bundle drops, and when it will go.
fn tell_shared(client: &Client, target: &Target, live: &Live) {
    if stamp::holder(client, live) != Holder::Shared {
        return;
    }
    let others: Vec<&str> = stamp::owners(live)
        .filter(|owner| Some(*owner) != client.owner())
        .collect();
    let others = others.join(", ");
    tracing::warn!(
        name: "object.warning",
        "{target} is left as it is, because others apply it too ({others}); once a single bundle does, take its annotation {} away, and the bundle that made it has it alone again",
        stamp::ANNOTATION
    );
}

/// Whether it is the very object that we have made.
fn is_ours(holder: Holder, entry: &Entry, live: &Live) -> bool {
    let is_known = entry.uid.as_deref() == Some(live.uid());
    !entry.adopted
        && match holder {
            // Without a uid the run that was to make it was cut short before it saw it.
            Holder::Us => is_known || entry.uid.is_none(),
            // Made before there were marks.
            Holder::Nobody => is_known,
            Holder::Shared | Holder::Others => false,
        }
}

/// The change that deletes it, or the wait until it is gone.
pub(super) fn next(target: &Target, live: &Arc<Live>) -> Result<DeletionChange, Waiting> {
    if live.at("/metadata/deletionTimestamp").is_some() {
        return Err(Waiting::unavailable(finalizers::waiting(target, live)));
    }
    Ok(DeletionChange {
        target: target.clone(),
        seen: Arc::clone(live),
    })
}

impl DeletionChange {
    pub(super) async fn make(self, client: &Client) -> Result<(), Error> {
        client.delete(&self.target, &self.seen).await
    }
}

impl Resource for Deletion {
    type Observed = DeletionObserved;
    type Change = DeletionChange;
    type Error = Error;

    async fn observe(&self) -> Result<DeletionObserved, Error> {
        look(&self.client, &self.entry, self.with_data)
            .await
            .map(DeletionObserved)
    }

    fn plan(&self, observed: &DeletionObserved) -> Result<Plan<DeletionChange>, Error> {
        let State::Present(target, live) = &observed.0 else {
            return Ok(Plan::Current);
        };
        Ok(match next(target, live) {
            Ok(change) => Plan::Change(vec![change]),
            Err(waiting) => Plan::InProgress(waiting),
        })
    }

    async fn apply(&self, change: DeletionChange) -> Result<(), Error> {
        change.make(&self.client).await
    }

    async fn changed(&self, seen: &DeletionObserved) {
        match &seen.0 {
            State::Present(target, live) => {
                let version = Some(live.version());
                self.client.watches().changed(target, version).await;
            }
            State::Gone | State::Kept => std::future::pending().await,
        }
    }

    async fn diagnose(&self, seen: Result<&DeletionObserved, &Error>) -> Option<Diagnosis> {
        match &seen.ok()?.0 {
            State::Present(target, live) => {
                diagnosis::diagnose(&self.client, target, live, &[]).await
            }
            State::Gone | State::Kept => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_this_bundle_alone_has_made_is_deleted() {
        let document =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
        let live = Live::new(json!({ "metadata": { "uid": "1", "managedFields": [
            { "manager": "firstlight" }] } }));
        for (holder, uid, adopted, expected) in [
            (Holder::Us, Some("1"), false, true),
            (Holder::Us, Some("2"), false, false),
            (Holder::Us, None, false, true),
            (Holder::Us, Some("1"), true, false),
            (Holder::Nobody, Some("1"), false, true),
            (Holder::Nobody, None, false, false),
            (Holder::Shared, Some("1"), false, false),
            (Holder::Others, Some("1"), false, false),
            (Holder::Others, None, false, false),
        ] {
            let entry = Entry {
                uid: uid.map(str::to_owned),
                adopted,
                ..Entry::of_document(&document, false)
            };
            let what = format!("{holder:?} {uid:?} {adopted}");
            assert_eq!(is_ours(holder, &entry, &live), expected, "{what}");
        }
    }
}
