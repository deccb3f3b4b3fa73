//! The OpenSearch operator: `OpenSearchCluster`, and what is written into a cluster.

use super::super::kind::{DEPLOYMENT, JOB, POD, STATEFUL_SET};
use super::super::live::Live;
use super::verdict::{PERSON, PODS, SETTLE};
use super::{Need, Rule, Sight, Verdict, pod_trouble, pods, workload, workloads};

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "OpenSearchCluster" => Some(Rule::Around {
            needs: cluster_needs,
            verdict: cluster,
        }),
        "OpenSearchISMPolicy"
        | "OpensearchActionGroup"
        | "OpensearchComponentTemplate"
        | "OpensearchIndexTemplate"
        | "OpensearchRole"
        | "OpensearchSnapshotPolicy"
        | "OpensearchTenant"
        | "OpensearchUser"
        | "OpensearchUserRoleBinding" => Some(Rule::Around {
            needs: |_| vec![Need::Events],
            verdict: content,
        }),
        _ => None,
    }
}

fn cluster_needs(sight: &Sight<'_>) -> Vec<Need> {
    let mut needs = vec![
        sight.need(&POD, bootstrap(sight)),
        sight.need(&JOB, security(sight)),
        Need::Events,
    ];
    needs.extend(pools(sight).map(|name| sight.need(&STATEFUL_SET, name)));
    if has_dashboards(sight.object) {
        needs.push(sight.need(&DEPLOYMENT, dashboards(sight)));
    }
    let sets = sight.all("StatefulSet");
    let incomplete = sets.filter(|set| !workloads::stateful_set(set).is_ready());
    let jobs = sight.all("Job").filter(|job| !pods::job(job).is_ready());
    needs.extend(incomplete.chain(jobs).map(Sight::need_pods));
    needs
}

/// `phase: RUNNING` is written before anything exists and never changes, so it is not read.
fn cluster(sight: &Sight<'_>) -> Verdict {
    let Some(why) = unready_workload(sight).or_else(|| unsaid(sight.object)) else {
        // Everything is well for a moment just before the operator restarts every node.
        return Verdict::ReadyIfHeld(SETTLE);
    };
    if let Some(refused) = refused_version(sight) {
        return Verdict::trouble(refused, PERSON);
    }
    match pod_trouble::of_any(sight) {
        Some(trouble) => Verdict::trouble(format!("{why}; {trouble}"), PODS),
        None => Verdict::NotReady(why),
    }
}

fn unready_workload(sight: &Sight<'_>) -> Option<String> {
    let why = |verdict: Verdict| verdict.why().map(str::to_owned);
    let unready = pools(sight).find_map(|name| why(workload(sight, "StatefulSet", &name)));
    if unready.is_some() {
        return unready;
    }
    if sight.one("Pod", &bootstrap(sight)).is_some() {
        return Some(format!(
            "the bootstrap pod {} is still there",
            bootstrap(sight)
        ));
    }
    // It is taken away some time after it has ended.
    if let Some(job) = sight.one("Job", &security(sight))
        && let Some(said) = pods::job(job).why()
    {
        return Some(format!("Job {}: {said}", job.name()));
    }
    if has_dashboards(sight.object) {
        return why(workload(sight, "Deployment", &dashboards(sight)));
    }
    None
}

/// What the status does not say yet.
fn unsaid(cluster: &Live) -> Option<String> {
    for component in cluster.list("/status/componentsStatus") {
        let text = |key: &str| component[key].as_str().unwrap_or_default();
        if text("status") != "Finished" {
            return Some(format!("{} is {}", text("component"), text("status")));
        }
    }
    if cluster
        .at("/status/initialized")
        .is_none_or(|it| it != true)
    {
        return Some("the cluster is not initialised yet".to_owned());
    }
    let health = cluster.text("/status/health");
    if !matches!(health, "green" | "yellow") {
        return Some(format!("its health is {health:?}"));
    }
    let nodes = cluster.list("/spec/nodePools").iter();
    let wanted: i64 = nodes.filter_map(|pool| pool["replicas"].as_i64()).sum();
    let available = cluster.count("/status/availableNodes");
    if available != wanted {
        return Some(format!("{available} of {wanted} nodes available"));
    }
    let (is, asked) = (
        cluster.text("/status/version"),
        cluster.text("/spec/general/version"),
    );
    (is != asked).then(|| format!("its version is {is:?}, not {asked:?}"))
}

/// A version that the operator refuses changes nothing but leaves an event, and that is no warning.
fn refused_version(sight: &Sight<'_>) -> Option<String> {
    let cluster = sight.object;
    if cluster.text("/status/version") == cluster.text("/spec/general/version") {
        return None;
    }
    let mut events = sight.all("Event");
    let refused = events.find(|event| {
        event.text("/reason") == "Upgrade" && event.text("/message").starts_with("Failed")
    })?;
    Some(super::sight::said(refused))
}

fn pools(sight: &Sight<'_>) -> impl Iterator<Item = String> {
    let name = sight.name();
    let pools = sight.object.list("/spec/nodePools").iter();
    pools.map(move |pool| format!("{name}-{}", pool["component"].as_str().unwrap_or_default()))
}

fn bootstrap(sight: &Sight<'_>) -> String {
    format!("{}-bootstrap-0", sight.name())
}

fn security(sight: &Sight<'_>) -> String {
    format!("{}-securityconfig-update", sight.name())
}

fn has_dashboards(cluster: &Live) -> bool {
    let enabled = cluster.at("/spec/dashboards/enable");
    enabled.is_some_and(|enabled| enabled == true)
}

fn dashboards(sight: &Sight<'_>) -> String {
    format!("{}-dashboards", sight.name())
}

/// A policy, a template, a role, a user: the status has one word, and not of which generation.
fn content(sight: &Sight<'_>) -> Verdict {
    let object = sight.object;
    let said = |otherwise: &str| match object.text("/status/reason") {
        "" => otherwise.to_owned(),
        reason => reason.to_owned(),
    };
    match object.text("/status/state") {
        // Of the first generation there is no older answer.
        "CREATED" if object.generation().is_none_or(|number| number <= 1) => Verdict::Ready,
        "CREATED" => Verdict::ReadyIfHeld(SETTLE),
        "IGNORED" => Verdict::Failed(format!(
            "the operator leaves alone what it has not made: {}",
            said("it was on the server before")
        )),
        "ERROR" => Verdict::trouble(said("the operator does not say why"), PERSON),
        state => match sight.warning() {
            Some(warning) => Verdict::trouble(warning, PERSON),
            None if state.is_empty() => Verdict::not_ready("the operator has not taken it up yet"),
            None => Verdict::NotReady(format!("{state}: {}", said("no reason given"))),
        },
    }
}
