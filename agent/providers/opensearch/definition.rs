//! What a PUT replaces as a whole: component templates, index templates, ingest pipelines.

use std::sync::Arc;

use serde_json::Value;

use super::client::{Request, Server};
use super::error::Error;
use super::normal_form;
use crate::engine::{Difference, Plan, Resource};

/// A kind of definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionKind {
    /// Settings and mappings that index templates are composed of.
    ComponentTemplate,
    /// What new indices of a name are like. It says nothing about indices that exist.
    IndexTemplate,
    /// What is done to documents before they are stored. The server counts a new version even when
    /// it is sent what it has, so equal ones must not be sent.
    Pipeline,
}

impl DefinitionKind {
    fn noun(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
            Self::Pipeline => "ingest pipeline",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "/_component_template/{name}",
            Self::IndexTemplate => "/_index_template/{name}",
            Self::Pipeline => "/_ingest/pipeline/{name}",
        }
    }

    /// The keys that are ours; others are the server's own.
    fn known(self) -> &'static [&'static str] {
        match self {
            Self::ComponentTemplate => &["template", "version", "_meta"],
            Self::IndexTemplate => &[
                "index_patterns",
                "template",
                "composed_of",
                "priority",
                "version",
                "_meta",
                "data_stream",
            ],
            Self::Pipeline => &[
                "description",
                "version",
                "processors",
                "on_failure",
                "_meta",
            ],
        }
    }

    /// The definition in an answer that found one.
    fn in_answer(self, mut answer: Value, name: &str) -> Value {
        match self {
            Self::ComponentTemplate => {
                answer["component_templates"][0]["component_template"].take()
            }
            Self::IndexTemplate => answer["index_templates"][0]["index_template"].take(),
            Self::Pipeline => answer[name].take(),
        }
    }
}

/// A definition, as a whole ours.
pub struct Definition {
    /// Where.
    pub server: Arc<Server>,
    /// Of what.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: String,
    /// The document, in OpenSearch's own words.
    pub body: Value,
}

impl Resource for Definition {
    type Observed = Option<Value>;
    type Change = Difference;
    type Error = Error;

    async fn observe(&self) -> Result<Self::Observed, Error> {
        let request = Request::get(self.kind.path(), &[&self.name]);
        let Some(found) = self.server.send(request).await?.found() else {
            return Ok(None);
        };
        match self.kind.in_answer(found, &self.name) {
            Value::Null => Err(Error::Unexpected {
                what: self.kind.noun(),
            }),
            definition => Ok(Some(definition)),
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Plan<Difference>, Error> {
        let target = format!("{} {}", self.kind.noun(), self.name);
        let (theirs, known) = (observed.as_ref(), self.kind.known());
        Ok(normal_form::plan_whole(target, &self.body, theirs, known))
    }

    async fn apply(&self, _: Difference) -> Result<(), Error> {
        let request = Request::put(self.kind.path(), &[&self.name], self.body.clone());
        self.server.send(request).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Verb;
    use crate::providers::opensearch::nowhere::nowhere;
    use serde_json::json;

    /// Absent, equal in the server's own form, and drifted in one field.
    fn table(kind: DefinitionKind, ours: Value, same: Value, other: Value, field: &str) {
        let ours = Definition {
            server: nowhere(),
            kind,
            name: "logs".to_owned(),
            body: ours,
        };
        let plan = |observed: Option<Value>| match ours.plan(&observed) {
            Ok(Plan::Change(mut changes)) => changes.pop(),
            Ok(plan) => {
                assert_eq!(plan, Plan::Current);
                None
            }
            Err(error) => panic!("{error}"),
        };
        let created = plan(None).unwrap();
        assert_eq!(created.verb, Verb::Create);
        assert_eq!(created.target, format!("{} logs", kind.noun()));
        assert_eq!(plan(Some(same)), None);
        let updated = plan(Some(other)).unwrap();
        assert_eq!(updated.verb, Verb::Update);
        assert_eq!(updated.fields[0].path, field);
    }

    #[test]
    fn component_templates() {
        let theirs =
            |n: &str| json!({"template": {"settings": {"index": {"number_of_shards": n}}}});
        table(
            DefinitionKind::ComponentTemplate,
            json!({"template": {"settings": {"number_of_shards": 1}}}),
            theirs("1"),
            theirs("2"),
            "template.settings.index.number_of_shards",
        );
    }

    #[test]
    fn index_templates() {
        let theirs = |n: &str| json!({"index_patterns": ["logs-*"], "composed_of": [], "template": {"settings": {"index": {"number_of_shards": n}}}});
        table(
            DefinitionKind::IndexTemplate,
            json!({"index_patterns": "logs-*", "template": {"settings": {"number_of_shards": 1}}}),
            theirs("1"),
            theirs("2"),
            "template.settings.index.number_of_shards",
        );
    }

    #[test]
    fn pipelines() {
        let lowercase = |field: &str| json!({"processors": [{"lowercase": {"field": field}}]});
        table(
            DefinitionKind::Pipeline,
            lowercase("level"),
            lowercase("level"),
            lowercase("message"),
            "processors[0].lowercase.field",
        );
    }
}
