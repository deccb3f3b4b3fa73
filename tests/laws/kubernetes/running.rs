//! Questions about what runs: the test plays the controllers and the kubelet.

use firstlight::engine::Class;
use firstlight::providers::kubernetes::{Ask, RunningCheck};
use serde_json::{Value, json};

use super::bed::Bed;
use crate::law;

/// A Deployment that reads a Secret and settings, and is complete by its own words.
async fn deployed() -> Bed {
    let bed = Bed::new().await;
    let labels = json!({ "app": "web" });
    let container = json!({
        "name": "web", "image": "example.com/web:2",
        "env": [{ "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } }],
        "envFrom": [{ "configMapRef": { "name": "settings" } }],
    });
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels }, "spec": { "containers": [container] } } },
    });
    post(&bed, &bed.apps("deployments", ""), deployment).await;
    complete(&bed, 1).await;
    let login =
        json!({ "metadata": { "name": "login" }, "stringData": { "password": "x", "old": "y" } });
    post(&bed, &bed.core("secrets", ""), login).await;
    let settings = json!({ "metadata": { "name": "settings" }, "data": { "COLOUR": "blue" } });
    post(&bed, &bed.core("configmaps", ""), settings).await;
    pod(&bed, "web-1", "example.com/web:2", "sha256:aa").await;
    bed
}

async fn post(bed: &Bed, path: &str, body: Value) {
    bed.post(path.trim_end_matches('/'), body).await;
}

async fn complete(bed: &Bed, ready: u32) {
    let status = json!({ "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
        "readyReplicas": ready, "availableReplicas": ready } });
    bed.patch(&bed.apps("deployments", "web/status"), status)
        .await;
}

async fn pod(bed: &Bed, name: &str, image: &str, digest: &str) {
    let pod = json!({
        "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": image }] },
    });
    post(bed, &bed.core("pods", ""), pod).await;
    let status = json!({ "status": { "phase": "Running", "containerStatuses": [{
        "name": "web", "image": image, "imageID": format!("example.com/web@{digest}"),
        "ready": true, "restartCount": 0, "state": { "running": {} } }] } });
    bed.patch(&bed.core("pods", &format!("{name}/status")), status)
        .await;
}

fn check(bed: &Bed, ask: Ask) -> RunningCheck {
    RunningCheck::new(bed.client.clone(), "Deployment", None, "web", ask)
}

/// It is answered with no, for this reason.
async fn denied(bed: &Bed, ask: Ask, why: &str) {
    let (class, said) = law::waits_for(check(bed, ask)).await;
    assert_eq!(class, Class::Unmet, "{said}");
    assert_eq!(said, format!("Deployment {}/web: {why}", bed.namespace));
}

fn image(image: Option<&str>, digest: Option<&str>) -> Ask {
    Ask::Image {
        container: None,
        image: image.map(str::to_owned),
        digest: digest.map(str::to_owned),
    }
}

fn variables(names: &[&str]) -> Ask {
    Ask::Environment {
        container: Some("web".to_owned()),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn key(key: &str) -> Ask {
    Ask::Keys {
        secret: "login".to_owned(),
        keys: vec![key.to_owned()],
    }
}

#[tokio::test]
async fn what_runs_as_it_should_is_answered_with_yes() {
    let bed = deployed().await;
    for ask in [
        Ask::Rollout,
        Ask::Everything,
        image(None, None),
        image(Some("example.com/web:2"), Some("sha256:aa")),
        variables(&["PASSWORD", "COLOUR"]),
        key("password"),
    ] {
        law::unchanged(check(&bed, ask)).await;
    }
}

#[tokio::test]
async fn what_does_not_is_named() {
    let bed = deployed().await;
    let other = "container web is to run example.com/web:2, not example.com/web:3";
    denied(&bed, image(Some("example.com/web:3"), None), other).await;
    let digest = "pod web-1: container web runs sha256:aa, not sha256:bb";
    denied(&bed, image(None, Some("sha256:bb")), digest).await;
    let variable = "container web has no environment variable SIZE";
    denied(&bed, variables(&["COLOUR", "SIZE"]), variable).await;
    denied(&bed, key("user"), "Secret login has no key user").await;
    let unused = "its pods do not use key old of Secret login";
    denied(&bed, key("old"), unused).await;

    pod(&bed, "web-2", "example.com/web:1", "sha256:aa").await;
    let old = "pod web-2: container web runs example.com/web:1, not example.com/web:2";
    denied(&bed, Ask::Everything, old).await;
    complete(&bed, 0).await;
    denied(&bed, Ask::Rollout, "0 of 1 pods ready").await;
    bed.delete(&bed.core("pods", "web-2")).await;
    complete(&bed, 1).await;
    bed.delete(&bed.core("secrets", "login")).await;
    denied(&bed, Ask::Everything, "Secret login does not exist").await;

    let absent = RunningCheck::new(bed.client.clone(), "DaemonSet", None, "none", Ask::Rollout);
    let (_, said) = law::waits_for(absent).await;
    assert_eq!(
        said,
        format!("DaemonSet {}/none: it does not exist", bed.namespace)
    );
}
