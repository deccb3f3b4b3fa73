//! A run as a service account that has the rights that `firstlight rbac` prints, and no others.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Attempt, Cluster, Env, eventually, unique};

use crate::agent::{Agent, Ended, ended};

/// How long the API server may take to hear of a changed Role.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent as a service account, and the administrator who grants it rights.
struct Bed {
    cluster: Cluster,
    agent: Agent,
    kubeconfig: PathBuf,
    _files: TempDir,
}

impl Bed {
    fn new(name: &str, phases: &str) -> Self {
        let cluster = Env::load()
            .and_then(|env| env.api_server())
            .expect("an API server");
        let agent = Agent::on(&cluster, name, "", phases);
        let files = tempfile::tempdir().expect("a folder");
        let kubeconfig = files.path().join("kubeconfig");
        let bed = Self {
            cluster,
            agent,
            kubeconfig,
            _files: files,
        };
        let namespace = bed.agent.namespace.clone();
        bed.kubectl(&["create", "serviceaccount", "firstlight", "-n", &namespace]);
        let token = bed.kubectl(&["create", "token", "firstlight", "-n", &namespace]);
        bed.log_in_with(token.trim());
        bed
    }

    fn log_in_with(&self, token: &str) {
        let admin = self.kubectl(&["config", "view", "--raw", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&admin).expect("JSON");
        for user in config["users"].as_array_mut().expect("users") {
            user["user"] = json!({ "token": token });
        }
        std::fs::write(&self.kubeconfig, config.to_string()).expect("a file");
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        said(self.cluster.kubectl().expect("kubectl").args(arguments))
    }

    fn apply(&self, objects: &[Value]) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let mut kubectl = self.cluster.kubectl().expect("kubectl");
        let child = kubectl
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = child.expect("kubectl runs");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(list.to_string().as_bytes()).expect("read");
        drop(input);
        assert!(child.wait().expect("it ends").success(), "not applied");
    }

    /// The Roles that the program prints, as data.
    fn roles(&self) -> Vec<Value> {
        let printed = self.agent.run(&["rbac"]);
        assert_eq!(printed.code, 0, "{printed}");
        serde_saphyr::from_multiple(&printed.stdout).expect("YAML")
    }

    fn run(&self) -> Ended {
        let mut command = self.agent.command(&["run"]);
        ended(command.env("KUBECONFIG", &self.kubeconfig))
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("kubectl runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Kinds of all sorts: of the namespace and of the cluster, secret and not, defined here, grants.
fn bundle(bed: &Agent, group: &str) {
    let namespace = &bed.namespace;
    let config =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: colours }\ndata: { sky: blue }\n";
    bed.write("manifests/colours.yaml", config);
    let more = format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: login }}
stringData: {{ user: lens }}
---
apiVersion: v1
kind: Namespace
metadata: {{ name: {namespace}-more }}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: elsewhere, namespace: {namespace}-more }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: reader }}
rules: [{{ apiGroups: [example.com], resources: [fruits], resourceNames: [apple], verbs: [get, watch] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: reader }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }}
subjects: [{{ kind: ServiceAccount, name: default, namespace: {namespace} }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: master }}
rules: [{{ apiGroups: [example.com], resources: [fruits], verbs: [\"*\"] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: master }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: master }}
subjects: [{{ kind: ServiceAccount, name: default, namespace: {namespace} }}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec: {{ containers: [{{ name: web, image: example.com/web }}] }}
"
    );
    bed.write("manifests/more.yaml", &more);
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: sheep.{group} }}
spec:
  group: {group}
  scope: Namespaced
  names: {{ kind: Sheep, plural: sheep }}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}
"
    );
    bed.write("manifests/definition.yaml", &definition);
    let sheep = format!("apiVersion: {group}/v1\nkind: Sheep\nmetadata: {{ name: dolly }}\n");
    bed.write("manifests/dolly.yaml", &sheep);
}

const PHASES: &str = "  - name: first
    steps:
      - secret: { name: keys, generate: { password: 16 } }
      - apply: { path: manifests/colours.yaml }
      - apply: { path: manifests/definition.yaml }
  - name: second
    steps:
      - apply: { path: manifests/more.yaml, wait: false }
      - apply: { path: manifests/dolly.yaml, wait: false }
";

#[tokio::test]
async fn a_run_passes_with_the_printed_roles_and_names_each_rule_that_is_gone() {
    let bed = Bed::new("rights", PHASES);
    bundle(&bed.agent, &format!("{}.example.com", unique("farm")));
    let more = format!("{}-more", bed.agent.namespace);
    // Where a Role is to be, its namespace must be before.
    bed.kubectl(&["create", "namespace", &more]);
    let without = bed.run();
    assert_eq!(without.code, 77, "{without}");

    let roles = bed.roles();
    bed.apply(&roles);
    passes(&bed).await;
    let again = bed.run();
    assert!(again.sentence().contains(" 0 changed"), "{again}");

    let mut gone = 0;
    for role in roles.iter().filter(|role| role["rules"].is_array()) {
        let list = role["rules"].as_array().expect("rules");
        for (at, rule) in list.iter().enumerate() {
            let mut less = role.clone();
            less["rules"].as_array_mut().expect("rules").remove(at);
            let resource = rule["resources"][0].as_str().expect("text");
            if ["nodes", "pods/log", "storageclasses"].contains(&resource) {
                // A run does without, and only says less.
                continue;
            }
            bed.apply(&[less]);
            is_named(&bed, rule).await;
            bed.apply(std::slice::from_ref(role));
            gone += 1;
        }
    }
    assert!(gone > 15, "only {gone} rules");
    passes(&bed).await;
}

/// The run ends well as soon as the API server has heard of the Roles.
async fn passes(bed: &Bed) -> Ended {
    let run = eventually("the run passes", PATIENCE, async || {
        let run = bed.run();
        match run.code {
            0 => Attempt::Done(run),
            77 if run.stderr.contains("missing") => Attempt::NotYet(run.to_string()),
            _ => Attempt::Never(run.to_string()),
        }
    });
    run.await.expect("it passes")
}

/// The run ends with exit 77 and names what this rule allowed, and nothing else.
async fn is_named(bed: &Bed, rule: &Value) {
    let mut wanted = expected(rule);
    wanted.sort();
    let named = eventually("what is missing is named", PATIENCE, async || {
        let run = bed.run();
        let mut found: Vec<String> = run
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.starts_with("hint"))
            .filter_map(|line| Some(line.split_once(" in ")?.0.to_owned()))
            .collect();
        found.sort();
        if run.code == 77 && found == wanted {
            Attempt::Done(())
        } else {
            Attempt::NotYet(format!("{run}\nwanted {wanted:?}, found {found:?}"))
        }
    });
    named.await.expect("it is named");
}

/// `get secrets keys`, as the message has it.
fn expected(rule: &Value) -> Vec<String> {
    let texts = |key: &str| -> Vec<String> {
        let list = rule[key].as_array().into_iter().flatten();
        list.map(|text| text.as_str().expect("text").to_owned())
            .collect()
    };
    let group = match &texts("apiGroups")[0] {
        group if group.is_empty() => String::new(),
        group => format!(".{group}"),
    };
    let resource = format!("{}{group}", texts("resources")[0]);
    let names = texts("resourceNames");
    let mut lines = Vec::new();
    for verb in texts("verbs") {
        if names.is_empty() {
            lines.push(format!("{verb} {resource}"));
        }
        lines.extend(names.iter().map(|name| format!("{verb} {resource} {name}")));
    }
    lines
}

#[test]
fn the_roles_of_a_bundle_are_the_same_each_time_and_say_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let print = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
        command.env_clear().current_dir(root);
        ended(command.args(["rbac", "--profile", "quickstart", "--namespace", "lens"]))
    };
    let printed = print();
    assert_eq!(printed.code, 0, "{printed}");
    assert_eq!(printed.stdout, print().stdout);
    for words in [
        "  # run: the lock that keeps two runs apart",
        "  # namespace/grafana-admin, namespace/postgres-admin and 3 more: made once",
        "resourceNames: [\"grafana-admin\", \"postgres-admin\", \"postgres-lens\", \"postgres-lens-api\", \"postgres-lens-grafana\"]",
    ] {
        assert!(printed.stdout.contains(words), "{words}: {printed}");
    }
}

#[test]
fn what_an_operator_makes_is_read_where_it_makes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(manifests.join(name), text).expect("a file");
    write(
        "bundle.yaml",
        "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: { name: farm }
phases:
  - name: all
    steps:
      - apply: { path: manifests/all.yaml }
",
    );
    write(
        "all.yaml",
        "apiVersion: postgres-operator.crunchydata.com/v1beta1
kind: PostgresCluster
metadata: { name: barn, namespace: data }
---
apiVersion: fluentbit.fluent.io/v1alpha2
kind: FluentBit
metadata: { name: bit, namespace: logs }
spec: { fluentBitConfigName: every }
---
apiVersion: fluentbit.fluent.io/v1alpha2
kind: ClusterFluentBitConfig
metadata: { name: every }
---
apiVersion: fluentbit.fluent.io/v1alpha2
kind: ClusterFluentBitConfig
metadata: { name: some }
spec: { namespace: more }
",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
    command.env_clear().current_dir(folder.path());
    let printed = ended(command.args(["rbac", "--namespace", "farm"]));
    assert_eq!(printed.code, 0, "{printed}");
    let roles: Vec<Value> = serde_saphyr::from_multiple(&printed.stdout).expect("YAML");
    let allows = |namespace: Option<&str>, resource: &str, verb: &str, name: Option<&str>| {
        let here = roles
            .iter()
            .filter(|role| role["metadata"]["namespace"].as_str() == namespace);
        let mut granted = here.filter_map(|role| role["rules"].as_array()).flatten();
        let has = |list: &Value, item: &str| {
            let mut list = list.as_array().into_iter().flatten();
            list.any(|it| it == item)
        };
        granted.any(|rule| {
            has(&rule["resources"], resource)
                && has(&rule["verbs"], verb)
                && name.is_none_or(|name| has(&rule["resourceNames"], name))
        })
    };
    for (namespace, resource, verb, name) in [
        (Some("data"), "secrets", "get", Some("barn-pguser-barn")),
        (Some("logs"), "secrets", "get", Some("every")),
        (Some("more"), "secrets", "get", Some("some")),
        (None, "fluentbits", "list", None),
        (Some("more"), "fluentbits", "list", None),
        (Some("logs"), "daemonsets", "get", None),
        (Some("more"), "daemonsets", "get", None),
        (Some("more"), "pods", "list", None),
    ] {
        let found = allows(namespace, resource, verb, name);
        assert!(
            found,
            "{verb} {resource} {name:?} in {namespace:?}: {printed}"
        );
    }
    let wrong = allows(Some("farm"), "secrets", "get", None);
    assert!(!wrong, "nothing is made in the installation: {printed}");
}
