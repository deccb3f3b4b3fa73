//! One small bundle through its life: planned, run, run again, checked, changed, locked, stopped.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Env, eventually};

use crate::agent::{Agent, ended, migrating, postgres};

const CONFIG: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: colours }
data: { sky: blue, grass: green }
";

fn small() -> Agent {
    let phases = "  - name: first
    steps:
      - secret: { name: keys, generate: { password: 16 } }
  - name: second
    steps:
      - apply: { path: manifests/colours.yaml }
";
    let agent = Agent::new("small", "", phases);
    agent.write("manifests/colours.yaml", CONFIG);
    agent
}

#[test]
fn a_bundle_is_planned_run_checked_and_run_again() {
    let agent = small();
    let plan = agent.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 2, "{plan}");
    assert!(plan.stdout.contains("2 to create"), "{plan}");
    let status = agent.run(&["status"]);
    assert_eq!(status.code, 69, "no run is on record: {status}");
    let run = agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(
        run.sentence()
            .starts_with("small is current: 2 steps, 2 changed"),
        "{run}"
    );
    let again = agent.run(&[]);
    assert!(again.sentence().contains("2 steps, 0 changed"), "{again}");
    let check = agent.run(&["check"]);
    assert_eq!(check.code, 0, "{check}");
    let status = agent.run(&["status", "-o", "json"]);
    let record: Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(record["exit"], 0);
    assert_eq!(record["sentence"], again.sentence());
}

#[test]
fn a_check_for_a_trace_that_is_turned_off_is_met_and_the_log_says_so() {
    // Nobody answers there, and nobody is asked.
    let phases = "  - name: validation
    steps:
      - name: this-run-is-a-trace
        check: { trace: { url: 'http://127.0.0.1:9' } }
";
    let agent = Agent::new("untraced", "", phases);
    let none = agent.run(&["run"]);
    assert_eq!(
        none.code, 78,
        "that no endpoint is named is a mistake: {none}"
    );
    for (name, value) in [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_SDK_DISABLED", "true"),
    ] {
        let run = ended(agent.command(&["run"]).env(name, value));
        assert_eq!(run.code, 0, "{name}: {run}");
        let said = format!("this run is not traced, because of {name}={value}");
        assert!(run.to_string().contains(&said), "{run}");
        let check = ended(agent.command(&["check"]).env(name, value));
        assert_eq!(check.code, 0, "{name}: {check}");
    }
}

#[test]
fn what_changed_is_shown_field_by_field_and_only_that_is_changed() {
    let agent = small();
    assert_eq!(agent.run(&["run"]).code, 0);
    agent.write("manifests/colours.yaml", &CONFIG.replace("blue", "grey"));
    let check = agent.run(&["check"]);
    assert_eq!(check.code, 1, "{check}");
    let plan = agent.run(&["plan"]);
    assert_eq!(plan.code, 0, "{plan}");
    assert!(plan.stdout.contains("data.sky: blue → grey"), "{plan}");
    let run = agent.run(&["run", "-o", "json"]);
    let record: Value = serde_json::from_str(&run.stdout).expect("only JSON on the output");
    assert_eq!(record["steps"][0]["outcome"], "unchanged");
    assert_eq!(record["steps"][1]["outcome"], "changed");
    let only = agent.run(&["run", "--only", "first"]);
    assert!(only.sentence().contains("1 steps, 0 changed"), "{only}");
    let wrong = agent.run(&["run", "--only", "frist"]);
    assert_eq!(wrong.code, 78, "{wrong}");
    assert!(wrong.stderr.contains("first, second"), "{wrong}");
}

/// A run that waits until it is ended.
fn waiting(agent: &Agent) -> Child {
    let mut command = agent.command(&["run", "--log", "json"]);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

fn never() -> Agent {
    let (_, servers) = postgres("nowhere");
    let phases = "  - name: wait
    steps:
      - role: { name: nobody }
";
    Agent::new("never", &servers, phases)
}

#[tokio::test]
async fn a_second_run_is_kept_out_and_told_by_whom() {
    let agent = never();
    let mut first = waiting(&agent);
    holds_its_lease(&agent).await;
    let second = agent.run(&["run"]);
    assert_eq!(second.code, 75, "{second}");
    let holder = format!("process-{}", first.id());
    assert!(second.stderr.contains(&holder), "{second}");
    end(&mut first);
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_says_so() {
    let agent = never();
    let mut run = waiting(&agent);
    holds_its_lease(&agent).await;
    end(&mut run);
    let mut stdout = String::new();
    run.stdout
        .take()
        .expect("piped")
        .read_to_string(&mut stdout)
        .expect("text");
    let sentence = stdout.lines().last().unwrap_or_default();
    assert!(sentence.contains("stop"), "{stdout}");
    assert_eq!(run.wait().expect("ended").code(), Some(75), "{stdout}");
}

/// Waits until the run has its Lease.
async fn holds_its_lease(agent: &Agent) {
    let cluster = Env::load()
        .and_then(|env| env.api_server())
        .expect("a cluster");
    let what = "the run holds its Lease";
    let held = eventually(what, Duration::from_secs(20), async || {
        let mut command = cluster.kubectl().expect("kubectl");
        let name = [
            "-n",
            &agent.namespace,
            "get",
            "lease",
            "firstlight-never",
            "-o",
            "name",
        ];
        match command.args(name).output() {
            Ok(output) if output.status.success() => Attempt::Done(()),
            _ => Attempt::NotYet("no Lease".to_owned()),
        }
    });
    held.await.expect("a Lease");
}

/// Tells it to stop and waits for its end.
fn end(child: &mut Child) {
    let pid = child.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(told.expect("kill runs").success());
    child.wait().expect("it ends");
}

#[test]
fn a_run_that_was_killed_is_finished_by_the_next_and_nothing_is_applied_twice() {
    let agent = migrating("killed");
    for version in 1..=6 {
        let sql = format!("create table t{version} (id int);\nselect pg_sleep(0.2);\n");
        agent.write(&format!("sql/V{version:04}__t{version}.sql"), &sql);
    }
    // As a pod that is gone, its Lease is taken over at once.
    let mut command = agent.command(&["run", "--log", "json"]);
    command
        .env("FIRSTLIGHT_POD_NAME", "killed-1")
        .env("FIRSTLIGHT_POD_UID", "6f3c5c4e-1f1a-4f0e-9d1e-000000000001");
    let mut run = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let stdout = run.stdout.take().expect("piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    let third = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("V0003")));
    assert!(third.is_some(), "the third migration is told");
    run.kill().expect("killed");
    run.wait().expect("it ends");
    let next = agent.run(&["run"]);
    assert_eq!(next.code, 0, "{next}");
    assert!(
        !next.stdout.contains("V0002"),
        "what was applied is not applied again: {next}"
    );
    assert!(next.stdout.contains("V0006"), "{next}");
}
