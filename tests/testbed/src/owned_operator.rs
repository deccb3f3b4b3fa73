//! A real operator, and its admission webhook, that belong to one test.

use crate::error::InFile;
use crate::launch::Launch;
use crate::owned::Owned;
use crate::{Certificate, Cluster, Error, builds, place, ports, unique};
use std::fs;
use std::path::{Path, PathBuf};

/// The Prometheus operator, as a process beside the API server.
///
/// It looks after one namespace. It ends when this is dropped or this process ends.
#[derive(Debug)]
pub struct PrometheusOperator(Process);

/// The admission webhook of the Prometheus operator, as a process beside the API server.
///
/// It ends when this is dropped or this process ends.
#[derive(Debug)]
pub struct PrometheusAdmission(Process);

impl PrometheusOperator {
    /// Starts it as the administrator of a cluster; its definitions must be served by then, for
    /// it leaves alone the kinds that it does not find.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when it was not built.
    pub fn start(cluster: &Cluster, namespace: &str) -> Result<Self, Error> {
        let launch = Launch::new(built()?.join("operator"))
            .argument("--web.listen-address=127.0.0.1:0")
            .argument(format!("--namespaces={namespace}"))
            .variable("KUBECONFIG", &cluster.kubeconfig);
        Ok(Self(Process::start("operator", &launch)?))
    }

    /// The files with the definitions of its kinds.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when it was not built.
    pub fn definitions() -> Result<Vec<PathBuf>, Error> {
        let folder = built()?.join("crds");
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).file("read", &folder)? {
            let path = entry.file("read", &folder)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("monitoring.coreos.com_") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// All that it has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.log()
    }
}

impl PrometheusAdmission {
    /// Finds a port for it, where nobody answers yet.
    ///
    /// # Errors
    /// When none is free.
    pub fn port() -> Result<u16, Error> {
        ports::free()
    }

    /// Starts it with this certificate on this port of 127.0.0.1.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when it was not built.
    pub fn start(certificate: &Certificate, port: u16) -> Result<Self, Error> {
        let file = |option: &str, path: &Path| format!("--web.{option}={}", path.display());
        let launch = Launch::new(built()?.join("admission-webhook"))
            .argument("--web.enable-tls=true")
            .argument(format!("--web.listen-address=127.0.0.1:{port}"))
            .argument(file("cert-file", &certificate.certificate))
            .argument(file("key-file", &certificate.key));
        Ok(Self(Process::start("admission", &launch)?))
    }

    /// All that it has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.log()
    }
}

fn built() -> Result<PathBuf, Error> {
    builds::program("prometheus-operator")
}

/// A process and its log.
#[derive(Debug)]
struct Process {
    _owned: Owned,
    log: PathBuf,
}

impl Process {
    fn start(name: &'static str, launch: &Launch) -> Result<Self, Error> {
        let data = place::make_data(&place::state())?;
        let log = data.join(format!("{}.log", unique(name)));
        Ok(Self {
            _owned: Owned::start(name, launch, "INT", &log, None)?,
            log,
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}
