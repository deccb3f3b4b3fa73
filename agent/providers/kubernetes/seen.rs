//! What is known of the objects of one kind in one namespace, between two questions.

mod listing;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(super) use listing::Listing;

use super::live::Live;

/// More objects than that are not kept for a look around among them: each may take a tenth of a
/// megabyte, and there may be any number of them.
pub(super) const MOST: usize = 1_000;

/// What is known of one name.
#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Unknown,
    /// As of this version of the store.
    Absent(u64),
    Present(u64, Arc<Live>),
}

impl State {
    fn is_older_than(&self, version: u64) -> bool {
        match self {
            Self::Unknown => true,
            Self::Absent(known) | Self::Present(known, _) => *known < version,
        }
    }

    /// Whether who has seen this version should look again. Knowledge that was lost is a reason too.
    fn differs_from(&self, version: Option<&str>) -> bool {
        match self {
            Self::Unknown => true,
            Self::Absent(_) => version.is_some(),
            Self::Present(_, live) => version != Some(live.version()),
        }
    }
}

/// How the objects are read.
#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nobody has listed them, or the watch was lost since.
    #[default]
    Unlisted,
    /// A watch keeps what is known up to date: of one name, or of all.
    Followed(Option<String>),
    /// Listing or watching them is not allowed, or too dear.
    ByName,
}

/// How to learn of an object.
pub(super) enum Answer {
    /// This is how it is; none if there is none.
    Known(Option<Arc<Live>>),
    /// By a list of all.
    List,
    /// By its name.
    Get,
}

/// The names that matter here, and what is known of each. Of other objects nothing is kept, unless
/// all are wanted.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    names: HashMap<String, watch::Sender<State>>,
    /// Those of the names that nobody has asked for: they matter only because all do.
    others: HashSet<String>,
    phase: Phase,
    /// Told of each object that comes, and when nobody will tell any more.
    news: watch::Sender<()>,
    watch: Option<AbortHandle>,
    /// Whether every name matters.
    all_wanted: bool,
    /// Whether there were too many to keep them all.
    too_many: bool,
    /// Whether the watch goes on from a list of which all was kept.
    all_kept: bool,
}

/// The store's version as a number, by which two are told apart; none of a server that counts
/// otherwise.
pub(super) fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

impl Seen {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a name matter.
    pub(super) fn want(&self, name: &str) {
        let mut known = self.known();
        known.others.remove(name);
        if !known.names.contains_key(name) {
            known
                .names
                .insert(name.to_owned(), watch::Sender::default());
        }
    }

    /// Lets every name matter; not where there were too many before.
    pub(super) fn want_all(&self) -> bool {
        let mut known = self.known();
        known.all_wanted = !known.too_many;
        known.all_wanted
    }

    /// There are too many to keep them all.
    pub(super) fn too_many(&self) {
        let mut known = self.known();
        known.too_many = true;
        known.all_wanted = false;
        known.all_kept = false;
        known.forget_others();
        known.news.send_replace(());
    }

    /// Hears from now on of each object that comes.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.known().news.subscribe()
    }

    /// All objects there are; none if that is not known.
    pub(super) fn all(&self) -> Option<Vec<Arc<Live>>> {
        let known = self.known();
        if !known.all_kept || known.phase != Phase::Followed(None) {
            return None;
        }
        let states = known.names.values().map(|state| state.borrow());
        let present = states.filter_map(|state| match &*state {
            State::Present(_, live) => Some(Arc::clone(live)),
            State::Absent(_) | State::Unknown => None,
        });
        Some(present.collect())
    }

    pub(super) fn answer(&self, name: &str) -> Answer {
        self.want(name);
        let known = self.known();
        let followed = known.follows(name);
        let state = known.names.get(name).map(|state| state.borrow().clone());
        match (&known.phase, state) {
            (Phase::Followed(_), Some(State::Absent(_))) if followed => Answer::Known(None),
            (Phase::Followed(_), Some(State::Present(_, live))) if followed => {
                Answer::Known(Some(live))
            }
            (Phase::ByName, _) => Answer::Get,
            // One that came late: it was not kept when the others were listed.
            _ if followed => Answer::Get,
            _ if known.names.len() > 1 => Answer::List,
            _ => Answer::Get,
        }
    }

    /// Whether a watch follows this name.
    pub(super) fn follows(&self, name: &str) -> bool {
        self.known().follows(name)
    }

    pub(super) fn may_list(&self) -> bool {
        self.known().phase != Phase::ByName
    }

    pub(super) fn subscribe(&self, name: &str) -> Wait {
        self.want(name);
        let known = self.known();
        Wait(known.names.get(name).map(watch::Sender::subscribe))
    }

    /// Before a list: whom it is for.
    pub(super) fn begin(&self) -> Listing {
        let known = self.known();
        let mut listing = Listing::of(known.names.keys().cloned().collect());
        if known.all_wanted {
            listing.only = None;
            listing.all = true;
        }
        listing
    }

    /// Takes an object from a list.
    pub(super) fn take(
        &self,
        listing: &mut Listing,
        name: &str,
        version: &str,
        object: impl FnOnce() -> Live,
    ) {
        if listing.missing.remove(name) || listing.all {
            self.put(name, version, object);
        }
    }

    /// Takes an object, if its name matters and nothing newer is known.
    pub(super) fn put(&self, name: &str, version: &str, object: impl FnOnce() -> Live) {
        let Some(number) = number(version) else {
            return;
        };
        if !self.known().has_room_for(name) {
            self.too_many();
        }
        self.set(name, number, || State::Present(number, Arc::new(object())));
    }

    /// Takes note that there was no such object in this version.
    pub(super) fn gone(&self, name: &str, version: &str) {
        if let Some(number) = number(version) {
            self.set(name, number, || State::Absent(number));
        }
        let mut known = self.known();
        if known.others.remove(name) {
            known.names.remove(name);
        }
    }

    /// An answer to the question for one name. That there is none says nothing of when.
    pub(super) fn told(&self, name: &str, found: Option<&Arc<Live>>) {
        let known = self.known();
        if known.phase == Phase::ByName {
            return;
        }
        let Some(sender) = known.names.get(name) else {
            return;
        };
        let state = match found.map(|live| (number(live.version()), live)) {
            Some((Some(version), live)) => State::Present(version, Arc::clone(live)),
            Some((None, _)) => return,
            None => State::Absent(0),
        };
        sender.send_if_modified(|seen| {
            let newer = match state {
                State::Present(version, _) => seen.is_older_than(version),
                _ => matches!(seen, State::Unknown),
            };
            if newer {
                *seen = state;
            }
            newer
        });
    }

    /// What was seen of this name is over; that it is gone may be known before the answer is.
    pub(super) fn forget(&self, name: &str) {
        if let Some(sender) = self.known().names.get(name) {
            sender.send_if_modified(|seen| {
                let was_there = matches!(seen, State::Present(..));
                if was_there {
                    *seen = State::Unknown;
                }
                was_there
            });
        }
    }

    fn set(&self, name: &str, version: u64, state: impl FnOnce() -> State) {
        let known = self.known();
        let Some(sender) = known.names.get(name) else {
            return;
        };
        let mut has_come = false;
        sender.send_if_modified(|seen| {
            let newer = seen.is_older_than(version);
            if newer {
                let was_there = matches!(seen, State::Present(..));
                *seen = state();
                has_come = !was_there && matches!(seen, State::Present(..));
            }
            newer
        });
        if has_come {
            known.news.send_replace(());
        }
    }

    /// After a list of this version: what was not in it is not there. The watch begins only when
    /// that is noted, so that its end is the last word.
    pub(super) fn finish(
        &self,
        listing: Listing,
        version: u64,
        watch: impl FnOnce() -> AbortHandle,
    ) {
        self.miss(&listing, version);
        let mut known = self.known();
        known.phase = Phase::Followed(listing.only);
        known.all_kept = listing.all && known.all_wanted;
        if let Some(before) = known.watch.replace(watch()) {
            before.abort();
        }
    }

    /// Takes note that these names were not in a list of this version.
    pub(super) fn miss(&self, listing: &Listing, version: u64) {
        for name in &listing.missing {
            self.set(name, version, || State::Absent(version));
        }
    }

    /// The watch was lost: what is known may be wrong, and who waits looks again.
    pub(super) fn lose(&self) {
        self.leave(Phase::Unlisted);
    }

    /// From now on each object is read by its name.
    pub(super) fn read_by_name(&self) {
        self.leave(Phase::ByName);
    }

    fn leave(&self, phase: Phase) {
        let mut known = self.known();
        known.phase = phase;
        known.all_kept = false;
        known.forget_others();
        for sender in known.names.values() {
            sender.send_replace(State::Unknown);
        }
        known.news.send_replace(());
    }

    /// Ends the watch.
    pub(super) fn end(&self) {
        if let Some(watch) = self.known().watch.take() {
            watch.abort();
        }
    }
}

impl Known {
    /// Lets a name matter where all do; not if there are too many.
    fn has_room_for(&mut self, name: &str) -> bool {
        if !self.all_wanted || self.names.contains_key(name) {
            return true;
        }
        if self.others.len() >= MOST {
            return false;
        }
        self.others.insert(name.to_owned());
        let names = &mut self.names;
        names.insert(name.to_owned(), watch::Sender::default());
        true
    }

    /// Nobody waits for them.
    fn forget_others(&mut self) {
        for name in std::mem::take(&mut self.others) {
            self.names.remove(&name);
        }
    }

    fn follows(&self, name: &str) -> bool {
        match &self.phase {
            Phase::Followed(only) => only.as_ref().is_none_or(|only| only == name),
            Phase::Unlisted | Phase::ByName => false,
        }
    }
}

/// Waits for news of one name.
pub(super) struct Wait(Option<watch::Receiver<State>>);

impl Wait {
    /// Ends when what is known differs from the version that was seen.
    pub(super) async fn for_other_than(self, version: Option<&str>) {
        let Some(mut states) = self.0 else { return };
        // An error would mean that the names are gone, and with them who waits.
        let _ = states.wait_for(|state| state.differs_from(version)).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;

    fn live(version: &str) -> Live {
        Live::new(json!({ "metadata": { "resourceVersion": version } }))
    }

    fn put(seen: &Seen, name: &str, version: &str) {
        seen.put(name, version, || live(version));
    }

    fn no_watch() -> AbortHandle {
        tokio::spawn(std::future::ready(())).abort_handle()
    }

    /// Follows these names, of which the list of version 100 has only `a`, in version 90.
    fn followed(names: &[&str]) -> Seen {
        let seen = Seen::default();
        for name in names {
            seen.want(name);
        }
        let mut listing = seen.begin();
        seen.take(&mut listing, "a", "90", || live("90"));
        seen.finish(listing, 100, no_watch);
        seen
    }

    fn version(seen: &Seen, name: &str) -> Option<String> {
        match seen.answer(name) {
            Answer::Known(found) => {
                Some(found.map_or("absent".to_owned(), |it| it.version().to_owned()))
            }
            Answer::List | Answer::Get => None,
        }
    }

    #[tokio::test]
    async fn one_list_tells_of_all_names() {
        let seen = Seen::default();
        assert!(matches!(seen.answer("a"), Answer::Get));
        assert!(matches!(seen.answer("b"), Answer::List));
        let seen = followed(&["a", "b"]);
        assert_eq!(version(&seen, "a").as_deref(), Some("90"));
        assert_eq!(version(&seen, "b").as_deref(), Some("absent"));
        assert!(matches!(seen.answer("late"), Answer::Get));
    }

    #[tokio::test]
    async fn where_all_are_wanted_all_are_kept() {
        let seen = followed(&["a", "b"]);
        assert!(seen.want_all());
        assert!(seen.all().is_none(), "the list was of two names");
        let mut listing = seen.begin();
        assert!(listing.all && listing.only.is_none());
        for name in ["a", "c"] {
            seen.take(&mut listing, name, "95", || live("95"));
        }
        seen.finish(listing, 110, no_watch);
        let versions = |seen: &Seen| {
            let all = seen.all()?;
            let mut versions: Vec<String> = all.iter().map(|it| it.version().to_owned()).collect();
            versions.sort();
            Some(versions)
        };
        assert_eq!(versions(&seen), Some(vec!["95".to_owned(); 2]));
        let mut news = seen.news();
        let mut is_news = || news.changed().now_or_never().is_some();
        put(&seen, "d", "111");
        assert!(is_news(), "it has come");
        put(&seen, "d", "111");
        seen.gone("c", "112");
        assert!(!is_news(), "nothing has come");
        let both = ["111", "95"].map(str::to_owned).to_vec();
        assert_eq!(versions(&seen), Some(both));
        assert_eq!(version(&seen, "b").as_deref(), Some("absent"));
        seen.lose();
        assert!(is_news(), "nobody will tell");
        assert_eq!(versions(&seen), None);
        seen.read_by_name();
        assert_eq!(versions(&seen), None);
    }

    #[tokio::test]
    async fn a_deletion_that_was_heard_of_before_its_answer_is_not_asked_for() {
        let seen = followed(&["a", "b"]);
        for name in ["a", "b"] {
            put(&seen, name, "110");
        }
        seen.gone("a", "111");
        seen.forget("a");
        assert_eq!(version(&seen, "a").as_deref(), Some("absent"));
        seen.forget("b");
        assert!(matches!(seen.answer("b"), Answer::Get));
    }

    #[tokio::test]
    async fn what_nobody_has_named_is_not_kept_without_bound() {
        let seen = Seen::default();
        seen.want("ours");
        assert!(seen.want_all());
        let mut listing = seen.begin();
        for name in ["ours", "a", "b"] {
            seen.take(&mut listing, name, "95", || live("95"));
        }
        seen.finish(listing, 100, no_watch);
        let kept = |seen: &Seen| seen.known().names.len();
        assert_eq!(kept(&seen), 3);
        seen.gone("a", "101");
        assert_eq!(kept(&seen), 2, "of one that is gone nothing is kept");
        seen.gone("ours", "102");
        assert_eq!(version(&seen, "ours").as_deref(), Some("absent"));

        for number in 0..MOST {
            put(&seen, &format!("other-{number}"), "110");
        }
        assert!(seen.all().is_none(), "it would not be all");
        assert_eq!(kept(&seen), 1);
        assert!(!seen.want_all(), "the next list would be as long");
        put(&seen, "ours", "120");
        assert_eq!(version(&seen, "ours").as_deref(), Some("120"));
    }

    #[tokio::test]
    async fn a_list_of_one_name_tells_of_no_other() {
        let seen = followed(&["a"]);
        assert_eq!(version(&seen, "a").as_deref(), Some("90"));
        assert!(matches!(seen.answer("b"), Answer::List));
    }

    #[tokio::test]
    async fn nothing_older_than_our_own_write_is_seen() {
        let seen = Seen::default();
        for name in ["a", "b", "c"] {
            seen.want(name);
        }
        let mut listing = seen.begin();
        put(&seen, "a", "105");
        put(&seen, "b", "105");
        put(&seen, "c", "95");
        seen.take(&mut listing, "a", "90", || live("90"));
        seen.finish(listing, 100, no_watch);
        assert_eq!(version(&seen, "a").as_deref(), Some("105"));
        assert_eq!(version(&seen, "b").as_deref(), Some("105"));
        assert_eq!(version(&seen, "c").as_deref(), Some("absent"));
        put(&seen, "a", "101");
        seen.gone("b", "104");
        assert_eq!(version(&seen, "a").as_deref(), Some("105"));
        assert_eq!(version(&seen, "b").as_deref(), Some("105"));
        seen.gone("b", "110");
        put(&seen, "b", "105");
        assert_eq!(version(&seen, "b").as_deref(), Some("absent"));
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_lost() {
        let seen = followed(&["a", "b"]);
        let wakes = |name, version| {
            let wait = seen.subscribe(name).for_other_than(version);
            wait.now_or_never().is_some()
        };
        assert!(!wakes("a", Some("90")));
        assert!(wakes("a", Some("89")));
        assert!(wakes("b", Some("90")));
        assert!(!wakes("b", None));
        seen.lose();
        assert!(wakes("a", Some("90")));
        assert!(matches!(seen.answer("a"), Answer::List));
    }

    #[tokio::test]
    async fn one_that_came_late_is_caught_up_with() {
        let seen = followed(&["a", "b"]);
        let wakes = |name, version| {
            let wait = seen.subscribe(name).for_other_than(version);
            wait.now_or_never().is_some()
        };
        for (name, found, version) in [("c", true, Some("95")), ("d", false, None)] {
            assert!(matches!(seen.answer(name), Answer::Get));
            assert!(wakes(name, version), "nothing is known of {name}");
            let mut listing = Listing::of_one(name);
            assert_eq!(listing.only.as_deref(), Some(name));
            if found {
                seen.take(&mut listing, name, "95", || live("95"));
            }
            seen.miss(&listing, 110);
            assert!(!wakes(name, version), "{name} is as it was");
        }
        seen.gone("c", "111");
        assert!(wakes("c", Some("95")));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_watch_that_ends_at_once_is_not_taken_for_one_that_lasts() {
        let seen = Arc::new(Seen::default());
        let mut watch = None;
        seen.want("a");
        seen.finish(seen.begin(), 100, || {
            let follower = Arc::clone(&seen);
            let (begins, begun) = std::sync::mpsc::channel();
            let ends = tokio::task::spawn_blocking(move || {
                begins.send(()).expect("somebody hears it");
                follower.lose();
            });
            begun.recv().expect("it begins");
            watch.insert(ends).abort_handle()
        });
        watch.expect("a watch").await.expect("it ends");
        assert!(!seen.follows("a"));
    }

    #[tokio::test]
    async fn of_names_that_do_not_matter_nothing_is_kept() {
        let seen = followed(&["a", "b"]);
        seen.put("other", "120", || panic!("it is not even read"));
        seen.read_by_name();
        assert!(matches!(seen.answer("a"), Answer::Get));
    }
}
