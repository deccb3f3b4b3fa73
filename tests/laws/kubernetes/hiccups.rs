//! The program, where the API server cannot answer for a moment before the first step or after
//! the last one.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::bed::Bed;
use super::front::Front;

const BUNDLE: &str = "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: { name: lens }
phases:
  - name: all
    steps:
      - apply: { path: manifests/colours.yaml }
";
const COLOURS: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: colours }\ndata: { sky: blue }\n";

/// A bundle of one object, and a kubeconfig that leads to the front.
fn prepare(folder: &Path, front: &Front) {
    let manifests = folder.join("manifests");
    std::fs::create_dir(&manifests).expect("a folder");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "front",
        "clusters": [{ "name": "front", "cluster": { "server": front.address() } }],
        "users": [{ "name": "front", "user": {} }],
        "contexts": [{ "name": "front", "context": { "cluster": "front", "user": "front" } }],
    });
    for (path, text) in [
        (manifests.join("bundle.yaml"), BUNDLE.to_owned()),
        (manifests.join("colours.yaml"), COLOURS.to_owned()),
        (folder.join("kubeconfig"), kubeconfig.to_string()),
    ] {
        std::fs::write(path, text).expect("a file");
    }
}

async fn run(folder: &Path, namespace: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
    command
        .env_clear()
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("FIRSTLIGHT_BUNDLE", folder)
        .env("FIRSTLIGHT_NAMESPACE", namespace)
        .arg("run");
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("no panic").expect("the program runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_without_an_answer_does_not_fail_a_run() {
    let bed = Arc::new(Bed::new().await);
    let front = Front::start(Arc::clone(&bed)).await;
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path(), &front);
    let often = [(1, 503, None), (2, 429, Some(1)), (3, 0, None)];
    for (method, about) in [
        ("POST", "/selfsubjectaccessreviews"),
        // Of the first run: made anew.
        ("POST", "/leases"),
        // Of all later ones.
        ("GET", "/leases/firstlight-lens"),
        ("PATCH", "/leases/firstlight-lens"),
        ("GET", "/configmaps/firstlight-lens-inventory-0"),
        ("PATCH", "/configmaps/firstlight-lens"),
    ] {
        let lease = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases/firstlight-lens",
            bed.namespace
        );
        if (method, about) == ("POST", "/leases") {
            bed.delete(&lease).await;
        }
        front.turn_away_about(method, about, &often);
        let ended = run(folder.path(), &bed.namespace).await;
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{method} {about}: {said}");
        // Nothing of the last words was lost either.
        assert!(!said.contains("WARN"), "{method} {about}: {said}");
        assert!(front.counted() > often.len(), "{method} {about}");
        let record = bed.get(&bed.core("configmaps", "firstlight-lens")).await;
        let record = record["data"]["record.json"].as_str().unwrap_or_default();
        let this = said.lines().find_map(|line| line.split("run=").nth(1));
        let this = this.and_then(|rest| rest.split(' ').next()).unwrap_or("?");
        assert!(record.contains(this), "{this} is not on record: {record}");
        let lease = bed.get(&lease).await;
        assert_eq!(
            lease["spec"].get("holderIdentity"),
            None,
            "{method} {about}"
        );
    }
}

/// How many of the requests are of this kind.
fn count(came: &[String], method: &str, part: &str) -> usize {
    let begins = format!("{method} ");
    let of_it = |line: &&String| line.starts_with(&begins) && line.contains(part);
    came.iter().filter(of_it).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_nothing_to_do_asks_little() {
    let bed = Arc::new(Bed::new().await);
    let front = Front::start(Arc::clone(&bed)).await;
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path(), &front);
    let first = run(folder.path(), &bed.namespace).await;
    assert!(first.status.success(), "{first:?}");
    front.turn_away("GET", &[]);
    let began = Instant::now();
    let second = run(folder.path(), &bed.namespace).await;
    let took = began.elapsed();
    assert!(second.status.success(), "{second:?}");
    let came = front.came();
    println!("{} requests in {took:?}:\n{}", came.len(), came.join("\n"));
    assert!(
        !came.contains(&"GET /api/v1".to_owned()),
        "every server has ConfigMaps"
    );
    for (method, part, most) in [
        ("POST", "/selfsubjectaccessreviews", 12),
        // Once before the first step, once after the last one.
        ("GET", "/configmaps/firstlight-lens-inventory-0", 2),
        ("GET", "/configmaps/colours", 1),
        ("PATCH", "/configmaps/", 1),
        ("PATCH", "/leases/", 2),
    ] {
        assert!(
            count(&came, method, part) <= most,
            "{method} {part}: {came:#?}"
        );
    }
}
