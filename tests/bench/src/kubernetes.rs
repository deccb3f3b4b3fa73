//! Applying objects and waiting for them, and doing so again when nothing has changed.

use std::path::Path;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use testbed::{Cluster, Env, unique};

use crate::load::Load;
use crate::meter::Meter;
use crate::results::Case;
use crate::tool::{Cost, Round, Tool, Tools};
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
                let [first, second] = [fresh, again].map(|round| round.whole.took);
                eprintln!("{size} {tool:?}: {first:?}, again {second:?}");
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

/// The administrator.
pub(crate) async fn client(cluster: &Cluster) -> Result<Client, Failure> {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Client::try_from(config)?)
}

/// Does as a user would.
pub(crate) fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<(), Failure> {
    let output = cluster.kubectl()?.args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// What of a round is compared.
type Part = fn(&Round) -> Cost;

/// Each tool beside firstlight, by the median of its rounds.
fn cases_of(size: usize, costs: &[(Tool, [Round; 2])]) -> Vec<Case> {
    let of = |tool: Tool, at: usize, part: Part| {
        let rounds = costs.iter().filter(|(other, _)| *other == tool);
        median(rounds.map(|(_, rounds)| part(&rounds[at])).collect())
    };
    let peers: [(Tool, &str, Part); 3] = [
        (
            Tool::Kubectl,
            "kubectl apply --server-side, kubectl wait",
            |it| it.whole,
        ),
        (Tool::Kubectl, "kubectl apply --server-side alone", |it| {
            it.applied
        }),
        (Tool::Helm, "helm upgrade --install --wait", |it| it.whole),
    ];
    let mut cases = Vec::new();
    for (at, what) in ["apply and wait", "again, nothing to do"]
        .into_iter()
        .enumerate()
    {
        let ours = of(Tool::Firstlight, at, |it| it.whole);
        for (tool, name, part) in peers {
            if let (Some(ours), Some(peer)) = (ours, of(tool, at, part)) {
                cases.push(Case::new(
                    format!("{what}, {size} objects"),
                    ours,
                    name,
                    peer,
                ));
            }
        }
    }
    cases
}

/// The round in the middle, by its time.
fn median(mut rounds: Vec<Cost>) -> Option<Cost> {
    rounds.sort_by_key(|cost| cost.took);
    rounds.get(rounds.len() / 2).copied()
}
