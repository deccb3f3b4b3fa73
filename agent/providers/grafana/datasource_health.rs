//! Whether a datasource answers.

use std::convert::Infallible;
use std::sync::Arc;

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Plan, Resource, Waiting};

/// Asks Grafana to ask the datasource.
pub struct DatasourceHealth {
    /// Where.
    pub server: Arc<Server>,
    /// The datasource.
    pub uid: String,
}

/// How the datasource answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// It works.
    Works,
    /// It does not, and this is why.
    Fails(String),
    /// Its plugin has no check of its own, and this is what Grafana says.
    Uncheckable(String),
}

impl Resource for DatasourceHealth {
    type Observed = Observed;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let health = Request::get("/api/datasources/uid/{uid}/health", &[&self.uid]);
        let health = health.answered_by(&[400, 404, 500]);
        let health = self.server.send(health).await?.json;
        let text = |key: &str| health[key].as_str().unwrap_or_default();
        let said = text("message").to_owned();
        Ok(match (text("status"), text("messageId")) {
            ("OK", _) => Observed::Works,
            (_, "plugin.unavailable" | "plugin.notRegistered") => Observed::Uncheckable(said),
            _ => Observed::Fails(said),
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Infallible>, Error> {
        match observed {
            Observed::Works => Ok(Plan::Current),
            Observed::Fails(said) => {
                let what = format!("datasource {} does not answer: {said}", self.uid);
                Ok(Plan::InProgress(Waiting::unmet(what)))
            }
            Observed::Uncheckable(said) => Err(Error::Uncheckable {
                uid: self.uid.clone(),
                reason: said.clone(),
            }),
        }
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}
