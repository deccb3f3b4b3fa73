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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::judged;
    use super::*;

    fn nodes(ready: i64, updated: i64) -> Value {
        json!({ "kind": "StatefulSet", "metadata": { "name": "logs-nodes", "generation": 2 },
            "spec": { "replicas": 3, "updateStrategy": { "type": "OnDelete" } },
            "status": { "observedGeneration": 2, "replicas": 3, "readyReplicas": ready,
                        "updatedReplicas": updated } })
    }

    fn logs(status: &Value) -> Value {
        let mut cluster = json!({
            "apiVersion": "opensearch.opster.io/v1",
            "kind": "OpenSearchCluster",
            "metadata": { "name": "logs", "namespace": "lens" },
            "spec": { "general": { "version": "2.19.3" },
                      "nodePools": [{ "component": "nodes", "replicas": 3 }] },
            "status": { "phase": "RUNNING", "health": "green", "initialized": true,
                        "availableNodes": 3, "version": "2.19.3",
                        "componentsStatus": [{ "component": "Restarter", "status": "Finished" }] },
        });
        for (key, value) in status.as_object().expect("fields") {
            cluster["status"][key] = value.clone();
        }
        cluster
    }

    #[test]
    fn a_cluster_is_ready_with_all_its_nodes_in_the_newest_revision() {
        let well = [nodes(3, 3)];
        let held = Verdict::ReadyIfHeld(SETTLE);
        assert_eq!(judged(&logs(&json!({})), &well), held);
        assert_eq!(judged(&logs(&json!({ "health": "yellow" })), &well), held);
        for (status, expected) in [
            (
                json!({ "componentsStatus": [{ "component": "Restarter", "status": "InProgress" }] }),
                "Restarter is InProgress",
            ),
            (
                json!({ "initialized": null }),
                "the cluster is not initialised yet",
            ),
            (json!({ "health": "unknown" }), "its health is \"unknown\""),
            (json!({ "availableNodes": 2 }), "2 of 3 nodes available"),
            (
                json!({ "version": "2.18.0" }),
                "its version is \"2.18.0\", not \"2.19.3\"",
            ),
        ] {
            let found = judged(&logs(&status), &well);
            assert_eq!(found, Verdict::not_ready(expected));
        }
    }

    #[test]
    fn what_stands_around_a_cluster_counts_more_than_its_words() {
        let pod = |name: &str| json!({ "kind": "Pod", "metadata": { "name": name } });
        let job = |status: Value| {
            json!({ "kind": "Job", "metadata": { "name": "logs-securityconfig-update" },
                    "status": status })
        };
        let done = job(json!({ "conditions": [{ "type": "Complete", "status": "True" }] }));
        for (around, expected) in [
            (vec![], "StatefulSet logs-nodes is not there yet"),
            (
                vec![nodes(2, 3)],
                "StatefulSet logs-nodes: 2 of 3 pods ready",
            ),
            (
                vec![nodes(3, 2)],
                "StatefulSet logs-nodes: 2 of 3 pods updated, which waits until they are deleted (OnDelete)",
            ),
            (
                vec![nodes(3, 3), pod("logs-bootstrap-0")],
                "the bootstrap pod logs-bootstrap-0 is still there",
            ),
            (
                vec![nodes(3, 3), job(json!({}))],
                "Job logs-securityconfig-update: not started",
            ),
        ] {
            assert_eq!(
                judged(&logs(&json!({})), &around),
                Verdict::not_ready(expected)
            );
        }
        assert_eq!(
            judged(&logs(&json!({})), &[nodes(3, 3), done]),
            Verdict::ReadyIfHeld(SETTLE)
        );
    }

    #[test]
    fn a_refused_version_is_an_event_that_is_no_warning() {
        let event = json!({ "kind": "Event", "type": "Normal", "reason": "Upgrade",
                            "message": "Failed to validation version" });
        assert_eq!(
            judged(
                &logs(&json!({ "version": "2.20.0" })),
                &[nodes(3, 3), event]
            ),
            Verdict::trouble("Upgrade: Failed to validation version", PERSON)
        );
    }

    #[test]
    fn the_word_of_what_is_written_into_a_cluster() {
        let of = |generation: i64, status: &Value, around: &[Value]| {
            let object = json!({ "apiVersion": "opensearch.org/v1", "kind": "OpenSearchISMPolicy",
                "metadata": { "name": "week", "generation": generation }, "status": status });
            judged(&object, around)
        };
        let state = |state: &str| json!({ "state": state, "reason": "the reason" });
        let not_ready = Verdict::not_ready;
        assert_eq!(of(1, &state("CREATED"), &[]), Verdict::Ready);
        assert_eq!(of(2, &state("CREATED"), &[]), Verdict::ReadyIfHeld(SETTLE));
        assert_eq!(
            of(1, &state("IGNORED"), &[]),
            Verdict::Failed(
                "the operator leaves alone what it has not made: the reason".to_owned()
            )
        );
        assert_eq!(
            of(1, &state("ERROR"), &[]),
            Verdict::trouble("the reason", PERSON)
        );
        assert_eq!(
            of(1, &state("PENDING"), &[]),
            not_ready("PENDING: the reason")
        );
        assert_eq!(
            of(1, &json!({}), &[]),
            not_ready("the operator has not taken it up yet")
        );
        let event = json!({ "kind": "Event", "type": "Warning", "reason": "OpensearchAPIError",
                            "message": "failed to create ism policy" });
        assert_eq!(
            of(1, &json!({}), &[event]),
            Verdict::trouble("OpensearchAPIError: failed to create ism policy", PERSON)
        );
    }
}
