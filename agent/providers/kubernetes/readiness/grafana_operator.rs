//! The Grafana operator: `Grafana` itself; what is put into it is in [`grafana_parts`].

use std::time::Duration;

use super::super::kind::DEPLOYMENT;
use super::super::live::Live;
use super::verdict::PODS;
use super::{Need, Rule, Sight, Verdict, grafana_parts, workload};

/// The operator needs less to look at a change, and nothing tells when it has.
const HELD: Duration = Duration::from_secs(5);

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Grafana" => Some(Rule::Around {
            needs,
            verdict: grafana,
        }),
        kind => grafana_parts::rule(kind),
    }
}

fn needs(sight: &Sight<'_>) -> Vec<Need> {
    if is_external(sight.object) {
        return Vec::new();
    }
    vec![sight.need(&DEPLOYMENT, deployment(sight))]
}

/// `complete` and `success` are written before a pod exists and are never taken back.
fn grafana(sight: &Sight<'_>) -> Verdict {
    let grafana = sight.object;
    if grafana.text("/status/stageStatus") == "failed" {
        let why = format!(
            "stage {} failed: {}",
            grafana.text("/status/stage"),
            grafana.text("/status/lastMessage")
        );
        return Verdict::trouble(why, PODS);
    }
    let message = grafana.text("/status/lastMessage");
    if !message.is_empty() {
        return Verdict::not_ready(message);
    }
    if !is_external(grafana) {
        let deployment = workload(sight, "Deployment", &deployment(sight));
        if !deployment.is_ready() {
            return deployment;
        }
        if let Some(other) = other_image(sight) {
            return Verdict::NotReady(other);
        }
    }
    if let Some(stale) = unready_condition(grafana) {
        return Verdict::NotReady(stale);
    }
    // The first answer of the server brings it.
    if grafana.text("/status/version").is_empty() {
        return Verdict::not_ready("Grafana has not answered the operator yet");
    }
    Verdict::ReadyIfHeld(HELD)
}

/// From v5.19 on there is a condition, which is needed and not enough.
fn unready_condition(grafana: &Live) -> Option<String> {
    let conditions = grafana.list("/status/conditions");
    let ready = conditions.iter().find(|it| it["type"] == "GrafanaReady")?;
    if grafana.generation() != ready["observedGeneration"].as_i64() {
        return Some(super::STALE.to_owned());
    }
    let said = grafana.condition("GrafanaReady")?;
    (!said.is_true()).then(|| said.said())
}

fn other_image(sight: &Sight<'_>) -> Option<String> {
    let version = sight.object.text("/spec/version");
    let deployment = sight.one("Deployment", &deployment(sight))?;
    let containers = deployment.list("/spec/template/spec/containers").iter();
    let mut images = containers.filter_map(|it| it["image"].as_str());
    let image = images.find(|image| image.contains("grafana"))?;
    // A version may be a whole image, and a Deployment may be given another one.
    let is_asked =
        version.is_empty() || image.ends_with(&format!(":{version}")) || image == version;
    let is_given = !sight
        .object
        .list("/spec/deployment/spec/template/spec/containers")
        .is_empty();
    (!is_asked && !is_given).then(|| format!("its Deployment still has the image {image}"))
}

fn is_external(grafana: &Live) -> bool {
    grafana.at("/spec/external/url").is_some()
}

fn deployment(sight: &Sight<'_>) -> String {
    format!("{}-deployment", sight.name())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{STALE, rule_for};
    use super::*;

    fn judged(spec: &Value, status: &Value, deployment: Option<&str>) -> Verdict {
        let grafana = Live::new(json!({
            "apiVersion": "grafana.integreatly.org/v1beta1", "kind": "Grafana",
            "metadata": { "name": "grafana", "generation": 2 }, "spec": spec, "status": status }));
        let around: Vec<Live> = deployment
            .into_iter()
            .map(|image| {
                Live::new(json!({ "kind": "Deployment",
                    "metadata": { "name": "grafana-deployment", "generation": 1 },
                    "spec": { "template": { "spec": { "containers": [{ "image": image }] } } },
                    "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                                "readyReplicas": 1, "availableReplicas": 1 } }))
            })
            .collect();
        rule_for(&grafana).verdict(&Sight::new(&grafana, &around))
    }

    const OURS: Option<&str> = Some("grafana/grafana:11.3.0");

    #[test]
    fn its_word_success_is_never_enough() {
        let spec = json!({ "version": "11.3.0" });
        let done = |more: Value| {
            let mut status = json!({ "stage": "complete", "stageStatus": "success" });
            for (key, value) in more.as_object().expect("fields") {
                status[key] = value.clone();
            }
            status
        };
        let version = json!({ "version": "11.3.0" });
        let condition = |status: &str, observed: i64| {
            json!({ "version": "11.3.0", "conditions": [{ "type": "GrafanaReady",
                "status": status, "observedGeneration": observed, "reason": "words" }] })
        };
        let held = Verdict::ReadyIfHeld(HELD);
        let not_ready = Verdict::not_ready;
        for (status, deployment, expected) in [
            (
                done(json!({})),
                None,
                not_ready("Deployment grafana-deployment is not there yet"),
            ),
            (
                done(json!({})),
                OURS,
                not_ready("Grafana has not answered the operator yet"),
            ),
            (done(version.clone()), OURS, held.clone()),
            (
                done(version),
                Some("grafana/grafana:11.2.0"),
                not_ready("its Deployment still has the image grafana/grafana:11.2.0"),
            ),
            (done(condition("True", 2)), OURS, held),
            (done(condition("True", 1)), OURS, not_ready(STALE)),
            (
                done(condition("False", 2)),
                OURS,
                not_ready("GrafanaReady is False (words)"),
            ),
            (
                json!({ "stage": "pvc", "stageStatus": "failed", "lastMessage": "no class" }),
                OURS,
                Verdict::trouble("stage pvc failed: no class", PODS),
            ),
            (
                json!({ "stage": "ingress", "stageStatus": "in progress",
                        "lastMessage": "ingress is not ready yet" }),
                OURS,
                not_ready("ingress is not ready yet"),
            ),
        ] {
            assert_eq!(judged(&spec, &status, deployment), expected, "{status}");
        }
    }

    #[test]
    fn one_outside_has_no_deployment() {
        let spec = json!({ "external": { "url": "http://grafana.example.com" } });
        let answered = json!({ "version": "11.3.0" });
        assert_eq!(judged(&spec, &answered, None), Verdict::ReadyIfHeld(HELD));
        assert_eq!(
            judged(&spec, &json!({ "stage": "complete" }), None),
            Verdict::not_ready("Grafana has not answered the operator yet")
        );
    }
}
