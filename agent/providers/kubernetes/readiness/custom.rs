//! A kind that we know nothing about: what it says itself by the conventions of Kubernetes.

use super::super::live::Live;
use super::verdict::SETTLE;
use super::{STALE, Verdict, is_stale};

/// Only a condition `Ready` counts. Right after it was made a custom resource has no status, and
/// some controllers write other conditions first, so neither is a sign of anything; a status
/// without any condition speaks a language of its own.
pub(super) fn any(live: &Live) -> Verdict {
    if is_stale(live) {
        return Verdict::not_ready(STALE);
    }
    let has_status = live
        .at("/status")
        .and_then(serde_json::Value::as_object)
        .is_some_and(|status| !status.is_empty());
    if !has_status {
        return Verdict::not_ready("no status yet");
    }
    if let Some(stalled) = live.holds("Stalled") {
        return Verdict::Failed(stalled.said());
    }
    match live.condition("Ready") {
        Some(ready) if ready.is_true() => current(live),
        Some(ready) => Verdict::NotReady(ready.said()),
        None => {
            let others: Vec<&str> = live.conditions().map(|it| it.kind).collect();
            if others.is_empty() {
                return Verdict::NoRule;
            }
            Verdict::NotReady(format!("no condition Ready among {}", others.join(", ")))
        }
    }
}

/// Ready, if that was said of this generation.
fn current(live: &Live) -> Verdict {
    let mut conditions = live.list("/status/conditions").iter();
    let ready = conditions.find(|it| it["type"] == "Ready");
    let observed = ready.and_then(|it| it["observedGeneration"].as_i64());
    match (live.generation(), observed.or(live.observed_generation())) {
        (Some(generation), Some(observed)) if observed < generation => Verdict::not_ready(STALE),
        // It may have been said of an older one.
        (Some(2..), None) => Verdict::ReadyIfHeld(SETTLE),
        _ => Verdict::Ready,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_status(status: &Value) -> Verdict {
        any(&Live::new(
            json!({ "metadata": { "generation": 3 }, "status": status }),
        ))
    }

    #[test]
    fn only_a_condition_ready_of_this_generation_counts() {
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        let waiting = json!([{ "type": "Ready", "status": "False", "reason": "Pending" }]);
        for (status, expected) in [
            (json!({}), Verdict::not_ready("no status yet")),
            (Value::Null, Verdict::not_ready("no status yet")),
            (json!({ "phase": "RUNNING" }), Verdict::NoRule),
            (
                json!({ "observedGeneration": 2, "conditions": ready }),
                Verdict::not_ready(STALE),
            ),
            (
                json!({ "observedGeneration": "2", "conditions": ready }),
                Verdict::not_ready(STALE),
            ),
            (
                json!({ "observedGeneration": "3", "conditions": ready }),
                Verdict::Ready,
            ),
            (
                json!({ "conditions": [
                    { "type": "Ready", "status": "True", "observedGeneration": 2 }] }),
                Verdict::not_ready(STALE),
            ),
            (json!({ "conditions": ready }), Verdict::ReadyIfHeld(SETTLE)),
            (
                json!({ "observedGeneration": 3, "conditions": waiting }),
                Verdict::not_ready("Ready is False (Pending)"),
            ),
            (
                json!({ "conditions": [{ "type": "Issuing", "status": "True" }] }),
                Verdict::not_ready("no condition Ready among Issuing"),
            ),
            (
                json!({ "conditions": [{ "type": "Stalled", "status": "True", "message": "no" }] }),
                Verdict::Failed("Stalled is True (no)".to_owned()),
            ),
        ] {
            assert_eq!(with_status(&status), expected, "{status}");
        }
    }
}
