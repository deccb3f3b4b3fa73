//! A namespace of the test's own, and the API server behind the provider's back.

use std::time::Duration;

use firstlight::providers::kubernetes::{Client, Object, ObjectOptions};
use http::Method;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Api, Attempt, Cluster, Env, eventually, unique};

use crate::law;

const SOON: Duration = Duration::from_secs(30);

/// The API server, as the provider reaches it and as the test does behind its back.
pub(super) struct Bed {
    /// The administrator.
    pub(super) client: Client,
    pub(super) namespace: String,
    /// The administrator behind the provider's back.
    pub(super) api: Api,
    kubeconfig: Kubeconfig,
    files: TempDir,
}

impl Bed {
    /// With a namespace that is there.
    pub(super) async fn new() -> Self {
        let bed = Self::without_namespace().await;
        bed.create_namespace().await;
        bed
    }

    /// In a cluster that runs pods, with a namespace that is there.
    pub(super) async fn with_node() -> Self {
        let env = Env::load().expect("the test bed is up");
        let bed = Self::of(&env.cluster().expect("a cluster is up")).await;
        bed.create_namespace().await;
        bed
    }

    pub(super) async fn without_namespace() -> Self {
        let env = Env::load().expect("the test bed is up");
        Self::of(&env.api_server().expect("an API server is up")).await
    }

    /// On a cluster, with a namespace that is not there.
    pub(super) async fn of(at: &Cluster) -> Self {
        law::install_tls();
        let kubeconfig = Kubeconfig::read_from(&at.kubeconfig).expect("a kubeconfig");
        let namespace = unique("laws");
        let client = Client::with_kubeconfig(&at.kubeconfig, Some(namespace.clone())).await;
        let api = Api::of(at, &namespace).await;
        Self {
            client: client.expect("a client"),
            namespace,
            api: api.expect("a client"),
            kubeconfig,
            files: TempDir::new().expect("a folder"),
        }
    }

    pub(super) async fn create_namespace(&self) {
        let namespace = json!({ "metadata": { "name": self.namespace } });
        self.post("/api/v1/namespaces", namespace).await;
    }

    /// Frees the node of what a test that went well has started; a failed one leaves it to look at.
    pub(super) async fn remove(&self) {
        let namespace = format!("/api/v1/namespaces/{}", self.namespace);
        self.delete(&namespace).await;
    }

    /// Asks the API server as the administrator, with an object's path.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, kube::Error> {
        self.api.ask(method, path, content_type, body).await
    }

    /// What the API server answers that is no object.
    pub(super) async fn text(&self, path: &str) -> String {
        self.api.text(path).await.expect("an answer")
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        self.api.post(path, &body).await.expect("it is made")
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.api.get(path).await.expect("it is there")
    }

    /// Changes an object as another field manager.
    pub(super) async fn patch(&self, path: &str, fields: Value) -> Value {
        self.api.patch(path, &fields).await.expect("it is changed")
    }

    pub(super) async fn delete(&self, path: &str) {
        self.api.delete(path).await.expect("it is deleted");
    }

    /// The path of an object of the core group in the test's namespace.
    pub(super) fn core(&self, resource: &str, name: &str) -> String {
        format!("/api/v1/namespaces/{}/{resource}/{name}", self.namespace)
    }

    pub(super) fn apps(&self, resource: &str, name: &str) -> String {
        format!(
            "/apis/apps/v1/namespaces/{}/{resource}/{name}",
            self.namespace
        )
    }

    /// An object that is not waited for.
    pub(super) fn object(&self, document: Value) -> Object {
        object(self.client.clone(), document, false, false)
    }

    /// A client with the rights of a new service account: these verbs on everything.
    pub(super) async fn user(&self, verbs: &[&str]) -> Client {
        let rules = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": verbs }]);
        self.user_with(rules).await
    }

    /// A client with the rights of a new service account, by these rules.
    pub(super) async fn user_with(&self, rules: Value) -> Client {
        let name = unique("user");
        let namespace = &self.namespace;
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.post(&accounts, json!({ "metadata": { "name": name } }))
            .await;
        let rights = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        let role = json!({ "metadata": { "name": name }, "rules": rules });
        self.post(rights, role).await;
        let binding = json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
        });
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        self.post(bindings, binding).await;
        self.holds(
            &format!("system:serviceaccount:{namespace}:{name}"),
            &rules[0],
        )
        .await;
        let token = self
            .post(&format!("{accounts}/{name}/token"), json!({ "spec": {} }))
            .await;
        let token = token["status"]["token"].as_str().expect("a token");
        self.with_token(token).await
    }

    /// Waits until the API server has heard of a rule that it was given.
    async fn holds(&self, user: &str, rule: &Value) {
        let asked = json!({
            "namespace": self.namespace,
            "verb": rule["verbs"][0],
            "group": rule["apiGroups"][0],
            "resource": rule["resources"][0],
            "name": rule["resourceNames"][0],
        });
        let review = json!({ "spec": { "user": user, "resourceAttributes": asked } });
        let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let held = eventually("a right that was given", SOON, async || {
            let answer = self.post(reviews, review.clone()).await;
            if answer["status"]["allowed"] == true {
                return Attempt::Done(());
            }
            Attempt::NotYet(answer["status"].to_string())
        });
        held.await.expect("it holds");
    }

    /// The administrator, who has not looked at anything yet.
    pub(super) async fn again(&self) -> Client {
        self.with_kubeconfig(&self.kubeconfig).await
    }

    /// A client that may only read.
    pub(super) async fn reader(&self) -> Client {
        self.user(&["get", "list", "watch"]).await
    }

    /// The administrator, as another run that has seen nothing yet.
    pub(super) async fn administrator(&self) -> Client {
        self.with_kubeconfig(&self.kubeconfig).await
    }

    /// A client with this token.
    pub(super) async fn with_token(&self, token: &str) -> Client {
        let mut kubeconfig = self.kubeconfig.clone();
        for named in &mut kubeconfig.auth_infos {
            named.auth_info = Some(kube::config::AuthInfo {
                token: Some(token.to_owned().into()),
                ..Default::default()
            });
        }
        self.with_kubeconfig(&kubeconfig).await
    }

    /// The administrator, through another address.
    pub(super) async fn at(&self, server: &str) -> Client {
        let server = server.to_owned();
        self.with_cluster(|cluster| cluster.server = Some(server))
            .await
    }

    /// The administrator, who expects another name in the server's certificate.
    pub(super) async fn expecting(&self, name: &str) -> Client {
        let name = name.to_owned();
        self.with_cluster(|cluster| cluster.tls_server_name = Some(name))
            .await
    }

    async fn with_cluster(&self, change: impl FnOnce(&mut kube::config::Cluster)) -> Client {
        let mut kubeconfig = self.kubeconfig.clone();
        let cluster = kubeconfig.clusters[0].cluster.as_mut();
        change(cluster.expect("a cluster"));
        self.with_kubeconfig(&kubeconfig).await
    }

    async fn with_kubeconfig(&self, kubeconfig: &Kubeconfig) -> Client {
        let file = self.files.path().join(unique("kubeconfig"));
        let text = serde_json::to_string(kubeconfig).expect("it is data");
        std::fs::write(&file, text).expect("a file");
        Client::with_kubeconfig(&file, Some(self.namespace.clone()))
            .await
            .expect("a client")
    }

    /// `host:port` of the API server.
    pub(super) fn address(&self) -> String {
        let clusters = &self.kubeconfig.clusters;
        let server = clusters[0]
            .cluster
            .as_ref()
            .and_then(|it| it.server.as_ref());
        let server = server.expect("an address");
        server
            .trim_start_matches("https://")
            .trim_end_matches('/')
            .to_owned()
    }
}

/// An object by any client.
pub(super) fn object(client: Client, document: Value, force: bool, wait: bool) -> Object {
    Object::new(client, document, ObjectOptions { force, wait }).expect("an object")
}
