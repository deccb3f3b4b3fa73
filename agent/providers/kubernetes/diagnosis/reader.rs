//! Reads what a diagnosis needs, each level at once.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use futures::future::join_all;
use serde_json::Value;

use super::super::kind::{
    CONFIG_MAP, DAEMON_SET, DEPLOYMENT, ENDPOINT_SLICE, EVENT, JOB, Kind, LEASE, NODE,
    PERSISTENT_VOLUME_CLAIM, POD, REPLICA_SET, SECRET, SERVICE, STATEFUL_SET, STORAGE_CLASS,
    SUBJECT_ACCESS_REVIEW, Target,
};
use super::super::live::Live;
use super::super::{Client, Error};
use super::configuration::{self, Source, SourceKind};
use super::container::{self, Container, Trouble};
use super::controller::{Controller, Operator};
use super::scene::{Scene, cut};
use super::service::{self, Service};
use super::walk::{self, Level};
use super::{deletion, image};
use crate::engine::Chain;

/// How many Secrets and `ConfigMap`s of one pod are looked at.
const SOURCES: usize = 12;
/// What is kept of a log.
const LOG_LINES: usize = 12;
const LOG_WIDTH: usize = 240;

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
        if live.at("/metadata/deletionTimestamp").is_some() {
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

struct Reader<'a> {
    client: &'a Client,
    namespace: &'a str,
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

    /// The operator that serves the object's kind, if the bundle names one.
    async fn operator(&self, target: &Target, controllers: &[Controller]) -> Option<Operator> {
        let resource = target.kind.resource();
        let mut serving = controllers.iter();
        let controller = serving.find(|it| it.definitions.contains(&resource))?;
        let there = Reader {
            client: self.client,
            namespace: &controller.namespace,
            unread: Mutex::default(),
        };
        let labels: Vec<String> = controller
            .selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let labels = labels.join(",");
        let (deployments, leases) = tokio::join!(
            there.list(DEPLOYMENT, &labels, ""),
            there.list(LEASE, "", "")
        );
        let deployments = deployments?;
        let (below, denied) = tokio::join!(
            there.unready(&deployments),
            there.denied(&deployments, target)
        );
        Some(Operator {
            name: controller.name.clone(),
            namespace: controller.namespace.clone(),
            watched: self.namespace.to_owned(),
            deployments,
            below,
            leases: leases.unwrap_or_default(),
            denied,
        })
    }

    /// Why the first Deployment that lacks pods does.
    async fn unready(&self, deployments: &[Live]) -> Option<String> {
        let deployment = deployments.iter().find(|it| walk::lacks(it))?;
        let target = Target::new(DEPLOYMENT, self.namespace, deployment.name());
        let scene = read(self.client, &target, deployment, &[]).await;
        let cause = super::cause(&scene);
        let counts = || {
            format!(
                "{} of {} pods ready",
                deployment.count("/status/readyReplicas"),
                deployment.count("/spec/replicas")
            )
        };
        Some(format!("{target}: {}", cause.unwrap_or_else(counts)))
    }

    /// What the operator's service account may not do with the object's kind.
    async fn denied(&self, deployments: &[Live], target: &Target) -> Vec<String> {
        let Some(first) = deployments.first() else {
            return Vec::new();
        };
        let account = match first.text("/spec/template/spec/serviceAccountName") {
            "" => "default",
            account => account,
        };
        let rights = [("list", ""), ("watch", ""), ("patch", "status")];
        let asked = rights.map(|(verb, part)| self.may(account, verb, part, target));
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The right in words if the account does not have it.
    async fn may(&self, account: &str, verb: &str, part: &str, target: &Target) -> Option<String> {
        let namespace = self.namespace;
        let review = serde_json::json!({
            "apiVersion": SUBJECT_ACCESS_REVIEW.api_version(),
            "kind": SUBJECT_ACCESS_REVIEW.name,
            "spec": {
                "user": format!("system:serviceaccount:{namespace}:{account}"),
                "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"),
                           "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb, "group": target.kind.group, "resource": target.kind.plural,
                    "subresource": part, "namespace": target.namespace,
                },
            },
        });
        // Who may not ask does without.
        let answer = self.client.review(SUBJECT_ACCESS_REVIEW, &review).await;
        let answer = answer.ok()?;
        let may = answer.at("/status/allowed")?.as_bool()?;
        let part = if part.is_empty() {
            String::new()
        } else {
            format!("/{part}")
        };
        (!may).then(|| format!("{verb} {}{part}", target.kind.resource()))
    }

    /// What bears on the pod that was chosen.
    async fn look_around(&self, scene: &mut Scene) {
        if let Some(pod) = scene.pod.clone() {
            let container = container::worst(&pod);
            let insufficient = pod
                .denies("PodScheduled")
                .is_some_and(|it| it.message.contains("Insufficient"));
            let everything = async {
                if !insufficient {
                    return (None, None);
                }
                tokio::join!(
                    self.list(NODE, "", ""),
                    self.list(POD.of_the_cluster(), "", "")
                )
            };
            let (claims, (nodes, neighbours), log, keys) = tokio::join!(
                join_all(
                    claims_of(&pod)
                        .into_iter()
                        .map(|name| self.get(PERSISTENT_VOLUME_CLAIM, name))
                ),
                everything,
                self.log(&pod, container),
                self.keys(&pod, container),
            );
            scene.claims = claims.into_iter().flatten().flatten().collect();
            (scene.nodes, scene.neighbours) = (nodes, neighbours);
            (scene.log, scene.keys) = (log, keys);
        }
        let unbound = |claim: &Live| claim.text("/status/phase") != "Bound";
        if scene.claims.iter().any(unbound) {
            scene.classes = self.list(STORAGE_CLASS, "", "").await;
        }
    }

    /// The last lines of the run that ended; of one that runs, its present ones.
    async fn log(&self, pod: &Live, container: Option<Container<'_>>) -> Vec<String> {
        let Some(container) = container else {
            return Vec::new();
        };
        let target = Target::new(POD, self.namespace, pod.name());
        let of = async |previous: bool| {
            let log = self.client.log(&target, container.name(), previous).await;
            lines(&self.heard(log).unwrap_or_default())
        };
        let again = container.restarts() > 0;
        match container.trouble {
            Trouble::Ended if again => {
                // It may have been started again since its pod was read.
                let (now, before) = tokio::join!(of(false), of(true));
                if now.is_empty() || container.runs() {
                    before
                } else {
                    now
                }
            }
            Trouble::Ended | Trouble::Unready => of(false).await,
            _ => Vec::new(),
        }
    }

    /// The keys of what the pod is configured from, where that may be what lacks.
    async fn keys(
        &self,
        pod: &Live,
        container: Option<Container<'_>>,
    ) -> std::collections::BTreeMap<Source, Option<Vec<String>>> {
        let mut sources: BTreeSet<Source> = match container.map(|container| container.trouble) {
            Some(Trouble::Image) => {
                let names = image::pull_secrets(pod).into_iter();
                let secret = |name: &str| Source {
                    kind: SourceKind::Secret,
                    name: name.to_owned(),
                };
                names.map(secret).collect()
            }
            None | Some(Trouble::Configuration) => {
                let needs = configuration::needs(pod).into_iter();
                needs.map(|need| need.source).collect()
            }
            _ => BTreeSet::new(),
        };
        while sources.len() > SOURCES {
            sources.pop_last();
        }
        let read = sources.into_iter().map(async |source| {
            let kind = match source.kind {
                SourceKind::Secret => SECRET,
                SourceKind::ConfigMap => CONFIG_MAP,
            };
            let found = self.get(kind, &source.name).await?;
            Some((source, found.as_ref().map(keys_of)))
        });
        join_all(read).await.into_iter().flatten().collect()
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

/// The names of the keys; their values are let go at once.
fn keys_of(source: &Live) -> Vec<String> {
    let data = ["/data", "/binaryData"].into_iter();
    let maps = data.filter_map(|part| source.at(part)?.as_object());
    maps.flat_map(|map| map.keys().cloned()).collect()
}

/// What of a log can be printed.
fn lines(log: &str) -> Vec<String> {
    // The kubelet says so in place of a log that the runtime does not have any more.
    let there = log
        .lines()
        .filter(|line| !line.starts_with("unable to retrieve container logs"));
    let lines = there.map(|line| {
        let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
        cut(line.trim_end(), LOG_WIDTH)
    });
    let mut lines: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    lines.drain(..lines.len().saturating_sub(LOG_LINES));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_made_fit_to_print() {
        let log = format!("{}\n\n\u{1b}[31mred\u{1b}[0m\r\n", "one\n".repeat(20));
        let lines = lines(&log);
        assert_eq!(lines.len(), LOG_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("[31mred[0m"));
    }
}
