//! Whether documents are found.

use std::convert::Infallible;
use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Plan, Resource, Waiting};

/// Asks that a search finds a number of documents.
pub struct SearchCheck {
    /// Where.
    pub server: Arc<Server>,
    /// What is searched: an index, an alias or a pattern.
    pub index: String,
    /// A query in OpenSearch's own words; everything unless given.
    pub query: Option<Value>,
    /// How many documents at least.
    pub at_least: u64,
}

impl Resource for SearchCheck {
    /// How many documents there are; none if the index is not there.
    type Observed = Option<u64>;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<Option<u64>, Error> {
        let question = match &self.query {
            Some(query) => json!({ "query": query }),
            None => json!({ "query": { "match_all": {} } }),
        };
        let count = Request::ask("/{index}/_count", &[&self.index], question);
        let Some(found) = self.server.send(count).await?.found() else {
            return Ok(None);
        };
        match found["count"].as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(Error::Unexpected { what: "count" }),
        }
    }

    fn plan(&self, observed: &Option<u64>) -> Result<Plan<Infallible>, Error> {
        let Self {
            index, at_least, ..
        } = self;
        let said = match observed {
            Some(count) if count >= at_least => return Ok(Plan::Current),
            Some(count) => format!("{index} has {count} matching documents, not {at_least}"),
            None => format!("{index} does not exist"),
        };
        Ok(Plan::InProgress(Waiting::unmet(said)))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::opensearch::nowhere::nowhere;

    #[test]
    fn too_few_is_unmet_and_says_how_many() {
        let check = SearchCheck {
            server: nowhere(),
            index: "logs".to_owned(),
            query: None,
            at_least: 2,
        };
        let waits = |said: &str| Plan::InProgress(Waiting::unmet(said));
        let table = [
            (Some(3), Plan::Current),
            (Some(2), Plan::Current),
            (Some(1), waits("logs has 1 matching documents, not 2")),
            (None, waits("logs does not exist")),
        ];
        for (count, plan) in table {
            assert_eq!(check.plan(&count).ok(), Some(plan), "{count:?}");
        }
    }
}
