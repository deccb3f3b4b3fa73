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
}

/// What a tool took to apply, and to apply and wait. Only kubectl does one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) applied: Cost,
    pub(crate) whole: Cost,
}

/// What it took.
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
    ) -> Result<Round, Failure> {
        let before = meter.read().await?;
        let mut costs = Vec::new();
        let mut spent = Duration::ZERO;
        for mut command in self.commands(tool, load, namespace) {
            command
                .env("KUBECONFIG", &meter.kubeconfig)
                .env("KUBECACHEDIR", &self.cache)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let began = Instant::now();
            let output = command.output().await?;
            spent += began.elapsed();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{tool:?} failed: {said}").into());
            }
            let after = meter.read().await?;
            let used = Reading {
                requests: after.requests - before.requests,
                bytes: after.bytes - before.bytes,
            };
            costs.push(Cost { took: spent, used });
        }
        let (Some(applied), Some(whole)) = (costs.first(), costs.last()) else {
            return Err("a tool without commands".into());
        };
        Ok(Round {
            applied: *applied,
            whole: *whole,
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
