//! What a pod says that will not become ready: enough to name it, not to explain it.

use serde_json::Value;

use super::super::live::Live;
use super::Sight;

/// The trouble of the first pod of a sight that has any.
pub(super) fn of_any(sight: &Sight<'_>) -> Option<String> {
    sight.all("Pod").find_map(|pod| {
        let trouble = of(pod)?;
        Some(format!("pod {}: {trouble}", pod.name()))
    })
}

/// What is wrong with a pod; nothing is with one that only starts, has ended or is going.
pub(super) fn of(pod: &Live) -> Option<String> {
    let is_going = pod.at("/metadata/deletionTimestamp").is_some();
    let has_ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
    if is_going || has_ended {
        return None;
    }
    if let Some(unscheduled) = pod.denies("PodScheduled") {
        return Some(format!("not scheduled: {}", unscheduled.message));
    }
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .flat_map(|list| pod.list(list))
        .find_map(container)
}

/// In words that stay the same while the kubelet tries again: a new text would be progress.
fn container(status: &Value) -> Option<String> {
    let name = status["name"].as_str().unwrap_or_default();
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let crashes = status["restartCount"].as_i64().unwrap_or_default() > 0;
    let code = ["/state", "/lastState"].into_iter().find_map(|state| {
        let code = status.pointer(&format!("{state}/terminated/exitCode"));
        code.and_then(Value::as_i64)
    });
    match text("/state/waiting/reason") {
        // Every container starts so.
        Some("ContainerCreating" | "PodInitializing") => return None,
        Some("ErrImagePull" | "ImagePullBackOff") => {
            let image = text("/image").unwrap_or_default();
            return Some(format!("container {name} cannot pull its image {image}"));
        }
        Some("CrashLoopBackOff") | None => {}
        Some(reason) => {
            let message = text("/state/waiting/message");
            let message = message.map_or_else(String::new, |message| format!(": {message}"));
            return Some(format!("container {name}: {reason}{message}"));
        }
    }
    let is_well = status["ready"] == true;
    match code {
        _ if is_well => None,
        Some(code) if crashes => Some(format!(
            "container {name} ends again and again, with exit code {code}"
        )),
        None if crashes => Some(format!("container {name} ends again and again")),
        Some(code) if code != 0 => Some(format!("container {name} ended with exit code {code}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_starts_has_no_trouble() {
        let state = |state: Value, restarts: i64| {
            json!({ "phase": "Running", "containerStatuses": [
                { "name": "web", "image": "example.com/web:1", "ready": false,
                  "restartCount": restarts, "state": state }] })
        };
        for (status, expected) in [
            (json!({}), None),
            (
                state(json!({ "waiting": { "reason": "ContainerCreating" } }), 0),
                None,
            ),
            (state(json!({ "running": {} }), 0), None),
            (state(json!({ "terminated": { "exitCode": 0 } }), 0), None),
            (
                state(json!({ "waiting": { "reason": "ErrImagePull" } }), 0),
                Some("container web cannot pull its image example.com/web:1"),
            ),
            (
                state(
                    json!({ "waiting": { "reason": "CreateContainerConfigError",
                    "message": "secret \"login\" not found" } }),
                    0,
                ),
                Some("container web: CreateContainerConfigError: secret \"login\" not found"),
            ),
            (
                state(
                    json!({ "waiting": { "reason": "CrashLoopBackOff",
                    "message": "back-off 40s" } }),
                    3,
                ),
                Some("container web ends again and again"),
            ),
            (
                state(json!({ "terminated": { "exitCode": 3 } }), 2),
                Some("container web ends again and again, with exit code 3"),
            ),
            (
                state(json!({ "terminated": { "exitCode": 3 } }), 0),
                Some("container web ended with exit code 3"),
            ),
            (
                state(json!({ "running": {} }), 1),
                Some("container web ends again and again"),
            ),
            (
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
                    "message": "0/1 nodes are available" }] }),
                Some("not scheduled: 0/1 nodes are available"),
            ),
            (
                json!({ "phase": "Failed", "containerStatuses": [
                { "name": "web", "state": { "terminated": { "exitCode": 1 } } }] }),
                None,
            ),
        ] {
            let found = of(&Live::new(json!({ "status": status })));
            assert_eq!(found.as_deref(), expected, "{status}");
        }
    }
}
