//! Deployment, `StatefulSet`, `DaemonSet`, `ReplicaSet`: enough pods, of the newest kind, and ready.

use super::super::live::Live;
use super::verdict::{PERSON, PODS};
use super::{STALE, Verdict, is_stale};

/// A controller that has never looked leaves the status empty, which is no sign of anything.
fn is_unseen(live: &Live) -> bool {
    live.observed_generation().is_none() || is_stale(live)
}

/// How many pods are wanted; the server fills in one.
fn wanted(live: &Live) -> i64 {
    live.at("/spec/replicas")
        .map_or(1, |_| live.count("/spec/replicas"))
}

pub(super) fn deployment(live: &Live) -> Verdict {
    if is_unseen(live) {
        return Verdict::not_ready(STALE);
    }
    let progressing = live.condition("Progressing");
    if let Some(stalled) = progressing.filter(|it| it.reason == "ProgressDeadlineExceeded") {
        return Verdict::Failed(format!("{}, {}", counts(live), stalled.message));
    }
    if let Some(refused) = live.holds("ReplicaFailure") {
        return Verdict::trouble(format!("{}, {}", counts(live), refused.message), PODS);
    }
    let wanted = wanted(live);
    let updated = live.count("/status/updatedReplicas");
    if updated < wanted {
        let why = format!("{updated} of {wanted} pods updated");
        if live.at("/spec/paused").is_some_and(|paused| paused == true) {
            return Verdict::trouble(format!("{why}, its rollout is paused"), PERSON);
        }
        return Verdict::NotReady(why);
    }
    let old = live.count("/status/replicas") - updated;
    if old > 0 {
        return Verdict::NotReady(format!("{old} old pods still there"));
    }
    let available = live.count("/status/availableReplicas");
    if live.count("/status/readyReplicas") < wanted || available < wanted {
        return Verdict::NotReady(counts(live));
    }
    Verdict::Ready
}

/// `0 of 1 pods ready`, or available where that is what lacks.
fn counts(live: &Live) -> String {
    let wanted = wanted(live);
    let ready = live.count("/status/readyReplicas");
    if ready < wanted {
        return format!("{ready} of {wanted} pods ready");
    }
    let available = live.count("/status/availableReplicas");
    format!("{available} of {wanted} pods available")
}

pub(super) fn stateful_set(live: &Live) -> Verdict {
    if is_unseen(live) {
        return Verdict::not_ready(STALE);
    }
    let wanted = wanted(live);
    let ready = live.count("/status/readyReplicas");
    if ready < wanted {
        return Verdict::NotReady(format!("{ready} of {wanted} pods ready"));
    }
    let surplus = live.count("/status/replicas") - wanted;
    if surplus > 0 {
        return Verdict::NotReady(format!("{surplus} pods too many"));
    }
    // Below the partition, pods keep their old revision on purpose.
    let kept = live.count("/spec/updateStrategy/rollingUpdate/partition");
    let to_update = (wanted - kept).max(0);
    let updated = live.count("/status/updatedReplicas");
    if updated < to_update {
        let by_hand = by_hand(live);
        return Verdict::NotReady(format!("{updated} of {to_update} pods updated{by_hand}"));
    }
    let available = live.count("/status/availableReplicas");
    if live.count("/spec/minReadySeconds") > 0 && available < wanted {
        return Verdict::NotReady(format!("{available} of {wanted} pods available"));
    }
    Verdict::Ready
}

fn by_hand(live: &Live) -> &'static str {
    if live.text("/spec/updateStrategy/type") == "OnDelete" {
        ", which waits until they are deleted (OnDelete)"
    } else {
        ""
    }
}

pub(super) fn daemon_set(live: &Live) -> Verdict {
    if is_unseen(live) {
        return Verdict::not_ready(STALE);
    }
    // Zero is right where no node matches, for example in a cluster without GPUs; see `nowhere`.
    let wanted = live.count("/status/desiredNumberScheduled");
    let updated = live.count("/status/updatedNumberScheduled");
    if updated < wanted {
        let by_hand = by_hand(live);
        return Verdict::NotReady(format!("{updated} of {wanted} pods updated{by_hand}"));
    }
    let ready = live.count("/status/numberReady");
    if ready < wanted {
        return Verdict::NotReady(format!("{ready} of {wanted} pods ready"));
    }
    let available = live.count("/status/numberAvailable");
    if available < wanted {
        return Verdict::NotReady(format!("{available} of {wanted} pods available"));
    }
    Verdict::Ready
}

/// What should be said of a `DaemonSet` that is ready because it is to run nowhere.
pub(super) fn nowhere(live: &Live) -> Option<String> {
    if live.count("/status/desiredNumberScheduled") > 0 {
        return None;
    }
    let selector = live.texts("/spec/template/spec/nodeSelector");
    let labels = selector.iter().map(|(key, value)| format!("{key}={value}"));
    let labels: Vec<String> = labels.collect();
    let why = match labels.as_slice() {
        [] => {
            "it has no node selector, so its affinity or the taints of the nodes decide".to_owned()
        }
        labels => format!("its node selector is {}", labels.join(",")),
    };
    Some(format!("ready, but it is to run on no node: {why}"))
}

pub(super) fn replica_set(live: &Live) -> Verdict {
    if is_unseen(live) {
        return Verdict::not_ready(STALE);
    }
    let wanted = wanted(live);
    let available = live.count("/status/availableReplicas");
    if available == wanted && live.count("/status/replicas") == wanted {
        return Verdict::Ready;
    }
    let counts = format!("{available} of {wanted} pods available");
    match live.holds("ReplicaFailure") {
        Some(refused) => Verdict::trouble(format!("{counts}, {}", refused.message), PODS),
        None => Verdict::NotReady(counts),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_daemon_set_that_runs_nowhere_says_so() {
        let set = |desired: u64, selector: Value| {
            Live::new(
                json!({ "spec": { "template": { "spec": { "nodeSelector": selector } } },
                "status": { "desiredNumberScheduled": desired } }),
            )
        };
        let gpu = json!({ "gpu": "yes", "zone": "a" });
        assert_eq!(nowhere(&set(1, gpu.clone())), None);
        let selected = nowhere(&set(0, gpu)).expect("a warning");
        assert!(
            selected.ends_with("its node selector is gpu=yes,zone=a"),
            "{selected}"
        );
        let all = nowhere(&set(0, Value::Null)).expect("a warning");
        assert!(all.contains("it has no node selector"), "{all}");
    }

    fn workload(rule: fn(&Live) -> Verdict, spec: &Value, status: &Value) -> Verdict {
        let metadata = json!({ "generation": 2 });
        rule(&Live::new(
            json!({ "metadata": metadata, "spec": spec, "status": status }),
        ))
    }

    fn not_ready(why: &str) -> Verdict {
        Verdict::not_ready(why)
    }

    #[test]
    fn deployments() {
        let spec = json!({ "replicas": 2 });
        for (status, expected) in [
            (json!({}), not_ready(STALE)),
            (
                json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
                        "readyReplicas": 2, "availableReplicas": 2 }),
                not_ready(STALE),
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 1 }),
                not_ready("1 of 2 pods updated"),
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2,
                        "readyReplicas": 3, "availableReplicas": 3 }),
                not_ready("1 old pods still there"),
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                        "unavailableReplicas": 2 }),
                not_ready("0 of 2 pods ready"),
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                        "readyReplicas": 2, "availableReplicas": 1 }),
                not_ready("1 of 2 pods available"),
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                        "readyReplicas": 2, "availableReplicas": 2 }),
                Verdict::Ready,
            ),
            (
                json!({ "observedGeneration": 2, "conditions": [
                    { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods" }] }),
                Verdict::trouble("0 of 2 pods ready, exceeded quota: pods", PODS),
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "conditions": [
                    { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                      "message": "ReplicaSet \"x\" has timed out progressing." }] }),
                Verdict::Failed(
                    "0 of 2 pods ready, ReplicaSet \"x\" has timed out progressing.".to_owned(),
                ),
            ),
        ] {
            let found = workload(deployment, &spec, &status);
            assert_eq!(found, expected, "{status}");
        }
        let paused = workload(
            deployment,
            &json!({ "replicas": 2, "paused": true }),
            &json!({ "observedGeneration": 2, "replicas": 2, "readyReplicas": 2 }),
        );
        let expected = Verdict::trouble("0 of 2 pods updated, its rollout is paused", PERSON);
        assert_eq!(paused, expected);
        let none = workload(
            deployment,
            &json!({ "replicas": 0 }),
            &json!({ "observedGeneration": 2 }),
        );
        assert_eq!(none, Verdict::Ready);
    }

    #[test]
    fn stateful_sets() {
        let rolling = json!({ "replicas": 3, "updateStrategy": { "type": "RollingUpdate" } });
        let canary = json!({ "replicas": 3, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } });
        let by_hand = json!({ "replicas": 3, "updateStrategy": { "type": "OnDelete" } });
        let ready = |updated: i64| {
            json!({ "observedGeneration": 2, "replicas": 3, "readyReplicas": 3,
                    "updatedReplicas": updated })
        };
        for (spec, status, expected) in [
            (&rolling, json!({}), not_ready(STALE)),
            (
                &rolling,
                json!({ "observedGeneration": 2, "replicas": 1 }),
                not_ready("0 of 3 pods ready"),
            ),
            (&rolling, ready(1), not_ready("1 of 3 pods updated")),
            (&rolling, ready(3), Verdict::Ready),
            (&canary, ready(1), Verdict::Ready),
            (
                &by_hand,
                ready(0),
                not_ready("0 of 3 pods updated, which waits until they are deleted (OnDelete)"),
            ),
        ] {
            assert_eq!(
                workload(stateful_set, spec, &status),
                expected,
                "{spec} {status}"
            );
        }
    }

    #[test]
    fn daemon_sets() {
        for (status, expected) in [
            (json!({}), not_ready(STALE)),
            (
                json!({ "observedGeneration": 2, "desiredNumberScheduled": 0 }),
                Verdict::Ready,
            ),
            (
                json!({ "observedGeneration": 2, "desiredNumberScheduled": 2,
                        "updatedNumberScheduled": 1, "numberReady": 2 }),
                not_ready("1 of 2 pods updated"),
            ),
            (
                json!({ "observedGeneration": 2, "desiredNumberScheduled": 2,
                        "updatedNumberScheduled": 2, "numberReady": 1 }),
                not_ready("1 of 2 pods ready"),
            ),
            (
                json!({ "observedGeneration": 2, "desiredNumberScheduled": 2,
                        "updatedNumberScheduled": 2, "numberReady": 2, "numberAvailable": 2 }),
                Verdict::Ready,
            ),
        ] {
            let found = workload(daemon_set, &json!({}), &status);
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn replica_sets_quote_why_no_pod_can_be_made() {
        let found = workload(
            replica_set,
            &json!({ "replicas": 1 }),
            &json!({ "observedGeneration": 2, "conditions": [
                { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }] }),
        );
        let expected = Verdict::trouble("0 of 1 pods available, exceeded quota", PODS);
        assert_eq!(found, expected);
    }
}
