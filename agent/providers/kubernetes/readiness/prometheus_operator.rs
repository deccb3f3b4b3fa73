//! The Prometheus operator: what runs has conditions with names of its own, which say too much.
//!
//! `Available` counts pods that are ready, also those of an older specification, and both
//! conditions take the newest generation before the workload has changed. So the workloads count
//! too.

use super::super::kind::{DAEMON_SET, STATEFUL_SET};
use super::super::live::Live;
use super::verdict::{PODS, SETTLE};
use super::{Need, Rule, STALE, Sight, Verdict, workload};

pub(super) fn rule(kind: &str) -> Option<Rule> {
    application(kind).map(|_| Rule::Around { needs, verdict })
}

/// By which name the operator labels what it makes of a kind.
fn application(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Alertmanager" => "alertmanager",
        "Prometheus" => "prometheus",
        "PrometheusAgent" => "prometheus-agent",
        "ThanosRuler" => "thanos-ruler",
        _ => return None,
    })
}

/// One workload for each shard; an agent may run on every node.
fn needs(sight: &Sight<'_>) -> Vec<Need> {
    let kind = sight.object.text("/kind");
    let labels = format!(
        "app.kubernetes.io/managed-by=prometheus-operator,app.kubernetes.io/name={},\
         app.kubernetes.io/instance={}",
        application(kind).unwrap_or_default(),
        sight.name()
    );
    let mut needs = vec![sight.need_all(&STATEFUL_SET, labels.as_str())];
    if kind == "PrometheusAgent" {
        needs.push(sight.need_all(&DAEMON_SET, labels));
    }
    needs
}

fn verdict(sight: &Sight<'_>) -> Verdict {
    if let Some(lack) = conditions(sight.object) {
        return lack;
    }
    let mut workloads = WORKLOADS
        .iter()
        .flat_map(|kind| {
            sight
                .all(kind)
                .map(move |it| workload(sight, kind, it.name()))
        })
        .peekable();
    if workloads.peek().is_none() {
        return Verdict::not_ready("the operator has not made its StatefulSet yet");
    }
    if let Some(lack) = workloads.find(|it| !it.is_ready()) {
        return lack;
    }
    match sight.object.generation() {
        // The workload may be that of the generation before.
        Some(2..) => Verdict::ReadyIfHeld(SETTLE),
        _ => Verdict::Ready,
    }
}

const WORKLOADS: [&str; 2] = ["StatefulSet", "DaemonSet"];

/// What lacks by its own words: Reconciled says that the operator could do its work, Available
/// that pods run.
fn conditions(live: &Live) -> Option<Verdict> {
    for kind in ["Reconciled", "Available"] {
        let conditions = live.list("/status/conditions");
        let Some(condition) = conditions.iter().find(|it| it["type"] == kind) else {
            return Some(Verdict::not_ready("the operator has not taken it up yet"));
        };
        if condition["observedGeneration"].as_i64() != live.generation() {
            return Some(Verdict::not_ready(STALE));
        }
        let Some(said) = live.condition(kind).filter(|it| !it.is_true()) else {
            continue;
        };
        return Some(match (kind, said.status) {
            ("Reconciled", "False") => Verdict::trouble(said.said(), PODS),
            _ => Verdict::NotReady(said.said()),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::judged;
    use super::*;

    fn prometheus(generation: i64, conditions: [(&str, i64); 2]) -> Value {
        let [reconciled, available] = conditions;
        let condition = |kind: &str, (status, observed): (&str, i64)| {
            json!({ "type": kind, "status": status, "observedGeneration": observed,
                    "message": "words" })
        };
        json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
                "metadata": { "name": "main", "namespace": "lens", "generation": generation },
                "status": { "conditions": [
                    condition("Reconciled", reconciled), condition("Available", available)] } })
    }

    fn stateful_set(generation: i64, updated: i64) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": { "name": "prometheus-main", "generation": generation },
                "spec": { "replicas": 1 },
                "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": 1,
                            "updatedReplicas": updated } })
    }

    const GOOD: [(&str, i64); 2] = [("True", 2), ("True", 2)];

    #[test]
    fn both_conditions_are_of_this_generation() {
        let complete = [stateful_set(1, 1)];
        for (conditions, expected) in [
            (GOOD, Verdict::ReadyIfHeld(SETTLE)),
            ([("True", 2), ("True", 1)], Verdict::not_ready(STALE)),
            (
                [("True", 2), ("Degraded", 2)],
                Verdict::not_ready("Available is Degraded (words)"),
            ),
            (
                [("False", 2), ("True", 2)],
                Verdict::trouble("Reconciled is False (words)", PODS),
            ),
        ] {
            assert_eq!(judged(&prometheus(2, conditions), &complete), expected);
        }
        let unseen = json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus" });
        assert_eq!(
            judged(&unseen, &[]),
            Verdict::not_ready("the operator has not taken it up yet")
        );
    }

    #[test]
    fn old_pods_that_are_ready_do_not_count() {
        let first = prometheus(1, [("True", 1), ("True", 1)]);
        assert_eq!(judged(&first, &[stateful_set(1, 1)]), Verdict::Ready);
        for (around, expected) in [
            (vec![], "the operator has not made its StatefulSet yet"),
            (
                vec![stateful_set(2, 1)],
                "StatefulSet prometheus-main: its controller has not seen the latest change yet",
            ),
            (
                vec![stateful_set(1, 0)],
                "StatefulSet prometheus-main: 0 of 1 pods updated",
            ),
        ] {
            let said = judged(&prometheus(2, GOOD), &around);
            assert_eq!(said, Verdict::not_ready(expected));
        }
    }
}
