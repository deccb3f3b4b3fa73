//! The tools, and how each applies a load and waits for it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use testbed::Cluster;
use tokio::process::Command;

use crate::Failure;
use crate::load::{GROUP, Load};
use crate::meter::{Meter, Reading};

/// One of the tools that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Firstlight,
    Kubectl,
    Helm,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Firstlight, Self::Kubectl, Self::Helm];

    /// As the results call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Firstlight => "firstlight",
            Self::Kubectl => "kubectl apply --server-side, kubectl wait",
            Self::Helm => "helm upgrade --install --wait",
        }
    }
}

/// What one round of one tool took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) took: Duration,
    pub(crate) used: Reading,
}

/// The programs.
pub(crate) struct Tools {
    firstlight: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
    cache: PathBuf,
}

impl Tools {
    pub(crate) fn find(firstlight: &Path, cluster: &Cluster) -> Result<Self, Failure> {
        Ok(Self {
            firstlight: std::path::absolute(firstlight)?,
            kubectl: PathBuf::from(cluster.kubectl()?.get_program()),
            helm: testbed::program("helm")?,
            cache: cluster.kubectl_cache.clone(),
        })
    }

    /// Lets a tool apply the load in a namespace and wait for it, as its users do.
    pub(crate) async fn run(
        &self,
        tool: Tool,
        load: &Load,
        namespace: &str,
        meter: &Meter,
    ) -> Result<Cost, Failure> {
        let before = meter.read().await?;
        let began = Instant::now();
        for mut command in self.commands(tool, load, namespace) {
            command
                .env("KUBECONFIG", &meter.kubeconfig)
                .env("KUBECACHEDIR", &self.cache)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let output = command.output().await?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{} failed: {said}", tool.name()).into());
            }
        }
        let elapsed = began.elapsed();
        let after = meter.read().await?;
        let used = Reading {
            requests: after.requests - before.requests,
            bytes: after.bytes - before.bytes,
        };
        Ok(Cost {
            took: elapsed,
            used,
        })
    }

    fn commands(&self, tool: Tool, load: &Load, namespace: &str) -> Vec<Command> {
        match tool {
            Tool::Firstlight => {
                let mut run = Command::new(&self.firstlight);
                run.arg("run")
                    .env("FIRSTLIGHT_BUNDLE", load.path("bundle"))
                    .env("FIRSTLIGHT_NAMESPACE", namespace)
                    .env("FIRSTLIGHT_TERMINATION_LOG", load.path("termination"));
                vec![run]
            }
            Tool::Kubectl => {
                let kubectl = |arguments: &[&str]| {
                    let mut kubectl = Command::new(&self.kubectl);
                    kubectl.args(["--namespace", namespace]).args(arguments);
                    kubectl
                };
                let mut apply = kubectl(&["apply", "--server-side", "--filename"]);
                apply.arg(load.path("objects.yaml"));
                let widgets = format!("widgets.{GROUP}");
                let wait = kubectl(&[
                    "wait",
                    "--for=condition=Ready",
                    &widgets,
                    "--all",
                    "--timeout=20m",
                ]);
                vec![apply, wait]
            }
            Tool::Helm => {
                let mut helm = Command::new(&self.helm);
                helm.args(["upgrade", "--install", "bench"])
                    .arg(load.path("chart"))
                    .args(["--namespace", namespace, "--wait", "--timeout", "20m"]);
                vec![helm]
            }
        }
    }
}
