//! Kubernetes, by the scripts of `tests/testbed/cluster`: namespaces, mounts and images are their trade.

use crate::address::Cluster;
use crate::builds::Builds;
use crate::error::InFile;
use crate::launch::Launch;
use crate::record::{Process, Record};
use crate::room::Room;
use crate::stop::stop_script;
use crate::{Error, grafana, place};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const UP: Duration = Duration::from_mins(15);
const DOWN: Duration = Duration::from_mins(3);
const IMAGES: Duration = Duration::from_mins(30);

impl Cluster {
    /// The kubectl that was built with this cluster, as its administrator.
    ///
    /// # Errors
    /// When the file of versions has none of Kubernetes.
    pub fn kubectl(&self) -> Result<Command, Error> {
        let version = place::version("KUBERNETES_VERSION")?;
        let program = place::cache()
            .join("kubernetes")
            .join(version)
            .join("bin/kubectl");
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .env("KUBECACHEDIR", &self.kubectl_cache);
        Ok(command)
    }

    /// What kubectl prints, with this text on its standard input.
    ///
    /// # Errors
    /// When kubectl cannot be run; [`Error::Never`] with all that it said when it fails.
    pub fn kubectl_says(&self, arguments: &[&str], input: &str) -> Result<String, Error> {
        let mut command = self.kubectl()?;
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = PathBuf::from(command.get_program());
        let failed = |source| Error::Program {
            program: program.clone(),
            source,
        };
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without having read says itself why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(Error::Never {
            what: format!("kubectl {arguments:?} failed"),
            because: text(&output.stdout) + &text(&output.stderr),
        })
    }

    /// Imports an image from an OCI archive.
    ///
    /// # Errors
    /// When the script that imports cannot be run or fails.
    pub fn import(&self, archive: &Path) -> Result<(), Error> {
        self.script("import.sh", [archive.as_os_str()]).map(drop)
    }

    /// Makes a port of a Service reachable at 127.0.0.1 until the cluster ends, and gives the
    /// port there. Only clusters with nodes have something to reach.
    ///
    /// # Errors
    /// When the script that forwards cannot be run or fails.
    pub fn forward(&self, service: &str, port: u16) -> Result<u16, Error> {
        let port = port.to_string();
        let said = self.script("forward.sh", ["0", service, &port])?;
        said.trim().parse().map_err(|_| Error::Never {
            what: format!("{service} cannot be forwarded"),
            because: said,
        })
    }

    /// Makes 127.0.0.1:`port` of this machine reachable inside the cluster, at the same address
    /// there, until the cluster ends: for a server of a test that the API server is to call.
    ///
    /// # Errors
    /// When the script that exposes cannot be run or fails.
    pub fn expose(&self, port: u16) -> Result<(), Error> {
        self.script("expose.sh", [port.to_string()]).map(drop)
    }

    /// Kills a container, by the id of its status, as the kernel does: without a word. Whoever
    /// deletes a pod, also by force, lets the kubelet tell it two seconds before.
    ///
    /// # Errors
    /// When the script that enters the node cannot be run or the container is not there.
    pub fn kill(&self, container: &str) -> Result<(), Error> {
        let id = container.rsplit('/').next().unwrap_or(container);
        let command = ["ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", id];
        self.script("enter.sh", command).map(drop)
    }

    /// What a script of `tests/testbed/cluster` prints.
    fn script<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String, Error> {
        let program = place::scripts().join("cluster").join(name);
        let state = self.state.parent().unwrap_or(&self.state);
        let mut command = Command::new(&program);
        command.env("TESTBED_STATE", state).args(arguments);
        let output = command
            .output()
            .map_err(|source| Error::Program { program, source })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(Error::Never {
            what: format!("{name} failed"),
            because: text(&output.stderr),
        })
    }
}

/// Only the API server and its store. What tests use of operators beside it is built too.
pub(crate) async fn start_apiserver(room: &Room<'_>, builds: &Builds) -> Result<Cluster, Error> {
    futures::try_join!(
        builds.program(room, "kubernetes", "KUBERNETES_VERSION"),
        builds.program(room, "prometheus-operator", "PROMETHEUS_OPERATOR_VERSION"),
        builds.program(
            room,
            "opentelemetry-operator",
            "OPENTELEMETRY_OPERATOR_VERSION"
        ),
    )?;
    let script = cluster_script(room, "apiserver-up.sh");
    bring_up(room, &script, "pids/kube-apiserver").await
}

/// A whole cluster of one node, with the images of the quickstart.
pub(crate) async fn start_cluster(room: &Room<'_>, builds: &Builds) -> Result<Cluster, Error> {
    room.say("building what is not built yet");
    let (stand_in, ..) = futures::try_join!(
        grafana::static_program(room),
        builds.program(room, "kubernetes", "KUBERNETES_VERSION"),
        builds.program(room, "pause", "PAUSE_VERSION"),
        builds.program(room, "coredns", "COREDNS_VERSION"),
        builds.program(room, "opensearch", "OPENSEARCH_VERSION"),
        builds.program(room, "jaeger", "JAEGER_VERSION"),
        builds.program(room, "otelcol", "OTELCOL_VERSION"),
        builds.program(room, "prometheus", "PROMETHEUS_VERSION"),
    )?;
    let images = Launch::new(place::scripts().join("images/build.sh"))
        .variable("GRAFANA_STAND_IN", &stand_in);
    room.say("making the images that are not made yet");
    room.of("build-images").run(&images, IMAGES).await?;
    let script = cluster_script(room, "up.sh").variable("GRAFANA_STAND_IN", &stand_in);
    room.say("starting the node");
    bring_up(room, &script, "init.pid").await
}

/// Runs the script, then puts the process that stands for the cluster on record.
async fn bring_up(room: &Room<'_>, script: &Launch, pid_file: &str) -> Result<Cluster, Error> {
    let state = room.state().join(&room.name);
    room.run(script, UP).await?;
    adopt(&state.join(pid_file), &room.folder())?;
    Ok(Cluster {
        kubeconfig: state.join("kubeconfig"),
        kubectl_cache: room.folder().join("kubectl-cache"),
        state,
    })
}

fn adopt(pid_file: &Path, folder: &Path) -> Result<(), Error> {
    let text = fs::read_to_string(pid_file).file("read", pid_file)?;
    let pid = text.trim().parse().map_err(|_| Error::Proc {
        path: pid_file.to_path_buf(),
        text: text.clone(),
    })?;
    Record::of(pid, &PathBuf::from(format!("/proc/{pid}/exe")))?.write(folder)
}

fn cluster_script(room: &Room<'_>, script: &str) -> Launch {
    Launch::new(place::scripts().join("cluster").join(script))
        .variable("TESTBED_STATE", room.state())
}

/// Whether its API server says that it is ready.
pub(crate) async fn ask(cluster: &Cluster) -> Result<(), Error> {
    let mut kubectl = tokio::process::Command::from(cluster.kubectl()?);
    kubectl.args(["--request-timeout=10s", "get", "--raw", "/readyz"]);
    let program = PathBuf::from("kubectl");
    let ready = kubectl.output().await;
    let ready = ready.map_err(|source| Error::Program { program, source })?;
    if ready.status.success() {
        return Ok(());
    }
    Err(Error::Never {
        what: "its API server is not ready".to_owned(),
        because: String::from_utf8_lossy(&ready.stderr).trim().to_owned(),
    })
}

/// The memory that its processes have in use, in bytes: the scripts have marked them all.
pub(crate) fn resident(state: &Path, name: &str) -> u64 {
    let mark = format!("FIRSTLIGHT_TESTBED={}", state.join(name).display());
    Process::all()
        .iter()
        .filter(|process| process.has_variable(&mark))
        .filter_map(Process::resident)
        .sum()
}

/// Ends a cluster, also one of which only a part has come up.
pub(crate) async fn end(room: &Room<'_>) -> Result<(), Error> {
    let folder = room.folder();
    if !crate::env::address(&folder).exists() {
        // What is on record is the script that was cut short, not the cluster.
        stop_script(&folder).await?;
    }
    if !room.state().join(&room.name).exists() {
        return Ok(());
    }
    let down = cluster_script(room, "down.sh").argument(&room.name);
    room.of(&format!("down-{}", room.name))
        .run(&down, DOWN)
        .await
}
