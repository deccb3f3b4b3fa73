//! A kind that we know nothing about: what it says itself by the conventions of Kubernetes.

use super::super::live::Live;
use super::{Readiness, STALE, is_stale};

/// Only a condition `Ready` counts. Right after it was made a custom resource has no status, and
/// some controllers write other conditions first, so neither is a sign of anything; a status
/// without any condition speaks a language of its own.
pub(super) fn any(live: &Live) -> Readiness {
    if is_stale(live) {
        return Readiness::not_ready(STALE);
    }
    let has_status = live
        .at("/status")
        .and_then(serde_json::Value::as_object)
        .is_some_and(|status| !status.is_empty());
    if !has_status {
        return Readiness::not_ready("no status yet");
    }
    if let Some(stalled) = live.holds("Stalled") {
        return Readiness::Failed(stalled.said());
    }
    match live.condition("Ready") {
        Some(ready) if ready.is_true() => Readiness::Ready,
        Some(ready) => Readiness::NotReady(ready.said()),
        None => {
            let others: Vec<&str> = live.conditions().map(|it| it.kind).collect();
            if others.is_empty() {
                return Readiness::NoRule;
            }
            Readiness::NotReady(format!("no condition Ready among {}", others.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_status(status: &Value) -> Readiness {
        any(&Live::new(
            json!({ "metadata": { "generation": 3 }, "status": status }),
        ))
    }

    #[test]
    fn only_a_condition_ready_of_this_generation_counts() {
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        let waiting = json!([{ "type": "Ready", "status": "False", "reason": "Pending" }]);
        for (status, expected) in [
            (json!({}), Readiness::not_ready("no status yet")),
            (Value::Null, Readiness::not_ready("no status yet")),
            (json!({ "phase": "RUNNING" }), Readiness::NoRule),
            (
                json!({ "observedGeneration": 2, "conditions": ready }),
                Readiness::not_ready(STALE),
            ),
            (
                json!({ "observedGeneration": "2", "conditions": ready }),
                Readiness::not_ready(STALE),
            ),
            (
                json!({ "observedGeneration": "3", "conditions": ready }),
                Readiness::Ready,
            ),
            (
                json!({ "observedGeneration": 3, "conditions": waiting }),
                Readiness::not_ready("Ready is False (Pending)"),
            ),
            (
                json!({ "conditions": [{ "type": "Issuing", "status": "True" }] }),
                Readiness::not_ready("no condition Ready among Issuing"),
            ),
            (
                json!({ "conditions": [{ "type": "Stalled", "status": "True", "message": "no" }] }),
                Readiness::Failed("Stalled is True (no)".to_owned()),
            ),
        ] {
            assert_eq!(with_status(&status), expected, "{status}");
        }
    }
}
