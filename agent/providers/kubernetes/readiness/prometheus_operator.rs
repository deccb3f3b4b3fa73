//! The Prometheus operator: what runs has conditions with names of its own.

use super::super::live::Live;
use super::verdict::PODS;
use super::{Rule, STALE, Verdict};

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Alertmanager" | "Prometheus" | "PrometheusAgent" | "ThanosRuler" => {
            Some(Rule::Alone(server))
        }
        _ => None,
    }
}

/// Reconciled says that the operator could do its work, Available that pods run.
fn server(live: &Live) -> Verdict {
    for kind in ["Reconciled", "Available"] {
        let conditions = live.list("/status/conditions");
        let Some(condition) = conditions.iter().find(|it| it["type"] == kind) else {
            return Verdict::not_ready("the operator has not taken it up yet");
        };
        if condition["observedGeneration"].as_i64() != live.generation() {
            return Verdict::not_ready(STALE);
        }
        let Some(said) = live.condition(kind).filter(|it| !it.is_true()) else {
            continue;
        };
        return match (kind, said.status) {
            ("Reconciled", "False") => Verdict::trouble(said.said(), PODS),
            _ => Verdict::NotReady(said.said()),
        };
    }
    Verdict::Ready
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_conditions_are_of_this_generation() {
        let judged = |reconciled: (&str, i64), available: (&str, i64)| {
            let condition = |kind: &str, (status, observed): (&str, i64)| {
                json!({ "type": kind, "status": status, "observedGeneration": observed,
                        "message": "words" })
            };
            server(&Live::new(
                json!({ "metadata": { "generation": 2 }, "status": { "conditions": [
                condition("Reconciled", reconciled), condition("Available", available)] } }),
            ))
        };
        assert_eq!(judged(("True", 2), ("True", 2)), Verdict::Ready);
        assert_eq!(judged(("True", 2), ("True", 1)), Verdict::not_ready(STALE));
        assert_eq!(
            judged(("True", 2), ("Degraded", 2)),
            Verdict::not_ready("Available is Degraded (words)")
        );
        assert_eq!(
            judged(("False", 2), ("True", 2)),
            Verdict::trouble("Reconciled is False (words)", PODS)
        );
        assert_eq!(
            server(&Live::new(json!({}))),
            Verdict::not_ready("the operator has not taken it up yet")
        );
    }
}
