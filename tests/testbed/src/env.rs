//! How a test finds the servers: by the addresses that `up` writes.

use crate::address::{Cluster, Grafana, Jaeger, OpenSearch, Otelcol, PostgresServer, Prometheus};
use crate::error::InFile;
use crate::record::Record;
use crate::{Error, place};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The servers of this checkout's test bed.
///
/// A server is asked for by its method, so that a test needs only the servers that it uses.
#[derive(Debug, Clone)]
pub struct Env {
    state: PathBuf,
}

impl Env {
    /// Finds what `up` has written for this checkout.
    ///
    /// # Errors
    /// [`Error::NotUp`] when nothing is up.
    pub fn load() -> Result<Self, Error> {
        Self::load_from(&place::state())
    }

    pub(crate) fn load_from(state: &Path) -> Result<Self, Error> {
        let path = file(state);
        if !path.exists() {
            return Err(Error::NotUp { path });
        }
        Ok(Self {
            state: state.to_path_buf(),
        })
    }

    /// Postgres.
    ///
    /// # Errors
    /// As every server's: [`Error::Missing`] when it was not brought up, [`Error::Gone`] when it
    /// has ended since.
    pub fn postgres(&self) -> Result<PostgresServer, Error> {
        self.server("postgres")
    }

    /// OpenSearch 3, without TLS and users.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn opensearch(&self) -> Result<OpenSearch, Error> {
        self.server("opensearch")
    }

    /// OpenSearch 2.19 with the security plugin: TLS and users.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn opensearch_secure(&self) -> Result<OpenSearch, Error> {
        self.server("opensearch-secure")
    }

    /// Jaeger.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn jaeger(&self) -> Result<Jaeger, Error> {
        self.server("jaeger")
    }

    /// The OpenTelemetry Collector.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn otelcol(&self) -> Result<Otelcol, Error> {
        self.server("otelcol")
    }

    /// Prometheus.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn prometheus(&self) -> Result<Prometheus, Error> {
        self.server("prometheus")
    }

    /// The Grafana that `GRAFANA_URL`, `GRAFANA_USER` and `GRAFANA_PASSWORD` of the environment
    /// name (both `admin` by default); without `GRAFANA_URL` the stand-in.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn grafana(&self) -> Result<Grafana, Error> {
        let named = |key| std::env::var(key).ok().filter(|value| !value.is_empty());
        let Some(url) = named("GRAFANA_URL") else {
            return self.stand_in();
        };
        Ok(Grafana {
            url: url.trim_end_matches('/').to_owned(),
            user: named("GRAFANA_USER").unwrap_or_else(|| "admin".to_owned()),
            password: named("GRAFANA_PASSWORD").unwrap_or_else(|| "admin".to_owned()),
            stand_in: false,
        })
    }

    pub(crate) fn stand_in(&self) -> Result<Grafana, Error> {
        self.server("grafana")
    }

    /// A Kubernetes API server without nodes: objects, admission, RBAC, namespaces and garbage
    /// collection are real, but no pod runs and no workload becomes ready by itself.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn api_server(&self) -> Result<Cluster, Error> {
        self.server("apiserver")
    }

    /// A Kubernetes cluster of one node with a real kubelet.
    ///
    /// # Errors
    /// See [`Env::postgres`].
    pub fn cluster(&self) -> Result<Cluster, Error> {
        self.server("cluster")
    }

    fn server<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Error> {
        let folder = place::folder(&self.state, name);
        let path = address(&folder);
        let Ok(text) = fs::read_to_string(&path) else {
            return Err(Error::Missing { server: name });
        };
        if !Record::read(&folder)?.is_some_and(|record| record.is_running()) {
            return Err(Error::Gone {
                server: name,
                log: folder.join("log"),
            });
        }
        serde_json::from_str(&text).map_err(|source| Error::Malformed { path, source })
    }
}

/// The environment file of a state folder.
pub(crate) fn file(state: &Path) -> PathBuf {
    state.join("env")
}

/// The file with a server's address; it is there from the moment when the server is ready.
pub(crate) fn address(folder: &Path) -> PathBuf {
    folder.join("address.json")
}

/// Writes the address of a server that is ready, for tests, and into the environment file.
pub(crate) fn write(state: &Path, server: &str, value: &impl Serialize) -> Result<(), Error> {
    let path = address(&place::folder(state, server));
    let text = serde_json::to_string_pretty(value).map_err(|source| Error::Malformed {
        path: path.clone(),
        source,
    })?;
    replace(&path, &text)?;
    write_file(state)
}

/// Writes the environment file anew, from the addresses of all servers that are ready.
pub(crate) fn write_file(state: &Path) -> Result<(), Error> {
    let mut lines = vec!["# Written by `cargo run -p testbed -- up`.\n".to_owned()];
    for folder in folders(state)? {
        let path = address(&folder);
        let (Some(name), Ok(text)) = (folder.file_name(), fs::read_to_string(&path)) else {
            continue;
        };
        let fields: Map<String, Value> =
            serde_json::from_str(&text).map_err(|source| Error::Malformed { path, source })?;
        lines.extend(fields.iter().filter_map(|(key, value)| {
            let value = match value {
                Value::Null => return None,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some(format!(
                "{}={value}\n",
                key_of(&name.to_string_lossy(), key)
            ))
        }));
    }
    replace(&file(state), &lines.concat())
}

/// The folders of all that was started, in the order of their names.
pub(crate) fn folders(state: &Path) -> Result<Vec<PathBuf>, Error> {
    let parent = place::folders(state);
    let entries = match fs::read_dir(&parent) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.file("read", &parent)?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.file("read", &parent)?.path());
    }
    folders.sort();
    Ok(folders)
}

/// `opensearch-secure`, `url` → `TESTBED_OPENSEARCH_SECURE_URL`.
fn key_of(server: &str, key: &str) -> String {
    format!("testbed_{server}_{key}")
        .to_ascii_uppercase()
        .replace('-', "_")
}

/// A reader sees the old text or the new one, never a half.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    fs::write(&new, text).file("write", &new)?;
    fs::rename(&new, path).file("write", path)
}

#[cfg(test)]
mod tests {
    use super::{Env, key_of};
    use crate::Error;

    #[test]
    fn a_key_says_whose_it_is() {
        assert_eq!(
            key_of("opensearch-secure", "url"),
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
