//! Why an object does not become ready: the deepest cause that can be read.
//!
//! `reader` goes down from the object to what belongs to it (custom resource, workload, replica
//! set, pod, claim), always to the worst, and fetches in parallel what bears on it: a [`Scene`].
//! Every other file is a part of the decision list, pure, over what was read. A sentence names
//! the object, field or event that it is from; what could not be read is left out of it and
//! listed with the evidence.

mod claim;
mod configuration;
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
mod walk;

use super::kind::{Kind, NAMESPACE, SERVICE, Target};
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
    told(&scene, cause(&scene)?)
}

/// Why the API server could not do what it was asked, where that is not its own fault.
pub(super) async fn of_error(client: &Client, namespace: &str, error: &Error) -> Option<Diagnosis> {
    let Error::Unable {
        reason, message, ..
    } = error
    else {
        return None;
    };
    if reason == "NamespaceTerminating" {
        return of(client, NAMESPACE, "", namespace).await;
    }
    let (name, namespace) = service::called(message)?;
    of(client, SERVICE, namespace, name).await
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
    told(&scene, format!("{target}: {}", cause(&scene)?))
}

fn told(scene: &Scene, sentence: String) -> Option<Diagnosis> {
    Some(Diagnosis {
        sentence: cut(&sentence, SENTENCE),
        evidence: evidence::of(scene),
    })
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
    if let Some(refused) = event::latest(&scene.events, maker, &["FailedCreate"]) {
        let refusal = refusal(refused.text("/message"));
        return Some(format!(
            "{} cannot make pods: FailedCreate: {refusal}",
            named(maker),
        ));
    }
    let failure = maker.holds("ReplicaFailure")?;
    Some(format!("{}: {}", named(maker), failure.said()))
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
