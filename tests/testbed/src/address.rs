//! Where the servers are and who may enter: what `up` writes for each and a test reads.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Postgres 15: scram passwords, with TLS or without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresServer {
    /// An address; its certificate is for `localhost` and `127.0.0.1`.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A superuser.
    pub user: String,
    /// The superuser's password.
    pub password: String,
    /// The certificate authority that signed the server's certificate, as PEM.
    pub ca_file: PathBuf,
}

/// An OpenSearch of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSearch {
    /// `http://127.0.0.1:port`, or https for the one with the security plugin.
    pub url: String,
    /// The administrator; `None` without the security plugin.
    pub user: Option<String>,
    /// The administrator's password; `None` without the security plugin.
    pub password: Option<String>,
    /// The certificate authority that signed the server's certificate, as PEM; `None` without TLS.
    pub ca_file: Option<PathBuf>,
}

/// Jaeger 2, all in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jaeger {
    /// The base of `/api/v3`.
    pub query_url: String,
    /// Takes OTLP by gRPC.
    pub otlp_grpc: String,
    /// Takes OTLP by HTTP, below `/v1`.
    pub otlp_http: String,
}

/// An OpenTelemetry Collector that writes all it gets to a file, and passes traces on to Jaeger
/// and metrics to Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Otelcol {
    /// Takes OTLP by gRPC.
    pub otlp_grpc: String,
    /// Takes OTLP by HTTP, below `/v1`.
    pub otlp_http: String,
    /// Everything it got, as OTLP/JSON, a line for each request, at most 200 ms late.
    pub received_file: PathBuf,
}

/// Prometheus 3 with its OTLP receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prometheus {
    /// The base of `/api/v1`; it takes OTLP below `/api/v1/otlp`.
    pub url: String,
}

/// Grafana, or the stand-in for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grafana {
    /// The base of `/api`.
    pub url: String,
    /// An administrator.
    pub user: String,
    /// The administrator's password.
    pub password: String,
    /// Whether it is the stand-in of the test bed, not the Grafana that `GRAFANA_URL` names.
    pub stand_in: bool,
}

/// A Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// A kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// Keeps kubectl's discovery of this cluster apart from that of others: its `KUBECACHEDIR`.
    pub kubectl_cache: PathBuf,
    /// The scripts' state: pid files, logs and sockets of the cluster.
    pub state: PathBuf,
}
