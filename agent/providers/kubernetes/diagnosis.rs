//! Why an object does not become ready: what its pods and the events on them say.
//!
//! Walks from the object down to one pod that has a problem and quotes it. Reads at most four
//! lists; what cannot be read is left out.

use serde_json::Value;

use super::Client;
use super::kind::{EVENT, POD, REPLICA_SET, Target};
use super::live::Live;

/// One sentence of what was read; none if nothing is wrong as far as can be seen.
pub(super) async fn diagnose(client: &Client, target: &Target, live: &Live) -> Option<String> {
    let namespace = target.namespace.as_deref()?;
    if target.kind == POD {
        return pod(client, namespace, live).await;
    }
    let Some(mut selector) = selector(live) else {
        return warning(client, namespace, live.uid()).await;
    };
    let mut owner = live.uid().to_owned();
    if target.kind.name == "Deployment"
        && let Some(newest) = newest_replica_set(client, namespace, &selector, live.uid()).await
    {
        newest.uid().clone_into(&mut owner);
        let hash = newest.text("/metadata/labels/pod-template-hash");
        selector = format!("{selector},pod-template-hash={hash}");
    }
    let pods = client.list(&POD, namespace, &selector, "").await.ok()?;
    let unready = pods.iter().filter(|pod| !is_well(pod));
    // The pod that says most: one that says nothing may only be slower than the others.
    let worst = unready.max_by_key(|pod| problem(pod).is_some());
    let said = match worst {
        Some(worst) => pod(client, namespace, worst).await,
        None => None,
    };
    match said {
        Some(said) => Some(said),
        // Without pods, the events say why none can be made: a quota, a policy, a webhook.
        None => warning(client, namespace, &owner).await,
    }
}

async fn newest_replica_set(
    client: &Client,
    namespace: &str,
    selector: &str,
    deployment: &str,
) -> Option<Live> {
    let sets = client.list(&REPLICA_SET, namespace, selector, "").await;
    let owned = sets.ok()?.into_iter().filter(|set| {
        let owners = set.list("/metadata/ownerReferences");
        owners.iter().any(|owner| owner["uid"] == deployment)
    });
    owned.max_by_key(|set| {
        let annotations = set.texts("/metadata/annotations");
        let revision = annotations.get("deployment.kubernetes.io/revision");
        revision.and_then(|text| text.parse::<i64>().ok())
    })
}

/// A workload's label selector, as the API server takes it.
fn selector(live: &Live) -> Option<String> {
    live.at("/spec/selector")?;
    let labels = live.texts("/spec/selector/matchLabels");
    let mut parts: Vec<String> = labels
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for expression in live.list("/spec/selector/matchExpressions") {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array();
        let values: Vec<&str> = values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        match expression["operator"].as_str() {
            Some("In") => parts.push(format!("{key} in ({values})")),
            Some("NotIn") => parts.push(format!("{key} notin ({values})")),
            Some("Exists") => parts.push(key.to_owned()),
            Some("DoesNotExist") => parts.push(format!("!{key}")),
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

fn is_well(pod: &Live) -> bool {
    let is_ready = pod.condition("Ready").is_some_and(|it| it.is_true());
    is_ready || pod.text("/status/phase") == "Succeeded"
}

/// What a pod says, or else the last warning about it.
async fn pod(client: &Client, namespace: &str, pod: &Live) -> Option<String> {
    let said = match problem(pod) {
        Some(problem) if problem.is_whole => Some(problem.what),
        weak => {
            let warning = warning(client, namespace, pod.uid()).await;
            let words: Vec<String> = weak.map(|it| it.what).into_iter().chain(warning).collect();
            (!words.is_empty()).then(|| words.join("; "))
        }
    };
    said.map(|said| format!("pod {}: {said}", pod.name()))
}

/// What is wrong with a pod by its own status.
struct Problem {
    what: String,
    /// Whether it says the reason too, so that no event has to.
    is_whole: bool,
}

fn problem(pod: &Live) -> Option<Problem> {
    if let Some(scheduled) = pod.denies("PodScheduled") {
        return Some(Problem {
            what: format!("not scheduled: {}: {}", scheduled.reason, scheduled.message),
            is_whole: true,
        });
    }
    let init = pod.list("/status/initContainerStatuses");
    let main = pod.list("/status/containerStatuses");
    init.iter()
        .find_map(stuck)
        .or_else(|| main.iter().find_map(stuck))
        .or_else(|| main.iter().find_map(unready))
}

/// A container that does not run, and says why.
fn stuck(container: &Value) -> Option<Problem> {
    let name = container["name"].as_str().unwrap_or_default();
    let text = |pointer: &str| {
        let found = container.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default()
    };
    let whole = |what| {
        Some(Problem {
            what,
            is_whole: true,
        })
    };
    match text("/state/waiting/reason") {
        // Every container starts so.
        "" | "ContainerCreating" | "PodInitializing" => {}
        reason => {
            let waiting = joined(&[reason, text("/state/waiting/message")]);
            let before = end(container.pointer("/lastState/terminated"));
            let before = before.map_or_else(String::new, |end| format!("; it {end} before"));
            return whole(format!("container {name} waiting: {waiting}{before}"));
        }
    }
    let end = end(container.pointer("/state/terminated"))?;
    whole(format!("container {name} {end}"))
}

/// A container that runs without being ready; the probe's answer is in an event.
fn unready(container: &Value) -> Option<Problem> {
    let runs = container.pointer("/state/running").is_some();
    if !runs || container["ready"] == true {
        return None;
    }
    let name = container["name"].as_str().unwrap_or_default();
    let again = match container["restartCount"].as_i64() {
        Some(count) if count > 0 => format!(", after {count} restarts"),
        _ => String::new(),
    };
    Some(Problem {
        what: format!("container {name} runs and is not ready{again}"),
        is_whole: false,
    })
}

/// `ended with exit code 137 (OOMKilled)`; none for a good end.
fn end(terminated: Option<&Value>) -> Option<String> {
    let terminated = terminated?;
    let code = terminated["exitCode"].as_i64().filter(|code| *code != 0)?;
    let text = |key: &str| terminated[key].as_str().unwrap_or_default().trim();
    let why = match text("reason") {
        "" | "Error" => String::new(),
        reason => format!(" ({reason})"),
    };
    let message = match text("message") {
        "" => String::new(),
        message => format!(": {message}"),
    };
    Some(format!("ended with exit code {code}{why}{message}"))
}

/// The latest warning about an object.
async fn warning(client: &Client, namespace: &str, uid: &str) -> Option<String> {
    let fields = format!("involvedObject.uid={uid},type=Warning");
    let events = client.list(&EVENT, namespace, "", &fields).await.ok()?;
    let latest = events.iter().max_by_key(|event| {
        let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
        let times = times.into_iter().map(|time| event.text(time));
        times.max().unwrap_or_default().to_owned()
    })?;
    Some(joined(&[latest.text("/reason"), latest.text("/message")]))
}

fn joined(words: &[&str]) -> String {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.is_empty())
        .collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(status: &Value) -> Option<String> {
        problem(&Live::new(json!({ "status": status }))).map(|problem| problem.what)
    }

    #[test]
    fn the_reason_is_quoted() {
        for (status, expected) in [
            (
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/1 nodes are available" }] }),
                "not scheduled: Unschedulable: 0/1 nodes are available",
            ),
            (
                json!({ "containerStatuses": [{ "name": "web", "state": { "waiting": {
                    "reason": "ImagePullBackOff", "message": "Back-off pulling image \"nope\"" } } }] }),
                "container web waiting: ImagePullBackOff: Back-off pulling image \"nope\"",
            ),
            (
                json!({ "containerStatuses": [{ "name": "web",
                    "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                    "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }] }),
                "container web waiting: CrashLoopBackOff; it ended with exit code 137 (OOMKilled) before",
            ),
            (
                json!({ "containerStatuses": [{ "name": "web", "state": { "waiting": {
                    "reason": "CreateContainerConfigError", "message": "secret \"login\" not found" } } }] }),
                "container web waiting: CreateContainerConfigError: secret \"login\" not found",
            ),
            (
                json!({ "initContainerStatuses": [{ "name": "setup", "state": { "terminated": {
                    "exitCode": 2, "reason": "Error", "message": "no such file\n" } } }],
                    "containerStatuses": [{ "name": "web", "state": { "waiting": { "reason": "PodInitializing" } } }] }),
                "container setup ended with exit code 2: no such file",
            ),
            (
                json!({ "containerStatuses": [{ "name": "web", "ready": false, "restartCount": 2,
                    "state": { "running": {} } }] }),
                "container web runs and is not ready, after 2 restarts",
            ),
        ] {
            assert_eq!(said(&status).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_pod_that_starts_has_no_problem() {
        let starting = json!({ "containerStatuses": [{ "name": "web", "ready": false,
            "state": { "waiting": { "reason": "ContainerCreating" } } }] });
        assert_eq!(said(&starting), None);
        assert_eq!(said(&json!({})), None);
    }

    #[test]
    fn selectors() {
        let live = |selector: Value| Live::new(json!({ "spec": { "selector": selector } }));
        let both = live(
            json!({ "matchLabels": { "app": "web" }, "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["a", "b"] },
            { "key": "old", "operator": "DoesNotExist" }] }),
        );
        assert_eq!(
            selector(&both).as_deref(),
            Some("app=web,tier in (a,b),!old")
        );
        assert_eq!(selector(&Live::new(json!({ "spec": {} }))), None);
    }
}
