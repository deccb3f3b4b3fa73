//! The servers by name, and what is done with each.

use crate::builds::Builds;
use crate::env::{self, Env};
use crate::error::InFile;
use crate::record::Record;
use crate::room::Room;
use crate::stop::stop;
use crate::{
    Attempt, Error, eventually, grafana, jaeger, kubernetes, opensearch, otelcol, place, postgres,
    prometheus,
};
use clap::ValueEnum;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a server that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// A server that `up` can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Server {
    /// Postgres 15, with TLS and without
    Postgres,
    /// OpenSearch 3 without TLS and users
    Opensearch,
    /// OpenSearch 2.19 with TLS and users
    OpensearchSecure,
    /// Jaeger 2 in memory
    Jaeger,
    /// Prometheus 3 with its OTLP receiver
    Prometheus,
    /// OpenTelemetry Collector; brings up Jaeger and Prometheus too
    Otelcol,
    /// the stand-in for Grafana
    Grafana,
    /// a Kubernetes API server without nodes
    Apiserver,
    /// Kubernetes of one node with a real kubelet
    Cluster,
}

impl Server {
    pub(crate) const ALL: [Self; 9] = [
        Self::Postgres,
        Self::Opensearch,
        Self::OpensearchSecure,
        Self::Jaeger,
        Self::Prometheus,
        Self::Otelcol,
        Self::Grafana,
        Self::Apiserver,
        Self::Cluster,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Opensearch => "opensearch",
            Self::OpensearchSecure => "opensearch-secure",
            Self::Jaeger => "jaeger",
            Self::Prometheus => "prometheus",
            Self::Otelcol => "otelcol",
            Self::Grafana => "grafana",
            Self::Apiserver => "apiserver",
            Self::Cluster => "cluster",
        }
    }

    /// What it passes data on to.
    pub(crate) fn needs(self) -> &'static [Self] {
        match self {
            Self::Otelcol => &[Self::Jaeger, Self::Prometheus],
            _ => &[],
        }
    }

    /// Brings it up; its address is written when it has proved to be ready.
    pub(crate) async fn start(self, room: &Room<'_>, builds: &Builds) -> Result<(), Error> {
        let name = self.name();
        let state = room.state();
        match self {
            Self::Postgres => env::write(state, name, &postgres::start(room).await?),
            Self::Opensearch => env::write(state, name, &opensearch::start(room, builds).await?),
            Self::OpensearchSecure => {
                env::write(state, name, &opensearch::start_secure(room, builds).await?)
            }
            Self::Jaeger => env::write(state, name, &jaeger::start(room, builds).await?),
            Self::Prometheus => env::write(state, name, &prometheus::start(room, builds).await?),
            Self::Otelcol => env::write(state, name, &otelcol::start(room, builds).await?),
            Self::Grafana => env::write(state, name, &grafana::start(room).await?),
            Self::Apiserver => env::write(
                state,
                name,
                &kubernetes::start_apiserver(room, builds).await?,
            ),
            Self::Cluster => {
                env::write(state, name, &kubernetes::start_cluster(room, builds).await?)
            }
        }
    }

    /// Whether it was brought up, still runs and answers.
    pub(crate) async fn is_well(self, room: &Room<'_>) -> Result<(), Error> {
        let env = Env::load_from(room.state())?;
        match self {
            Self::Postgres => {
                let at = env.postgres()?;
                self.answers(async || postgres::ask(&at).await).await
            }
            Self::Opensearch => {
                let at = env.opensearch()?;
                self.answers(async || opensearch::ask(&at).await).await
            }
            Self::OpensearchSecure => {
                let at = env.opensearch_secure()?;
                self.answers(async || opensearch::ask(&at).await).await
            }
            Self::Jaeger => {
                let at = env.jaeger()?;
                self.answers(async || jaeger::ask(&at).await).await
            }
            Self::Prometheus => {
                let at = env.prometheus()?;
                self.answers(async || prometheus::ask(&at).await).await
            }
            Self::Otelcol => {
                let at = env.otelcol()?;
                self.answers(async || otelcol::ask(&at).await).await
            }
            Self::Grafana => {
                let at = env.stand_in()?;
                self.answers(async || grafana::ask(&at).await).await
            }
            Self::Apiserver => kubernetes::ask(&env.api_server()?).await,
            Self::Cluster => kubernetes::ask(&env.cluster()?).await,
        }
    }

    async fn answers(self, ask: impl AsyncFnMut() -> Attempt<()>) -> Result<(), Error> {
        eventually(&format!("{} to answer", self.name()), ANSWER, ask).await
    }

    /// The memory that it has in use, in bytes; zero when it does not run.
    pub(crate) fn resident(self, state: &Path) -> Result<u64, Error> {
        if matches!(self, Self::Apiserver | Self::Cluster) {
            return Ok(kubernetes::resident(state, self.name()));
        }
        let record = Record::read(&place::folder(state, self.name()))?;
        Ok(record.map_or(0, |record| record.resident()))
    }

    /// Ends it, whatever of it there is.
    pub(crate) async fn end(self, room: &Room<'_>) -> Result<(), Error> {
        match self {
            Self::Apiserver | Self::Cluster => kubernetes::end(room).await?,
            // The fast shutdown, which does not wait for clients.
            Self::Postgres => stop(&room.folder(), Signal::INT).await?,
            _ => stop(&room.folder(), Signal::TERM).await?,
        }
        let address = env::address(&room.folder());
        if address.exists() {
            fs::remove_file(&address).file("remove", &address)?;
            env::write_file(room.state())?;
        }
        Ok(())
    }
}
