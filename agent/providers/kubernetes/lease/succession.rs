//! Which of a Job's pods we are, and who held the Lease before us.
//!
//! The annotations of the claim say who we are before anything is done. The next pod reads them with
//! the Lease itself, so neither costs a request. They also say who was before us, because that is
//! nowhere else once the Lease is ours: for us if we do not hear that it is, and for the next pod if
//! nothing came of us.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Holder, JOB_NAME, JOB_UID, POD_NAME, POD_UID};
use crate::providers::kubernetes::fence::Fence;
use crate::providers::kubernetes::live::Live;
use crate::providers::kubernetes::time::parse;

/// What a process calls itself.
const INSTANCE: &str = "firstlight.dev/instance";
/// Counted from 1 among the processes of one Job.
const NUMBER: &str = "firstlight.dev/attempt";
/// The span of the run in this process.
const RUN: &str = "firstlight.dev/traceparent";
/// The span of the run in the first one.
const FIRST: &str = "firstlight.dev/first-traceparent";
/// Who was before the holder, as JSON.
const BEFORE: &str = "firstlight.dev/before";
/// Whether the holder gave up before its run had begun.
const UNDONE: &str = "firstlight.dev/not-begun";

/// So many are remembered; a Job whose pods die sooner than they can put anything on record has
/// other troubles.
const REMEMBERED: usize = 12;

/// Who we are among the processes that work on one run, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// Counted from 1.
    pub number: u32,
    /// The `traceparent` of the first attempt's run; none if we are the first.
    pub first: Option<String>,
    /// Who held the Lease before us and died, and last the one right before us, if that one died or
    /// was an earlier attempt.
    pub before: Vec<Before>,
}

/// A process that held the Lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Before {
    /// Its pod; outside of a pod, the process.
    pub pod: String,
    /// The uid of that.
    pub uid: Option<String>,
    /// What it called itself.
    pub instance: Option<String>,
    /// The number of its attempt.
    pub attempt: u32,
    /// The `traceparent` of its run, and of the run's first attempt.
    pub run: Option<String>,
    /// None if it was the first one.
    pub first: Option<String>,
    /// Which holder it was.
    pub fence: Fence,
    /// As the Lease had it; none if it was given back.
    acquired: Option<String>,
    renewed: Option<String>,
    job_uid: Option<String>,
}

impl Before {
    /// The holder that the Lease names.
    fn holding(found: &Live, notes: &BTreeMap<&str, &str>) -> Option<Self> {
        let note = |key: &str| notes.get(key).map(|text| (*text).to_owned());
        let is_held = !found.text("/spec/holderIdentity").is_empty();
        let moment = |pointer| Some(found.text(pointer).to_owned()).filter(|_| is_held);
        Some(Self {
            pod: note(POD_NAME)?,
            uid: note(POD_UID),
            instance: note(INSTANCE),
            attempt: note(NUMBER).and_then(|text| text.parse().ok()).unwrap_or(1),
            run: note(RUN),
            first: note(FIRST),
            fence: Fence(found.count("/spec/leaseTransitions")),
            acquired: moment("/spec/acquireTime"),
            renewed: moment("/spec/renewTime"),
            job_uid: note(JOB_UID),
        })
    }

    /// Whether it did not give the Lease back.
    #[must_use]
    pub fn died(&self) -> bool {
        self.started().is_some()
    }

    /// When it took the Lease; none if it gave it back.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        parse(self.acquired.as_deref()?)
    }

    /// When it was last heard of; none if it gave the Lease back.
    #[must_use]
    pub fn renewed(&self) -> Option<SystemTime> {
        parse(self.renewed.as_deref()?)
    }

    /// Whether it worked for the same Job.
    #[must_use]
    pub fn is_of_job_of(&self, holder: &Holder) -> bool {
        holder.job_uid.is_some() && self.job_uid == holder.job_uid
    }
}

impl Succession {
    /// Ours, after the holder that the Lease names, or after those before that one, if it is us
    /// already or nothing came of it.
    pub(super) fn after(found: Option<&Live>, holder: &Holder) -> Self {
        let Some(found) = found else {
            return Self::behind(Vec::new(), holder);
        };
        let notes = found.texts("/metadata/annotations");
        let note = |key: &str| notes.get(key).copied();
        // Our own claim, whose answer was lost.
        let is_ours = note(INSTANCE).is_some() && note(INSTANCE) == holder.instance.as_deref();
        let mut before = remembered(note(BEFORE).unwrap_or_default());
        if !is_ours && note(UNDONE).is_none() {
            let last = Before::holding(found, &notes);
            // Who gave it back has seen to those before.
            let is_news = |it: &Before| it.died() && last.as_ref().is_some_and(Before::died);
            before.retain(is_news);
            before.extend(last);
        }
        Self::behind(before, holder)
    }

    fn behind(mut before: Vec<Before>, holder: &Holder) -> Self {
        // The first one stays: all others are below it.
        while before.len() > REMEMBERED {
            before.remove(1);
        }
        let last = before.last().filter(|last| last.is_of_job_of(holder));
        if let Some(last) = last {
            return Self {
                number: last.attempt.saturating_add(1),
                first: last.first.clone().or_else(|| last.run.clone()),
                before,
            };
        }
        before.retain(Before::died);
        Self {
            number: 1,
            first: None,
            before,
        }
    }

    /// What the Lease is to say if nothing has come of us.
    pub(super) fn undone() -> Map<String, Value> {
        Map::from_iter([(UNDONE.to_owned(), "true".into())])
    }

    /// What the Lease is to say of its holder. Null takes away what the holder before has left.
    pub(super) fn annotations(&self, holder: &Holder) -> Map<String, Value> {
        let text = |text: Option<&String>| text.map_or(Value::Null, |it| it.as_str().into());
        let before = match self.before.as_slice() {
            [] => Value::Null,
            before => serde_json::to_string(before).map_or(Value::Null, Value::from),
        };
        let pairs = [
            (POD_NAME, holder.pod.as_str().into()),
            (POD_UID, text(holder.uid.as_ref())),
            (JOB_NAME, text(holder.job.as_ref())),
            (JOB_UID, text(holder.job_uid.as_ref())),
            (INSTANCE, text(holder.instance.as_ref())),
            (NUMBER, self.number.to_string().into()),
            (RUN, text(holder.run_span.as_ref())),
            (FIRST, text(self.first.as_ref())),
            (BEFORE, before),
            (UNDONE, Value::Null),
        ];
        pairs
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }
}

/// What somebody has edited says of nobody.
fn remembered(text: &str) -> Vec<Before> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RUN_1: &str = "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01";

    fn pod(name: &str) -> Holder {
        Holder {
            pod: name.to_owned(),
            uid: Some(format!("uid-{name}")),
            job: Some("install".to_owned()),
            job_uid: Some("7".to_owned()),
            instance: Some(format!("process-{name}")),
            run_span: Some(RUN_1.replace("0001-", &format!("000{name}-"))),
        }
    }

    fn claimed(attempt: &Succession, holder: &Holder, is_held: bool) -> Live {
        let mut notes = attempt.annotations(holder);
        notes.retain(|_, value| !value.is_null());
        let spec = json!({
            "holderIdentity": "x", "leaseTransitions": 4,
            "acquireTime": "2026-01-31T08:00:00Z", "renewTime": "2026-01-31T08:00:40Z",
        });
        let spec = if is_held {
            spec
        } else {
            json!({ "leaseTransitions": 4 })
        };
        Live::new(json!({ "metadata": { "annotations": notes }, "spec": spec }))
    }

    #[test]
    fn the_pods_of_a_job_are_counted_and_know_the_first() {
        let one = Succession::after(None, &pod("1"));
        assert_eq!((one.number, &one.first), (1, &None));
        assert!(one.before.is_empty(), "{one:?}");
        let two = Succession::after(Some(&claimed(&one, &pod("1"), true)), &pod("2"));
        assert_eq!((two.number, two.first.as_deref()), (2, Some(RUN_1)));
        let before = two.before.last().expect("one before");
        assert!(
            before.died() && before.is_of_job_of(&pod("2")),
            "{before:?}"
        );
        assert_eq!((before.attempt, before.fence), (1, Fence(4)));
        assert_eq!(before.pod, "1");
        assert_eq!(before.renewed(), parse("2026-01-31T08:00:40Z"));
        let three = Succession::after(Some(&claimed(&two, &pod("2"), false)), &pod("3"));
        assert_eq!((three.number, three.first.as_deref()), (3, Some(RUN_1)));
        assert_eq!(pods(&three), ["2"], "which has seen to the one before");
        assert!(!three.before[0].died(), "it gave the Lease back: {three:?}");
        let four = Succession::after(Some(&claimed(&three, &pod("3"), true)), &pod("4"));
        assert_eq!(pods(&four), ["3"], "who gave it back is known no longer");
    }

    fn pods(succession: &Succession) -> Vec<&str> {
        let before = succession.before.iter();
        before.map(|it| it.pod.as_str()).collect()
    }

    #[test]
    fn all_who_died_one_after_the_other_are_known() {
        let one = Succession::after(None, &pod("1"));
        let two = Succession::after(Some(&claimed(&one, &pod("1"), true)), &pod("2"));
        let three = Succession::after(Some(&claimed(&two, &pod("2"), true)), &pod("3"));
        assert_eq!((three.number, pods(&three)), (3, vec!["1", "2"]));
    }

    #[test]
    fn of_many_the_first_and_the_last_are_remembered() {
        let mut last = Succession::after(None, &pod("1"));
        for _ in 0..30 {
            last = Succession::after(Some(&claimed(&last, &pod("1"), true)), &pod("2"));
        }
        assert_eq!((last.number, last.before.len()), (31, REMEMBERED));
        let known: Vec<u32> = last.before.iter().map(|it| it.attempt).collect();
        assert_eq!((known[0], known[1], known[11]), (1, 20, 30));
    }

    #[test]
    fn another_job_begins_anew_and_hears_only_of_the_dead() {
        let one = Succession::after(None, &pod("1"));
        let other = Holder {
            job_uid: Some("8".to_owned()),
            ..pod("2")
        };
        for (is_held, expected) in [(true, true), (false, false)] {
            let next = Succession::after(Some(&claimed(&one, &pod("1"), is_held)), &other);
            assert_eq!((next.number, next.first), (1, None));
            assert_eq!(!next.before.is_empty(), expected, "held: {is_held}");
        }
        let laptop = Holder {
            job_uid: None,
            ..pod("2")
        };
        let none = claimed(&one, &laptop, false);
        assert_eq!(Succession::after(Some(&none), &laptop).number, 1);
    }

    #[test]
    fn a_claim_that_was_not_heard_of_is_no_attempt() {
        let one = Succession::after(None, &pod("1"));
        let again = Succession::after(Some(&claimed(&one, &pod("1"), true)), &pod("1"));
        assert_eq!(again, one);
        let two = Succession::after(Some(&claimed(&one, &pod("1"), true)), &pod("2"));
        let again = Succession::after(Some(&claimed(&two, &pod("2"), true)), &pod("2"));
        assert_eq!(again, two, "it still knows who was before");
        // The next container in the same pod is another process.
        let next = Holder {
            instance: Some("other".to_owned()),
            ..pod("1")
        };
        let two = Succession::after(Some(&claimed(&one, &pod("1"), true)), &next);
        assert_eq!(two.number, 2);
    }

    #[test]
    fn who_gave_up_before_the_run_was_no_attempt() {
        let after = |lease: &Live| Succession::after(Some(lease), &pod("3"));
        let undone = |succession: &Succession, holder: &Holder| {
            let mut notes = succession.annotations(holder);
            notes.extend(Succession::undone());
            notes.retain(|_, value| !value.is_null());
            Live::new(json!({ "metadata": { "annotations": notes }, "spec": {} }))
        };
        let one = Succession::after(None, &pod("1"));
        assert_eq!(
            after(&undone(&one, &pod("1"))),
            Succession::after(None, &pod("3"))
        );
        let two = Succession::after(Some(&claimed(&one, &pod("1"), true)), &pod("2"));
        let next = after(&undone(&two, &pod("2")));
        assert_eq!((next.number, next.first.as_deref()), (2, Some(RUN_1)));
        assert_eq!(
            next.before, two.before,
            "and how the one before it died is known"
        );
        let three = Succession::after(Some(&claimed(&next, &pod("3"), true)), &pod("4"));
        assert_eq!(three.number, 3, "who comes after is an attempt again");
    }

    #[test]
    fn a_lease_of_somebody_else_says_nothing() {
        let bare = Live::new(json!({ "spec": { "holderIdentity": "laptop" } }));
        assert_eq!(Succession::after(Some(&bare), &pod("1")).before, []);
        let notes = json!({ BEFORE: "edited", UNDONE: "true" });
        let edited = Live::new(json!({ "metadata": { "annotations": notes } }));
        assert_eq!(Succession::after(Some(&edited), &pod("1")).before, []);
    }
}
