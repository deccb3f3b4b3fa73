//! Reads what a diagnosis needs, each level at once.

mod operator;
mod surroundings;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use futures::future::join_all;
use serde_json::Value;

use super::super::kind::{
    DAEMON_SET, DEPLOYMENT, ENDPOINT_SLICE, EVENT, JOB, Kind, POD, REPLICA_SET, SERVICE,
    STATEFUL_SET, Target,
};
use super::super::live::Live;
use super::super::{Client, Error};
use super::controller::Controller;
use super::deletion;
use super::scene::{Scene, cut};
use super::service::{self, Service};
use super::walk::{self, Level};
use crate::engine::Chain;

/// Goes down from the object and looks around where it arrives. What cannot be read is left out.
pub(super) fn read<'a>(
    client: &'a Client,
    target: &'a Target,
    live: &'a Live,
    controllers: &'a [Controller],
) -> Pin<Box<dyn Future<Output = Scene> + Send + 'a>> {
    Box::pin(async move {
        let reader = Reader {
            client,
            namespace: target.namespace.as_deref().unwrap_or_default(),
            unread: Mutex::default(),
        };
        let mut scene = Scene::of(live.clone());
        scene.now = SystemTime::now();
        if live.is_being_deleted() {
            reader.deletion(&mut scene, target, controllers).await;
        } else {
            reader.descend(&mut scene, target, controllers).await;
            reader.look_around(&mut scene).await;
        }
        reader.events(&mut scene).await;
        let unread = reader
            .unread
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        scene.unread = unread.into_iter().collect();
        scene
    })
}

/// Who reads in one namespace.
struct Reader<'a> {
    client: &'a Client,
    namespace: &'a str,
    /// What could not be read, and why.
    unread: Mutex<BTreeSet<String>>,
}

impl Reader<'_> {
    /// None if it was refused, which is taken note of.
    fn heard<T>(&self, answer: Result<T, Error>) -> Option<T> {
        let error = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let why = match &error {
            Error::Forbidden { verb, resource, .. } => {
                format!("{resource}, which we may not {verb}")
            }
            other => cut(&Chain(other).to_string(), 200),
        };
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.insert(why);
        None
    }

    async fn list(&self, kind: Kind, labels: &str, fields: &str) -> Option<Vec<Live>> {
        self.heard(
            self.client
                .list(&kind, self.namespace, labels, fields)
                .await,
        )
    }

    async fn get(&self, kind: Kind, name: &str) -> Option<Option<Live>> {
        let target = Target::new(kind, self.namespace, name);
        self.heard(self.client.get(&target).await)
    }

    async fn deletion(&self, scene: &mut Scene, target: &Target, controllers: &[Controller]) {
        let finalizers = scene.object.list("/metadata/finalizers").iter();
        let mut finalizers = finalizers.filter_map(Value::as_str);
        if finalizers.any(|finalizer| deletion::domain(finalizer).is_some()) {
            scene.groups = self.heard(self.client.groups().await);
        }
        if walk::level(&scene.object) == Level::Claim {
            let pods = self.list(POD, "", "").await.unwrap_or_default();
            let name = scene.object.name();
            let users = pods
                .into_iter()
                .filter(|pod| claims_of(pod).contains(&name));
            scene.neighbours = Some(users.collect());
        }
        scene.operator = self.operator(target, controllers).await;
    }

    async fn descend(&self, scene: &mut Scene, target: &Target, controllers: &[Controller]) {
        let object = scene.object.clone();
        match walk::level(&object) {
            Level::Pod => scene.pod = Some(object),
            Level::Claim => scene.claims = vec![object],
            Level::Workload => self.workload(scene, object).await,
            Level::Service => self.service(scene, object).await,
            Level::ApiService => self.api_service(scene, &object).await,
            Level::Custom => {
                let (operator, ()) = tokio::join!(
                    self.operator(target, controllers),
                    self.belongings(scene, &object)
                );
                scene.operator = operator;
            }
            Level::Leaf => {}
        }
    }

    /// From a workload to its worst pod.
    async fn workload(&self, scene: &mut Scene, workload: Live) {
        let selector = walk::selector(&workload).unwrap_or_default();
        let (sets, pods) = tokio::join!(
            async {
                match workload.text("/kind") {
                    "Deployment" => self.list(REPLICA_SET, &selector, "").await,
                    _ => None,
                }
            },
            self.list(POD, &selector, "")
        );
        let newest = sets.and_then(|sets| walk::newest(sets, workload.uid()));
        let maker = newest.unwrap_or_else(|| workload.clone());
        let mut pods = pods.unwrap_or_default();
        // A Deployment whose replica sets could not be read owns no pod itself.
        if pods.iter().any(|pod| walk::is_owned_by(pod, maker.uid())) {
            pods.retain(|pod| walk::is_owned_by(pod, maker.uid()));
        } else if maker.uid() != workload.uid() {
            pods.clear();
        }
        scene.pod = walk::worst(pods);
        scene.maker = Some(maker);
        scene.workload = Some(workload);
    }

    /// From a custom resource to the worst workload that its operator made for it.
    async fn belongings(&self, scene: &mut Scene, custom: &Live) {
        if self.namespace.is_empty() {
            return;
        }
        let (deployments, sets, daemons, jobs, pods) = tokio::join!(
            self.list(DEPLOYMENT, "", ""),
            self.list(STATEFUL_SET, "", ""),
            self.list(DAEMON_SET, "", ""),
            self.list(JOB, "", ""),
            self.list(POD, "", ""),
        );
        let workloads = [deployments, sets, daemons, jobs].into_iter().flatten();
        let mut lacking = workloads
            .flatten()
            .filter(|workload| walk::belongs(workload, custom) && walk::lacks(workload));
        if let Some(workload) = lacking.next() {
            return self.workload(scene, workload).await;
        }
        let pods = pods.into_iter().flatten();
        scene.pod = walk::worst(pods.filter(|pod| walk::belongs(pod, custom)).collect());
    }

    /// From a Service to the worst pod that it selects.
    async fn service(&self, scene: &mut Scene, live: Live) {
        let label = format!("kubernetes.io/service-name={}", live.name());
        let (slices, pods) = tokio::join!(
            self.list(ENDPOINT_SLICE, &label, ""),
            self.list(POD, "", "")
        );
        let service = Service {
            ready: service::ready(&slices.unwrap_or_default()),
            live,
            pods,
        };
        let pods = service.pods.iter().flatten();
        let selected = pods.filter(|pod| service.selects(pod)).cloned().collect();
        scene.pod = walk::worst(selected);
        scene.service = Some(service);
    }

    /// An extension of the API leads to a Service, in whatever namespace.
    async fn api_service(&self, scene: &mut Scene, live: &Live) {
        let name = live.text("/spec/service/name");
        let there = Reader {
            client: self.client,
            namespace: live.text("/spec/service/namespace"),
            unread: Mutex::default(),
        };
        if let Some(Some(service)) = there.get(SERVICE, name).await {
            there.service(scene, service).await;
        }
    }

    /// The events about each level.
    async fn events(&self, scene: &mut Scene) {
        let levels = scene.levels();
        let about = levels.iter().filter(|live| !live.uid().is_empty());
        let about = about.map(|live| format!("involvedObject.uid={}", live.uid()));
        let fields: Vec<String> = about.collect();
        // Events about objects of the cluster are in the namespace `default`, which is not ours.
        if self.namespace.is_empty() {
            return;
        }
        let lists = fields.iter().map(|fields| self.list(EVENT, "", fields));
        let events = join_all(lists).await.into_iter().flatten().flatten();
        scene.events = events.collect();
    }
}

fn claims_of(pod: &Live) -> Vec<&str> {
    let volumes = pod.list("/spec/volumes").iter();
    let names = volumes.map(|volume| volume.pointer("/persistentVolumeClaim/claimName"));
    names.flatten().filter_map(Value::as_str).collect()
}
