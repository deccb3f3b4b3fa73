//! Which of a Job's pods we are, and who held the Lease before us.
//!
//! The annotations of the claim say who we are before anything is done. The next pod reads them with
//! the Lease itself, so neither costs a request.

use std::time::SystemTime;

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

/// Who we are among the processes that work on one run, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// Counted from 1.
    pub number: u32,
    /// The `traceparent` of the first attempt's run; none if we are the first.
    pub first: Option<String>,
    /// Who held the Lease before us, if that one died, or was an earlier attempt.
    pub before: Option<Before>,
}

/// A process that held the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// When it took the Lease; none if it gave it back.
    pub started: Option<SystemTime>,
    /// When it was last heard of; none if it gave it back.
    pub renewed: Option<SystemTime>,
    /// Whether it worked for the same Job as we do.
    pub of_our_job: bool,
}

impl Before {
    /// Whether it did not give the Lease back.
    #[must_use]
    pub fn died(&self) -> bool {
        self.started.is_some()
    }
}

impl Succession {
    /// Ours, after the holder that the Lease names.
    pub(super) fn after(found: Option<&Live>, holder: &Holder) -> Self {
        let first_one = Self {
            number: 1,
            first: None,
            before: None,
        };
        let Some(found) = found else {
            return first_one;
        };
        let notes = found.texts("/metadata/annotations");
        let note = |key: &str| notes.get(key).map(|text| (*text).to_owned());
        let Some(pod) = note(POD_NAME) else {
            return first_one;
        };
        let attempt = note(NUMBER).and_then(|text| text.parse().ok()).unwrap_or(1);
        if note(INSTANCE).is_some() && note(INSTANCE) == holder.instance {
            // Our own claim, whose answer was lost.
            let first = note(FIRST);
            return Self {
                number: attempt,
                first,
                before: None,
            };
        }
        let is_held = !found.text("/spec/holderIdentity").is_empty();
        let moment = |pointer| parse(found.text(pointer)).filter(|_| is_held);
        let before = Before {
            pod,
            uid: note(POD_UID),
            instance: note(INSTANCE),
            attempt,
            run: note(RUN),
            first: note(FIRST),
            fence: Fence(found.count("/spec/leaseTransitions")),
            started: moment("/spec/acquireTime"),
            renewed: moment("/spec/renewTime"),
            of_our_job: holder.job_uid.is_some() && note(JOB_UID) == holder.job_uid,
        };
        if before.of_our_job {
            return Self {
                number: attempt.saturating_add(1),
                first: before.first.clone().or_else(|| before.run.clone()),
                before: Some(before),
            };
        }
        Self {
            before: before.died().then_some(before),
            ..first_one
        }
    }

    /// What the Lease is to say if nothing has come of us: that the one before us was the last.
    pub(super) fn undone(&self) -> Map<String, Value> {
        let before = self.before.as_ref().filter(|before| before.of_our_job);
        let text = |text: Option<&String>| text.map_or(Value::Null, |it| it.as_str().into());
        let Some(before) = before else {
            let none = [JOB_UID, NUMBER, RUN, FIRST];
            return none
                .map(|key| (key.to_owned(), Value::Null))
                .into_iter()
                .collect();
        };
        let pairs = [
            (NUMBER, before.attempt.to_string().into()),
            (RUN, text(before.run.as_ref())),
            (FIRST, text(before.first.as_ref())),
        ];
        pairs
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// What the Lease is to say of its holder. Null takes away what the holder before has left.
    pub(super) fn annotations(&self, holder: &Holder) -> Map<String, Value> {
        let text = |text: Option<&String>| text.map_or(Value::Null, |it| it.as_str().into());
        let pairs = [
            (POD_NAME, holder.pod.as_str().into()),
            (POD_UID, text(holder.uid.as_ref())),
            (JOB_NAME, text(holder.job.as_ref())),
            (JOB_UID, text(holder.job_uid.as_ref())),
            (INSTANCE, text(holder.instance.as_ref())),
            (NUMBER, self.number.to_string().into()),
            (RUN, text(holder.run_span.as_ref())),
            (FIRST, text(self.first.as_ref())),
        ];
        pairs
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }
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
        assert_eq!((one.number, &one.first, &one.before), (1, &None, &None));
        let two = Succession::after(Some(&claimed(&one, &pod("1"), true)), &pod("2"));
        assert_eq!((two.number, two.first.as_deref()), (2, Some(RUN_1)));
        let before = two.before.clone().expect("one before");
        assert!(before.died() && before.of_our_job, "{before:?}");
        assert_eq!((before.attempt, before.fence), (1, Fence(4)));
        assert_eq!(before.pod, "1");
        let three = Succession::after(Some(&claimed(&two, &pod("2"), false)), &pod("3"));
        assert_eq!((three.number, three.first.as_deref()), (3, Some(RUN_1)));
        let before = three.before.expect("one before");
        assert!(!before.died(), "it gave the Lease back: {before:?}");
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
            assert_eq!(next.before.is_some(), expected, "held: {is_held}");
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
            notes.extend(succession.undone());
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
    }

    #[test]
    fn a_lease_of_somebody_else_says_nothing() {
        let bare = Live::new(json!({ "spec": { "holderIdentity": "laptop" } }));
        assert_eq!(Succession::after(Some(&bare), &pod("1")).before, None);
    }
}
