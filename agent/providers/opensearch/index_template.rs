//! An index template: what new indices of a name are like.

use std::sync::Arc;

use serde_json::Value;

use super::client::{Request, Server};
use super::error::Error;
use super::normal_form;
use crate::engine::{Difference, Plan, Resource};

const PATH: &str = "/_index_template/{name}";
const KNOWN: &[&str] = &[
    "index_patterns",
    "template",
    "composed_of",
    "priority",
    "version",
    "_meta",
    "data_stream",
];

/// A composable index template, as a whole ours. It says nothing about indices that exist.
pub struct IndexTemplate {
    /// Where.
    pub server: Arc<Server>,
    /// Its name.
    pub name: String,
    /// The document, in OpenSearch's own words.
    pub body: Value,
}

impl Resource for IndexTemplate {
    type Observed = Option<Value>;
    type Change = Difference;
    type Error = Error;

    async fn observe(&self) -> Result<Self::Observed, Error> {
        let answer = self.server.send(Request::get(PATH, &[&self.name])).await?;
        let Some(mut found) = answer.found() else {
            return Ok(None);
        };
        match found["index_templates"][0]["index_template"].take() {
            Value::Null => Err(Error::Unexpected {
                what: "index_template",
            }),
            template => Ok(Some(template)),
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Plan<Difference>, Error> {
        let target = format!("index template {}", self.name);
        let theirs = observed.as_ref();
        Ok(normal_form::plan_whole(target, &self.body, theirs, KNOWN))
    }

    async fn apply(&self, _: Difference) -> Result<(), Error> {
        let request = Request::put(PATH, &[&self.name], self.body.clone());
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

    #[test]
    fn absent_equal_and_drifted() {
        let ours = IndexTemplate {
            server: nowhere(),
            name: "logs".to_owned(),
            body: json!({"index_patterns": "logs-*", "template": {"settings": {"number_of_shards": 1}}}),
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
        assert_eq!(
            (created.verb, created.target.as_str()),
            (Verb::Create, "index template logs")
        );
        let same = json!({"index_patterns": ["logs-*"], "composed_of": [],
            "template": {"settings": {"index": {"number_of_shards": "1"}}}});
        assert_eq!(plan(Some(same)), None);
        let other = json!({"index_patterns": ["logs-*"],
            "template": {"settings": {"index": {"number_of_shards": "2"}}}});
        let updated = plan(Some(other)).unwrap();
        assert_eq!(updated.verb, Verb::Update);
        assert_eq!(
            updated.fields[0].path,
            "template.settings.index.number_of_shards"
        );
    }
}
