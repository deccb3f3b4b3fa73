//! When an object is ready, by a rule for each kind.
//!
//! A kind without a rule is never taken for ready: most custom resources have no status right
//! after they are made, and some never say that they failed.

mod cluster;
mod custom;
mod immediate;
mod network;
mod pods;
mod storage;
mod workloads;

use super::kind::{STORAGE_CLASS, Target};
use super::live::Live;
use super::{Client, Error};

/// What the rule of its kind says about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Somebody is or should be at work; in numbers where there are any.
    NotReady(String),
    /// It will not become ready by itself.
    Failed(String),
    /// Nobody knows.
    NoRule,
}

impl Readiness {
    fn not_ready(why: impl Into<String>) -> Self {
        Self::NotReady(why.into())
    }
}

/// What a rule must know that is not in the object itself.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Of a claim that is not bound: its class.
    storage_class: Option<Live>,
}

/// Reads what the rule of the kind must know beside the object.
pub(super) async fn surroundings(
    client: &Client,
    target: &Target,
    live: &Live,
) -> Result<Surroundings, Error> {
    let mut surroundings = Surroundings::default();
    if target.kind.name == "PersistentVolumeClaim"
        && let Some(name) = storage::class_to_ask(live)
    {
        let class = Target::new(STORAGE_CLASS, "", name);
        surroundings.storage_class = match client.get(&class).await {
            // Without the right to read classes, the claim's phase alone decides.
            Err(Error::Forbidden { .. }) => None,
            found => found?,
        };
    }
    Ok(surroundings)
}

/// Whether an object is ready.
pub(super) fn of(live: &Live, surroundings: &Surroundings) -> Readiness {
    let group = super::kind::split(live.text("/apiVersion")).0;
    match (group, live.text("/kind")) {
        ("apps", "Deployment") => workloads::deployment(live),
        ("apps", "StatefulSet") => workloads::stateful_set(live),
        ("apps", "DaemonSet") => workloads::daemon_set(live),
        ("apps", "ReplicaSet") => workloads::replica_set(live),
        ("batch", "Job") => pods::job(live),
        ("", "Pod") => pods::pod(live),
        ("", "PersistentVolumeClaim") => storage::claim(live, surroundings.storage_class.as_ref()),
        ("", "PersistentVolume") => storage::volume(live),
        ("", "Service") => network::service(live),
        ("", "Namespace") => cluster::namespace(live),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => cluster::definition(live),
        ("apiregistration.k8s.io", "APIService") => cluster::api_service(live),
        (group, kind) if immediate::is(group, kind) => Readiness::Ready,
        _ => custom::any(live),
    }
}

/// Whether the status still speaks of an older specification.
fn is_stale(live: &Live) -> bool {
    match (live.generation(), live.observed_generation()) {
        (Some(generation), Some(observed)) => observed < generation,
        _ => false,
    }
}

const STALE: &str = "its controller has not seen the latest change yet";
