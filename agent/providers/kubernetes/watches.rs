//! One list and one watch for each kind and namespace, shared by everything that looks and waits
//! there.
//!
//! The first who looks lists, the others await that list, and from its version on a watch keeps
//! what is known up to date. It is taken up again where it ended; when that cannot be done, what
//! is known is forgotten, and the next who looks lists anew. So nothing is polled here, and
//! nothing is tried twice: the engine's pauses decide when somebody looks again.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::Error;
use super::client::Connection;
use super::flight::Flight;
use super::kind::{Kind, Target};
use super::live::Live;
use super::request::{Request, Selection};
use super::seen::{Answer, Listing, MOST, Seen, number};

/// How long the start of a watch may take.
const START: Duration = Duration::from_secs(10);
/// A server that says nothing for so long, not even how far it is, has gone.
const IDLE: Duration = Duration::from_secs(150);
/// A watch that ends sooner has not worked.
const SHORT: Duration = Duration::from_secs(1);
/// So many of them in a row, and it is not tried again.
const SHORT_ONES: u32 = 3;
/// Reading an object by its name costs as much as so many in a list.
const DEARER: u64 = 10;

/// All that is known of a cluster's objects; its watches end with it.
pub(super) struct Watches {
    connection: Connection,
    announced: Mutex<Announced>,
    places: Mutex<Places>,
}

/// By API version and kind, namespaces and names.
pub(super) type Announced = HashMap<(String, String), HashSet<(String, String)>>;
type Places = HashMap<(Kind, Option<String>), Arc<Place>>;

/// One kind in one namespace.
struct Place {
    connection: Connection,
    kind: Kind,
    namespace: Option<String>,
    seen: Arc<Seen>,
    listing: Flight<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seen.end();
    }
}

impl Watches {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            announced: Mutex::default(),
            places: Mutex::default(),
        }
    }

    /// Says that an object is going to be looked at, so that one list can serve many.
    pub(super) fn announce(&self, (api_version, kind): (&str, &str), namespace: &str, name: &str) {
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let names = announced.entry((api_version.to_owned(), kind.to_owned()));
        names
            .or_default()
            .insert((namespace.to_owned(), name.to_owned()));
    }

    /// What is going to be looked at.
    pub(super) fn announced(&self) -> Announced {
        let announced = self.announced.lock();
        announced.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An object; none also if its namespace is not there or its kind is not served any more.
    pub(super) async fn look(&self, target: &Target) -> Result<Option<Arc<Live>>, Error> {
        let place = self.place(target);
        if let Answer::List = place.seen.answer(&target.name) {
            place.list(&target.name).await?;
        }
        match place.seen.answer(&target.name) {
            Answer::Known(found) => Ok(found),
            Answer::List | Answer::Get => place.get(target).await,
        }
    }

    /// All objects of a kind in a namespace; none where they cannot be followed, so that whoever
    /// asks must ask the server.
    pub(super) async fn all(
        &self,
        kind: &Kind,
        namespace: &str,
    ) -> Result<Option<Vec<Arc<Live>>>, Error> {
        let place = self.place(&Target::new(kind.clone(), namespace, ""));
        let wanted = place.seen.want_all();
        if let Some(all) = place.seen.all() {
            return Ok(Some(all));
        }
        if wanted && place.seen.may_list() {
            place.list_all().await?;
        }
        Ok(place.seen.all())
    }

    /// Ends when there is an object with these labels among all of a kind in a namespace, or when it
    /// is not known any more whether there is.
    pub(super) async fn appears(&self, kind: &Kind, namespace: &str, labels: &str) {
        let place = self.place(&Target::new(kind.clone(), namespace, ""));
        let mut news = place.seen.news();
        if place.seen.all().is_none() {
            return std::future::pending().await;
        }
        while let Some(all) = place.seen.all() {
            if all.iter().any(|live| has_labels(live, labels)) {
                return;
            }
            // An error would mean that the place is gone, and with it who waits.
            let _ = news.changed().await;
        }
    }

    /// Ends when the object's version is not `version`; none stands for "there is no such object".
    pub(super) async fn changed(&self, target: &Target, version: Option<&str>) {
        let place = self.place(target);
        let listed = place.list(&target.name).await;
        if listed.is_err() || !place.seen.follows(&target.name) {
            // Nobody will tell; the engine looks now and then.
            return std::future::pending().await;
        }
        // What nobody knows yet of one that came late is no news.
        if let Answer::Get = place.seen.answer(&target.name)
            && place.catch_up(&target.name).await.is_err()
        {
            return std::future::pending().await;
        }
        place
            .seen
            .subscribe(&target.name)
            .for_other_than(version)
            .await;
    }

    /// Takes what the server answered to a write of ours.
    pub(super) fn wrote(&self, target: &Target, live: &Live) {
        let place = self.place(target);
        place
            .seen
            .put(&target.name, live.version(), || live.clone());
    }

    /// After a deletion whose answer does not say when it was.
    pub(super) fn forget(&self, target: &Target) {
        self.place(target).seen.forget(&target.name);
    }

    fn place(&self, target: &Target) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.kind.clone(), target.namespace.clone());
        let place = places
            .entry(key)
            .or_insert_with(|| Arc::new(self.open(target)));
        Arc::clone(place)
    }

    fn open(&self, target: &Target) -> Place {
        let seen = Seen::default();
        let announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let kind = (target.kind.api_version(), target.kind.name.to_string());
        for (namespace, name) in announced.get(&kind).into_iter().flatten() {
            if target.namespace.as_ref().is_none_or(|it| it == namespace) {
                seen.want(name);
            }
        }
        Place {
            connection: self.connection.clone(),
            kind: target.kind.clone(),
            namespace: target.namespace.clone(),
            seen: Arc::new(seen),
            listing: Flight::default(),
        }
    }
}

impl Place {
    /// Makes a watch follow this name, as far as that is allowed.
    async fn list(&self, name: &str) -> Result<(), Error> {
        self.seen.want(name);
        if self.seen.follows(name) || !self.seen.may_list() {
            return Ok(());
        }
        self.list_all().await
    }

    async fn list_all(&self) -> Result<(), Error> {
        let following = self.following();
        self.listing.join(|| following.list().boxed()).await
    }

    fn following(&self) -> Following {
        Following {
            connection: self.connection.clone(),
            selection: Selection {
                kind: self.kind.clone(),
                namespace: self.namespace.clone(),
                labels: String::new(),
                fields: String::new(),
                may_be_forbidden: true,
            },
            seen: Arc::clone(&self.seen),
        }
    }

    /// Learns of a name that was not kept when the others were listed. By a list too: who may
    /// list a kind may not always get one by its name.
    async fn catch_up(&self, name: &str) -> Result<(), Error> {
        let mut listing = Listing::of_one(name);
        let version = self.following().pages(&mut listing).await?;
        if let Some(version) = version.as_deref().and_then(number) {
            self.seen.miss(&listing, version);
        }
        Ok(())
    }

    async fn get(&self, target: &Target) -> Result<Option<Arc<Live>>, Error> {
        let found = match self.connection.send(Request::get(target)).await {
            Ok(answer) => Some(Arc::new(Live::new(answer))),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        self.seen.told(&target.name, found.as_ref());
        Ok(found)
    }
}

/// A list, and the watch that goes on from it.
struct Following {
    connection: Connection,
    selection: Selection,
    seen: Arc<Seen>,
}

/// How a watch ended.
enum End {
    /// The server or the connection ended it; it can be taken up again.
    Broken,
    /// The server does not answer, or has forgotten the version to go on from.
    Lost,
    Forbidden,
}

impl Following {
    async fn list(mut self) -> Result<(), Error> {
        let mut listing = self.seen.begin();
        let version = match self.pages(&mut listing).await {
            Ok(version) => version.as_deref().and_then(number),
            Err(Error::Forbidden { .. }) => {
                self.seen.read_by_name();
                return Ok(());
            }
            // There is no such kind any more; who looks hears it by name.
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let seen = Arc::clone(&self.seen);
        match version {
            Some(version) => {
                let follow = self.follow(version.to_string());
                seen.finish(listing, version, || tokio::spawn(follow).abort_handle());
            }
            // Those that were named may still be worth a list.
            None if listing.all => seen.too_many(),
            None => seen.read_by_name(),
        }
        Ok(())
    }

    /// Gives up where most of what there is belongs to others.
    async fn pages(&mut self, listing: &mut Listing) -> Result<Option<String>, Error> {
        if let Some(name) = &listing.only {
            self.selection.fields = format!("metadata.name={name}");
        }
        let Self {
            connection,
            selection,
            seen,
        } = self;
        let take = |items: Vec<Value>, left: u64| {
            for item in items {
                let name = text(&item, "name").to_owned();
                let version = text(&item, "resourceVersion").to_owned();
                let object = || Live::of_kind(&selection.kind, item);
                seen.take(listing, &name, &version, object);
            }
            let dear = if listing.all {
                MOST as u64
            } else {
                listing.count * DEARER
            };
            if left > dear {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        connection.pages(selection, take).await
    }

    async fn follow(self, mut version: String) {
        let resource = self.selection.kind.resource();
        let mut short = 0;
        loop {
            let began = Instant::now();
            match self.watch(&mut version).await {
                End::Broken if began.elapsed() >= SHORT => short = 0,
                End::Broken if short < SHORT_ONES => short += 1,
                End::Lost => {
                    tracing::debug!(resource, "a watch was lost; listing again");
                    return self.seen.lose();
                }
                End::Broken | End::Forbidden => {
                    tracing::debug!(resource, "cannot watch; looking now and then instead");
                    return self.seen.read_by_name();
                }
            }
        }
    }

    /// Watches until that ends; `version` is how far it has come.
    async fn watch(&self, version: &mut String) -> End {
        let start = self.connection.watch(&self.selection, version);
        let events = match timeout(START, start).await {
            Ok(Ok(events)) => events,
            Ok(Err(Error::Forbidden { .. })) => return End::Forbidden,
            Ok(Err(_)) | Err(_) => return End::Lost,
        };
        let mut events = pin!(events);
        while let Ok(Some(Ok(event))) = timeout(IDLE, events.next()).await {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    text(&object, "resourceVersion").clone_into(version);
                    let name = text(&object, "name").to_owned();
                    self.seen.put(&name, version, || Live::new(object));
                }
                WatchEvent::Deleted(object) => {
                    text(&object, "resourceVersion").clone_into(version);
                    self.seen.gone(text(&object, "name"), version);
                }
                WatchEvent::Bookmark(mark) => *version = mark.metadata.resource_version,
                WatchEvent::Error(_) => return End::Lost,
            }
        }
        End::Broken
    }
}

/// Whether an object has these labels: `a=b,c=d`.
pub(super) fn has_labels(live: &Live, labels: &str) -> bool {
    let has = live.at("/metadata/labels");
    let mut wanted = labels.split(',').filter_map(|label| label.split_once('='));
    wanted.all(|(key, value)| has.is_some_and(|has| has[key] == value))
}

/// A word of an object's metadata.
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}
