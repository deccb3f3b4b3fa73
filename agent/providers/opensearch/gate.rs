//! Whether the cluster can be used at all.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use serde_json::Value;

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Plan, Resource, Waiting};

/// The oldest major version that this provider knows.
const OLDEST: u32 = 2;

/// Waits until the cluster is an OpenSearch that accepts the login and has all primary shards.
///
/// A cluster of one node never becomes green while an index wants replicas: yellow is enough.
pub struct Gate {
    /// Where.
    pub server: Arc<Server>,
}

/// What the cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    distribution: Option<String>,
    number: String,
    status: String,
    primaries_missing: u64,
}

impl Resource for Gate {
    type Observed = Observed;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let root = self.server.send(Request::get("/", &[])).await?.json();
        let version = &root["version"];
        let number = version["number"].as_str();
        let health = Request::get("/_cluster/health", &[]);
        let health = self.server.send(health).await?.json();
        let status = health["status"].as_str();
        Ok(Observed {
            distribution: version["distribution"].as_str().map(str::to_owned),
            number: text(number, "version.number")?,
            status: text(status, "status")?,
            primaries_missing: unassigned(&health),
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Infallible>, Error> {
        let Observed {
            distribution,
            number,
            status,
            primaries_missing,
        } = observed;
        let foreign = |what: String| Error::Foreign {
            url: self.server.url().to_owned(),
            what,
        };
        if distribution.as_deref() != Some("opensearch") {
            let name = distribution.as_deref().unwrap_or("Elasticsearch");
            return Err(foreign(format!("{name} {number}")));
        }
        let major = number
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        if major.is_some_and(|major: u32| major < OLDEST) {
            return Err(foreign(format!("OpenSearch {number}")));
        }
        if status == "red" {
            return Ok(Plan::InProgress(Waiting::unavailable(format!(
                "OpenSearch is red: {primaries_missing} shards are not assigned"
            ))));
        }
        Ok(Plan::Current)
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }

    async fn changed(&self, _seen: &Observed) {
        let better = Request::get("/_cluster/health", &[])
            .with("wait_for_status", "yellow")
            .with("timeout", "25s");
        if self.server.send(better).await.is_err() {
            pending::<()>().await;
        }
    }
}

fn text(found: Option<&str>, what: &'static str) -> Result<String, Error> {
    found.map(str::to_owned).ok_or(Error::Unexpected { what })
}

fn unassigned(health: &Value) -> u64 {
    health["unassigned_shards"].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::opensearch::nowhere::nowhere;

    #[test]
    fn only_a_usable_opensearch_passes() {
        let gate = Gate { server: nowhere() };
        let waits = "waits: OpenSearch is red: 3 shards are not assigned";
        let table = [
            (Some("opensearch"), "3.6.0", "green", "current"),
            (Some("opensearch"), "2.19.3", "yellow", "current"),
            (Some("opensearch"), "3.6.0", "red", waits),
            (
                Some("opensearch"),
                "1.3.0",
                "green",
                "http://nowhere is OpenSearch 1.3.0, not OpenSearch 2 or newer",
            ),
            (
                None,
                "8.1.0",
                "green",
                "http://nowhere is Elasticsearch 8.1.0, not OpenSearch 2 or newer",
            ),
        ];
        for (distribution, number, status, expected) in table {
            let observed = Observed {
                distribution: distribution.map(str::to_owned),
                number: number.to_owned(),
                status: status.to_owned(),
                primaries_missing: 3,
            };
            let said = match gate.plan(&observed) {
                Ok(Plan::Current) => "current".to_owned(),
                Ok(Plan::InProgress(waiting)) => format!("waits: {}", waiting.what),
                Ok(Plan::Change(changes)) => match changes.first().copied() {
                    Some(never) => match never {},
                    None => "an empty plan".to_owned(),
                },
                Err(error) => error.to_string(),
            };
            assert_eq!(said, expected);
        }
    }
}
