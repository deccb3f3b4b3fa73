//! A namespace of a stack's own in the cluster.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testbed::{Cluster, Env, unique};

/// The cluster and a namespace in it.
pub(crate) struct Place {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
}

impl Place {
    pub(crate) fn new(stack: &str) -> Self {
        let env = Env::load().expect("the test bed is up");
        let place = Self {
            cluster: env.cluster().expect("a cluster is up"),
            namespace: unique(stack),
        };
        place.kubectl(&["create", "namespace", &place.namespace]);
        place
    }

    /// Who may do what the file `stacks/rights.yaml` says, as the text of a kubeconfig.
    pub(crate) fn limited_user(&self) -> String {
        self.kubectl_with(&["create", "-f", "-"], include_str!("stacks/rights.yaml"));
        let token = self.kubectl(&["create", "token", "limited"]);
        let config = self.kubectl(&["config", "view", "--raw", "--output=json"]);
        let mut config: Value = serde_json::from_str(&config).expect("JSON");
        config["users"][0]["user"] = json!({ "token": token.trim() });
        config.to_string()
    }

    /// What kubectl prints; its failure fails the stack.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "")
    }

    /// The same with a document on its standard input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], document: &str) -> String {
        let mut command: Command = self.cluster.kubectl().expect("kubectl");
        let mut child = command
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let mut input = child.stdin.take().expect("an input");
        input.write_all(document.as_bytes()).expect("kubectl reads");
        drop(input);
        let output = child.wait_with_output().expect("kubectl ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Frees the node; a stack that is not told of as expected stays, to be looked at.
    pub(crate) fn remove(&self) {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}
