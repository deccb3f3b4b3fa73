//! Crunchy PGO: `PostgresCluster`.
//!
//! Its status says that the newest generation was looked at, also when that went wrong, and
//! counts the old pods for a moment after each change. What really runs is in the `StatefulSet`s.

use std::time::Duration;

use serde_json::Value;

use super::super::kind::{DEPLOYMENT, SECRET, STATEFUL_SET};
use super::super::live::Live;
use super::verdict::{PERSON, PODS};
use super::{Need, Rule, STALE, Sight, Verdict, is_stale, pod_trouble, workload, workloads};

const CLUSTER: &str = "postgres-operator.crunchydata.com/cluster";

/// The longest lie that was seen held for two seconds.
const HELD: Duration = Duration::from_secs(5);

pub(super) fn rule(kind: &str) -> Option<Rule> {
    (kind == "PostgresCluster").then_some(Rule::Around { needs, verdict })
}

fn needs(sight: &Sight<'_>) -> Vec<Need> {
    let labels = format!("{CLUSTER}={}", sight.name());
    let mut needs = vec![sight.need_all(&STATEFUL_SET, labels), Need::Events];
    if has_proxy(sight.object) {
        needs.push(sight.need(&DEPLOYMENT, proxy(sight)));
    }
    let secrets = users(sight).into_iter();
    needs.extend(secrets.map(|user| sight.need(&SECRET, secret(sight, &user))));
    let sets = sight.all("StatefulSet");
    let incomplete = sets.filter(|set| !workloads::stateful_set(set).is_ready());
    needs.extend(incomplete.map(Sight::need_pods));
    let proxies = sight.all("Deployment");
    let incomplete = proxies.filter(|proxy| !workloads::deployment(proxy).is_ready());
    needs.extend(incomplete.map(Sight::need_pods));
    needs
}

fn verdict(sight: &Sight<'_>) -> Verdict {
    let cluster = sight.object;
    if let Some(blocked) = blocked(cluster) {
        return Verdict::trouble(blocked, PERSON);
    }
    if cluster.observed_generation().is_none() {
        // A specification that the operator refuses leaves no trace but an event.
        return match sight.warning() {
            Some(warning) => Verdict::trouble(warning, PERSON),
            None => Verdict::not_ready(STALE),
        };
    }
    if is_stale(cluster) {
        return Verdict::not_ready(STALE);
    }
    let unready = unready_workload(sight)
        .or_else(|| uncounted(sight))
        .or_else(|| unprepared(sight));
    match unready {
        None => Verdict::ReadyIfHeld(HELD),
        Some(verdict) => explained(sight, verdict),
    }
}

/// Why nothing will happen until a person does something.
fn blocked(cluster: &Live) -> Option<String> {
    let paused = cluster.denies("Progressing");
    if let Some(paused) = paused.filter(|it| it.reason == "Paused") {
        return Some(format!("it is paused: {}", paused.message));
    }
    if let Some(refused) = cluster.holds("PersistentVolumeResizeError") {
        return Some(refused.said());
    }
    let is_shut_down = cluster.at("/spec/shutdown").is_some_and(|it| it == true);
    is_shut_down.then(|| "it is shut down (spec.shutdown)".to_owned())
}

fn unready_workload(sight: &Sight<'_>) -> Option<Verdict> {
    for (name, wanted) in instance_sets(sight.object) {
        let sets: Vec<&Live> = members(sight, &name).collect();
        let made = i64::try_from(sets.len()).unwrap_or(i64::MAX);
        if made != wanted {
            let why = format!("{made} of {wanted} instances of {name} are there");
            return Some(Verdict::NotReady(why));
        }
        let verdicts = sets
            .into_iter()
            .map(|set| workload(sight, "StatefulSet", set.name()));
        if let Some(unready) = verdicts.into_iter().find(|it| !it.is_ready()) {
            return Some(unready);
        }
    }
    let mut others = Vec::new();
    if has_repository(sight.object) {
        others.push(("StatefulSet", format!("{}-repo-host", sight.name())));
    }
    if has_proxy(sight.object) {
        others.push(("Deployment", proxy(sight)));
    }
    let mut verdicts = others
        .into_iter()
        .map(|(kind, name)| workload(sight, kind, &name));
    verdicts.find(|verdict| !verdict.is_ready())
}

/// What the operator itself has not seen yet.
fn uncounted(sight: &Sight<'_>) -> Option<Verdict> {
    let cluster = sight.object;
    let counted = cluster.list("/status/instances");
    for (name, wanted) in instance_sets(cluster) {
        let set = counted.iter().find(|it| it["name"] == name.as_str());
        let count = |key: &str| set.and_then(|set| set[key].as_i64()).unwrap_or_default();
        for (key, what) in [("readyReplicas", "ready"), ("updatedReplicas", "updated")] {
            let found = count(key);
            if found != wanted {
                let why = format!("the operator counts {found} of {wanted} {what} in {name}");
                return Some(Verdict::NotReady(why));
            }
        }
    }
    if has_proxy(cluster) && cluster.holds("ProxyAvailable").is_none() {
        let said = cluster.condition("ProxyAvailable").map(|it| it.said());
        let why = said.unwrap_or_else(|| "the proxy is not available yet".to_owned());
        return Some(Verdict::NotReady(why));
    }
    None
}

/// What lacks when the pods run: the database, its backups' place, its users.
fn unprepared(sight: &Sight<'_>) -> Option<Verdict> {
    let cluster = sight.object;
    if cluster.text("/status/patroni/systemIdentifier").is_empty() {
        return Some(Verdict::not_ready("no database has been initialised yet"));
    }
    let repositories = cluster.list("/spec/backups/pgbackrest/repos");
    let made = cluster.list("/status/pgbackrest/repos");
    for repository in repositories {
        let state = made.iter().find(|it| it["name"] == repository["name"]);
        if state.is_none_or(|state| state["stanzaCreated"] != true) {
            let name = repository["name"].as_str().unwrap_or_default();
            let why = format!("the backup repository {name} has no stanza yet");
            return Some(Verdict::NotReady(why));
        }
    }
    users(sight).iter().find_map(|user| {
        let name = secret(sight, user);
        let found = sight.one("Secret", &name);
        let has_key = found.is_some_and(|found| found.at("/data/password").is_some());
        (!has_key).then(|| Verdict::NotReady(format!("Secret {name} has no password yet")))
    })
}

/// The same, with what the pods or else the operator say about it.
fn explained(sight: &Sight<'_>, verdict: Verdict) -> Verdict {
    let Verdict::NotReady(why) = verdict else {
        return verdict;
    };
    if let Some(trouble) = pod_trouble::of_any(sight) {
        return Verdict::trouble(format!("{why}; {trouble}"), PODS);
    }
    match sight.warning() {
        // Warnings come in a healthy start too, and stay for an hour.
        Some(warning) => Verdict::NotReady(format!("{why}; the last warning: {warning}")),
        None => Verdict::NotReady(why),
    }
}

/// Names and how many of each are wanted; the operator fills in both.
fn instance_sets(cluster: &Live) -> Vec<(String, i64)> {
    let sets = cluster.list("/spec/instances").iter().enumerate();
    sets.map(|(number, set)| {
        let name = set["name"].as_str().filter(|name| !name.is_empty());
        let name = name.map_or_else(|| format!("{number:02}"), str::to_owned);
        (name, set["replicas"].as_i64().unwrap_or(1))
    })
    .collect()
}

/// Each instance has a `StatefulSet` of its own, with a random last part of its name.
fn members<'a>(sight: &Sight<'a>, set: &str) -> impl Iterator<Item = &'a Live> {
    let prefix = format!("{}-{set}-", sight.name());
    sight.all("StatefulSet").filter(move |it| {
        let rest = it.name().strip_prefix(&prefix);
        rest.is_some_and(|rest| !rest.contains('-'))
    })
}

fn has_proxy(cluster: &Live) -> bool {
    let proxy = cluster.at("/spec/proxy/pgBouncer");
    proxy.is_some_and(|proxy| proxy["replicas"] != 0)
}

fn proxy(sight: &Sight<'_>) -> String {
    format!("{}-pgbouncer", sight.name())
}

/// Backups to a volume go through a host of their own.
fn has_repository(cluster: &Live) -> bool {
    let repositories = cluster.list("/spec/backups/pgbackrest/repos");
    repositories.iter().any(|it| it.get("volume").is_some())
}

/// Without a word about users there is one, named like the cluster.
fn users(sight: &Sight<'_>) -> Vec<String> {
    if sight.object.at("/spec/users").is_none() {
        return vec![sight.name().to_owned()];
    }
    let users = sight.object.list("/spec/users").iter();
    let names = users.filter_map(|user: &Value| user["name"].as_str());
    names.map(str::to_owned).collect()
}

fn secret(sight: &Sight<'_>, user: &str) -> String {
    format!("{}-pguser-{user}", sight.name())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rule_for;
    use super::*;

    fn complete(kind: &str, name: &str) -> Value {
        json!({ "kind": kind, "metadata": { "name": name, "generation": 1 },
            "spec": { "replicas": 1 },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": 1,
                "updatedReplicas": 1, "availableReplicas": 1 } })
    }

    /// A cluster that is well, with everything around it, as one document to spoil.
    fn well() -> Value {
        json!({
            "cluster": {
                "apiVersion": "postgres-operator.crunchydata.com/v1beta1",
                "kind": "PostgresCluster",
                "metadata": { "name": "hippo", "namespace": "lens", "generation": 2 },
                "spec": {
                    "instances": [{ "name": "main", "replicas": 1 }],
                    "proxy": { "pgBouncer": {} },
                    "users": [{ "name": "lens" }],
                    "backups": { "pgbackrest": { "repos": [{ "name": "repo1", "volume": {} }] } },
                },
                "status": {
                    "observedGeneration": 2,
                    "instances": [{ "name": "main", "replicas": 1, "readyReplicas": 1,
                                    "updatedReplicas": 1 }],
                    "patroni": { "systemIdentifier": "77" },
                    "pgbackrest": { "repos": [{ "name": "repo1", "stanzaCreated": true }] },
                    "conditions": [{ "type": "ProxyAvailable", "status": "True" }],
                },
            },
            "around": [
                complete("StatefulSet", "hippo-main-abcd"),
                complete("StatefulSet", "hippo-repo-host"),
                complete("Deployment", "hippo-pgbouncer"),
                { "kind": "Secret", "metadata": { "name": "hippo-pguser-lens" },
                  "data": { "password": "" } },
            ],
        })
    }

    fn judged(state: &Value) -> Verdict {
        let cluster = Live::new(state["cluster"].clone());
        let around = state["around"].as_array().expect("a list");
        let around: Vec<Live> = around.iter().cloned().map(Live::new).collect();
        rule_for(&cluster).verdict(&Sight::new(&cluster, &around))
    }

    #[test]
    fn everything_must_be_well_and_stay_so() {
        assert_eq!(judged(&well()), Verdict::ReadyIfHeld(HELD));
        let not_ready = Verdict::not_ready;
        let person = |why: &str| Verdict::trouble(why, PERSON);
        let gone = Value::Null;
        for (pointer, value, expected) in [
            ("/cluster/status", gone.clone(), not_ready(STALE)),
            (
                "/cluster/status/observedGeneration",
                json!(1),
                not_ready(STALE),
            ),
            (
                "/cluster/status/conditions/0",
                json!({ "type": "Progressing", "status": "False", "reason": "Paused",
                        "message": "No spec changes will be applied" }),
                person("it is paused: No spec changes will be applied"),
            ),
            (
                "/cluster/status/conditions/0",
                json!({ "type": "PersistentVolumeResizeError", "status": "True",
                        "message": "cannot shrink" }),
                person("PersistentVolumeResizeError is True (cannot shrink)"),
            ),
            (
                "/cluster/spec/shutdown",
                json!(true),
                person("it is shut down (spec.shutdown)"),
            ),
            (
                "/cluster/spec/instances/0/replicas",
                json!(2),
                not_ready("1 of 2 instances of main are there"),
            ),
            (
                "/around/0/status/readyReplicas",
                json!(0),
                not_ready("StatefulSet hippo-main-abcd: 0 of 1 pods ready"),
            ),
            (
                "/around/0/metadata/generation",
                json!(2),
                not_ready(
                    "StatefulSet hippo-main-abcd: its controller has not seen the latest change yet",
                ),
            ),
            (
                "/around/1/kind",
                json!("Nothing"),
                not_ready("StatefulSet hippo-repo-host is not there yet"),
            ),
            (
                "/around/2/status/readyReplicas",
                json!(0),
                not_ready("Deployment hippo-pgbouncer: 0 of 1 pods ready"),
            ),
            (
                "/cluster/status/instances/0/updatedReplicas",
                gone.clone(),
                not_ready("the operator counts 0 of 1 updated in main"),
            ),
            (
                "/cluster/status/conditions/0/status",
                json!("False"),
                not_ready("ProxyAvailable is False"),
            ),
            (
                "/cluster/status/patroni",
                gone.clone(),
                not_ready("no database has been initialised yet"),
            ),
            (
                "/cluster/status/pgbackrest/repos/0/stanzaCreated",
                json!(false),
                not_ready("the backup repository repo1 has no stanza yet"),
            ),
            (
                "/around/3/data",
                gone,
                not_ready("Secret hippo-pguser-lens has no password yet"),
            ),
        ] {
            let mut state = well();
            set(&mut state, pointer, value);
            assert_eq!(judged(&state), expected, "{pointer}");
        }
    }

    fn set(state: &mut Value, pointer: &str, value: Value) {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = state.pointer_mut(parent).expect(pointer);
        match key.parse::<usize>() {
            Ok(index) => parent[index] = value,
            Err(_) => parent[key] = value,
        }
    }

    #[test]
    fn a_refused_specification_leaves_only_an_event_and_a_pod_says_more_than_a_count() {
        let mut state = well();
        state["cluster"]["status"] = Value::Null;
        state["around"][3] = json!({ "kind": "Event", "type": "Warning",
            "reason": "InvalidStandbyConfiguration", "message": "Standby requires a host" });
        let expected = "InvalidStandbyConfiguration: Standby requires a host";
        assert_eq!(judged(&state), Verdict::trouble(expected, PERSON));

        let mut state = well();
        set(&mut state, "/around/0/status/readyReplicas", json!(0));
        state["around"][3] = json!({ "kind": "Pod", "metadata": { "name": "hippo-main-abcd-0" },
            "status": { "containerStatuses": [{ "name": "database", "image": "pg:none",
                "state": { "waiting": { "reason": "ErrImagePull" } } }] } });
        let expected = "StatefulSet hippo-main-abcd: 0 of 1 pods ready; \
                        pod hippo-main-abcd-0: container database cannot pull its image pg:none";
        assert_eq!(judged(&state), Verdict::trouble(expected, PODS));
    }

    #[test]
    fn sets_without_a_name_are_numbered() {
        let cluster = Live::new(json!({ "spec": { "instances": [{}, { "replicas": 2 }] } }));
        let expected = [("00".to_owned(), 1), ("01".to_owned(), 2)];
        assert_eq!(instance_sets(&cluster), expected);
    }

    #[test]
    fn pods_are_asked_for_only_where_they_lack() {
        let state = well();
        let cluster = Live::new(state["cluster"].clone());
        let mut lacking = state["around"][0].clone();
        lacking["status"]["readyReplicas"] = json!(0);
        lacking["spec"]["selector"] = json!({ "matchLabels": { "a": "b" } });
        let count = |around: &[Live]| needs(&Sight::new(&cluster, around)).len();
        assert_eq!(count(&[]), 4);
        assert_eq!(count(&[Live::new(state["around"][0].clone())]), 4);
        assert_eq!(count(&[Live::new(lacking)]), 5);
    }
}
