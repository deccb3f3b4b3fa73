//! The program, where the API server cannot answer for a moment before the first step or after
//! the last one.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::bed::Bed;
use super::front::{Front, LOST};

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
    prepare_at(folder, &front.address());
}

fn prepare_at(folder: &Path, address: &str) {
    let manifests = folder.join("manifests");
    std::fs::create_dir(&manifests).expect("a folder");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "front",
        "clusters": [{ "name": "front", "cluster": { "server": address } }],
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

fn command(folder: &Path, namespace: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
    command
        .env_clear()
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("FIRSTLIGHT_BUNDLE", folder)
        .env("FIRSTLIGHT_NAMESPACE", namespace)
        .env("FIRSTLIGHT_JOB_NAME", "bootstrap")
        .arg("run");
    command
}

async fn run(folder: &Path, namespace: &str) -> Output {
    let mut command = command(folder, namespace);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_was_lost_is_not_made_twice_and_fails_nothing() {
    let bed = Arc::new(Bed::new().await);
    let front = Front::start(Arc::clone(&bed)).await;
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path(), &front);
    for (method, about) in [
        ("POST", "/leases"),
        ("PATCH", "/leases/firstlight-lens"),
        ("PATCH", "/configmaps/firstlight-lens"),
        ("POST", "/events"),
    ] {
        front.turn_away_about(method, about, &[(1, LOST, None)]);
        let ended = run(folder.path(), &bed.namespace).await;
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{method} {about}: {said}");
        assert!(!said.contains("WARN"), "{method} {about}: {said}");
        assert!(!said.contains("ERROR"), "{method} {about}: {said}");
        assert!(front.counted() > 0, "{method} {about}");
    }
    let events = bed.get(&bed.core("events", "")).await;
    let events = events["items"].as_array().expect("a list").iter();
    let of_runs = events.filter(|event| event["involvedObject"]["name"] == "bootstrap");
    assert_eq!(of_runs.count(), 4, "one of each run");
}

/// A server that takes every connection and says nothing.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_named_and_a_stop_is_not_kept_waiting() {
    let (_listener, address) = silent();
    let folder = tempfile::tempdir().expect("a folder");
    prepare_at(folder.path(), &address);
    let last_word = folder.path().join("last-word");
    let mut run = command(folder.path(), "lens")
        .env("FIRSTLIGHT_TERMINATION_LOG", &last_word)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let stdout = run.stdout.take().expect("piped");
    let ended = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(stdout).lines();
        let told = lines.next().expect("a line").expect("text");
        let pid = run.id().to_string();
        let stop = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(stop.expect("kill runs").success());
        let stopped = Instant::now();
        let status = run.wait().expect("it ends");
        (told, status.code(), stopped.elapsed())
    });
    let (told, code, took) = ended.await.expect("no panic");
    let server = address.trim_start_matches("http://");
    assert!(
        told.contains("waiting for answers of the API server"),
        "{told}"
    );
    assert!(told.contains(server), "{told}");
    assert_eq!(code, Some(75));
    // The pod's end comes 45 s after it was told to stop.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let word = std::fs::read_to_string(last_word).expect("a last word");
    assert_eq!(word, "told to stop before the first step");
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
    for (method, part, times) in [
        ("POST", "/selfsubjectaccessreviews", 12),
        // Taken in the version that was found, and given back in the one that was taken.
        ("GET", "/leases/", 1),
        ("PATCH", "/leases/", 2),
        // Read before the first step, and known from then on.
        ("GET", "/configmaps/firstlight-lens-inventory-0", 1),
        ("PATCH", "/configmaps/firstlight-lens-inventory-0", 0),
        ("GET", "/configmaps/colours", 1),
    ] {
        let found = count(&came, method, part);
        assert_eq!(found, times, "{method} {part}: {came:#?}");
    }
    let record = |line: &&String| line.ends_with("/configmaps/firstlight-lens");
    let record: Vec<_> = came.iter().filter(record).collect();
    assert!(
        matches!(&record[..], [read, write] if read.starts_with("GET ") && write.starts_with("PATCH ")),
        "{came:#?}"
    );
    // And the Event about the Job.
    assert_eq!(came.len(), 12 + 3 + 1 + 1 + 2 + 1, "{came:#?}");
    let last = came.last().expect("there is one");
    assert!(
        last.starts_with("PATCH ") && last.contains("/leases/"),
        "{last}"
    );
}
