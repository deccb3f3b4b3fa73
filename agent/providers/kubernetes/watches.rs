//! One metadata-only watch for each kind and namespace, shared by everything that waits there.
//!
//! A watch keeps the last seen version of each name, so a change between a look and the wait for
//! it is not lost. It is only a hint: where watching is forbidden nothing ever wakes, and the
//! engine's pauses decide when to look again.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt};
use kube::Api;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_kind};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::kind::{Kind, Target};

/// All watches of a client; they end with it.
pub(super) struct Watches {
    kube: kube::Client,
    places: Mutex<HashMap<(Kind, Option<String>), Place>>,
}

struct Place {
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watches {
    pub(super) fn new(kube: kube::Client) -> Self {
        Self {
            kube,
            places: Mutex::default(),
        }
    }

    /// Ends when the object's version is not `version`; none stands for "there is no such object".
    pub(super) async fn changed(&self, target: &Target, version: Option<&str>) {
        let mut states = self.seen(target).subscribe(&target.name);
        let woken = states
            .wait_for(|state| state.differs_from(version))
            .await
            .is_ok();
        if !woken {
            // The watch has ended, which is no sign of a change.
            std::future::pending::<()>().await;
        }
    }

    fn seen(&self, target: &Target) -> Arc<Seen> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.kind.clone(), target.namespace.clone());
        let place = places.entry(key).or_insert_with(|| self.watch(target));
        Arc::clone(&place.seen)
    }

    fn watch(&self, target: &Target) -> Place {
        let kind = &target.kind;
        let resource = ApiResource {
            group: kind.group.to_string(),
            version: kind.version.to_string(),
            api_version: kind.api_version(),
            kind: kind.name.to_string(),
            plural: kind.plural.to_string(),
        };
        let kube = self.kube.clone();
        let api: Api<PartialObjectMeta<DynamicObject>> = match &target.namespace {
            Some(namespace) => Api::namespaced_with(kube, namespace, &resource),
            None => Api::all_with(kube, &resource),
        };
        let seen = Arc::new(Seen::default());
        let events = watch_kind(api, watcher::Config::default()).default_backoff();
        let follow = follow(events, Arc::clone(&seen), kind.resource());
        Place {
            seen,
            task: tokio::spawn(follow),
        }
    }
}

type Metadata = PartialObjectMeta<DynamicObject>;

/// Keeps `seen` up to date until the watch is forbidden.
async fn follow(
    events: impl Stream<Item = Result<Event<Metadata>, watcher::Error>>,
    seen: Arc<Seen>,
    resource: String,
) {
    let mut events = pin!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.extend(object.metadata.name.clone());
                seen.put(&object);
            }
            Ok(Event::InitDone) => seen.keep(&listed),
            Ok(Event::Apply(object)) => seen.put(&object),
            Ok(Event::Delete(object)) => {
                seen.set(&object.metadata.name.unwrap_or_default(), State::Absent);
            }
            Err(error) if is_forbidden(&error) => {
                tracing::debug!(
                    resource,
                    "not allowed to watch; looking now and then instead"
                );
                return;
            }
            Err(error) => {
                tracing::debug!(resource, error = %error, "a watch was interrupted");
            }
        }
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return false;
    };
    status.is_forbidden()
}

/// What the watch knows of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    #[default]
    Unknown,
    Absent,
    Version(String),
}

impl State {
    fn differs_from(&self, version: Option<&str>) -> bool {
        match self {
            Self::Unknown => false,
            Self::Absent => version.is_some(),
            Self::Version(seen) => version != Some(seen),
        }
    }
}

/// What the watch knows of all names of one kind and namespace.
#[derive(Debug, Default)]
struct Seen(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    states: HashMap<String, watch::Sender<State>>,
    /// Whether a name that is not in `states` is known to be absent.
    listed: bool,
}

impl Seen {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(&self, name: &str) -> watch::Receiver<State> {
        let mut names = self.names();
        let unseen = if names.listed {
            State::Absent
        } else {
            State::Unknown
        };
        let states = &mut names.states;
        states
            .entry(name.to_owned())
            .or_insert_with(|| watch::Sender::new(unseen))
            .subscribe()
    }

    fn put(&self, object: &Metadata) {
        let metadata = &object.metadata;
        let version = metadata.resource_version.clone().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        self.set(name, State::Version(version));
    }

    fn set(&self, name: &str, state: State) {
        let mut names = self.names();
        let sender = names.states.entry(name.to_owned()).or_default();
        sender.send_if_modified(|seen| {
            let changed = *seen != state;
            *seen = state;
            changed
        });
    }

    /// After a list: what is not in it is not there.
    fn keep(&self, listed: &HashSet<String>) {
        let mut names = self.names();
        names.listed = true;
        for (name, sender) in &names.states {
            if !listed.contains(name) {
                sender.send_replace(State::Absent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn nothing_known_wakes_nobody() {
        assert!(!State::Unknown.differs_from(None));
        assert!(!State::Unknown.differs_from(Some("5")));
        assert!(State::Absent.differs_from(Some("5")));
        assert!(!State::Absent.differs_from(None));
        assert!(State::Version("6".into()).differs_from(Some("5")));
        assert!(State::Version("6".into()).differs_from(None));
        assert!(!State::Version("5".into()).differs_from(Some("5")));
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_lost() {
        let seen = Seen::default();
        seen.set("a", State::Version("6".into()));
        let mut states = seen.subscribe("a");
        let woken = states.wait_for(|state| state.differs_from(Some("5")));
        assert!(woken.now_or_never().is_some());
    }

    #[tokio::test]
    async fn an_object_that_the_list_does_not_have_is_gone() {
        let seen = Seen::default();
        let mut waiting = seen.subscribe("a");
        seen.keep(&HashSet::from(["b".to_owned()]));
        assert!(
            waiting
                .wait_for(|state| *state == State::Absent)
                .now_or_never()
                .is_some()
        );
        assert_eq!(*seen.subscribe("c").borrow(), State::Absent);
    }
}
