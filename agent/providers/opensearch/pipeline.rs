//! An ingest pipeline: what is done to documents before they are stored.

use std::sync::Arc;

use serde_json::Value;

use super::client::{Request, Server};
use super::error::Error;
use super::normal_form;
use crate::engine::{Difference, Plan, Resource};

const PATH: &str = "/_ingest/pipeline/{name}";
const KNOWN: &[&str] = &[
    "description",
    "version",
    "processors",
    "on_failure",
    "_meta",
];

/// An ingest pipeline, as a whole ours.
///
/// The server counts a new version even when it is sent what it has, so equal ones must not be sent.
pub struct Pipeline {
    /// Where.
    pub server: Arc<Server>,
    /// Its name.
    pub name: String,
    /// The document, in OpenSearch's own words.
    pub body: Value,
}

impl Resource for Pipeline {
    type Observed = Option<Value>;
    type Change = Difference;
    type Error = Error;

    async fn observe(&self) -> Result<Self::Observed, Error> {
        let answer = self.server.send(Request::get(PATH, &[&self.name])).await?;
        let Some(mut found) = answer.found() else {
            return Ok(None);
        };
        match found[&self.name].take() {
            Value::Null => Err(Error::Unexpected {
                what: "pipeline of this name",
            }),
            pipeline => Ok(Some(pipeline)),
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Plan<Difference>, Error> {
        let target = format!("ingest pipeline {}", self.name);
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
        let ours = Pipeline {
            server: nowhere(),
            name: "logs".to_owned(),
            body: json!({"processors": [{"lowercase": {"field": "level"}}]}),
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
            (Verb::Create, "ingest pipeline logs")
        );
        let same = json!({"processors": [{"lowercase": {"field": "level"}}]});
        assert_eq!(plan(Some(same)), None);
        let other = json!({"processors": [{"lowercase": {"field": "message"}}]});
        let updated = plan(Some(other)).unwrap();
        assert_eq!(updated.verb, Verb::Update);
        assert_eq!(updated.fields[0].path, "processors[0].lowercase.field");
    }
}
