//! Applying objects and waiting for them, and doing so again when nothing has changed.

use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use testbed::{Cluster, Env, unique};

use crate::load::Load;
use crate::meter::Meter;
use crate::results::Case;
use crate::tool::{Cost, Tool, Tools};
use crate::{Failure, controller};

/// So many objects in all rounds of a case together; small cases have more rounds.
const IN_ALL: usize = 500;

/// Measures all sizes, the tools taking turns.
pub(crate) async fn measure(program: &Path, sizes: &[usize]) -> Result<Vec<Case>, Failure> {
    let cluster = Env::load()?.api_server()?;
    let client = client(&cluster).await?;
    let tools = Tools::find(program, &cluster)?;
    let controller = controller::start(&client).await?;
    let folder = tempfile::tempdir()?;
    let mut meters = Vec::new();
    for tool in Tool::ALL {
        let name = format!("{tool:?}");
        let meter = Meter::new(&cluster, client.clone(), folder.path(), &name).await?;
        meters.push((tool, meter));
    }
    let mut cases = Vec::new();
    let mut namespaces = Vec::new();
    for size in sizes {
        let load = Load::new(*size)?;
        let mut costs = Vec::new();
        for _ in 0..(IN_ALL / size).max(1) {
            for (tool, meter) in &meters {
                let namespace = unique("bench");
                kubectl(&cluster, &["create", "namespace", &namespace])?;
                let fresh = tools.run(*tool, &load, &namespace, meter).await?;
                let again = tools.run(*tool, &load, &namespace, meter).await?;
                eprintln!("{size} {tool:?}: {:?}, again {:?}", fresh.took, again.took);
                costs.push((*tool, [fresh, again]));
                namespaces.push(namespace);
            }
        }
        cases.extend(cases_of(*size, &costs));
    }
    controller.abort();
    // The server cleans up behind us; nothing is measured any more.
    let mut delete = vec!["delete", "namespace", "--wait=false"];
    delete.extend(namespaces.iter().map(String::as_str));
    kubectl(&cluster, &delete)?;
    Ok(cases)
}

async fn client(cluster: &Cluster) -> Result<Client, Failure> {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}

fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<(), Failure> {
    let output = cluster.kubectl()?.args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// Each tool beside firstlight, by the median of its rounds.
fn cases_of(size: usize, costs: &[(Tool, [Cost; 2])]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, what) in ["apply and wait", "again, nothing to do"]
        .into_iter()
        .enumerate()
    {
        let of = |tool: Tool| {
            let rounds = costs.iter().filter(|(other, _)| *other == tool);
            median(rounds.map(|(_, costs)| costs[at]).collect())
        };
        let Some(ours) = of(Tool::Firstlight) else {
            continue;
        };
        for tool in [Tool::Kubectl, Tool::Helm] {
            let case = format!("{what}, {size} objects");
            let peer = of(tool);
            cases.extend(peer.map(|peer| Case::new(case, ours, tool, peer)));
        }
    }
    cases
}

/// The round in the middle, by its time.
fn median(mut rounds: Vec<Cost>) -> Option<Cost> {
    rounds.sort_by_key(|cost| cost.took.max(Duration::ZERO));
    rounds.get(rounds.len() / 2).copied()
}
