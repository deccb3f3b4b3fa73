//! How many requests the API server was sent, and how many bytes went to and fro.

use std::fs;
use std::path::{Path, PathBuf};

use kube::Client;
use testbed::{Cluster, Proxy};

use crate::Failure;

/// Counts what one tool does: it gets a way to the API server of its own.
pub(crate) struct Meter {
    client: Client,
    proxy: Proxy,
    pub(crate) kubeconfig: PathBuf,
}

/// What was counted so far.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

impl Meter {
    pub(crate) async fn new(
        cluster: &Cluster,
        client: Client,
        folder: &Path,
        tool: &str,
    ) -> Result<Self, Failure> {
        let text = fs::read_to_string(&cluster.kubeconfig)?;
        let (_, rest) = text
            .split_once("https://")
            .ok_or("no server in the kubeconfig")?;
        let server: String = rest
            .chars()
            .take_while(|c| !['"', ' ', ','].contains(c))
            .collect();
        let proxy = Proxy::start(&server).await?;
        let kubeconfig = folder.join(format!("{tool}.kubeconfig"));
        fs::write(
            &kubeconfig,
            text.replace(&server, &proxy.address().to_string()),
        )?;
        Ok(Self {
            client,
            proxy,
            kubeconfig,
        })
    }

    /// Requests are those that the server has counted, without what the stand-in controller writes.
    pub(crate) async fn read(&self) -> Result<Reading, Failure> {
        let metrics = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = self.client.request_text(metrics).await?;
        let counts = metrics
            .lines()
            .filter(|line| line.starts_with("apiserver_request_total{"))
            .filter(|line| !line.contains("subresource=\"status\""));
        let count = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|text| text.parse::<f64>().ok())
        };
        let total: f64 = counts.filter_map(count).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter of requests"
        )]
        let requests = total as u64;
        Ok(Reading {
            requests,
            bytes: self.proxy.carried(),
        })
    }
}
