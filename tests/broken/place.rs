//! A namespace of a stack's own in the cluster.

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
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        let said = self.cluster.kubectl_says(&all, document);
        said.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Frees the node; a stack that is not told of as expected stays, to be looked at.
    pub(crate) fn remove(&self) {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}
