//! How a test finds the servers: the environment file that `up` writes.

use crate::error::InFile;
use crate::record::Record;
use crate::{Error, place};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The servers of this checkout's test bed.
///
/// A server is asked for by its method, so that a test needs only the servers that it uses.
#[derive(Debug, Clone)]
pub struct Env {
    state: PathBuf,
    values: BTreeMap<String, String>,
}

/// Postgres 15: scram passwords, with TLS or without.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct Otelcol {
    /// Takes OTLP by gRPC.
    pub otlp_grpc: String,
    /// Takes OTLP by HTTP, below `/v1`.
    pub otlp_http: String,
    /// Everything it got, as OTLP/JSON, a line for each request, at most 200 ms late.
    pub received_file: PathBuf,
}

/// Prometheus 3 with its OTLP receiver.
#[derive(Debug, Clone)]
pub struct Prometheus {
    /// The base of `/api/v1`; it takes OTLP below `/api/v1/otlp`.
    pub url: String,
}

/// Grafana, or the stand-in for it.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct Cluster {
    /// A kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// Keeps kubectl's discovery of this cluster apart from that of others: its `KUBECACHEDIR`.
    pub kubectl_cache: PathBuf,
    /// The scripts' state: pid files, logs and sockets of the cluster.
    pub state: PathBuf,
}

impl Env {
    /// Reads what `up` has written for this checkout.
    ///
    /// # Errors
    /// [`Error::NotUp`] when nothing is up, [`Error::File`] when the file cannot be read.
    pub fn load() -> Result<Self, Error> {
        Self::load_from(&place::state())
    }

    pub(crate) fn load_from(state: &Path) -> Result<Self, Error> {
        let path = file(state);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NotUp { path: path.clone() },
            _ => Error::File {
                what: "read",
                path: path.clone(),
                source,
            },
        })?;
        let values = parse(&text)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Ok(Self {
            state: state.to_path_buf(),
            values,
        })
    }

    /// Postgres.
    ///
    /// # Errors
    /// As every server's: [`Error::Missing`] when it was not brought up, [`Error::Gone`] when it
    /// has ended since.
    pub fn postgres(&self) -> Result<PostgresServer, Error> {
        let at = self.server("postgres")?;
        Ok(PostgresServer {
            host: at.value("HOST")?,
            port: at.value("PORT")?,
            user: at.value("USER")?,
            password: at.value("PASSWORD")?,
            ca_file: at.value("CA_FILE")?,
        })
    }

    /// OpenSearch 3, without TLS and users.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn opensearch(&self) -> Result<OpenSearch, Error> {
        let at = self.server("opensearch")?;
        Ok(OpenSearch {
            url: at.value("URL")?,
            user: None,
            password: None,
            ca_file: None,
        })
    }

    /// OpenSearch 2.19 with the security plugin: TLS and users.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn opensearch_secure(&self) -> Result<OpenSearch, Error> {
        let at = self.server("opensearch-secure")?;
        Ok(OpenSearch {
            url: at.value("URL")?,
            user: Some(at.value("USER")?),
            password: Some(at.value("PASSWORD")?),
            ca_file: Some(at.value("CA_FILE")?),
        })
    }

    /// Jaeger.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn jaeger(&self) -> Result<Jaeger, Error> {
        let at = self.server("jaeger")?;
        Ok(Jaeger {
            query_url: at.value("QUERY_URL")?,
            otlp_grpc: at.value("OTLP_GRPC")?,
            otlp_http: at.value("OTLP_HTTP")?,
        })
    }

    /// The OpenTelemetry Collector.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn otelcol(&self) -> Result<Otelcol, Error> {
        let at = self.server("otelcol")?;
        Ok(Otelcol {
            otlp_grpc: at.value("OTLP_GRPC")?,
            otlp_http: at.value("OTLP_HTTP")?,
            received_file: at.value("RECEIVED_FILE")?,
        })
    }

    /// Prometheus.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn prometheus(&self) -> Result<Prometheus, Error> {
        let at = self.server("prometheus")?;
        Ok(Prometheus {
            url: at.value("URL")?,
        })
    }

    /// The Grafana that `GRAFANA_URL`, `GRAFANA_USER` and `GRAFANA_PASSWORD` of the environment
    /// name (both `admin` by default); without `GRAFANA_URL` the stand-in.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn grafana(&self) -> Result<Grafana, Error> {
        let named = |key| std::env::var(key).ok().filter(|value| !value.is_empty());
        if let Some(url) = named("GRAFANA_URL") {
            return Ok(Grafana {
                url: url.trim_end_matches('/').to_owned(),
                user: named("GRAFANA_USER").unwrap_or_else(|| "admin".to_owned()),
                password: named("GRAFANA_PASSWORD").unwrap_or_else(|| "admin".to_owned()),
                stand_in: false,
            });
        }
        let at = self.server("grafana")?;
        Ok(Grafana {
            url: at.value("URL")?,
            user: at.value("USER")?,
            password: at.value("PASSWORD")?,
            stand_in: true,
        })
    }

    /// A Kubernetes API server without nodes and controllers: objects, admission and RBAC are
    /// real, but nothing runs and nothing becomes ready by itself.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn api_server(&self) -> Result<Cluster, Error> {
        self.kubernetes("apiserver")
    }

    /// A Kubernetes cluster of one node with a real kubelet.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn cluster(&self) -> Result<Cluster, Error> {
        self.kubernetes("cluster")
    }

    fn kubernetes(&self, name: &'static str) -> Result<Cluster, Error> {
        let at = self.server(name)?;
        Ok(Cluster {
            kubeconfig: at.value("KUBECONFIG")?,
            kubectl_cache: at.value("KUBECACHEDIR")?,
            state: at.value("STATE")?,
        })
    }

    fn server(&self, name: &'static str) -> Result<Server<'_>, Error> {
        let folder = self.state.join(name);
        match Record::read(&folder)? {
            None => Err(Error::Missing { server: name }),
            Some(record) if !record.is_running() => Err(Error::Gone {
                server: name,
                log: folder.join("log"),
            }),
            Some(_) => Ok(Server { env: self, name }),
        }
    }
}

struct Server<'a> {
    env: &'a Env,
    name: &'static str,
}

impl Server<'_> {
    fn value<T: FromStr>(&self, key: &str) -> Result<T, Error> {
        let key = key_of(self.name, key);
        let value = self
            .env
            .values
            .get(&key)
            .ok_or(Error::Missing { server: self.name })?;
        value.parse().map_err(|_| Error::Malformed {
            path: file(&self.env.state),
            key,
            value: value.clone(),
        })
    }
}

/// The environment file of a state folder.
pub(crate) fn file(state: &Path) -> PathBuf {
    state.join("env")
}

/// `opensearch-secure`, `URL` → `TESTBED_OPENSEARCH_SECURE_URL`.
pub(crate) fn key_of(server: &str, key: &str) -> String {
    format!(
        "TESTBED_{}_{key}",
        server.to_ascii_uppercase().replace('-', "_")
    )
}

/// Writes the values of one server, beside those of the others, in one step.
pub(crate) fn write(state: &Path, server: &str, values: &[(&str, String)]) -> Result<(), Error> {
    let folder = state.join(server);
    let own: Vec<String> = values
        .iter()
        .map(|(key, value)| format!("{}={value}\n", key_of(server, key)))
        .collect();
    replace(&folder.join("env"), &own.concat())?;
    let mut all = String::from("# Written by `cargo run -p testbed -- up`.\n");
    let mut parts = Vec::new();
    for entry in fs::read_dir(state).file("read", state)? {
        parts.push(entry.file("read", state)?.path().join("env"));
    }
    parts.sort();
    for part in parts.iter().filter(|part| part.is_file()) {
        all.push_str(&fs::read_to_string(part).file("read", part)?);
    }
    replace(&file(state), &all)
}

/// A reader sees the old text or the new one, never a half.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    fs::write(&new, text).file("write", &new)?;
    fs::rename(&new, path).file("write", path)
}

fn parse(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::{Env, key_of};
    use crate::Error;

    #[test]
    fn a_key_says_whose_it_is() {
        assert_eq!(
            key_of("opensearch-secure", "URL"),
            "TESTBED_OPENSEARCH_SECURE_URL"
        );
    }

    #[test]
    fn an_absent_test_bed_names_the_command() {
        let missing = Env::load_from(std::path::Path::new("/nonexistent"));
        let error = missing.expect_err("there is none");
        assert!(matches!(error, Error::NotUp { .. }), "{error}");
        assert!(error.to_string().contains("cargo run -p testbed -- up"));
    }
}
