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
