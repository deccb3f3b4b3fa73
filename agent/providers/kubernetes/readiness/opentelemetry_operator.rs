//! The OpenTelemetry operator: it says that it has done its work, not that what it made works.
//!
//! Up to v0.140 the status has neither conditions nor a generation, only what the workload was
//! when the operator last looked. So what it makes is looked at.

use super::super::kind::{DAEMON_SET, DEPLOYMENT, Kind, STATEFUL_SET};
use super::super::live::Live;
use super::pod_trouble;
use super::verdict::{PODS, SETTLE};
use super::{Need, Rule, STALE, Sight, Verdict, is_stale, workload};

pub(super) fn rule(kind: &str) -> Option<Rule> {
    Some(match kind {
        "OpenTelemetryCollector" => Rule::Around {
            needs: |sight| needs(sight, &collector_parts(sight.object)),
            verdict: |sight| verdict(sight, &collector_parts(sight.object)),
        },
        "TargetAllocator" => Rule::Around {
            needs: |sight| needs(sight, &[allocator(sight.object, "/spec/image")]),
            verdict: |sight| verdict(sight, &[allocator(sight.object, "/spec/image")]),
        },
        _ => return None,
    })
}

/// A workload that the operator makes.
struct Part {
    kind: Kind,
    name: String,
    /// The image asked for; empty for the operator's own choice.
    image: String,
}

fn collector_parts(collector: &Live) -> Vec<Part> {
    let kind = match collector.text("/spec/mode") {
        // It is put into the pods of others.
        "sidecar" => return Vec::new(),
        "daemonset" => DAEMON_SET,
        "statefulset" => STATEFUL_SET,
        _ => DEPLOYMENT,
    };
    let mut parts = vec![Part {
        kind,
        name: made(collector, "collector"),
        image: collector.text("/spec/image").to_owned(),
    }];
    if collector
        .at("/spec/targetAllocator/enabled")
        .is_some_and(|enabled| *enabled == true)
    {
        parts.push(allocator(collector, "/spec/targetAllocator/image"));
    }
    parts
}

fn allocator(of: &Live, image: &str) -> Part {
    Part {
        kind: DEPLOYMENT,
        name: made(of, "targetallocator"),
        image: of.text(image).to_owned(),
    }
}

/// The operator cuts the owner's name, so that all of it is a label.
fn made(owner: &Live, part: &str) -> String {
    let room = 63 - part.len() - 1;
    let name: String = owner.name().chars().take(room).collect();
    format!("{name}-{part}")
}

fn needs(sight: &Sight<'_>, parts: &[Part]) -> Vec<Need> {
    let mut needs = Vec::new();
    for part in parts {
        needs.push(sight.need(&part.kind, part.name.as_str()));
        let live = sight.all(name_of(&part.kind));
        let found = live.filter(|it| it.name() == part.name);
        needs.extend(found.map(Sight::need_pods));
    }
    needs
}

fn verdict(sight: &Sight<'_>, parts: &[Part]) -> Verdict {
    let live = sight.object;
    if is_stale(live) {
        return Verdict::not_ready(STALE);
    }
    if let Some(failed) = live.condition("Ready").filter(|it| !it.is_true()) {
        return Verdict::trouble(failed.said(), PODS);
    }
    let is_taken_up = !live.text("/status/version").is_empty();
    for part in parts {
        // The workload comes before the status, and may be in trouble by then.
        let is_made = sight.one(name_of(&part.kind), &part.name).is_some();
        if let Some(lack) = part_lacks(sight, part)
            && (is_taken_up || is_made)
        {
            return lack;
        }
    }
    if !is_taken_up {
        return Verdict::not_ready("the operator has not taken it up yet");
    }
    match (live.generation(), live.observed_generation()) {
        // The workload may be that of the generation before.
        (Some(2..), None) => Verdict::ReadyIfHeld(SETTLE),
        _ => Verdict::Ready,
    }
}

fn part_lacks(sight: &Sight<'_>, part: &Part) -> Option<Verdict> {
    let kind = name_of(&part.kind);
    let complete = workload(sight, kind, &part.name);
    if let Some(why) = complete.why() {
        return Some(match pod_trouble::of_any(sight) {
            Some(trouble) => Verdict::trouble(format!("{why}; {trouble}"), PODS),
            None => complete,
        });
    }
    let made = sight.one(kind, &part.name)?;
    let mut containers = made.list("/spec/template/spec/containers").iter();
    let is_older = !part.image.is_empty() && !containers.any(|it| it["image"] == *part.image);
    is_older.then(|| Verdict::NotReady(format!("its {kind} still has another image")))
}

fn name_of(kind: &Kind) -> &'static str {
    match kind {
        kind if *kind == DAEMON_SET => "DaemonSet",
        kind if *kind == STATEFUL_SET => "StatefulSet",
        _ => "Deployment",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::judged;
    use super::*;

    fn collector(generation: i64, status: &Value) -> Value {
        json!({ "apiVersion": "opentelemetry.io/v1beta1", "kind": "OpenTelemetryCollector",
                "metadata": { "name": "otel", "namespace": "lens", "generation": generation },
                "spec": { "mode": "deployment", "image": "collector:2" },
                "status": status })
    }

    fn workload(kind: &str, name: &str, image: &str, ready: i64) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": kind,
                "metadata": { "name": name, "namespace": "lens", "generation": 1 },
                "spec": { "replicas": 1, "template": { "spec": { "containers": [
                    { "name": "otc-container", "image": image }] } } },
                "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                            "readyReplicas": ready, "availableReplicas": ready,
                            "desiredNumberScheduled": 1, "updatedNumberScheduled": 1,
                            "numberReady": ready, "numberAvailable": ready } })
    }

    fn deployment(image: &str, ready: i64) -> Value {
        workload("Deployment", "otel-collector", image, ready)
    }

    /// As v0.140 writes it.
    fn old() -> Value {
        json!({ "version": "0.140.0", "image": "collector:2",
                "scale": { "replicas": 1, "statusReplicas": "1/1" } })
    }

    /// As v0.158 writes it.
    fn new(observed: i64, ready: &str) -> Value {
        let condition = json!({ "type": "Ready", "status": ready, "observedGeneration": observed,
                                "reason": "Reconciled", "message": "words" });
        let mut status = old();
        status["observedGeneration"] = json!(observed);
        status["conditions"] = json!([condition]);
        status
    }

    #[test]
    fn what_the_operator_made_tells() {
        let crashing = json!({ "kind": "Pod", "metadata": { "name": "otel-x" }, "status": {
            "containerStatuses": [{ "name": "otc-container", "restartCount": 2, "ready": false,
                "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] } });
        for (generation, status, around, expected) in [
            (
                1,
                json!({}),
                vec![],
                Verdict::not_ready("the operator has not taken it up yet"),
            ),
            (
                1,
                old(),
                vec![],
                Verdict::not_ready("Deployment otel-collector is not there yet"),
            ),
            (
                1,
                json!({}),
                vec![deployment("collector:2", 0)],
                Verdict::not_ready("Deployment otel-collector: 0 of 1 pods ready"),
            ),
            (
                1,
                json!({}),
                vec![deployment("collector:2", 1)],
                Verdict::not_ready("the operator has not taken it up yet"),
            ),
            (
                1,
                old(),
                vec![deployment("collector:2", 0)],
                Verdict::not_ready("Deployment otel-collector: 0 of 1 pods ready"),
            ),
            (
                1,
                new(1, "True"),
                vec![deployment("collector:2", 0), crashing],
                Verdict::trouble(
                    "Deployment otel-collector: 0 of 1 pods ready; pod otel-x: container \
                     otc-container ends again and again",
                    PODS,
                ),
            ),
            (
                2,
                old(),
                vec![deployment("collector:1", 1)],
                Verdict::not_ready("its Deployment still has another image"),
            ),
            (1, old(), vec![deployment("collector:2", 1)], Verdict::Ready),
            // Of which generation it speaks is not said.
            (
                2,
                old(),
                vec![deployment("collector:2", 1)],
                Verdict::ReadyIfHeld(SETTLE),
            ),
            (
                2,
                new(1, "True"),
                vec![deployment("collector:2", 1)],
                Verdict::not_ready(STALE),
            ),
            (
                2,
                new(2, "True"),
                vec![deployment("collector:2", 1)],
                Verdict::Ready,
            ),
            (
                2,
                new(2, "False"),
                vec![deployment("collector:2", 1)],
                Verdict::trouble("Ready is False (Reconciled: words)", PODS),
            ),
        ] {
            assert_eq!(judged(&collector(generation, &status), &around), expected);
        }
    }

    #[test]
    fn each_mode_has_its_workload() {
        for (mode, kind) in [("daemonset", "DaemonSet"), ("statefulset", "StatefulSet")] {
            let mut collector = collector(1, &old());
            collector["spec"]["mode"] = json!(mode);
            assert_eq!(
                judged(&collector, &[]),
                Verdict::NotReady(format!("{kind} otel-collector is not there yet"))
            );
            let complete = workload(kind, "otel-collector", "collector:2", 1);
            assert_eq!(judged(&collector, &[complete]), Verdict::Ready);
        }
        let mut sidecar = collector(1, &old());
        sidecar["spec"]["mode"] = json!("sidecar");
        assert_eq!(judged(&sidecar, &[]), Verdict::Ready);
    }

    #[test]
    fn an_allocator_is_a_part_and_may_stand_alone() {
        let missing = Verdict::not_ready("Deployment otel-targetallocator is not there yet");
        let mut collector = collector(1, &old());
        collector["spec"]["targetAllocator"] = json!({ "enabled": true });
        assert_eq!(judged(&collector, &[deployment("collector:2", 1)]), missing);
        collector["kind"] = json!("TargetAllocator");
        assert_eq!(judged(&collector, &[]), missing);
        let allocator = workload("Deployment", "otel-targetallocator", "collector:2", 1);
        assert_eq!(judged(&collector, &[allocator]), Verdict::Ready);
    }

    #[test]
    fn a_long_name_is_cut_as_the_operator_cuts_it() {
        let long = Live::new(json!({ "metadata": { "name": "a".repeat(60) } }));
        assert_eq!(made(&long, "collector").len(), 63);
    }
}
