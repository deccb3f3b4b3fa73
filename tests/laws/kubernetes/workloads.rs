//! Workloads that a real kubelet runs, or cannot run.

use std::time::Duration;

use firstlight::engine::{Class, Resource as _};
use serde_json::{Value, json};
use testbed::{Attempt, eventually};

use super::bed::{Bed, object};
use crate::law;

const PATIENCE: Duration = Duration::from_mins(1);

/// A pod's specification: busybox with this command, which ends on the first signal.
fn spec(command: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main",
            "image": "docker.io/library/busybox:1",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command],
        }],
    })
}

const FOREVER: &str = "sleep 3600";

fn workload(kind: &str, name: &str, spec: &Value) -> Value {
    let labels = json!({ "app": name });
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
        },
    });
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = name.into();
    }
    object
}

fn job(name: &str, command: &str) -> Value {
    let mut spec = spec(command);
    spec["restartPolicy"] = "Never".into();
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
            "spec": { "backoffLimit": 0, "template": { "spec": spec } } })
}

/// Applies it, becomes current, and is then current for one who may only read.
async fn becomes_ready(bed: &Bed, document: Value) {
    law::changes(object(bed.client.clone(), document.clone(), false, true)).await;
    law::unchanged(object(bed.reader().await, document, false, true)).await;
}

#[tokio::test]
async fn a_deployment_becomes_ready_and_rolls_over() {
    let bed = Bed::with_node().await;
    becomes_ready(&bed, workload("Deployment", "web", &spec(FOREVER))).await;
    becomes_ready(&bed, workload("Deployment", "web", &spec("sleep 3601"))).await;
    let deployment = bed.get(&bed.apps("deployments", "web")).await;
    assert_eq!(deployment["status"]["replicas"], 1, "the old pod is gone");
    assert_eq!(deployment["status"]["readyReplicas"], 1);
    bed.remove().await;
}

#[tokio::test]
async fn sets_become_ready() {
    let bed = Bed::with_node().await;
    tokio::join!(
        becomes_ready(&bed, workload("StatefulSet", "data", &spec(FOREVER))),
        becomes_ready(&bed, workload("DaemonSet", "node", &spec(FOREVER))),
    );
    bed.remove().await;
}

#[tokio::test]
async fn a_pod_becomes_ready_and_a_job_ends_well_or_badly() {
    let bed = Bed::with_node().await;
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "one" },
                      "spec": spec(FOREVER) });
    let bad = object(bed.client.clone(), job("bad", "exit 3"), false, true);
    let ((), (), (class, said, _)) = tokio::join!(
        becomes_ready(&bed, pod),
        becomes_ready(&bed, job("good", "true")),
        law::fails(bad),
    );
    assert_eq!(class, Class::Diverged);
    assert!(
        said.contains("bad has failed: BackoffLimitExceeded"),
        "{said}"
    );
    bed.remove().await;
}

/// What the diagnosis of a workload that cannot start comes to say; its evidence then.
async fn diagnosed(bed: &Bed, document: Value, expected: &[&str]) -> Vec<String> {
    let what = format!("a diagnosis with {expected:?}");
    let object = object(bed.client.clone(), document.clone(), false, true);
    law::changes(super::bed::object(
        bed.client.clone(),
        document,
        false,
        false,
    ))
    .await;
    let said = eventually(&what, PATIENCE, async || {
        let seen = object.observe().await.expect("the server answers");
        let said = object.diagnose(Ok(&seen)).await;
        let Some(said) = said else {
            return Attempt::NotYet("nothing is said".to_owned());
        };
        if expected.iter().all(|part| said.sentence.contains(part)) {
            Attempt::Done(said.evidence)
        } else {
            Attempt::NotYet(said.sentence)
        }
    });
    said.await.expect("it is said")
}

#[tokio::test]
async fn a_log_that_tells_a_secret_is_quoted_without_it() {
    let bed = Bed::with_node().await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" },
                         "stringData": { "user": "lens", "password": "open-sesame" } });
    law::changes(bed.object(secret)).await;
    let mut leaks = spec("echo \"login of $USER with $PASSWORD failed\"; exit 3");
    let from = |key: &str| json!({ "secretKeyRef": { "name": "login", "key": key } });
    leaks["containers"][0]["env"] = json!([
        { "name": "USER", "valueFrom": from("user") },
        { "name": "PASSWORD", "valueFrom": from("password") },
    ]);
    let expected = "its log ends: login of lens with (sensitive) failed";
    let evidence = diagnosed(&bed, workload("StatefulSet", "leaks", &leaks), &[expected]).await;
    let log = "  login of lens with (sensitive) failed".to_owned();
    assert!(evidence.contains(&log), "{evidence:?}");
    assert!(!evidence.join("\n").contains("open-sesame"));
    bed.remove().await;
}

#[tokio::test]
async fn what_keeps_a_pod_from_starting_is_quoted() {
    let bed = Bed::with_node().await;
    let deployment = |name: &str, spec: &Value| workload("Deployment", name, spec);
    let mut image = spec(FOREVER);
    image["containers"][0]["image"] = "localhost/nowhere:1".into();
    let mut secret = spec(FOREVER);
    secret["containers"][0]["env"] = json!([{ "name": "PASSWORD", "valueFrom": {
        "secretKeyRef": { "name": "absent", "key": "password" } } }]);
    let mut large = spec(FOREVER);
    large["containers"][0]["resources"] = json!({ "requests": { "cpu": "1k" } });
    let mut volume = spec(FOREVER);
    volume["volumes"] = json!([{ "name": "ca", "secret": { "secretName": "nowhere" } }]);
    volume["containers"][0]["volumeMounts"] = json!([{ "name": "ca", "mountPath": "/ca" }]);
    let mut probe = spec(FOREVER);
    probe["containers"][0]["readinessProbe"] =
        json!({ "exec": { "command": ["false"] }, "periodSeconds": 1 });
    tokio::join!(
        diagnosed(
            &bed,
            deployment("image", &image),
            &[
                "pod image-",
                "container main cannot pull image localhost/nowhere:1",
                "registry localhost, tag 1"
            ],
        ),
        diagnosed(
            &bed,
            deployment("secret", &secret),
            &["Secret absent does not exist", "CreateContainerConfigError"],
        ),
        diagnosed(
            &bed,
            deployment("large", &large),
            &["Insufficient cpu", "it asks for 1000 cpu, and node"],
        ),
        diagnosed(
            &bed,
            deployment("volume", &volume),
            &[
                "cannot be mounted: Secret nowhere does not exist",
                "FailedMount"
            ],
        ),
        diagnosed(
            &bed,
            workload("StatefulSet", "crash", &spec("exit 3")),
            &["pod crash-0: container main", "ended with exit code 3"],
        ),
        diagnosed(
            &bed,
            deployment("probe", &probe),
            &["does not pass its readinessProbe (false): Unhealthy: Readiness probe failed"],
        ),
    );
    bed.remove().await;
}

#[tokio::test]
async fn what_keeps_pods_from_being_made_is_quoted() {
    let bed = Bed::with_node().await;
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" },
                        "spec": { "hard": { "pods": "0" } } });
    law::changes(object(bed.client.clone(), quota, false, true)).await;
    let quota_said = ["FailedCreate", "exceeded quota: none"];
    tokio::join!(
        diagnosed(
            &bed,
            workload("Deployment", "web", &spec(FOREVER)),
            // Its own condition says the rest, so that is in what it waits for.
            &["ReplicaSet web-", "cannot make pods"]
        ),
        diagnosed(
            &bed,
            workload("StatefulSet", "data", &spec(FOREVER)),
            &quota_said
        ),
        diagnosed(&bed, job("once", "true"), &quota_said),
    );
    bed.remove().await;
}
