//! What a bundle owns: on record, pruned, adopted, uninstalled.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Cluster, Env, eventually};

use crate::agent::{Agent, Ended, WEB, ended_child};

/// The agent, and the administrator beside it.
struct Bed {
    cluster: Cluster,
    agent: Agent,
    name: String,
}

fn config(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ a: b }}\n")
}

impl Bed {
    fn new(name: &str, phases: &str) -> Self {
        let cluster = Env::load()
            .and_then(|env| env.api_server())
            .expect("an API server");
        let agent = Agent::on(&cluster, name, "", phases);
        Self {
            cluster,
            agent,
            name: name.to_owned(),
        }
    }

    /// Other phases, and what else the bundle says.
    fn rewrite(&self, phases: &str, more: &str) {
        let name = &self.name;
        let text = format!(
            "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: {{ name: {name} }}\n{more}phases:\n{phases}"
        );
        self.agent.write("manifests/bundle.yaml", &text);
    }

    fn object(&self, name: &str) {
        self.agent
            .write(&format!("manifests/{name}.yaml"), &config(name));
    }

    /// What kubectl says; none if it is refused.
    fn kubectl(&self, arguments: &[&str]) -> Option<String> {
        let mut command = self.cluster.kubectl().expect("kubectl");
        let output = command
            .args(["-n", &self.agent.namespace])
            .args(arguments)
            .output();
        let output = output.expect("kubectl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    fn get(&self, object: &str) -> Option<Value> {
        let text = self.kubectl(&["get", object, "-o", "json"])?;
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// The objects on record.
    fn recorded(&self) -> Vec<Value> {
        let name = format!("configmap/firstlight-{}-inventory-0", self.name);
        let part = self.get(&name).expect("an inventory");
        let text = part["data"]["objects.json"].as_str().expect("text");
        serde_json::from_str(text).expect("JSON")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .recorded()
            .iter()
            .map(|entry| entry["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    }

    /// Starts a run, and kills it as soon as this object is there.
    async fn kill_at(&self, object: &str) {
        let mut command = self.agent.command(&["run"]);
        let command = command
            // As a pod that is gone, its Lease is taken over at once.
            .env("FIRSTLIGHT_POD_NAME", "killed-1")
            .env("FIRSTLIGHT_POD_UID", "6f3c5c4e-1f1a-4f0e-9d1e-000000000001")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut run: Child = command.spawn().expect("the program runs");
        let there = eventually(object, Duration::from_secs(20), async || {
            match self.get(object) {
                Some(_) => Attempt::Done(()),
                None => Attempt::NotYet("it is not there".to_owned()),
            }
        });
        there.await.expect("it is there");
        run.kill().expect("killed");
        run.wait().expect("it ends");
    }
}

const BOTH: &str = "  - name: first
    steps:
      - secret: { name: keys, generate: { password: 16 } }
      - apply: { path: manifests/one.yaml }
      - apply: { path: manifests/two.yaml }
";
const ONE: &str = "  - name: first
    steps:
      - apply: { path: manifests/one.yaml }
";

#[test]
fn what_leaves_the_bundle_is_pruned_only_when_told_and_data_only_when_told_twice() {
    let bed = Bed::new("prune", BOTH);
    bed.object("one");
    bed.object("two");
    let run = bed.agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(bed.names(), ["keys", "one", "two"]);
    for entry in bed.recorded() {
        assert!(entry["uid"].is_string(), "{entry}");
        let is_secret = entry["kind"] == "Secret";
        assert_eq!(entry["hash"].is_string(), !is_secret, "{entry}");
        assert_eq!(entry["keep"] == true, is_secret, "{entry}");
    }
    let inventory = bed.get("configmap/firstlight-prune-inventory-0");
    let again = bed.agent.run(&["run"]);
    assert!(again.sentence().contains(" 0 changed"), "{again}");
    assert_eq!(bed.get("configmap/firstlight-prune-inventory-0"), inventory);

    bed.rewrite(ONE, "");
    let run = bed.agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    let namespace = &bed.agent.namespace;
    let left =
        format!("Not in the bundle any more: Secret {namespace}/keys, ConfigMap {namespace}/two");
    let other =
        format!("Not in the bundle any more: ConfigMap {namespace}/two, Secret {namespace}/keys");
    assert!(
        run.stdout.contains(&left) || run.stdout.contains(&other),
        "{run}"
    );
    assert!(bed.get("configmap/two").is_some());
    // One phase alone does not tell.
    let only = bed.agent.run(&["run", "--only", "first", "--prune"]);
    assert_eq!(only.code, 0, "{only}");
    assert!(!only.stdout.contains("any more"), "{only}");
    assert!(bed.get("configmap/two").is_some());

    let plan = bed.agent.run(&["plan", "--prune"]);
    assert!(
        plan.stdout.contains(&format!("ConfigMap {namespace}/two")),
        "{plan}"
    );
    assert!(plan.stdout.contains("1 to delete"), "{plan}");
    assert!(bed.get("configmap/two").is_some());
    let run = bed.agent.run(&["run", "--prune"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(run.sentence().contains("1 changed"), "{run}");
    assert!(bed.get("configmap/two").is_none());
    assert!(bed.get("secret/keys").is_some(), "it holds data");
    assert_eq!(bed.names(), ["keys", "one"]);

    let run = bed.agent.run(&["run", "--prune", "--prune-data"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(bed.get("secret/keys").is_none());
    assert!(bed.get("configmap/one").is_some());
    assert_eq!(bed.names(), ["one"]);
}

#[test]
fn the_bundle_may_say_that_it_prunes_and_which_kinds_it_keeps() {
    let bed = Bed::new("word", BOTH);
    bed.object("one");
    bed.object("two");
    bed.rewrite(BOTH, "keep: [ConfigMap]\n");
    assert_eq!(bed.agent.run(&["run"]).code, 0);
    bed.rewrite(ONE, "prune: true\n");
    let run = bed.agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(bed.get("configmap/two").is_some(), "it was to be kept");

    let three = format!("{ONE}      - apply: {{ path: manifests/three.yaml }}\n");
    bed.object("three");
    bed.rewrite(&three, "prune: true\n");
    assert_eq!(bed.agent.run(&["run"]).code, 0);
    bed.rewrite(ONE, "prune: true\n");
    let check = bed.agent.run(&["check"]);
    assert_eq!(check.code, 1, "{check}");
    assert_eq!(bed.agent.run(&["run"]).code, 0);
    assert!(bed.get("configmap/three").is_none());
    let check = bed.agent.run(&["check"]);
    assert_eq!(check.code, 0, "{check}");
}

#[test]
fn what_another_bundle_applies_too_stays_and_is_named() {
    let bed = Bed::new(
        "shared",
        &BOTH.replace(
            "secret: { name: keys, generate: { password: 16 } }",
            "apply: { path: manifests/three.yaml }",
        ),
    );
    for name in ["one", "two", "three"] {
        bed.object(name);
    }
    assert_eq!(bed.agent.run(&["run"]).code, 0);
    let namespace = &bed.agent.namespace;
    let mark = format!("firstlight.dev/owner={namespace}.other,{namespace}.shared");
    bed.kubectl(&["annotate", "--overwrite", "configmap/two", &mark])
        .expect("marked");
    bed.rewrite(ONE, "");
    let run = bed.agent.run(&["run", "--prune"]);
    assert_eq!(run.code, 0, "{run}");
    let word = format!(
        "ConfigMap {namespace}/two is left as it is, because others apply it too ({namespace}.other); "
    );
    assert_eq!(run.stdout.matches(&word).count(), 1, "{run}");
    assert!(bed.get("configmap/two").is_some());
    assert!(bed.get("configmap/three").is_none());
    assert_eq!(bed.names(), ["one"]);
}

#[test]
fn what_others_have_made_is_taken_over_only_when_told_and_never_deleted() {
    let bed = Bed::new("foreign", ONE);
    bed.object("one");
    bed.kubectl(&["create", "configmap", "one", "--from-literal=c=d"])
        .expect("made");
    let run = bed.agent.run(&["run"]);
    assert_eq!(run.code, 65, "{run}");
    let sentence = run.sentence();
    let expected = format!(
        "first/one failed: ConfigMap {}/one was not made by this bundle but by kubectl-create, and data.a would change",
        bed.agent.namespace
    );
    assert!(sentence.starts_with(&expected), "{sentence}");
    assert!(sentence.contains("`adopt: true`"), "{sentence}");
    let data = bed.get("configmap/one").expect("it is there")["data"].clone();
    assert_eq!(data, serde_json::json!({ "c": "d" }));

    bed.rewrite(&ONE.replace("one.yaml", "one.yaml, adopt: true"), "");
    let run = bed.agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(bed.recorded()[0]["adopted"], true);
    // From now on it is known.
    bed.rewrite(ONE, "");
    let again = bed.agent.run(&["run"]);
    assert!(again.sentence().contains(" 0 changed"), "{again}");

    bed.object("two");
    bed.rewrite(&ONE.replace("one", "two"), "");
    let run = bed.agent.run(&["run", "--prune", "--prune-data"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(bed.get("configmap/one").is_some(), "we did not make it");
    assert_eq!(bed.names(), ["two"]);
}

#[test]
fn a_secret_of_others_gets_no_keys() {
    let phases =
        "  - name: first\n    steps:\n      - secret: { name: keys, generate: { password: 16 } }\n";
    let bed = Bed::new("othersecret", phases);
    bed.kubectl(&[
        "create",
        "secret",
        "generic",
        "keys",
        "--from-literal=user=me",
    ])
    .expect("made");
    let run = bed.agent.run(&["run"]);
    assert_eq!(run.code, 65, "{run}");
    assert!(
        run.sentence().contains("data.password would change"),
        "{run}"
    );
}

#[tokio::test]
async fn a_run_that_is_killed_forgets_nothing() {
    let phases = "  - name: first
    steps:
      - apply: { path: manifests/web.yaml }
  - name: second
    steps:
      - apply: { path: manifests/one.yaml }
";
    let bed = Bed::new("forgets", phases);
    bed.agent.write("manifests/web.yaml", WEB);
    bed.object("one");
    bed.kill_at("deployment/web").await;
    assert_eq!(bed.names(), ["one", "web"]);
    bed.rewrite(ONE, "");
    let run = bed.agent.run(&["run", "--prune"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(bed.get("deployment/web").is_none(), "{run}");
    assert_eq!(bed.names(), ["one"]);
}

const THREE: &str = "  - name: first
    timeout: 3s
    steps:
      - secret: { name: keys, generate: { password: 16 } }
      - apply: { path: manifests/one.yaml }
  - name: second
    steps:
      - apply: { path: manifests/two.yaml }
      - name: last
        needs: [two]
        apply: { path: manifests/three.yaml }
";

/// How `uninstall` ends at a terminal where somebody types this.
fn typed(agent: &Agent, answer: &str) -> Ended {
    let inner = agent.command(&["uninstall"]);
    let mut command = Command::new("script");
    // It runs the program at a terminal of its own, and types there what comes in.
    command
        .args(["--quiet", "--return", "--flush", "/dev/null"])
        .arg("--command")
        .arg(format!("{} uninstall", inner.get_program().display()))
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("script runs");
    let mut keyboard = child.stdin.take().expect("an input");
    writeln!(keyboard, "{answer}").expect("it is typed");
    drop(keyboard);
    ended_child(child)
}

#[test]
fn uninstall_asks_at_a_terminal_and_takes_only_yes() {
    let bed = Bed::new("asks", ONE);
    bed.object("one");
    assert_eq!(bed.agent.run(&["run"]).code, 0);
    for answer in ["no", "y", ""] {
        let kept = typed(&bed.agent, answer);
        assert_eq!(kept.code, 78, "{answer:?}: {kept}");
        let question = format!(
            "these 1 objects are deleted:\r\n  ConfigMap {}/one\r\nType yes to go on: ",
            bed.agent.namespace
        );
        assert!(kept.stdout.contains(&question), "{answer:?}: {kept}");
        assert!(bed.get("configmap/one").is_some(), "{answer:?}: {kept}");
    }
    let gone = typed(&bed.agent, "yes");
    assert_eq!(gone.code, 0, "{gone}");
    assert!(
        gone.stdout
            .contains("asks is uninstalled: 1 objects deleted"),
        "{gone}"
    );
    assert!(bed.get("configmap/one").is_none(), "{gone}");
}

#[test]
fn uninstall_goes_backwards_explains_what_holds_and_keeps_data() {
    let bed = Bed::new("goes", THREE);
    let held = config("one").replace("name: one", "name: one, finalizers: [example.com/keep]");
    bed.agent.write("manifests/one.yaml", &held);
    bed.object("two");
    bed.object("three");
    let nothing = bed.agent.run(&["uninstall", "--yes"]);
    assert_eq!(nothing.code, 0, "{nothing}");
    assert!(nothing.stdout.contains("goes owns nothing"), "{nothing}");
    assert_eq!(bed.agent.run(&["run"]).code, 0);

    let unasked = bed.agent.run(&["uninstall"]);
    assert_eq!(unasked.code, 78, "{unasked}");
    assert!(
        unasked.stderr.contains("3 objects are deleted") && unasked.stderr.contains("--yes"),
        "{unasked}"
    );
    let only = bed.agent.run(&["uninstall", "--yes", "--only", "first"]);
    assert_eq!(only.code, 78, "{only}");

    let stuck = bed.agent.run(&["uninstall", "--yes"]);
    assert_eq!(stuck.code, 69, "{stuck}");
    let sentence = stuck.sentence();
    let waits = format!(
        "ConfigMap {}/one: is being deleted, held by the finalizer example.com/keep",
        bed.agent.namespace
    );
    assert!(sentence.contains(&waits), "{sentence}");
    assert!(
        sentence.contains("nobody takes away the finalizer example.com/keep"),
        "{sentence}"
    );
    let at = |name: &str| {
        stuck
            .stdout
            .find(&format!("delete ConfigMap {}/{name}", bed.agent.namespace))
    };
    assert!(at("three") < at("two") && at("two") < at("one"), "{stuck}");
    assert!(at("three").is_some(), "{stuck}");
    assert_eq!(bed.names(), ["keys", "one"]);

    let free = r#"{"metadata":{"finalizers":null}}"#;
    bed.kubectl(&["patch", "configmap", "one", "--type=merge", "-p", free])
        .expect("freed");
    let rest = bed.agent.run(&["uninstall", "--yes"]);
    assert_eq!(rest.code, 0, "{rest}");
    assert!(
        rest.stdout
            .contains(&format!("Kept: Secret {}/keys", bed.agent.namespace)),
        "{rest}"
    );
    assert!(bed.get("secret/keys").is_some());

    let purged = bed.agent.run(&["uninstall", "--yes", "--purge"]);
    assert_eq!(purged.code, 0, "{purged}");
    assert_eq!(
        purged.sentence().split(';').next(),
        Some("goes is uninstalled: 1 objects deleted"),
        "{purged}"
    );
    for gone in [
        "secret/keys",
        "configmap/firstlight-goes",
        "configmap/firstlight-goes-inventory-0",
        "lease/firstlight-goes",
    ] {
        assert_eq!(bed.get(gone), None, "{gone}");
    }
}
