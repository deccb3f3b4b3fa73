//! What is wrong with the pod that was chosen, from the deepest up.

use super::super::live::Live;
use super::container::{self, Trouble};
use super::scene::{Scene, named};
use super::{claim, configuration, event, image, scheduling};

/// The cause, with the pod's name; none if there is no pod, or nothing wrong with it.
pub(super) fn cause(scene: &Scene) -> Option<String> {
    let pod = scene.pod.as_ref()?;
    let said = unscheduled(scene, pod)
        .or_else(|| container(scene, pod))
        .or_else(|| volumes(scene, pod))
        .or_else(|| evicted(pod))
        .or_else(|| gate(pod))
        .or_else(|| event::latest(&scene.events, pod, &[]).map(event::said))?;
    Some(format!("{}: {said}", named(pod)))
}

/// No node takes it: because of a claim of it, or of what it asks for.
fn unscheduled(scene: &Scene, pod: &Live) -> Option<String> {
    let said = scheduling::sentence(scene, pod)?;
    let claims = &mut scene.claims.iter();
    match claims.find_map(|claim| claim::cause(scene, claim)) {
        Some(claim) => Some(format!("is not scheduled: {claim}")),
        None => Some(said),
    }
}

fn container(scene: &Scene, pod: &Live) -> Option<String> {
    let container = container::worst(pod)?;
    let name = container.name();
    Some(match container.trouble {
        Trouble::Image => image::sentence(scene, pod, &container),
        Trouble::Configuration => {
            let waiting = container.waiting();
            match unmet(scene, pod) {
                Some(unmet) => format!("container {name} cannot start: {unmet} ({waiting})"),
                None => format!("container {name} cannot start: {waiting}"),
            }
        }
        Trouble::Stuck => format!("container {name} cannot start: {}", container.waiting()),
        Trouble::Ended => container.ended(scene, pod),
        Trouble::Unready => container.unready(scene, pod),
    })
}

fn unmet(scene: &Scene, pod: &Live) -> Option<String> {
    configuration::unmet(&configuration::needs(pod), &scene.keys)
}

/// Its containers wait for volumes, which only events tell of.
fn volumes(scene: &Scene, pod: &Live) -> Option<String> {
    let reasons = ["FailedMount", "FailedAttachVolume", "FailedMapVolume"];
    let event = event::said(event::latest(&scene.events, pod, &reasons)?);
    Some(match unmet(scene, pod) {
        Some(unmet) => format!("its volumes cannot be mounted: {unmet} ({event})"),
        None => format!("its volumes cannot be mounted: {event}"),
    })
}

/// The pod as a whole has failed: evicted, refused by the node, past its deadline.
fn evicted(pod: &Live) -> Option<String> {
    let words = [pod.text("/status/reason"), pod.text("/status/message")];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(": "))
}

/// A condition that somebody outside of the pod has to set.
fn gate(pod: &Live) -> Option<String> {
    let mut gates = pod.list("/spec/readinessGates").iter();
    gates.find_map(|gate| {
        let kind = gate["conditionType"].as_str()?;
        match pod.condition(kind) {
            Some(condition) if condition.is_true() => None,
            Some(condition) => Some(format!("its readiness gate {}", condition.said())),
            None => Some(format!("nobody has set its readiness gate {kind}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::configuration::{Source, SourceKind};
    use super::*;

    fn scene(pod: &Value) -> Scene {
        let mut pod = pod.clone();
        pod["kind"] = "Pod".into();
        pod["metadata"] = json!({ "name": "web-0", "uid": "p" });
        let mut scene = Scene::of(Live::new(pod.clone()));
        scene.pod = Some(Live::new(pod));
        scene
    }

    fn warning(uid: &str, reason: &str, message: &str) -> Live {
        Live::new(
            json!({ "type": "Warning", "reason": reason, "message": message,
            "involvedObject": { "uid": uid } }),
        )
    }

    #[test]
    fn a_claim_is_deeper_than_the_scheduler() {
        let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "pod has unbound immediate PersistentVolumeClaims. x" }] });
        let mut scene = scene(&json!({ "status": unscheduled }));
        assert_eq!(
            cause(&scene).as_deref(),
            Some(
                "pod web-0: is not scheduled (Unschedulable: pod has unbound immediate PersistentVolumeClaims)"
            )
        );
        scene.classes = Some(Vec::new());
        scene.claims = vec![Live::new(
            json!({ "metadata": { "name": "data", "uid": "c" },
            "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Pending" } }),
        )];
        assert_eq!(
            cause(&scene).as_deref(),
            Some(
                "pod web-0: is not scheduled: PersistentVolumeClaim data is Pending: it asks for \
                 1Gi of StorageClass fast, which does not exist (there is none at all)"
            )
        );
    }

    #[test]
    fn the_key_that_lacks_is_named() {
        let pod = json!({
            "spec": { "containers": [{ "name": "web", "env": [{ "name": "A", "valueFrom": {
                "secretKeyRef": { "name": "login", "key": "password" } } }] }] },
            "status": { "containerStatuses": [{ "name": "web", "state": { "waiting": {
                "reason": "CreateContainerConfigError", "message": "couldn't find key" } } }] },
        });
        let mut scene = scene(&pod);
        assert_eq!(
            cause(&scene).as_deref(),
            Some(
                "pod web-0: container web cannot start: CreateContainerConfigError: couldn't find key"
            )
        );
        let login = Source {
            kind: SourceKind::Secret,
            name: "login".to_owned(),
        };
        scene.keys.insert(login, Some(vec!["user".to_owned()]));
        assert_eq!(
            cause(&scene).as_deref(),
            Some(
                "pod web-0: container web cannot start: Secret login has no key password, it has \
                 user (CreateContainerConfigError: couldn't find key)"
            )
        );
    }

    #[test]
    fn what_is_only_in_events() {
        let mut scene = scene(&json!({ "status": { "phase": "Pending" } }));
        assert_eq!(cause(&scene), None);
        scene.events = vec![warning("p", "FailedCreatePodSandBox", "no network")];
        assert_eq!(
            cause(&scene).as_deref(),
            Some("pod web-0: FailedCreatePodSandBox: no network")
        );
        scene.events.push(warning("p", "FailedMount", "no disk"));
        assert_eq!(
            cause(&scene).as_deref(),
            Some("pod web-0: its volumes cannot be mounted: FailedMount: no disk")
        );
    }

    #[test]
    fn what_the_pod_says_as_a_whole() {
        let evicted = json!({ "status": { "reason": "Evicted", "message": "low on memory" } });
        assert_eq!(
            cause(&scene(&evicted)).as_deref(),
            Some("pod web-0: Evicted: low on memory")
        );
        let gated =
            json!({ "spec": { "readinessGates": [{ "conditionType": "example.com/lb" }] } });
        assert_eq!(
            cause(&scene(&gated)).as_deref(),
            Some("pod web-0: nobody has set its readiness gate example.com/lb")
        );
    }
}
