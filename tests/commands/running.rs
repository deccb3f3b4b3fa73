//! `firstlight check` asks every workload of the bundle what it runs, without being told to.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Attempt, Env, eventually};

use crate::agent::{Agent, WEB};

const PHASES: &str = "  - name: first
    steps:
      - apply: { path: manifests/web.yaml, wait: false }
";

#[test]
fn a_check_asks_what_runs_and_a_run_does_not() {
    let cluster = Env::load().and_then(|env| env.api_server());
    let cluster = cluster.expect("an API server");
    let agent = Agent::on(&cluster, "whatruns", "", PHASES);
    agent.write("manifests/web.yaml", WEB);
    let run = agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    let check = agent.run(&["check"]);
    // Nobody runs its pods.
    assert_eq!(check.code, 1, "{check}");
    assert!(check.stdout.contains("what-runs"), "{check}");
    let status = json!({ "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
        "readyReplicas": 1, "availableReplicas": 1 } });
    let mut kubectl = cluster.kubectl().expect("kubectl");
    let patched = kubectl
        .args(["-n", &agent.namespace, "patch", "deployment/web"])
        .args([
            "--subresource=status",
            "--type=merge",
            "-p",
            &status.to_string(),
        ])
        .output();
    assert!(patched.expect("kubectl runs").status.success());
    let check = agent.run(&["check", "-o", "json"]);
    assert_eq!(check.code, 0, "{check}");
    let record: Value = serde_json::from_str(&check.stdout).expect("JSON");
    assert_eq!(record["steps"][1]["kind"], "check.running", "{record}");
}

#[test]
fn questions_of_the_bundle_are_read_and_mistakes_are_named() {
    let cluster = Env::load().and_then(|env| env.api_server());
    let phases = "  - name: first
    steps:
      - check: { rollout: { workload: deployment/web } }
      - check: { image: { workload: deployment/web, image: example.com/web } }
      - check: { env: { workload: statefulset/db, names: [A] } }
      - check: { secret: { name: login, keys: [user], usedBy: daemonset/other/agent } }
";
    let agent = Agent::on(&cluster.expect("an API server"), "questions", "", phases);
    let lint = agent.run(&["lint"]);
    assert_eq!(lint.code, 0, "{lint}");
    let render = agent.run(&["render"]);
    assert!(
        render.stdout.contains("usedBy: DaemonSet/other/agent"),
        "{render}"
    );
    let wrong = "  - name: first
    steps:
      - check: { rollout: { workload: job/web } }
      - check: { env: { workload: deployment/web, names: [] } }
";
    let agent = Agent::on(
        &Env::load()
            .and_then(|env| env.api_server())
            .expect("an API server"),
        "mistakes",
        "",
        wrong,
    );
    let lint = agent.run(&["lint"]);
    assert_eq!(lint.code, 78, "{lint}");
    assert!(
        lint.stderr.contains("`job/web` is not a workload"),
        "{lint}"
    );
    assert!(lint.stderr.contains("`names` names nothing"), "{lint}");
}

#[test]
fn an_object_that_somebody_changes_is_told_by_its_fields() {
    let cluster = Env::load().and_then(|env| env.api_server());
    let cluster = cluster.expect("an API server");
    let phases = "  - name: first
    steps:
      - apply: { path: manifests/colours.yaml }
  - name: validation
    timeout: 1s
    steps:
      - check: { drift: { of: first } }
";
    let agent = Agent::on(&cluster, "drifts", "", phases);
    let colours =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: colours }\ndata: { sky: blue }\n";
    agent.write("manifests/colours.yaml", colours);
    let run = agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    let namespace = &agent.namespace;
    let change = |sky: &str| {
        let patch = format!(r#"{{"data":{{"sky":"{sky}"}}}}"#);
        let arguments = [
            "-n",
            namespace,
            "patch",
            "configmap",
            "colours",
            "-p",
            &patch,
        ];
        let mut kubectl = cluster.kubectl().expect("kubectl");
        let output = kubectl.args(arguments).output().expect("kubectl runs");
        assert!(output.status.success(), "{output:?}");
    };
    change("red");
    let alone = agent.run(&["run", "--only", "validation"]);
    assert_eq!(alone.code, 1, "{alone}");
    let expected =
        format!("ConfigMap {namespace}/colours: others own fields that are to change: .data.sky");
    assert!(alone.sentence().contains(&expected), "{alone}");
    change("blue");
    let again = agent.run(&["run", "--only", "validation"]);
    assert_eq!(again.code, 0, "{again}");

    agent.write(
        "manifests/colours.yaml",
        &colours.replace("sky: blue", "sky: blue, sea: green"),
    );
    let behind = agent.run(&["run", "--only", "validation"]);
    assert_eq!(behind.code, 1, "{behind}");
    let expected = format!("ConfigMap {namespace}/colours: data.sea is not green");
    assert!(behind.sentence().contains(&expected), "{behind}");

    let wrong = Agent::on(
        &cluster,
        "nodrift",
        "",
        &phases.replace("of: first", "of: second"),
    );
    wrong.write("manifests/colours.yaml", colours);
    let lint = wrong.run(&["lint"]);
    assert_eq!(lint.code, 78, "{lint}");
    assert!(
        lint.stderr
            .contains("no step of `second` applies an object"),
        "{lint}"
    );
}

#[tokio::test]
async fn a_daemon_set_that_is_to_run_nowhere_is_ready_with_a_warning() {
    let cluster = Env::load().and_then(|env| env.api_server());
    let cluster = cluster.expect("an API server");
    let phases = "  - name: agents\n    steps:\n      - apply: { path: manifests/gpu.yaml }\n";
    let agent = Agent::on(&cluster, "nowhere", "", phases);
    let set = "apiVersion: apps/v1
kind: DaemonSet
metadata: { name: gpu }
spec:
  selector: { matchLabels: { app: gpu } }
  template:
    metadata: { labels: { app: gpu } }
    spec:
      nodeSelector: { gpu: \"yes\" }
      containers: [{ name: gpu, image: example.com/gpu }]
";
    agent.write("manifests/gpu.yaml", set);
    let mut command = agent.command(&["run"]);
    let run = command.stdout(Stdio::piped()).spawn();
    let run = run.expect("the program runs");
    // As its controller does where no node has the label.
    let status = r#"{"status":{"observedGeneration":1,"desiredNumberScheduled":0}}"#;
    let patch = [
        "patch",
        "daemonset/gpu",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ];
    let seen = eventually("it is there", Duration::from_secs(20), async || {
        let mut kubectl = cluster.kubectl().expect("kubectl");
        let output = kubectl.args(["-n", &agent.namespace]).args(patch).output();
        let output = output.expect("kubectl runs");
        if output.status.success() {
            Attempt::Done(())
        } else {
            Attempt::NotYet(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    });
    seen.await.expect("its status is written");
    let ended = run.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    let warning = "WARN  agents/gpu: DaemonSet gpu: ready, but it is to run on no node: its node selector is gpu=yes";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
}
