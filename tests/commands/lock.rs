//! A run that loses its lock in the middle.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Cluster, Env, eventually};

use crate::agent::{Agent, WEB};

const PATIENCE: Duration = Duration::from_secs(20);

const PHASES: &str = "  - name: before
    steps:
      - apply: { path: manifests/web.yaml }
  - name: after
    steps:
      - apply: { path: manifests/colours.yaml }
";

fn agent(name: &str) -> Agent {
    let agent = Agent::new(name, "", PHASES);
    agent.write("manifests/web.yaml", WEB);
    let colours =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: colours }\ndata: { sky: blue }\n";
    agent.write("manifests/colours.yaml", colours);
    agent
}

fn start(agent: &Agent) -> Child {
    let mut command = agent.command(&["run", "--log", "json"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the program runs")
}

/// What kubectl says; none if it is refused.
fn kubectl(cluster: &Cluster, agent: &Agent, arguments: &[&str]) -> Option<String> {
    let mut command = cluster.kubectl().expect("kubectl");
    let output = command
        .args(["-n", &agent.namespace])
        .args(arguments)
        .output();
    let output = output.expect("kubectl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

async fn exists(cluster: &Cluster, agent: &Agent, object: &str) {
    let there = eventually(object, PATIENCE, async || {
        match kubectl(cluster, agent, &["get", object, "-o", "name"]) {
            Some(_) => Attempt::Done(()),
            None => Attempt::NotYet("it is not there".to_owned()),
        }
    });
    there.await.expect("it is there");
}

fn rest(run: &mut Child) -> (String, Option<i32>) {
    let mut text = String::new();
    let mut stdout = run.stdout.take().expect("piped");
    stdout.read_to_string(&mut text).expect("text");
    (text, run.wait().expect("it ends").code())
}

#[tokio::test]
async fn a_run_that_loses_its_lock_says_to_whom_and_writes_nothing_more() {
    let cluster = Env::load().and_then(|env| env.api_server());
    let cluster = cluster.expect("an API server");
    let agent = agent("thief");
    let mut run = start(&agent);
    exists(&cluster, &agent, "deployment/web").await;
    let theft = r#"{"metadata":{"annotations":{"firstlight.dev/pod":"thief-1",
        "firstlight.dev/pod-uid":"1","firstlight.dev/job":"thief"}},
        "spec":{"holderIdentity":"thief-1/1","leaseTransitions":7}}"#;
    let lease = [
        "patch",
        "lease",
        "firstlight-thief",
        "--type=merge",
        "-p",
        theft,
    ];
    kubectl(&cluster, &agent, &lease).expect("it is stolen");
    let (stdout, code) = rest(&mut run);
    assert_eq!(code, Some(75), "{stdout}");
    let sentence = stdout.lines().last().unwrap_or_default();
    let expected = "thief lost the lock to pod thief-1 of Job thief (Lease ";
    assert!(sentence.starts_with(expected), "{stdout}");
    assert!(sentence.contains("with 2 steps left"), "{sentence}");
    assert_eq!(agent.termination(), sentence);
    let record = kubectl(&cluster, &agent, &["get", "configmap/firstlight-thief"]);
    assert_eq!(record, None, "its record is the next holder's affair");
    let after = kubectl(&cluster, &agent, &["get", "configmap/colours"]);
    assert_eq!(after, None, "it went on");
    // The thief keeps it.
    let lease = ["get", "lease", "firstlight-thief", "-o", "json"];
    let lease = kubectl(&cluster, &agent, &lease).expect("it is there");
    let lease: Value = serde_json::from_str(&lease).expect("JSON");
    assert_eq!(lease["spec"]["holderIdentity"], "thief-1/1");
}

#[tokio::test]
async fn a_lock_that_was_deleted_is_made_anew_with_a_later_number() {
    let cluster = Env::load().and_then(|env| env.api_server());
    let cluster = cluster.expect("an API server");
    let phases =
        "  - name: first\n    steps:\n      - secret: { name: one, generate: { password: 16 } }\n";
    let agent = Agent::new("anew", "", phases);
    for number in ["0", "1", "2"] {
        let run = agent.run(&["run"]);
        assert_eq!(run.code, 0, "{run}");
        let path = "jsonpath={.metadata.annotations['firstlight\\.dev/lease-transitions']}";
        let record = ["get", "configmap/firstlight-anew", "-o", path];
        assert_eq!(kubectl(&cluster, &agent, &record).as_deref(), Some(number));
        if number == "1" {
            kubectl(&cluster, &agent, &["delete", "lease/firstlight-anew"]).expect("deleted");
        }
    }
}
