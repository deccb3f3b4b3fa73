//! Why an object does not become ready: the deepest cause that can be read.
//!
//! `reader` goes down from the object to what belongs to it (custom resource, workload, replica
//! set, pod, claim), always to the worst, and fetches in parallel what bears on it: a [`Scene`].
//! Every other file is a part of the decision list, pure, over what was read. A sentence names
//! the object, field or event that it is from; what could not be read is left out of it and
//! listed with the evidence.

mod claim;
pub(super) mod configuration;
mod container;
mod controller;
mod deletion;
mod event;
mod evidence;
mod image;
mod pod;
mod reader;
mod scene;
mod scheduling;
mod service;
pub(super) mod walk;

use super::kind::{Kind, NAMESPACE, SELF_SUBJECT_ACCESS_REVIEW, SERVICE, Target};
use super::live::Live;
use super::{Client, Error};
use crate::engine::Diagnosis;
use scene::{Scene, cut, named};

pub use controller::Controller;

/// What is said at most; a webhook may refuse at length.
const SENTENCE: usize = 900;

/// Why the object is not ready; none if nothing is wrong as far as can be seen.
pub(super) async fn diagnose(
    client: &Client,
    target: &Target,
    live: &Live,
    controllers: &[Controller],
) -> Option<Diagnosis> {
    let scene = reader::read(client, target, live, controllers).await;
    let cause = cause(&scene)?;
    Some(told(client, &scene, &beside(live, &cause)))
}

/// Without what the object's own status says, because that is what is waited for.
fn beside(live: &Live, cause: &str) -> String {
    let Some(failure) = live.holds("ReplicaFailure") else {
        return cause.to_owned();
    };
    let said = format!(": FailedCreate: {}", refusal(failure.message));
    cause.replace(&said, "")
}

/// Why the API server could not do what it was asked, where that is not its own fault.
pub(super) async fn of_error(client: &Client, namespace: &str, error: &Error) -> Option<Diagnosis> {
    match error {
        Error::Shared(error) => Box::pin(of_error(client, namespace, error)).await,
        Error::Unable { reason, .. } if reason == "NamespaceTerminating" => {
            of(client, NAMESPACE, "", namespace).await
        }
        Error::Unable { message, .. } => {
            let (name, namespace) = service::called(message)?;
            of(client, SERVICE, namespace, name).await
        }
        Error::Forbidden {
            verb,
            resource,
            namespace,
            ..
        } => admission(client, verb, resource, namespace.as_deref()).await,
        _ => None,
    }
}

/// Whether the right is there after all, so that a webhook or a policy is what refuses.
async fn admission(
    client: &Client,
    verb: &str,
    resource: &str,
    namespace: Option<&str>,
) -> Option<Diagnosis> {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review = serde_json::json!({
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEW.api_version(),
        "kind": SELF_SUBJECT_ACCESS_REVIEW.name,
        "spec": { "resourceAttributes": {
            "verb": verb, "group": group, "resource": plural, "namespace": namespace } },
    });
    let answer = client.review(SELF_SUBJECT_ACCESS_REVIEW, &review).await;
    let answer = answer.ok()?;
    let may = answer.at("/status/allowed")?.as_bool()?;
    may.then(|| Diagnosis {
        sentence: format!("the right to {verb} {resource} is there, so admission refuses it"),
        evidence: Vec::new(),
    })
}

/// The diagnosis of an object that stands in the way.
async fn of(client: &Client, kind: Kind, namespace: &str, name: &str) -> Option<Diagnosis> {
    let target = Target::new(kind, namespace, name);
    let Some(live) = client.get(&target).await.ok()? else {
        return Some(Diagnosis {
            sentence: format!("{target} does not exist"),
            evidence: Vec::new(),
        });
    };
    let scene = reader::read(client, &target, &live, &[]).await;
    let cause = cause(&scene)?;
    Some(told(client, &scene, &format!("{target}: {cause}")))
}

/// Messages of containers and events may quote a Secret too.
fn told(client: &Client, scene: &Scene, sentence: &str) -> Diagnosis {
    let evidence = evidence::of(scene);
    Diagnosis {
        sentence: cut(&client.mask(sentence), SENTENCE),
        evidence: evidence.iter().map(|line| client.mask(line)).collect(),
    }
}

/// The decision list: the first that applies is the deepest that is known.
fn cause(scene: &Scene) -> Option<String> {
    if let Some(held) = deletion::held(scene) {
        return Some(held);
    }
    let below = pod::cause(scene).or_else(|| creation(scene));
    if let Some(service) = &scene.service {
        return service.cause(below);
    }
    below
        .or_else(|| {
            scene
                .claims
                .iter()
                .find_map(|claim| claim::cause(scene, claim))
        })
        .map(|cause| format!("{}{cause}", scene.path()))
        .or_else(|| controller::cause(scene))
        .or_else(|| last_warning(scene))
}

/// Why no pods are made: a quota, Pod Security, a webhook, in the words of whoever refused.
fn creation(scene: &Scene) -> Option<String> {
    let maker = scene.maker.as_ref()?;
    if scene.pod.is_some() {
        return None;
    }
    let why = match event::latest(&scene.events, maker, &["FailedCreate"]) {
        Some(refused) => format!("FailedCreate: {}", refusal(refused.text("/message"))),
        None => maker.holds("ReplicaFailure")?.said(),
    };
    let is_workload = scene
        .workload
        .as_ref()
        .is_some_and(|it| it.uid() == maker.uid());
    // The way to it names a workload already.
    let subject = if is_workload && !scene.path().is_empty() {
        String::new()
    } else {
        format!("{} ", named(maker))
    };
    Some(format!("{subject}cannot make pods: {why}"))
}

/// What comes after the name of the pod that was refused, which is another one each time.
fn refusal(message: &str) -> &str {
    let refusal = message.split_once("\" is forbidden: ");
    refusal.map_or(message, |(_, why)| why)
}

/// The last warning about any of the objects, from the deepest up.
fn last_warning(scene: &Scene) -> Option<String> {
    let levels = scene.levels();
    let mut levels = levels.iter().rev();
    levels.find_map(|live| {
        let warning = event::latest(&scene.events, live, &[])?;
        let subject = if live.uid() == scene.object.uid() {
            String::new()
        } else {
            format!("{}: ", named(live))
        };
        Some(format!("{subject}{}", event::said(warning)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(kind: &str, name: &str, status: &serde_json::Value) -> Live {
        Live::new(json!({ "apiVersion": "apps/v1", "kind": kind,
            "metadata": { "name": name, "uid": name }, "status": status }))
    }

    fn warning(about: &str, reason: &str, message: &str) -> Live {
        Live::new(
            json!({ "type": "Warning", "reason": reason, "message": message,
            "involvedObject": { "uid": about } }),
        )
    }

    /// A custom resource whose operator has made a workload without pods.
    fn scene() -> Scene {
        let mut scene = Scene::of(Live::new(
            json!({ "apiVersion": "example.com/v1", "kind": "Database",
            "metadata": { "name": "hippo", "uid": "c" } }),
        ));
        scene.workload = Some(made("StatefulSet", "hippo-a", &json!({})));
        scene.maker.clone_from(&scene.workload);
        scene
    }

    #[test]
    fn the_deepest_is_told_with_the_way_to_it() {
        let mut scene = scene();
        assert_eq!(cause(&scene), None);
        scene.events = vec![warning("c", "Stuck", "no idea")];
        assert_eq!(cause(&scene).as_deref(), Some("Stuck: no idea"));
        let refused = "create Pod hippo-a-0 in StatefulSet hippo-a failed error: \
                       pods \"hippo-a-0\" is forbidden: exceeded quota: none";
        scene
            .events
            .push(warning("hippo-a", "FailedCreate", refused));
        assert_eq!(
            cause(&scene).as_deref(),
            Some("StatefulSet hippo-a: cannot make pods: FailedCreate: exceeded quota: none")
        );
        let state = json!({ "waiting": { "reason": "CreateContainerError", "message": "no" } });
        let status = json!({ "containerStatuses": [{ "name": "db", "state": state }] });
        scene.pod = Some(made("Pod", "hippo-a-0", &status));
        assert_eq!(
            cause(&scene).as_deref(),
            Some(
                "StatefulSet hippo-a: pod hippo-a-0: container db cannot start: CreateContainerError: no"
            )
        );
    }

    #[test]
    fn what_the_object_says_itself_is_not_repeated() {
        let cause = "ReplicaSet web-1 cannot make pods: FailedCreate: exceeded quota: none";
        let message = "pods \"web-1-x\" is forbidden: exceeded quota: none";
        let condition = json!({ "type": "ReplicaFailure", "status": "True", "message": message });
        let failed = made("Deployment", "web", &json!({ "conditions": [condition] }));
        assert_eq!(beside(&failed, cause), "ReplicaSet web-1 cannot make pods");
        let silent = made("Deployment", "web", &json!({}));
        assert_eq!(beside(&silent, cause), cause);
    }

    #[test]
    fn without_events_a_condition_says_why_no_pods_are_made() {
        let mut scene = scene();
        let condition = json!({ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "exceeded quota" });
        scene.maker = Some(made(
            "ReplicaSet",
            "hippo-a-1",
            &json!({ "conditions": [condition] }),
        ));
        assert_eq!(
            cause(&scene).as_deref(),
            Some(
                "StatefulSet hippo-a: ReplicaSet hippo-a-1 cannot make pods: ReplicaFailure is True \
                 (FailedCreate: exceeded quota)"
            )
        );
    }
}
