//! An operator: what it defines is served, it runs, it leads, and what it admits can be written.

mod admission;
mod leader;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use serde_json::Value;
use webhooks::Webhook;

use super::document::Document;
use super::kind::{CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, Target};
use super::live::Live;
use super::readiness::{self, Readiness, Surroundings};
use super::{Client, Error, diagnosis};
use crate::engine::{Diagnosis, Plan, Resource, Waiting};

/// Waits until an operator can be used; changes nothing.
pub struct Operator {
    client: Client,
    name: String,
    namespace: String,
    selector: BTreeMap<String, String>,
    definitions: Vec<String>,
    /// What is going to be written once it can be used.
    documents: Vec<Document>,
}

/// What there is of the operator.
#[derive(Debug, Default)]
pub struct OperatorObserved {
    definitions: Vec<Definition>,
    deployments: Vec<Live>,
    /// Why nobody leads, if nobody does.
    leaderless: Option<String>,
    webhooks: Vec<Webhook>,
}

/// A `CustomResourceDefinition`, or the lack of it.
#[derive(Debug)]
struct Definition {
    name: String,
    found: Option<Live>,
    /// The first version that is to be served and that discovery does not list.
    unlisted: Option<String>,
}

impl Operator {
    /// An operator whose Deployment has these labels, and its definitions by full name; without
    /// a namespace in that of the client.
    #[must_use]
    pub fn new(
        client: Client,
        name: &str,
        namespace: Option<String>,
        selector: BTreeMap<String, String>,
        definitions: Vec<String>,
    ) -> Self {
        Self {
            namespace: namespace.unwrap_or_else(|| client.namespace().to_owned()),
            client,
            name: name.to_owned(),
            selector,
            definitions,
            documents: Vec::new(),
        }
    }

    /// Also waits until the API server takes these of its objects, which are tried in a dry run.
    ///
    /// # Errors
    /// When one of them is not an object.
    pub fn admitting(self, documents: Vec<Value>) -> Result<Self, Error> {
        let documents: Result<Vec<Document>, Error> =
            documents.into_iter().map(Document::new).collect();
        Ok(Self {
            documents: documents?,
            ..self
        })
    }

    async fn definition(&self, name: &str) -> Result<Definition, Error> {
        let target = Target::new(CUSTOM_RESOURCE_DEFINITION, "", name);
        let found = self.client.get(&target).await?;
        let unlisted = match &found {
            Some(definition) => self.unlisted(definition).await?,
            None => None,
        };
        Ok(Definition {
            name: name.to_owned(),
            found,
            unlisted,
        })
    }

    /// The first version that is to be served and that discovery does not list: it lags behind
    /// the definition, and only what it lists can be applied.
    async fn unlisted(&self, definition: &Live) -> Result<Option<String>, Error> {
        let group = definition.text("/spec/group");
        let kind = definition.text("/spec/names/kind");
        let served = definition.list("/spec/versions").iter();
        let served = served.filter(|version| version["served"] == true);
        let served =
            served.filter_map(|version| Some(format!("{group}/{}", version["name"].as_str()?)));
        // Also one that is not defined yet: an older definition may still be there.
        let written = admission::of_kinds(&self.documents, definition);
        let written = written.into_iter().map(|it| it.api_version.clone());
        let needed: BTreeSet<String> = served.chain(written).collect();
        for api_version in needed {
            if self.client.kind(&api_version, kind).await?.is_none() {
                return Ok(Some(api_version));
            }
        }
        Ok(None)
    }

    /// What is read only of an operator that runs.
    async fn at_work(&self, mut observed: OperatorObserved) -> Result<OperatorObserved, Error> {
        observed.leaderless =
            leader::missing(&self.client, &self.namespace, &observed.deployments).await?;
        let groups: Vec<&str> = self
            .definitions
            .iter()
            .filter_map(|name| Some(name.split_once('.')?.1))
            .collect();
        observed.webhooks = webhooks::of(&self.client, &groups).await?;
        Ok(observed)
    }

    /// The first thing that lacks.
    fn missing(&self, observed: &OperatorObserved) -> Option<String> {
        let place = format!("Deployment in {} with {}", self.namespace, self.labels());
        missing(observed, &place)
    }

    fn labels(&self) -> String {
        let labels = self.selector.iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        labels.join(",")
    }
}

impl Resource for Operator {
    type Observed = OperatorObserved;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<OperatorObserved, Error> {
        let mut definitions = Vec::with_capacity(self.definitions.len());
        for name in &self.definitions {
            definitions.push(self.definition(name).await?);
        }
        let labels = self.labels();
        let deployments = self
            .client
            .list(&DEPLOYMENT, &self.namespace, &labels, "")
            .await?;
        let mut observed = OperatorObserved {
            definitions,
            deployments,
            ..OperatorObserved::default()
        };
        if self.missing(&observed).is_none() {
            observed = self.at_work(observed).await?;
        }
        if self.missing(&observed).is_none() {
            let definitions = observed.definitions.iter();
            let found = definitions.filter_map(|definition| definition.found.as_ref());
            let written = found.flat_map(|it| admission::of_kinds(&self.documents, it));
            admission::rehearse(&self.client, &written.collect::<Vec<_>>()).await?;
        }
        Ok(observed)
    }

    fn plan(&self, observed: &OperatorObserved) -> Result<Plan<Infallible>, Error> {
        Ok(match self.missing(observed) {
            None => Plan::Current,
            Some(why) => Plan::InProgress(Waiting::unavailable(format!(
                "operator {}: {why}",
                self.name
            ))),
        })
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }

    async fn changed(&self, seen: &OperatorObserved) {
        let watches = self.client.watches();
        for definition in &seen.definitions {
            if definition_missing(definition).is_some() {
                let target = Target::new(CUSTOM_RESOURCE_DEFINITION, "", &definition.name);
                let version = definition.found.as_ref().map(Live::version);
                return watches.changed(&target, version).await;
            }
        }
        match seen.deployments.iter().find(|it| unready(it).is_some()) {
            Some(deployment) => {
                let target = Target::new(DEPLOYMENT, &self.namespace, deployment.name());
                watches.changed(&target, Some(deployment.version())).await;
            }
            None => std::future::pending().await,
        }
    }

    async fn diagnose(&self, seen: Result<&OperatorObserved, &Error>) -> Option<Diagnosis> {
        let deployment = seen
            .ok()?
            .deployments
            .iter()
            .find(|it| unready(it).is_some())?;
        let target = Target::new(DEPLOYMENT, &self.namespace, deployment.name());
        diagnosis::diagnose(&self.client, &target, deployment, &[]).await
    }
}

/// The first thing that lacks.
fn missing(observed: &OperatorObserved, place: &str) -> Option<String> {
    let definition = observed.definitions.iter().find_map(definition_missing);
    if definition.is_some() {
        return definition;
    }
    if observed.deployments.is_empty() {
        return Some(format!("no {place}"));
    }
    let deployment = observed.deployments.iter().find_map(|deployment| {
        let why = unready(deployment)?;
        Some(format!("Deployment {}: {why}", deployment.name()))
    });
    deployment
        .or_else(|| observed.leaderless.clone())
        .or_else(|| webhooks::missing(&observed.webhooks))
}

fn definition_missing(definition: &Definition) -> Option<String> {
    let name = &definition.name;
    let Some(found) = &definition.found else {
        return Some(format!("CustomResourceDefinition {name} does not exist"));
    };
    let unserved = |version| format!("{version} is not served yet");
    let why = unready(found).or_else(|| definition.unlisted.as_ref().map(unserved))?;
    Some(format!("CustomResourceDefinition {name}: {why}"))
}

/// Why an object is not ready; an operator in trouble may still be mended by somebody.
fn unready(live: &Live) -> Option<String> {
    match readiness::of(live, &Surroundings::default()) {
        Readiness::Ready => None,
        Readiness::NotReady(why) | Readiness::Failed(why) => Some(why),
        Readiness::NoRule => Some("nobody knows when it is ready".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(status: &str, unlisted: Option<&str>) -> Definition {
        Definition {
            name: "grafanas.example.com".to_owned(),
            found: Some(Live::new(json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "status": { "conditions": [
                    { "type": "NamesAccepted", "status": "True" },
                    { "type": "Established", "status": status, "reason": "Installing" }] },
            }))),
            unlisted: unlisted.map(str::to_owned),
        }
    }

    fn deployment(ready: i64) -> Live {
        let mut status: Value =
            json!({ "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1 });
        status["readyReplicas"] = ready.into();
        status["availableReplicas"] = ready.into();
        Live::new(json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "grafana-operator", "generation": 1 }, "status": status }))
    }

    #[test]
    fn the_first_thing_that_lacks_is_named() {
        let absent = Definition {
            name: "grafanas.example.com".to_owned(),
            found: None,
            unlisted: None,
        };
        for (definition, deployments, expected) in [
            (
                absent,
                vec![],
                Some("CustomResourceDefinition grafanas.example.com does not exist"),
            ),
            (
                definition("False", None),
                vec![],
                Some(
                    "CustomResourceDefinition grafanas.example.com: Established is False (Installing)",
                ),
            ),
            (
                definition("True", Some("example.com/v1")),
                vec![],
                Some(
                    "CustomResourceDefinition grafanas.example.com: example.com/v1 is not served yet",
                ),
            ),
            (
                definition("True", None),
                vec![],
                Some("no Deployment with app=x"),
            ),
            (
                definition("True", None),
                vec![deployment(0)],
                Some("Deployment grafana-operator: 0 of 1 pods ready"),
            ),
            (definition("True", None), vec![deployment(1)], None),
        ] {
            let observed = OperatorObserved {
                definitions: vec![definition],
                deployments,
                ..OperatorObserved::default()
            };
            let found = missing(&observed, "Deployment with app=x");
            assert_eq!(found.as_deref(), expected);
        }
    }
}
