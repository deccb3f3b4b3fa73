//! The servers of a bundle, as handles that open themselves on first use.

use std::sync::Arc;
use std::time::Duration;

use super::AssembleError;
use crate::bundle::{
    Action, Bundle, GRAFANA_GATE, HttpServer, OPENSEARCH_GATE, POSTGRES_GATE, PostgresServer,
    PostgresTls,
};
use crate::engine::{GraphBuilder, StepId, StepOptions};
use crate::providers::{grafana, kubernetes, opensearch, postgres};
use crate::secret::Secrets;

/// A kind of server that steps share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Postgres,
    OpenSearch,
    Grafana,
}

impl Server {
    pub(super) const ALL: [Self; 3] = [Self::Postgres, Self::OpenSearch, Self::Grafana];

    /// The server that an action works on.
    pub(super) fn of(action: &Action) -> Option<Self> {
        let key = action.server()?;
        Self::ALL.into_iter().find(|server| server.key() == key)
    }

    /// The name of the step that waits for it.
    pub(super) fn gate(self) -> &'static str {
        match self {
            Self::Postgres => POSTGRES_GATE,
            Self::OpenSearch => OPENSEARCH_GATE,
            Self::Grafana => GRAFANA_GATE,
        }
    }

    /// The kind of that step.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Postgres => "postgres.server",
            Self::OpenSearch => "opensearch.server",
            Self::Grafana => "grafana.server",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::OpenSearch => "opensearch",
            Self::Grafana => "grafana",
        }
    }

    /// The failure of a step that uses a server which the bundle does not name.
    pub(super) fn missing(self, step: &str) -> AssembleError {
        AssembleError::NoServer {
            step: step.to_owned(),
            server: self.key(),
        }
    }
}

/// The handles; all steps of a server share one.
pub(super) struct Opened {
    pub(super) postgres: Option<postgres::Server>,
    pub(super) opensearch: Option<Arc<opensearch::Server>>,
    pub(super) grafana: Option<Arc<grafana::Server>>,
}

impl Opened {
    pub(super) fn new(
        bundle: &Bundle,
        cluster: &kubernetes::Client,
        cancels: &postgres::Cancels,
    ) -> Self {
        let secrets: Arc<dyn Secrets> = Arc::new(cluster.clone());
        let servers = &bundle.servers;
        let open =
            |server: &HttpServer| (server.url.clone(), server.login.clone(), server.ca.clone());
        Self {
            postgres: servers.postgres.as_ref().map(|server| {
                let settings = settings(server, longest(bundle));
                postgres::Server::new(settings, Arc::clone(&secrets)).counting(cancels)
            }),
            opensearch: servers.opensearch.as_ref().map(|server| {
                let (url, login, ca) = open(server);
                Arc::new(opensearch::Server::new(
                    &url,
                    login,
                    ca,
                    Arc::clone(&secrets),
                ))
            }),
            grafana: servers.grafana.as_ref().map(|server| {
                let (url, login, ca) = open(server);
                Arc::new(grafana::Server::new(&url, login, ca, Arc::clone(&secrets)))
            }),
        }
    }

    /// Adds the step that waits for a server.
    pub(super) fn add_gate(
        &self,
        graph: &mut GraphBuilder,
        server: Server,
        (id, needs, options): (StepId, Vec<StepId>, StepOptions),
    ) -> Result<(), AssembleError> {
        let missing = || server.missing(id.as_str());
        match server {
            Server::Postgres => {
                let server = self.postgres.clone().ok_or_else(missing)?;
                graph.step(id, needs, options, postgres::Gate { server });
            }
            Server::OpenSearch => {
                let server = self.opensearch.clone().ok_or_else(missing)?;
                graph.step(id, needs, options, opensearch::Gate { server });
            }
            Server::Grafana => {
                let server = self.grafana.clone().ok_or_else(missing)?;
                graph.step(id, needs, options, grafana::Gate { server });
            }
        }
        Ok(())
    }
}

fn settings(server: &PostgresServer, longest: Duration) -> postgres::Settings {
    postgres::Settings {
        host: server.host.clone(),
        port: server.port.clone(),
        user: server.user.clone(),
        password: server.password.clone(),
        database: server.database.clone(),
        tls: match &server.tls {
            PostgresTls::Disable => postgres::Tls::Disable,
            PostgresTls::VerifyCa { ca } => postgres::Tls::VerifyCa { ca: ca.clone() },
            PostgresTls::VerifyFull { ca, server_name } => postgres::Tls::VerifyFull {
                ca: ca.clone(),
                server_name: server_name.clone(),
            },
        },
        statement_timeout: Some(longest),
    }
}

/// The longest that any step may take, and so any statement of one.
fn longest(bundle: &Bundle) -> Duration {
    let steps = bundle.leaves().into_iter();
    steps
        .map(|(_, step)| step.timeout)
        .max()
        .unwrap_or_default()
}
