//! Pod and Job: what runs, or has run to its end.

use super::super::live::Live;
use super::verdict::PODS;
use super::{STALE, Verdict, pod_trouble};

pub(super) fn pod(live: &Live) -> Verdict {
    let is_ready = live.condition("Ready").is_some_and(|it| it.is_true());
    if let Some(trouble) = pod_trouble::of(live).filter(|_| !is_ready) {
        return Verdict::trouble(trouble, PODS);
    }
    match live.text("/status/phase") {
        "Succeeded" => Verdict::Ready,
        "Failed" => {
            let words = [live.text("/status/reason"), live.text("/status/message")];
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            let why = if words.is_empty() {
                ended(live)
            } else {
                words.join(": ")
            };
            Verdict::Failed(why)
        }
        phase => match live.condition("Ready") {
            Some(ready) if ready.is_true() => Verdict::Ready,
            Some(ready) => Verdict::NotReady(format!("{phase}, {}", ready.said())),
            None if phase.is_empty() => Verdict::not_ready(STALE),
            None => Verdict::not_ready(phase),
        },
    }
}

/// How the containers of a failed pod ended.
fn ended(live: &Live) -> String {
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let failed: Vec<String> = containers
        .into_iter()
        .flat_map(|list| live.list(list))
        .filter_map(|container| {
            let code = container.pointer("/state/terminated/exitCode")?.as_i64()?;
            let name = container["name"].as_str().unwrap_or_default();
            (code != 0).then(|| format!("container {name} ended with exit code {code}"))
        })
        .collect();
    if failed.is_empty() {
        "the pod failed and does not say why".to_owned()
    } else {
        failed.join(", ")
    }
}

pub(super) fn job(live: &Live) -> Verdict {
    let is_true = |kind| live.holds(kind);
    if is_true("Complete").is_some() {
        return Verdict::Ready;
    }
    // FailureTarget comes before Failed, while the last pods are being ended.
    if let Some(failed) = is_true("Failed").or_else(|| is_true("FailureTarget")) {
        let why = [failed.reason, failed.message];
        let why: Vec<&str> = why.into_iter().filter(|word| !word.is_empty()).collect();
        return Verdict::Failed(why.join(": "));
    }
    if live.at("/spec/suspend").is_some_and(|it| it == true) {
        return Verdict::not_ready("suspended");
    }
    if live.at("/status/startTime").is_none() {
        return Verdict::not_ready("not started");
    }
    let wanted = live
        .at("/spec/completions")
        .map_or(1, |_| live.count("/spec/completions"));
    let mut why = format!(
        "{} of {wanted} pods succeeded, {} running",
        live.count("/status/succeeded"),
        live.count("/status/active"),
    );
    let failed = live.count("/status/failed");
    if failed > 0 {
        why = format!("{why}, {failed} failed");
    }
    Verdict::NotReady(why)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_status(rule: fn(&Live) -> Verdict, status: &Value) -> Verdict {
        rule(&Live::new(json!({ "spec": {}, "status": status })))
    }

    fn condition(kind: &str, reason: &str, message: &str) -> Value {
        json!({ "conditions": [
            { "type": kind, "status": "True", "reason": reason, "message": message }] })
    }

    #[test]
    fn jobs_have_two_ends() {
        let failed = "BackoffLimitExceeded: Job has reached the specified backoff limit";
        for (status, expected) in [
            (json!({}), Verdict::not_ready("not started")),
            (
                json!({ "startTime": "now", "active": 1, "failed": 2 }),
                Verdict::not_ready("0 of 1 pods succeeded, 1 running, 2 failed"),
            ),
            (condition("Complete", "", ""), Verdict::Ready),
            (
                condition("SuccessCriteriaMet", "", ""),
                Verdict::not_ready("not started"),
            ),
            (
                condition(
                    "Failed",
                    "BackoffLimitExceeded",
                    "Job has reached the specified backoff limit",
                ),
                Verdict::Failed(failed.to_owned()),
            ),
            (
                condition("FailureTarget", "PodFailurePolicy", "exit code 78"),
                Verdict::Failed("PodFailurePolicy: exit code 78".to_owned()),
            ),
        ] {
            assert_eq!(with_status(job, &status), expected, "{status}");
        }
    }

    #[test]
    fn pods() {
        let ended = json!({ "phase": "Failed", "containerStatuses": [
            { "name": "main", "state": { "terminated": { "exitCode": 3 } } }] });
        let starting = json!({ "phase": "Pending", "conditions": [
            { "type": "Ready", "status": "False", "reason": "ContainersNotReady" }] });
        for (status, expected) in [
            (json!({}), Verdict::not_ready(STALE)),
            (json!({ "phase": "Pending" }), Verdict::not_ready("Pending")),
            (
                starting,
                Verdict::not_ready("Pending, Ready is False (ContainersNotReady)"),
            ),
            (
                json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }),
                Verdict::Ready,
            ),
            (json!({ "phase": "Succeeded" }), Verdict::Ready),
            (
                ended,
                Verdict::Failed("container main ended with exit code 3".to_owned()),
            ),
            (
                json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" }),
                Verdict::Failed("Evicted: low on memory".to_owned()),
            ),
        ] {
            assert_eq!(with_status(pod, &status), expected, "{status}");
        }
    }
}
