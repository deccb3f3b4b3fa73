//! The Prometheus operator, a real one: when it can be used, and when what it makes is ready.
//!
//! It runs beside an API server of the test's own. No pods run there: the test plays the
//! controller of a `StatefulSet` and the kubelet, and the operator makes of that what it always does.
//! cert-manager cannot be had so: its commands are modules of their own (`cmd/controller`,
//! `cmd/webhook`), of which no version is published, and its module holds only their libraries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use firstlight::engine::{Class, Resource};
use firstlight::providers::kubernetes::{Controller, Object, Operator};
use serde_json::{Value, json};
use testbed::{ApiServer, Attempt, PrometheusAdmission, PrometheusOperator, certify, eventually};

use super::bed::{Bed, object};
use crate::law;

const SOON: Duration = Duration::from_mins(1);
const APP: &str = "app.kubernetes.io/name";
const NAME: &str = "prometheus-operator";

/// An API server of its own and a namespace there; the definitions are not there yet.
struct Place {
    bed: Bed,
    server: ApiServer,
}

impl Place {
    async fn new() -> Self {
        let server = ApiServer::start().await.expect("an API server of its own");
        let bed = Bed::of(server.cluster()).await;
        bed.create_namespace().await;
        Self { bed, server }
    }

    /// With the definitions, and the operator at work.
    async fn with_operator() -> (Self, PrometheusOperator) {
        let place = Self::new().await;
        place.define().await;
        let operator = PrometheusOperator::start(place.server.cluster(), &place.bed.namespace);
        (place, operator.expect("the operator is built"))
    }

    async fn define(&self) {
        for file in PrometheusOperator::definitions().expect("the operator is built") {
            let text = std::fs::read_to_string(&file).expect("a file");
            let definition = serde_saphyr::from_str(&text).expect("a definition");
            self.bed
                .api
                .define(&definition)
                .await
                .expect("it is served");
        }
    }

    /// The Deployment of the operator, which runs as a process instead: complete by its own words.
    async fn deploy(&self) {
        let labels = json!({ APP: NAME });
        let container = json!({ "name": NAME, "image": "example.com/prometheus-operator:v0.85.0" });
        let deployment = json!({
            "metadata": { "name": NAME, "labels": labels },
            "spec": { "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [container] } } },
        });
        let all = self.bed.apps("deployments", "");
        self.bed.post(all.trim_end_matches('/'), deployment).await;
        let status = json!({ "status": { "observedGeneration": 1, "replicas": 1,
            "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1 } });
        let path = self.bed.apps("deployments", &format!("{NAME}/status"));
        self.bed.patch(&path, status).await;
    }

    fn gate(&self, documents: Vec<Value>) -> Operator {
        let definitions = ["prometheuses", "alertmanagers", "prometheusrules"]
            .map(|plural| format!("{plural}.monitoring.coreos.com"));
        let labels = BTreeMap::from([(APP.to_owned(), NAME.to_owned())]);
        Operator::new(
            self.bed.client.clone(),
            NAME,
            None,
            labels,
            definitions.to_vec(),
        )
        .admitting(documents)
        .expect("objects")
    }

    /// Sends rules to the operator's webhook, as its own manifests do.
    async fn configure_webhook(&self, port: u16, authority: &str) {
        let hooks = json!({
            "metadata": { "name": "prometheus-operator-rules-validation" },
            "webhooks": [{
                "name": "prometheusrulevalidate.monitoring.coreos.com",
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
                "rules": [{ "apiGroups": ["monitoring.coreos.com"], "apiVersions": ["*"],
                            "resources": ["prometheusrules"], "operations": ["CREATE", "UPDATE"] }],
                "clientConfig": { "caBundle": authority,
                    "url": format!("https://127.0.0.1:{port}/admission-prometheusrules/validate") },
            }],
        });
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.bed.post(path, hooks).await;
    }

    /// A resource that is waited for.
    fn waited(&self, document: &Value) -> Object {
        object(self.bed.client.clone(), document.clone(), false, true)
    }

    async fn apply(&self, document: &Value) {
        law::changes(self.bed.object(document.clone())).await;
    }

    fn path(&self, plural: &str, name: &str) -> String {
        let namespace = &self.bed.namespace;
        format!("/apis/monitoring.coreos.com/v1/namespaces/{namespace}/{plural}/{name}")
    }

    /// Waits until the operator has made its StatefulSet, in this generation.
    async fn stateful_set(&self, name: &str, generation: u64, operator: &PrometheusOperator) {
        let path = self.bed.apps("statefulsets", name);
        let made = eventually("a StatefulSet", SOON, async || {
            match self.bed.api.get(&path).await {
                Ok(set) if set["metadata"]["generation"] == generation => Attempt::Done(()),
                Ok(set) => Attempt::NotYet(set["metadata"].to_string()),
                Err(error) => Attempt::not_yet(&error),
            }
        });
        made.await
            .unwrap_or_else(|error| panic!("{error}\n{}", operator.log()));
    }

    /// Writes its status as the controller of a `StatefulSet` would.
    async fn set(&self, name: &str, generation: u64, ready: u64, updated: u64) {
        let status = json!({ "status": { "observedGeneration": generation, "replicas": 1,
            "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
            "currentRevision": "one", "updateRevision": "one" } });
        let path = self.bed.apps("statefulsets", &format!("{name}/status"));
        self.bed.patch(&path, status).await;
    }

    /// Makes its one pod, which is ready at once.
    async fn run_pod(&self, name: &str) {
        let set = self.bed.get(&self.bed.apps("statefulsets", name)).await;
        let mut labels = set["spec"]["selector"]["matchLabels"].clone();
        labels["controller-revision-hash"] = "one".into();
        let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name,
                            "uid": set["metadata"]["uid"], "controller": true });
        let pod = json!({
            "metadata": { "name": format!("{name}-0"), "labels": labels, "ownerReferences": [owner] },
            "spec": { "containers": [{ "name": "main", "image": "example.com/main:1" }] },
        });
        let all = self.bed.core("pods", "");
        self.bed.post(all.trim_end_matches('/'), pod).await;
        let ready = json!({ "status": { "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }] } });
        let path = self.bed.core("pods", &format!("{name}-0/status"));
        self.bed.patch(&path, ready).await;
    }

    /// Waits until the operator itself says that all is well, of this generation.
    async fn is_available(&self, path: &str, generation: u64) {
        let said = eventually("Available", SOON, async || {
            let status = self.bed.get(path).await["status"].clone();
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            let available = conditions.any(|it| {
                it["type"] == "Available"
                    && it["status"] == "True"
                    && it["observedGeneration"] == generation
            });
            if available {
                Attempt::Done(())
            } else {
                Attempt::NotYet(status.to_string())
            }
        });
        said.await.expect("the operator says so");
    }
}

fn prometheus(version: &str) -> Value {
    json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
            "metadata": { "name": "main" },
            "spec": { "replicas": 1, "version": version, "serviceMonitorSelector": {} } })
}

fn alertmanager(name: &str) -> Value {
    json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "Alertmanager",
            "metadata": { "name": name }, "spec": { "replicas": 1, "version": "v0.28.1" } })
}

fn rules(expression: &str) -> Value {
    let rule = json!({ "alert": "NoLight", "expr": expression });
    json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": { "name": "light" },
            "spec": { "groups": [{ "name": "light", "rules": [rule] }] } })
}

/// It must never be current before.
pub(super) async fn says(resource: &impl Resource, words: &str) {
    law::says(resource, words, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_gate_opens_when_all_of_it_is_there_and_its_webhook_admits() {
    let place = Place::new().await;
    let documents = || vec![prometheus("v3.5.0"), alertmanager("main"), rules("up == 0")];
    let gate = place.gate(documents());
    let absent = "CustomResourceDefinition prometheuses.monitoring.coreos.com does not exist";
    says(&gate, absent).await;
    place.define().await;
    let namespace = &place.bed.namespace;
    let lacking = format!("no Deployment in {namespace} with {APP}={NAME}");
    says(&gate, &lacking).await;
    place.deploy().await;
    law::unchanged(place.gate(documents())).await;

    let mut newer = prometheus("v3.5.0");
    newer["apiVersion"] = "monitoring.coreos.com/v2".into();
    says(
        &place.gate(vec![newer]),
        "monitoring.coreos.com/v2 is not served yet",
    )
    .await;
    let mut unknown = prometheus("v3.5.0");
    unknown["spec"]["replica"] = 1.into();
    let (class, said, _) = law::fails(place.gate(vec![unknown])).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("unknown field \"spec.replica\""), "{said}");

    let folder = tempfile::tempdir().expect("a folder");
    let certificate = certify(folder.path()).expect("a certificate");
    let port = PrometheusAdmission::port().expect("a port");
    let authority = certificate.authority().expect("a file");
    place.configure_webhook(port, &authority).await;
    says(&gate, "failed calling webhook").await;
    let _webhook = PrometheusAdmission::start(&certificate, port).expect("the webhook is built");
    law::unchanged(place.gate(documents())).await;
    let (class, said, _) = law::fails(place.gate(vec![rules("up ==")])).await;
    assert!(!class.is_transient(), "{class:?}: {said}");
    let words =
        "admission webhook \"prometheusrulevalidate.monitoring.coreos.com\" denied the request";
    assert!(said.contains(words), "{said}");
    let all = place.bed.get(&place.path("prometheusrules", "")).await;
    assert_eq!(all["items"], json!([]), "it was only tried");
}

/// What has passed since the test began, to the clock of a resource.
static LATER: AtomicU64 = AtomicU64::new(0);

fn clock() -> SystemTime {
    SystemTime::now() + Duration::from_secs(LATER.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_ready_only_when_its_newest_pods_are() {
    const SET: &str = "prometheus-main";
    let (place, operator) = Place::with_operator().await;
    let document = prometheus("v3.5.0");
    place.apply(&document).await;
    let main = place.waited(&document);
    place.stateful_set(SET, 1, &operator).await;
    says(&main, "Available is False (NoPodReady)").await;
    // The operator counts a ready pod before the StatefulSet does.
    place.run_pod(SET).await;
    place.set(SET, 1, 0, 1).await;
    let path = place.path("prometheuses", "main");
    place.is_available(&path, 1).await;
    says(&main, "StatefulSet prometheus-main: 0 of 1 pods ready").await;
    place.set(SET, 1, 1, 1).await;
    law::unchanged(place.waited(&document)).await;

    // The old pod is ready, so the operator says that all is well.
    let document = prometheus("v3.6.0");
    place.apply(&document).await;
    let main = place.waited(&document);
    place.stateful_set(SET, 2, &operator).await;
    place.is_available(&path, 2).await;
    let stale = "StatefulSet prometheus-main: its controller has not seen the latest change yet";
    says(&main, stale).await;
    place.set(SET, 2, 1, 0).await;
    says(&main, "StatefulSet prometheus-main: 0 of 1 pods updated").await;
    place.set(SET, 2, 1, 1).await;
    law::unchanged(place.waited(&document)).await;

    let mut broken = document.clone();
    let absent = json!({ "name": "nowhere", "key": "scrape.yaml" });
    broken["spec"]["additionalScrapeConfigs"] = absent;
    place.apply(&broken).await;
    let main = place.waited(&broken).with_clock(clock);
    says(&main, "Reconciled is False").await;
    LATER.store(601, Ordering::Relaxed);
    let seen = main.observe().await.expect("the server answers");
    let failure = main.plan(&seen).expect_err("it will not heal by itself");
    let said = failure.to_string();
    assert!(said.contains("Reconciled is False"), "{said}");
    assert!(said.contains("\"nowhere\" not found"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_it_was_stopped_is_seen() {
    let (place, operator) = Place::with_operator().await;
    let document = alertmanager("main");
    place.apply(&document).await;
    place.stateful_set("alertmanager-main", 1, &operator).await;
    place.run_pod("alertmanager-main").await;
    place.set("alertmanager-main", 1, 1, 1).await;
    law::unchanged(place.waited(&document)).await;
    drop(operator);

    let mut changed = document.clone();
    changed["spec"]["version"] = "v0.28.0".into();
    place.apply(&changed).await;
    let main = place.waited(&changed);
    says(&main, "its controller has not seen the latest change yet").await;
    let said = diagnosis(&main).await;
    assert!(
        said.starts_with("its controller PrometheusOperator wrote its status last at "),
        "{said}"
    );
    assert!(said.ends_with(", of generation 1; it is at 2"), "{said}");

    let other = alertmanager("other");
    place.apply(&other).await;
    let other = place.waited(&other);
    says(&other, "the operator has not taken it up yet").await;
    assert_eq!(
        diagnosis(&other).await,
        "no controller has written to it: its only field manager is firstlight"
    );
    // A bundle that names its operator is told more.
    place.deploy().await;
    let path = place.bed.apps("deployments", NAME);
    place
        .bed
        .patch(&path, json!({ "spec": { "replicas": 0 } }))
        .await;
    let namespace = place.bed.namespace.clone();
    let controller = Controller {
        name: NAME.to_owned(),
        namespace: namespace.clone(),
        selector: BTreeMap::from([(APP.to_owned(), NAME.to_owned())]),
        definitions: vec!["alertmanagers.monitoring.coreos.com".to_owned()],
    };
    let controllers: Arc<[Controller]> = Arc::new([controller]);
    let said = diagnosis(&other.served_by(controllers)).await;
    let expected = format!(
        "operator {NAME} does not run: Deployment {namespace}/{NAME} is scaled to zero (spec.replicas is 0)"
    );
    assert_eq!(said, expected);
}

async fn diagnosis(object: &Object) -> String {
    let seen = object.observe().await.expect("the server answers");
    let said = object.diagnose(Ok(&seen)).await;
    said.expect("it is not ready").sentence
}
