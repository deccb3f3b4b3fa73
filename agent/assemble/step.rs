//! One step: from what the bundle says to the provider's resource.

use std::sync::Arc;

use super::servers::Server;
use super::{AssembleError, Assembly, Trace, options};
use crate::bundle::{
    Action, Check, Dashboard, Datasource, Expect, Folder, Foreign, Manifest, Migrations, Node,
    Restart, SearchKind, SearchObject, Step, Traced,
};
use crate::engine::{Resource, StepId};
use crate::providers::opensearch::{Definition, DefinitionKind};
use crate::providers::{grafana, kubernetes, opensearch, postgres, probe};

/// Where a step goes in the graph.
pub(super) struct Place<'a> {
    node: &'a Node,
    needs: Vec<StepId>,
    step: &'a Step,
}

impl<'a> Place<'a> {
    /// The step's.
    pub(super) fn id(&self) -> &str {
        &self.node.id
    }

    pub(super) fn action(&self) -> &'a Action {
        &self.step.action
    }
}

impl Assembly<'_> {
    pub(super) fn step(
        &mut self,
        node: &Node,
        needs: Vec<StepId>,
        step: &Step,
    ) -> Result<(), AssembleError> {
        let place = Place { node, needs, step };
        let cluster = self.backends.kubernetes.clone();
        match &step.action {
            Action::Object(manifest) => self.object(place, cluster, manifest)?,
            Action::Operator(gate) => {
                let resource = kubernetes::Operator::new(
                    cluster,
                    &gate.name,
                    Some(gate.namespace.clone()),
                    gate.selector.clone(),
                    gate.crds.clone(),
                );
                let resource = resource.admitting(self.written(&gate.crds));
                let resource = resource.map_err(|source| AssembleError::Object {
                    step: place.node.id.clone(),
                    source,
                })?;
                self.add(place, "kubernetes.operator", resource);
            }
            Action::Secret(secret) => {
                let (generate, values) = (secret.generate.clone(), secret.values.clone());
                let resource =
                    kubernetes::GeneratedSecret::new(cluster, &secret.name, generate, values);
                self.add(place, "kubernetes.secret", resource);
            }
            Action::Role(_)
            | Action::Database(_)
            | Action::Schema(_)
            | Action::Extension(_)
            | Action::Migrations(_)
            | Action::Grants(_) => self.schema(place)?,
            Action::Search(object) => self.search(place, object)?,
            Action::Folder(folder) => self.folder(place, folder)?,
            Action::Datasource(datasource) => self.datasource(place, datasource)?,
            Action::Dashboard(dashboard) => self.dashboard(place, dashboard)?,
            Action::Check(check) => self.check(place, check)?,
        }
        Ok(())
    }

    pub(super) fn add(&mut self, place: Place<'_>, kind: &'static str, resource: impl Resource) {
        let id = StepId::new(&place.node.id);
        self.graph
            .step(id, place.needs, options(place.step, kind), resource);
    }

    fn object(
        &mut self,
        place: Place<'_>,
        cluster: kubernetes::Client,
        manifest: &Manifest,
    ) -> Result<(), AssembleError> {
        let terms = manifest.terms;
        let options = kubernetes::ObjectOptions {
            force: terms.force,
            wait: terms.wait,
        };
        let object = kubernetes::Object::new(cluster, manifest.object.clone(), options);
        let object = object.map_err(|source| AssembleError::Object {
            step: place.node.id.clone(),
            source,
        })?;
        let mut object = object
            .served_by(Arc::clone(&self.controllers))
            .judged_by(manifest.rule.clone())
            .recreate(terms.recreate)
            .adopt(terms.foreign == Foreign::Adopt)
            .rehearse(self.backends.rehearse);
        if terms.trace == Traced::Told {
            object = object.traced();
        }
        if terms.restart == Restart::OnConfig {
            object = object.restart_with(Arc::clone(&self.configs));
        }
        self.add(place, "kubernetes.object", object);
        Ok(())
    }

    /// The documents of the bundle in the groups of these definitions.
    fn written(&self, definitions: &[String]) -> Vec<serde_json::Value> {
        let groups: Vec<&str> = definitions
            .iter()
            .filter_map(|name| Some(name.split_once('.')?.1))
            .collect();
        let steps = self.bundle.leaves().into_iter();
        let documents = steps.filter_map(|(_, step)| match &step.action {
            Action::Object(manifest) => Some(&manifest.object),
            _ => None,
        });
        let is_of = |document: &&serde_json::Value| {
            let group = document["apiVersion"].as_str().unwrap_or_default();
            groups.contains(&group.split('/').next().unwrap_or_default())
        };
        documents.filter(is_of).cloned().collect()
    }

    pub(super) fn migrations(
        &self,
        server: postgres::Server,
        migrations: &Migrations,
    ) -> postgres::Migrations {
        let mut resource = super::sql::resource(server, migrations);
        if let Trace::Own(id) = &self.backends.trace {
            resource.trace_id.clone_from(id);
        }
        resource.preview = self.backends.rehearse || self.backends.what_runs;
        resource
    }

    fn search(&mut self, place: Place<'_>, object: &SearchObject) -> Result<(), AssembleError> {
        let missing = || Server::OpenSearch.missing(&place.node.id);
        let server = self.opened.opensearch.clone().ok_or_else(missing)?;
        let (name, body) = (object.name.clone(), object.body.clone());
        let define = |kind| Definition {
            server: Arc::clone(&server),
            kind,
            name: name.clone(),
            body: body.clone(),
        };
        match object.kind {
            SearchKind::ComponentTemplate => {
                let resource = define(DefinitionKind::ComponentTemplate);
                self.add(place, "opensearch.component_template", resource);
            }
            SearchKind::IndexTemplate => {
                let resource = define(DefinitionKind::IndexTemplate);
                self.add(place, "opensearch.index_template", resource);
            }
            SearchKind::Pipeline => {
                let resource = define(DefinitionKind::Pipeline);
                self.add(place, "opensearch.pipeline", resource);
            }
            SearchKind::Index => {
                let resource = opensearch::Index { server, name, body };
                self.add(place, "opensearch.index", resource);
            }
            SearchKind::Document => {
                // The bundle names a document by its index and its id.
                let (index, id) = name.split_once('/').unwrap_or_default();
                let (index, id) = (index.to_owned(), id.to_owned());
                let resource = opensearch::Document {
                    server,
                    index,
                    id,
                    body,
                };
                self.add(place, "opensearch.document", resource);
            }
        }
        Ok(())
    }

    fn folder(&mut self, place: Place<'_>, folder: &Folder) -> Result<(), AssembleError> {
        let resource = grafana::Folder {
            server: self.grafana(&place)?,
            uid: folder.uid.clone(),
            title: folder.title.clone(),
            parent: folder.parent.clone(),
        };
        self.add(place, "grafana.folder", resource);
        Ok(())
    }

    fn datasource(&mut self, place: Place<'_>, source: &Datasource) -> Result<(), AssembleError> {
        let resource = grafana::Datasource {
            server: self.grafana(&place)?,
            uid: source.uid.clone(),
            name: source.name.clone(),
            body: source.body.clone(),
            secrets: source.secrets.clone(),
        };
        self.add(place, "grafana.datasource", resource);
        Ok(())
    }

    fn dashboard(&mut self, place: Place<'_>, board: &Dashboard) -> Result<(), AssembleError> {
        let resource = grafana::Dashboard {
            server: self.grafana(&place)?,
            uid: board.uid.clone(),
            folder: board.folder.clone(),
            model: board.model.clone(),
        };
        self.add(place, "grafana.dashboard", resource);
        Ok(())
    }

    fn check(&mut self, place: Place<'_>, check: &Check) -> Result<(), AssembleError> {
        let client = self.probe.clone();
        match check.clone() {
            Check::Http {
                url,
                status,
                contains,
            } => {
                let resource = probe::HttpCheck {
                    client,
                    url,
                    status,
                    contains,
                };
                self.add(place, "check.http", resource);
            }
            Check::Promql { url, query } => {
                self.add(
                    place,
                    "check.promql",
                    probe::PromqlCheck { client, url, query },
                );
            }
            Check::Trace { url, send } => {
                let resource = match (self.backends.trace.clone(), send) {
                    (Trace::Last(id), _) => probe::TraceCheck::of_last_run(client, &url, id),
                    (_, Some(to)) => probe::TraceCheck::sending(client, &url, &to),
                    (Trace::Untraced, None) => probe::TraceCheck::of_untraced_run(client, &url),
                    (Trace::Own(id), None) => probe::TraceCheck::of_run(client, &url, id),
                };
                self.add(place, "check.trace", resource);
            }
            Check::Running { workload, ask } => self.running(place, workload, ask),
            Check::Drift { objects, .. } => self.drift(place, objects)?,
            Check::Sql {
                database,
                query,
                expect,
            } => {
                let expect = match expect {
                    Expect::Value(text) => postgres::Expect::Value(text),
                    Expect::AtLeast(least) => postgres::Expect::AtLeast(least),
                };
                let server = self.postgres(&place)?;
                let resource = postgres::SqlCheck {
                    server,
                    database,
                    query,
                    expect,
                };
                self.add(place, "check.sql", resource);
            }
            Check::Search {
                index,
                query,
                at_least,
            } => {
                let missing = || Server::OpenSearch.missing(&place.node.id);
                let server = self.opened.opensearch.clone().ok_or_else(missing)?;
                let resource = opensearch::SearchCheck {
                    server,
                    index,
                    query,
                    at_least,
                };
                self.add(place, "check.search", resource);
            }
            Check::Datasource { uid } => {
                let server = self.grafana(&place)?;
                self.add(
                    place,
                    "check.datasource",
                    grafana::DatasourceHealth { server, uid },
                );
            }
        }
        Ok(())
    }

    pub(super) fn postgres(&self, place: &Place<'_>) -> Result<postgres::Server, AssembleError> {
        self.opened
            .postgres
            .clone()
            .ok_or_else(|| Server::Postgres.missing(&place.node.id))
    }

    fn grafana(&self, place: &Place<'_>) -> Result<Arc<grafana::Server>, AssembleError> {
        self.opened
            .grafana
            .clone()
            .ok_or_else(|| Server::Grafana.missing(&place.node.id))
    }
}
