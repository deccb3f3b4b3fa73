//! Kubernetes, by the scripts of `tests/testbed/cluster`: namespaces, mounts and images are their trade.

use crate::address::Cluster;
use crate::builds::Builds;
use crate::error::InFile;
use crate::launch::Launch;
use crate::record::Record;
use crate::room::Room;
use crate::stop::stop_script;
use crate::{Error, grafana, place};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const UP: Duration = Duration::from_mins(15);
const DOWN: Duration = Duration::from_mins(3);
const IMAGES: Duration = Duration::from_mins(30);

/// Only the API server and its store.
pub(crate) async fn start_apiserver(room: &Room<'_>, builds: &Builds) -> Result<Cluster, Error> {
    builds
        .program(room, "kubernetes", "KUBERNETES_VERSION")
        .await?;
    let script = cluster_script(room, "apiserver-up.sh");
    bring_up(room, &script, "pids/kube-apiserver").await
}

/// A whole cluster of one node, with the images of the quickstart.
pub(crate) async fn start_cluster(room: &Room<'_>, builds: &Builds) -> Result<Cluster, Error> {
    room.say("building what is not built yet");
    let (stand_in, ..) = futures::try_join!(
        grafana::static_program(room),
        builds.program(room, "kubernetes", "KUBERNETES_VERSION"),
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
    let ready = tokio::process::Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(&cluster.kubeconfig)
        .args(["--request-timeout=10s", "get", "--raw", "/readyz"])
        .env("KUBECACHEDIR", &cluster.kubectl_cache)
        .output()
        .await
        .map_err(|source| Error::Program {
            program: PathBuf::from("kubectl"),
            source,
        })?;
    if ready.status.success() {
        return Ok(());
    }
    Err(Error::Never {
        what: "its API server is not ready".to_owned(),
        because: String::from_utf8_lossy(&ready.stderr).trim().to_owned(),
    })
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
