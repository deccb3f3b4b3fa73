//! The VictoriaMetrics operator: what runs, and what is read by what runs.
//!
//! Its word `operational` stays when the specification changes or the pods die. From v0.50 on
//! the status says of which generation it speaks; before that only an annotation with the
//! specification that was applied last.

use std::time::Duration;

use serde_json::Value;

use super::super::kind::{DAEMON_SET, DEPLOYMENT, Kind, STATEFUL_SET};
use super::super::live::Live;
use super::super::quantity;
use super::verdict::{PERSON, SETTLE};
use super::{Need, Rule, STALE, Sight, Verdict, is_stale, workload};

/// The operator tries for 80 s, says why it failed, and tries again: twice that is no accident.
const TWO_ROUNDS: Duration = Duration::from_secs(170);

const APPLIED: &str = "operator.victoriametrics/last-applied-spec";

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "VMCluster" | "VMSingle" | "VMAgent" | "VMAlert" | "VMAuth" | "VMAlertmanager"
        | "VLogs" => Some(Rule::Around { needs, verdict }),
        "VMAlertmanagerConfig"
        | "VMNodeScrape"
        | "VMPodScrape"
        | "VMProbe"
        | "VMRule"
        | "VMScrapeConfig"
        | "VMServiceScrape"
        | "VMStaticScrape"
        | "VMUser" => Some(Rule::Alone(part)),
        _ => None,
    }
}

fn needs(sight: &Sight<'_>) -> Vec<Need> {
    let workloads = workloads(sight.object).into_iter();
    workloads
        .map(|(kind, name)| sight.need(&kind, name))
        .collect()
}

fn verdict(sight: &Sight<'_>) -> Verdict {
    let object = sight.object;
    if object.at("/spec/paused").is_some_and(|it| it == true) {
        return Verdict::trouble("it is paused (spec.paused)", PERSON);
    }
    // `failed` is seen for milliseconds; the reason stays until it is well again.
    let reason = object.text("/status/reason");
    if !reason.is_empty() {
        return Verdict::trouble(reason, TWO_ROUNDS);
    }
    match word(object) {
        "operational" => {}
        "" => return Verdict::not_ready("the operator has not taken it up yet"),
        word => return Verdict::NotReady(unready(sight, word)),
    }
    if !is_applied(object) {
        return Verdict::not_ready(STALE);
    }
    let workloads = workloads(object).into_iter();
    let mut verdicts = workloads.map(|(kind, name)| workload(sight, text(&kind), &name));
    verdicts
        .find(|verdict| !verdict.is_ready())
        .unwrap_or(Verdict::Ready)
}

/// The operator's word, with the first workload that is not complete.
fn unready(sight: &Sight<'_>, word: &str) -> String {
    let workloads = workloads(sight.object).into_iter();
    let mut verdicts = workloads.map(|(kind, name)| workload(sight, text(&kind), &name));
    let part = verdicts.find_map(|verdict| verdict.why().map(str::to_owned));
    part.map_or_else(|| word.to_owned(), |part| format!("{word}, {part}"))
}

/// Each kind has had a field of its own; where there is the new one, the old one lags behind.
fn word(object: &Live) -> &str {
    let fields = ["updateStatus", "clusterStatus", "singleStatus", "status"];
    let words = fields.map(|field| object.text(&format!("/status/{field}")));
    words
        .into_iter()
        .find(|word| !word.is_empty())
        .unwrap_or_default()
}

fn is_applied(object: &Live) -> bool {
    if object.observed_generation().is_some() {
        return !is_stale(object);
    }
    let annotations = object.texts("/metadata/annotations");
    let applied = annotations.get(APPLIED);
    let applied = applied.and_then(|text| serde_json::from_str::<Value>(text).ok());
    match (object.at("/spec"), applied) {
        (Some(spec), Some(applied)) => contains(&applied, spec),
        _ => false,
    }
}

/// Whether `all` has every field of `part`, with the same value: it has defaults besides.
fn contains(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => part.iter().all(|(key, part)| {
            // What is empty need not be written.
            is_empty(part) || all.get(key).is_some_and(|all| contains(all, part))
        }),
        (Value::Array(all), Value::Array(part)) => {
            all.len() == part.len() && all.iter().zip(part).all(|(all, part)| contains(all, part))
        }
        (Value::String(all), Value::String(part)) => quantity::same(all, part),
        _ => all == part,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// What must run for it.
fn workloads(object: &Live) -> Vec<(Kind, String)> {
    let name = object.name();
    let has = |pointer: &str| object.at(pointer).is_some();
    let is = |pointer: &str| object.at(pointer).is_some_and(|it| it == true);
    let one = |kind, prefix: &str| vec![(kind, format!("{prefix}-{name}"))];
    match object.text("/kind") {
        "VMCluster" => [
            ("/spec/vmstorage", STATEFUL_SET, "vmstorage"),
            ("/spec/vmselect", STATEFUL_SET, "vmselect"),
            ("/spec/vminsert", DEPLOYMENT, "vminsert"),
        ]
        .into_iter()
        .filter(|(pointer, ..)| has(pointer))
        .map(|(_, kind, prefix)| (kind, format!("{prefix}-{name}")))
        .collect(),
        "VMAgent" => agent(object, is("/spec/statefulMode"), is("/spec/daemonSetMode")),
        "VMAlertmanager" => one(STATEFUL_SET, "vmalertmanager"),
        "VMAlert" => one(DEPLOYMENT, "vmalert"),
        "VMAuth" => one(DEPLOYMENT, "vmauth"),
        "VLogs" => one(DEPLOYMENT, "vlogs"),
        _ => one(DEPLOYMENT, "vmsingle"),
    }
}

/// A sharded agent has a workload for each shard.
fn agent(object: &Live, is_stateful: bool, is_on_each_node: bool) -> Vec<(Kind, String)> {
    let name = format!("vmagent-{}", object.name());
    let kind = match (is_stateful, is_on_each_node) {
        (_, true) => DAEMON_SET,
        (true, false) => STATEFUL_SET,
        (false, false) => DEPLOYMENT,
    };
    match object.count("/spec/shardCount") {
        0 | 1 => vec![(kind, name)],
        shards => (0..shards)
            .map(|shard| (kind.clone(), format!("{name}-{shard}")))
            .collect(),
    }
}

fn text(kind: &Kind) -> &'static str {
    match kind.name.as_ref() {
        "StatefulSet" => "StatefulSet",
        "DaemonSet" => "DaemonSet",
        _ => "Deployment",
    }
}

/// A rule, a scrape, a user: what is read by another object, which may not be there.
fn part(object: &Live) -> Verdict {
    let trouble = ["/status/reason", "/status/lastSyncError"].map(|field| object.text(field));
    if let Some(trouble) = trouble.into_iter().find(|text| !text.is_empty()) {
        return Verdict::trouble(trouble, TWO_ROUNDS);
    }
    let applied = |kind: &str| kind.ends_with(".victoriametrics.com/Applied");
    let refused = object
        .conditions()
        .find(|it| applied(it.kind) && !it.is_true());
    if let Some(refused) = refused {
        return Verdict::trouble(refused.said(), TWO_ROUNDS);
    }
    if is_stale(object) {
        return Verdict::not_ready(STALE);
    }
    match word(object) {
        "operational" if object.observed_generation().is_some() => Verdict::Ready,
        // Of the first generation there is no older answer.
        "operational" if object.generation().is_none_or(|number| number <= 1) => Verdict::Ready,
        "operational" => Verdict::ReadyIfHeld(SETTLE),
        "" => Verdict::not_ready("nothing that would read it has taken it up yet"),
        word => Verdict::not_ready(word),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::judged;
    use super::*;

    fn complete(kind: &str, name: &str, ready: i64) -> Value {
        json!({ "kind": kind, "metadata": { "name": name, "generation": 1 },
            "spec": { "replicas": 1 },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": ready,
                "updatedReplicas": 1, "availableReplicas": ready } })
    }

    fn object(kind: &str, spec: &Value, status: &Value) -> Value {
        json!({ "apiVersion": "operator.victoriametrics.com/v1beta1", "kind": kind,
            "metadata": { "name": "lens", "namespace": "lens", "generation": 2 },
            "spec": spec, "status": status })
    }

    fn applied(mut object: Value, spec: &Value) -> Value {
        object["metadata"]["annotations"] = json!({ APPLIED: spec.to_string() });
        object
    }

    #[test]
    fn the_older_operator_needs_the_annotation() {
        let spec = json!({ "replicaCount": 1, "resources": { "requests": { "cpu": "1000" } },
                           "paused": false });
        let with_defaults = json!({ "replicaCount": 1, "port": "8429",
            "resources": { "requests": { "cpu": "1k" }, "limits": {} } });
        let well = [complete("Deployment", "vmagent-lens", 1)];
        let agent = |status: Value| object("VMAgent", &spec, &status);
        let operational = || agent(json!({ "updateStatus": "operational" }));
        assert_eq!(
            judged(&applied(operational(), &with_defaults), &well),
            Verdict::Ready
        );
        let other = json!({ "replicaCount": 2 });
        assert_eq!(
            judged(&applied(operational(), &other), &well),
            Verdict::not_ready(STALE)
        );
        assert_eq!(judged(&operational(), &well), Verdict::not_ready(STALE));
        assert_eq!(
            judged(
                &applied(operational(), &with_defaults),
                &[complete("Deployment", "vmagent-lens", 0)]
            ),
            Verdict::not_ready("Deployment vmagent-lens: 0 of 1 pods ready")
        );
        assert_eq!(
            judged(&agent(json!({})), &well),
            Verdict::not_ready("the operator has not taken it up yet")
        );
        assert_eq!(
            judged(&agent(json!({ "updateStatus": "expanding" })), &[]),
            Verdict::not_ready("expanding, Deployment vmagent-lens is not there yet")
        );
        let failing = agent(json!({ "updateStatus": "expanding", "reason": "no secret" }));
        assert_eq!(
            judged(&failing, &well),
            Verdict::trouble("no secret", TWO_ROUNDS)
        );
        let paused = object("VMAgent", &json!({ "paused": true }), &json!({}));
        assert_eq!(
            judged(&paused, &well),
            Verdict::trouble("it is paused (spec.paused)", PERSON)
        );
    }

    #[test]
    fn the_newer_operator_says_of_which_generation_it_speaks() {
        let spec = json!({ "vmstorage": {}, "vmselect": {}, "vminsert": {} });
        let cluster = |observed: i64| {
            let status = json!({ "updateStatus": "operational", "observedGeneration": observed,
                                 "clusterStatus": "expanding" });
            object("VMCluster", &spec, &status)
        };
        let well = [
            complete("StatefulSet", "vmstorage-lens", 1),
            complete("StatefulSet", "vmselect-lens", 1),
            complete("Deployment", "vminsert-lens", 1),
        ];
        assert_eq!(judged(&cluster(2), &well), Verdict::Ready);
        assert_eq!(judged(&cluster(1), &well), Verdict::not_ready(STALE));
        assert_eq!(
            judged(&cluster(2), &well[..2]),
            Verdict::not_ready("Deployment vminsert-lens is not there yet")
        );
    }

    #[test]
    fn each_kind_has_its_field_and_its_workload() {
        let shards = json!({ "shardCount": 2, "statefulMode": true });
        for (kind, spec, field, expected) in [
            (
                "VMSingle",
                json!({}),
                "singleStatus",
                vec!["Deployment vmsingle-lens"],
            ),
            (
                "VMAlert",
                json!({}),
                "updateStatus",
                vec!["Deployment vmalert-lens"],
            ),
            (
                "VMAuth",
                json!({}),
                "updateStatus",
                vec!["Deployment vmauth-lens"],
            ),
            ("VLogs", json!({}), "status", vec!["Deployment vlogs-lens"]),
            (
                "VMAlertmanager",
                json!({}),
                "updateStatus",
                vec!["StatefulSet vmalertmanager-lens"],
            ),
            (
                "VMAgent",
                json!({ "daemonSetMode": true }),
                "updateStatus",
                vec!["DaemonSet vmagent-lens"],
            ),
            (
                "VMAgent",
                shards,
                "updateStatus",
                vec!["StatefulSet vmagent-lens-0", "StatefulSet vmagent-lens-1"],
            ),
            (
                "VMCluster",
                json!({ "vmstorage": {} }),
                "clusterStatus",
                vec!["StatefulSet vmstorage-lens"],
            ),
        ] {
            let live = Live::new(object(kind, &spec, &json!({ field: "operational" })));
            let found: Vec<String> = workloads(&live)
                .into_iter()
                .map(|(kind, name)| format!("{} {name}", kind.name))
                .collect();
            assert_eq!(
                (found, word(&live)),
                (
                    expected.into_iter().map(str::to_owned).collect(),
                    "operational"
                )
            );
        }
    }

    #[test]
    fn what_is_read_by_another_object() {
        let rule = |generation: i64, status: Value| {
            let mut rule = object("VMRule", &json!({}), &status);
            rule["metadata"]["generation"] = generation.into();
            judged(&rule, &[])
        };
        let condition = |status: &str| {
            json!([{ "type": "lens.lens.vmalert.victoriametrics.com/Applied", "status": status,
                     "message": "words" }])
        };
        assert_eq!(rule(1, json!({ "status": "operational" })), Verdict::Ready);
        assert_eq!(
            rule(2, json!({ "status": "operational" })),
            Verdict::ReadyIfHeld(SETTLE)
        );
        assert_eq!(
            rule(
                2,
                json!({ "updateStatus": "operational", "observedGeneration": 2,
                            "conditions": condition("True") })
            ),
            Verdict::Ready
        );
        assert_eq!(
            rule(
                2,
                json!({ "updateStatus": "operational", "observedGeneration": 1 })
            ),
            Verdict::not_ready(STALE)
        );
        assert_eq!(
            rule(
                1,
                json!({ "updateStatus": "operational", "observedGeneration": 1,
                            "conditions": condition("False") })
            ),
            Verdict::trouble(
                "lens.lens.vmalert.victoriametrics.com/Applied is False (words)",
                TWO_ROUNDS
            )
        );
        assert_eq!(
            rule(
                1,
                json!({ "status": "failed", "lastSyncError": "bad expression" })
            ),
            Verdict::trouble("bad expression", TWO_ROUNDS)
        );
        assert_eq!(
            rule(1, json!({})),
            Verdict::not_ready("nothing that would read it has taken it up yet")
        );
        assert_eq!(
            rule(1, json!({ "status": "failed" })),
            Verdict::not_ready("failed")
        );
    }
}
