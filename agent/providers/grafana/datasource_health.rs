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
        let said = self.server.mask(text("message"));
        Ok(match (text("status"), text("messageId")) {
            ("OK", _) => Observed::Works,
            // The plugin runs in the browser only, so Grafana's proxy has to ask.
            (_, "plugin.unavailable") => self.through_proxy().await?,
            (_, "plugin.notRegistered") => Observed::Uncheckable(said),
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

impl DatasourceHealth {
    /// Any answer will do, as long as it is the datasource's own.
    async fn through_proxy(&self) -> Result<Observed, Error> {
        let root = Request::get("/api/datasources/proxy/uid/{uid}/", &[&self.uid]);
        let root = root.answered_by(&[301, 302, 307, 308, 400, 404, 405, 500, 502, 503, 504]);
        let status = self.server.send(root).await?.status;
        Ok(match status {
            500.. => Observed::Fails(format!("Grafana's proxy gets status {status}")),
            _ => Observed::Works,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Class, Failure};
    use crate::providers::grafana::nowhere::nowhere;

    #[test]
    fn a_failing_datasource_is_unmet_and_an_uncheckable_one_a_mistake() {
        let health = DatasourceHealth {
            server: nowhere(),
            uid: "pg".to_owned(),
        };
        assert_eq!(health.plan(&Observed::Works).ok(), Some(Plan::Current));
        let unmet = Waiting::unmet("datasource pg does not answer: refused");
        let fails = health.plan(&Observed::Fails("refused".to_owned()));
        assert_eq!(fails.ok(), Some(Plan::InProgress(unmet)));
        let unknown = Observed::Uncheckable("Plugin not registered".to_owned());
        let error = health.plan(&unknown).expect_err("nobody can ask it");
        assert_eq!(error.class(), Class::Invalid);
        let expected = "Grafana cannot check datasource pg: Plugin not registered";
        assert_eq!(error.to_string(), expected);
    }
}
