//! Whether Grafana can be used at all.

use std::convert::Infallible;
use std::sync::Arc;

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Plan, Resource, Waiting};

/// Waits until Grafana has its database and accepts the login.
pub struct Gate {
    /// Where.
    pub server: Arc<Server>,
}

impl Resource for Gate {
    /// What Grafana says of its database.
    type Observed = String;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<String, Error> {
        let health = Request::get("/api/health", &[]).answered_by(&[503]);
        let health = self.server.send(health).await?.json;
        let Some(database) = health["database"].as_str() else {
            return Err(Error::Unexpected {
                what: "database in its health",
            });
        };
        if database == "ok" {
            // The health page asks for no login; this one does.
            let organisation = Request::get("/api/org", &[]).answered_by(&[]);
            self.server.send(organisation).await?;
        }
        Ok(database.to_owned())
    }

    fn plan(&self, database: &String) -> Result<Plan<Infallible>, Error> {
        if database == "ok" {
            return Ok(Plan::Current);
        }
        let what = format!("Grafana's database is {database}");
        Ok(Plan::InProgress(Waiting::unavailable(what)))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}
