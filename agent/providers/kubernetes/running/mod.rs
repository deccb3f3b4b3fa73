//! Whether what runs is what should run: asked of a workload, its pods and what they read.

mod configuration;
mod image;

use std::collections::BTreeMap;
use std::convert::Infallible;

use futures::future::try_join_all;
use serde_json::{Value, json};

use super::diagnosis::configuration::{Source, SourceKind, needs};
use super::diagnosis::walk::selector;
use super::kind::{CONFIG_MAP, Kind, POD, SECRET, Target};
use super::live::Live;
use super::readiness::{self, Readiness, Surroundings};
use super::{Client, Error, diagnosis};
use crate::engine::{Diagnosis, Plan, Resource, Waiting};

/// What is asked of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Every pod is of the newest revision, and ready.
    Rollout,
    /// Every pod runs this image.
    Image {
        /// Which container; the only one, or the first, unless given.
        container: Option<String>,
        /// The reference; that of the workload's template unless given.
        image: Option<String>,
        /// What the reference stands for: `sha256:…`.
        digest: Option<String>,
    },
    /// The container has these variables, whatever their values are.
    Environment {
        /// Which container; the first unless given.
        container: Option<String>,
        /// The variables.
        names: Vec<String>,
    },
    /// The Secret has these keys, and the pods use them.
    Keys {
        /// The Secret.
        secret: String,
        /// Its keys.
        keys: Vec<String>,
    },
    /// All of this, as far as the workload itself says what should be.
    Everything,
}

/// Asks one thing of a workload; changes nothing.
pub struct RunningCheck {
    client: Client,
    kind: &'static str,
    namespace: Option<String>,
    name: String,
    ask: Ask,
}

/// The workload, its pods, and the keys of what they read.
#[derive(Debug)]
pub struct RunningObserved {
    workload: Option<Live>,
    pods: Vec<Live>,
    keys: BTreeMap<Source, Option<Vec<String>>>,
}

/// The kinds that can be asked.
pub const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

impl RunningCheck {
    /// Asks a workload of one of the kinds [`WORKLOADS`]; without a namespace in the client's.
    #[must_use]
    pub fn new(
        client: Client,
        kind: &'static str,
        namespace: Option<String>,
        name: &str,
        ask: Ask,
    ) -> Self {
        Self {
            client,
            kind,
            namespace,
            name: name.to_owned(),
            ask,
        }
    }

    fn namespace(&self) -> &str {
        let namespace = self.namespace.as_deref();
        namespace.unwrap_or(self.client.namespace())
    }

    fn target(&self) -> Target {
        let kind = match self.kind {
            "StatefulSet" => super::kind::STATEFUL_SET,
            "DaemonSet" => super::kind::DAEMON_SET,
            _ => super::kind::DEPLOYMENT,
        };
        Target::new(kind, self.namespace(), &self.name)
    }

    fn wants_pods(&self) -> bool {
        matches!(self.ask, Ask::Image { .. } | Ask::Everything)
    }

    /// The keys of what the template names, and of the Secret that is asked for.
    async fn keys(&self, workload: &Live) -> Result<BTreeMap<Source, Option<Vec<String>>>, Error> {
        if matches!(self.ask, Ask::Rollout | Ask::Image { .. }) {
            return Ok(BTreeMap::new());
        }
        let needs = needs(&template(workload)).into_iter();
        let mut sources: Vec<Source> = needs.map(|need| need.source).collect();
        if let Ask::Keys { secret, .. } = &self.ask {
            sources.clear();
            sources.push(Source {
                kind: SourceKind::Secret,
                name: secret.clone(),
            });
        }
        sources.sort();
        sources.dedup();
        let reads = sources.into_iter().map(async |source| {
            let kind: Kind = match source.kind {
                SourceKind::Secret => SECRET,
                SourceKind::ConfigMap => CONFIG_MAP,
            };
            let target = Target::new(kind, self.namespace(), &source.name);
            let found = self.client.get(&target).await?;
            Ok::<_, Error>((source, found.as_ref().map(keys_of)))
        });
        let reads: Vec<_> = reads.collect();
        Ok(try_join_all(reads).await?.into_iter().collect())
    }

    /// The first thing that is not as it should be.
    fn complaint(&self, observed: &RunningObserved) -> Option<String> {
        let Some(workload) = &observed.workload else {
            return Some("it does not exist".to_owned());
        };
        let of_template = |key: &str| {
            let ask = &Ask::Image {
                container: Some(key.to_owned()),
                image: None,
                digest: None,
            };
            image::complaint(workload, &observed.pods, ask)
        };
        match &self.ask {
            Ask::Rollout => rollout(workload),
            Ask::Image { .. } => image::complaint(workload, &observed.pods, &self.ask),
            Ask::Environment { container, names } => {
                let container = container.as_deref();
                configuration::environment(workload, &observed.keys, container, names)
            }
            Ask::Keys { secret, keys } => {
                configuration::keys(workload, &observed.keys, secret, keys)
            }
            Ask::Everything => rollout(workload)
                .or_else(|| image::names(workload).into_iter().find_map(of_template))
                .or_else(|| configuration::unmet(workload, &observed.keys)),
        }
    }
}

/// The pod that the workload makes.
fn template(workload: &Live) -> Live {
    let spec = workload.at("/spec/template/spec");
    Live::new(json!({ "spec": spec.unwrap_or(&Value::Null) }))
}

fn keys_of(source: &Live) -> Vec<String> {
    let parts = ["/data", "/binaryData"].into_iter();
    let maps = parts.filter_map(|part| source.at(part)?.as_object());
    maps.flat_map(|map| map.keys().cloned()).collect()
}

fn rollout(workload: &Live) -> Option<String> {
    match readiness::of(workload, &Surroundings::default()) {
        Readiness::Ready => None,
        Readiness::NotReady(why) | Readiness::Failed(why) => Some(why),
        Readiness::NoRule => Some("nobody knows when it is ready".to_owned()),
    }
}

impl Resource for RunningCheck {
    type Observed = RunningObserved;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<RunningObserved, Error> {
        let workload = self.client.get(&self.target()).await?;
        let mut observed = RunningObserved {
            workload: None,
            pods: Vec::new(),
            keys: BTreeMap::new(),
        };
        if let Some(workload) = workload {
            if let Some(labels) = selector(&workload).filter(|_| self.wants_pods()) {
                observed.pods = self
                    .client
                    .list(&POD, self.namespace(), &labels, "")
                    .await?;
            }
            observed.keys = self.keys(&workload).await?;
            observed.workload = Some(workload);
        }
        Ok(observed)
    }

    fn plan(&self, observed: &RunningObserved) -> Result<Plan<Infallible>, Error> {
        Ok(match self.complaint(observed) {
            None => Plan::Current,
            Some(why) => Plan::InProgress(Waiting::unmet(format!("{}: {why}", self.target()))),
        })
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }

    async fn changed(&self, seen: &RunningObserved) {
        let version = seen.workload.as_ref().map(Live::version);
        let watches = self.client.watches();
        watches.changed(&self.target(), version).await;
    }

    async fn diagnose(&self, seen: Result<&RunningObserved, &Error>) -> Option<Diagnosis> {
        let workload = seen.ok()?.workload.as_ref()?;
        diagnosis::diagnose(&self.client, &self.target(), workload, &[]).await
    }
}
