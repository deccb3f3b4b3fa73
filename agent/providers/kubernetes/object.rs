//! Any object, applied as the bundle has it and ready by the rule of its kind.

mod terms;
mod trace_mark;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures::future::{FutureExt, select_all};
use serde_json::Value;

use super::comparison::{Comparison, Write};
use super::document::Document;
use super::kind::Target;
use super::live::Live;
use super::readiness::{self, Readiness, Surroundings, Tenure};
use super::{Client, Configs, Controller, Error, config_sum, diagnosis, ownership, replacement};
use crate::engine::{Diagnosis, Difference, FieldChange, Plan, Resource, Verb, Waiting};
use crate::expression::ReadyRule;
use trace_mark::TraceMark;

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Whether fields that another manager owns are taken from it.
    pub force: bool,
    /// Whether it is current only when it is ready.
    pub wait: bool,
}

/// Makes the fields that the document names so, and waits until the object is ready.
///
/// Fields that the document does not name belong to others and are left alone. The document
/// is written by server-side apply, so the server knows which fields are ours, and a field that
/// leaves the document leaves the object.
pub struct Object {
    client: Client,
    document: Document,
    options: ObjectOptions,
    /// Who may be why it does not become ready.
    controllers: Arc<[Controller]>,
    recreate: bool,
    rehearse: bool,
    adopt: bool,
    configs: Option<Arc<Configs>>,
    trace: TraceMark,
    comparison: Comparison,
    /// Since when it has been ready or in trouble.
    tenure: Mutex<Tenure>,
    clock: fn() -> SystemTime,
    rule: ReadyRule,
}

/// What the API server has of the object.
#[derive(Debug)]
pub struct ObjectObserved {
    target: String,
    /// None also if its namespace or its kind is not there.
    found: Option<Found>,
}

#[derive(Debug)]
struct Found {
    target: Target,
    live: Arc<Live>,
    /// The fields of ours that a write would change.
    changes: Vec<FieldChange>,
    /// Whether they can only be changed by making the object anew.
    replace: bool,
    surroundings: Surroundings,
    /// None where nobody has asked.
    readiness: Option<Readiness>,
}

/// A write of the document, or the deletion before it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange {
    difference: Difference,
    /// The object as it was seen: in the way of a replacement.
    seen: Option<Arc<Live>>,
}

impl From<ObjectChange> for Difference {
    fn from(change: ObjectChange) -> Self {
        change.difference
    }
}

impl Object {
    /// Takes a document with `apiVersion`, `kind` and `metadata.name`; a namespaced kind
    /// without `metadata.namespace` is meant to be in the client's namespace.
    ///
    /// # Errors
    /// When one of these is missing.
    pub fn new(client: Client, document: Value, options: ObjectOptions) -> Result<Self, Error> {
        let document = Document::new(document)?;
        let namespace = document.namespace.as_deref();
        let namespace = namespace.unwrap_or(client.namespace());
        let kind = (document.api_version.as_str(), document.kind.as_str());
        client.watches().announce(kind, namespace, &document.name);
        Ok(Self {
            client,
            document,
            options,
            controllers: Arc::default(),
            recreate: false,
            rehearse: false,
            adopt: false,
            configs: None,
            trace: TraceMark::None,
            comparison: Comparison::default(),
            tenure: Mutex::default(),
            clock: SystemTime::now,
            rule: ReadyRule::default(),
        })
    }

    fn namespace(&self) -> &str {
        let namespace = self.document.namespace.as_deref();
        namespace.unwrap_or(self.client.namespace())
    }

    async fn judge(&self, live: &Live) -> Result<(Surroundings, Readiness), Error> {
        let surroundings = readiness::surroundings(&self.client, live, &self.rule).await?;
        let now = (self.clock)();
        let mut tenure = self.tenure.lock().unwrap_or_else(PoisonError::into_inner);
        let readiness = readiness::judge(&mut tenure, live, &surroundings, &self.rule, now);
        drop(tenure);
        // What a controller writes into a status may quote a Secret too.
        let readiness = readiness.said(|words| self.client.mask(words));
        if readiness == Readiness::Ready
            && let Some(warning) = readiness::warning(live)
        {
            tracing::warn!(
                name: "object.warning",
                "{} {}: {warning}",
                self.document.kind,
                live.name()
            );
        }
        Ok((surroundings, readiness))
    }

    /// Where the object is; none while the API server does not serve its kind.
    async fn target(&self) -> Result<Option<Target>, Error> {
        let document = &self.document;
        let kind = self
            .client
            .kind(&document.api_version, &document.kind)
            .await?;
        Ok(kind.map(|kind| Target::new(kind, self.namespace(), &document.name)))
    }

    /// The document, with whose it is, and what follows from the configuration that it names.
    async fn content(&self, live: Option<&Live>) -> Result<Value, Error> {
        let mut content = self.document.content.clone();
        ownership::stamp(&self.client, live, &mut content);
        self.trace.keep(live, &mut content);
        if let Some(configs) = &self.configs {
            config_sum::put(&self.client, configs, self.namespace(), &mut content).await?;
        }
        Ok(content)
    }

    /// What a write would change of our fields, and whether the object is in its way.
    async fn changes(
        &self,
        target: &Target,
        live: &Live,
    ) -> Result<(Vec<FieldChange>, bool), Error> {
        let content = self.content(Some(live)).await?;
        let write = Write {
            client: &self.client,
            target,
            content: &content,
            force: self.options.force,
        };
        match self.comparison.changes(&write, live).await {
            Err(Error::Immutable { target, fields, .. }) => {
                replacement::changes(live, target, fields, self.recreate)
            }
            changes => changes.map(|changes| (changes, false)),
        }
    }

    /// Lets the server say what it thinks of an object that is not there.
    async fn try_out(&self, target: &Target) -> Result<(), Error> {
        let content = self.content(None).await?;
        let made = self
            .client
            .apply(target, &content, self.options.force, true);
        match (made.await, &target.namespace) {
            (Err(Error::NotFound { .. }), Some(namespace)) => Err(Error::TooEarly {
                target: target.to_string(),
                missing: format!("namespace {namespace}"),
            }),
            (made, _) => made.map(drop),
        }
    }

    /// What is said of an object that is not there.
    async fn absent(&self, target: Option<&Target>) -> Result<ObjectObserved, Error> {
        match target {
            None if self.rehearse => {
                let Document {
                    kind, api_version, ..
                } = &self.document;
                return Err(Error::TooEarly {
                    target: self.document.to_string(),
                    missing: format!("kind {kind} of {api_version}"),
                });
            }
            Some(target) if self.rehearse => self.try_out(target).await?,
            _ => {}
        }
        Ok(ObjectObserved {
            target: target.map_or_else(|| self.document.to_string(), Target::to_string),
            found: None,
        })
    }
}

impl Resource for Object {
    type Observed = ObjectObserved;
    type Change = ObjectChange;
    type Error = Error;

    async fn observe(&self) -> Result<ObjectObserved, Error> {
        let Some(target) = self.target().await? else {
            return self.absent(None).await;
        };
        let Some(live) = self.client.look(&target).await? else {
            return self.absent(Some(&target)).await;
        };
        let (changes, replace) = if live.is_being_deleted() {
            (Vec::new(), false)
        } else {
            let (changes, replace) = self.changes(&target, &live).await?;
            ownership::claim(&self.client, &target, &live, &changes, self.adopt)?;
            (changes, replace)
        };
        let asks = changes.is_empty() && self.options.wait && !live.is_being_deleted();
        let (surroundings, readiness) = if asks {
            let (surroundings, readiness) = self.judge(&live).await?;
            (surroundings, Some(readiness))
        } else {
            (Surroundings::default(), None)
        };
        Ok(ObjectObserved {
            target: target.to_string(),
            found: Some(Found {
                target,
                live,
                changes,
                replace,
                surroundings,
                readiness,
            }),
        })
    }

    fn plan(&self, observed: &ObjectObserved) -> Result<Plan<ObjectChange>, Error> {
        plan(observed, self.options.wait)
    }

    async fn apply(&self, change: ObjectChange) -> Result<(), Error> {
        let Some(target) = self.target().await? else {
            return Err(Error::NotServed {
                api_version: self.document.api_version.clone(),
                kind: self.document.kind.clone(),
            });
        };
        let (verb, seen) = (change.difference.verb, change.seen.as_deref());
        if let (Verb::Replace, Some(in_the_way)) = (verb, seen) {
            return self.client.delete(&target, in_the_way).await;
        }
        let mut content = self.content(seen).await?;
        self.trace.renew(&mut content);
        let force = self.options.force;
        let live = self.client.apply(&target, &content, force, false).await?;
        if verb == Verb::Create {
            ownership::made(&self.client, &target, &live);
        }
        Ok(())
    }

    async fn changed(&self, seen: &ObjectObserved) {
        let Some(found) = &seen.found else {
            return std::future::pending().await;
        };
        let watches = self.client.watches();
        let target = [(found.target.clone(), found.live.version())];
        let around = found.surroundings.watched();
        let seen: Vec<_> = target.into_iter().chain(around).collect();
        let changes = seen
            .iter()
            .map(|(target, version)| watches.changed(target, Some(version)).boxed());
        tokio::select! {
            _ = select_all(changes) => {}
            () = found.surroundings.appears(&self.client) => {}
        }
    }

    async fn diagnose(&self, seen: Result<&ObjectObserved, &Error>) -> Option<Diagnosis> {
        match seen {
            Ok(seen) => {
                let Found { target, live, .. } = seen.found.as_ref()?;
                diagnosis::diagnose(&self.client, target, live, &self.controllers).await
            }
            Err(error) => diagnosis::of_error(&self.client, self.namespace(), error).await,
        }
    }
}

fn plan(observed: &ObjectObserved, wait: bool) -> Result<Plan<ObjectChange>, Error> {
    let change = |verb, fields, seen| {
        let target = observed.target.clone();
        let difference = Difference {
            verb,
            target,
            fields,
        };
        Plan::Change(vec![ObjectChange { difference, seen }])
    };
    let Some(found) = &observed.found else {
        return Ok(change(Verb::Create, Vec::new(), None));
    };
    let target = &observed.target;
    let waiting = |why: String| Plan::InProgress(Waiting::unavailable(format!("{target}: {why}")));
    if found.live.is_being_deleted() {
        return Ok(waiting(found.live.deletion()));
    }
    if !found.changes.is_empty() {
        let fields = found.changes.clone();
        let verb = if found.replace {
            Verb::Replace
        } else {
            Verb::Update
        };
        return Ok(change(verb, fields, Some(Arc::clone(&found.live))));
    }
    if !wait {
        return Ok(Plan::Current);
    }
    match &found.readiness {
        Some(Readiness::Ready) => Ok(Plan::Current),
        Some(Readiness::NotReady(why)) => Ok(waiting(why.clone())),
        Some(Readiness::Failed(reason)) => Err(Error::Failed {
            target: target.clone(),
            reason: reason.clone(),
        }),
        Some(Readiness::NoRule) | None => Err(Error::NoRule {
            target: target.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::DEPLOYMENT;
    use super::*;

    fn present(object: Value, changes: Vec<FieldChange>) -> ObjectObserved {
        let target = Target::new(DEPLOYMENT, "lens", "grafana");
        ObjectObserved {
            target: target.to_string(),
            found: Some(Found {
                target,
                live: Arc::new(Live::new(object)),
                changes,
                replace: false,
                surroundings: Surroundings::default(),
                readiness: None,
            }),
        }
    }

    fn waits_for(observed: &ObjectObserved) -> String {
        match plan(observed, true) {
            Ok(Plan::InProgress(waiting)) => waiting.what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_absent_is_created() {
        let absent = ObjectObserved {
            target: "Deployment lens/grafana".to_owned(),
            found: None,
        };
        let created = Difference {
            verb: Verb::Create,
            target: "Deployment lens/grafana".to_owned(),
            fields: Vec::new(),
        };
        match plan(&absent, true).expect("a plan") {
            Plan::Change(changes) => assert_eq!(changes[0].difference, created),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn changes_come_before_readiness() {
        let change = FieldChange {
            path: "spec.replicas".to_owned(),
            before: Some("1".to_owned()),
            after: Some("2".to_owned()),
            sensitive: false,
        };
        let observed = present(json!({ "kind": "Nobody" }), vec![change.clone()]);
        match plan(&observed, true).expect("a plan") {
            Plan::Change(changes) => assert_eq!(changes[0].difference.fields, [change]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_being_deleted_is_waited_for() {
        let deleted = json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/keep"] } });
        assert_eq!(
            waits_for(&present(deleted, Vec::new())),
            "Deployment lens/grafana: is being deleted, held by example.com/keep"
        );
    }

    #[test]
    fn without_waiting_it_is_current_once_it_is_written() {
        let observed = present(json!({ "kind": "Nobody" }), Vec::new());
        assert_eq!(plan(&observed, false).expect("a plan"), Plan::Current);
    }
}
