//! A component template: settings and mappings that index templates are composed of.

use std::sync::Arc;

use serde_json::Value;

use super::client::{Request, Server};
use super::error::Error;
use super::normal_form;
use crate::engine::{Difference, Plan, Resource};

const PATH: &str = "/_component_template/{name}";
const KNOWN: &[&str] = &["template", "version", "_meta"];

/// A component template, as a whole ours.
pub struct ComponentTemplate {
    /// Where.
    pub server: Arc<Server>,
    /// Its name.
    pub name: String,
    /// The document, in OpenSearch's own words.
    pub body: Value,
}

impl Resource for ComponentTemplate {
    type Observed = Option<Value>;
    type Change = Difference;
    type Error = Error;

    async fn observe(&self) -> Result<Self::Observed, Error> {
        let answer = self.server.send(Request::get(PATH, &[&self.name])).await?;
        let Some(mut found) = answer.found() else {
            return Ok(None);
        };
        match found["component_templates"][0]["component_template"].take() {
            Value::Null => Err(Error::Unexpected {
                what: "component_template",
            }),
            template => Ok(Some(template)),
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Plan<Difference>, Error> {
        let target = format!("component template {}", self.name);
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
        let ours = ComponentTemplate {
            server: nowhere(),
            name: "logs".to_owned(),
            body: json!({"template": {"settings": {"number_of_shards": 1}}}),
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
            (Verb::Create, "component template logs")
        );
        let same = json!({"template": {"settings": {"index": {"number_of_shards": "1"}}}});
        assert_eq!(plan(Some(same)), None);
        let other = json!({"template": {"settings": {"index": {"number_of_shards": "2"}}}});
        let updated = plan(Some(other)).unwrap();
        assert_eq!(updated.verb, Verb::Update);
        assert_eq!(
            updated.fields[0].path,
            "template.settings.index.number_of_shards"
        );
    }
}
