//! The OpenTelemetry operator's kinds, as the bundle uses them, with their real definitions.
//!
//! The operator itself does not run: the test writes what it and the controller of its Deployment
//! would.

use std::process::Command;
use std::time::Duration;

use firstlight::providers::kubernetes::Object;
use serde_json::{Value, json};
use testbed::ApiServer;

use super::bed::{Bed, object};
use crate::law;

const SOON: Duration = Duration::from_mins(1);
const KINDS: [&str; 2] = ["OpenTelemetryCollector", "Instrumentation"];

/// An API server of its own with the definitions.
struct Place {
    bed: Bed,
    _server: ApiServer,
}

impl Place {
    async fn new() -> Self {
        let server = ApiServer::start().await.expect("an API server of its own");
        let bed = Bed::of(server.cluster()).await;
        bed.create_namespace().await;
        let folder = testbed::program("opentelemetry-operator").expect("the definitions are there");
        for plural in ["opentelemetrycollectors", "instrumentations"] {
            let file = folder.join(format!("opentelemetry.io_{plural}.yaml"));
            let text = std::fs::read_to_string(file).expect("a file");
            let definition = serde_saphyr::from_str(&text).expect("a definition");
            bed.api.define(&definition).await.expect("it is served");
        }
        Self {
            bed,
            _server: server,
        }
    }

    /// What the bundle of this repository applies where the operator is.
    fn documents(&self) -> Vec<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
            .args(["render", "--profile", "quickstart", "--output", "text"])
            .args(["--namespace", &self.bed.namespace])
            .args(["--set", "collector.operator.enabled=true"])
            .args(["--set", "collector.alsoTo.traces=http://tempo:4318"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the agent starts");
        let text = String::from_utf8(output.stdout).expect("text");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let documents: Vec<Value> = documents
            .into_iter()
            .filter(|it| KINDS.iter().any(|kind| it["kind"] == *kind))
            .collect();
        assert_eq!(documents.len(), KINDS.len(), "{text}");
        documents
    }

    fn waited(&self, document: &Value) -> Object {
        object(self.bed.client.clone(), document.clone(), false, true)
    }

    async fn status(&self, fields: Value) {
        let namespace = &self.bed.namespace;
        let path = format!(
            "/apis/opentelemetry.io/v1beta1/namespaces/{namespace}/opentelemetrycollectors/otel/status"
        );
        self.bed.patch(&path, json!({ "status": fields })).await;
    }

    /// The Deployment that the operator would make, with so many pods ready.
    async fn deploy(&self, collector: &Value) {
        let labels = json!({ "app.kubernetes.io/name": "otel-collector" });
        let container = json!({ "name": "otc-container", "image": collector["spec"]["image"] });
        let deployment = json!({
            "metadata": { "name": "otel-collector" },
            "spec": { "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels }, "spec": { "containers": [container] } } },
        });
        let all = self.bed.apps("deployments", "");
        self.bed.post(all.trim_end_matches('/'), deployment).await;
    }

    async fn ready(&self, pods: u64) {
        let status = json!({ "status": { "observedGeneration": 1, "replicas": 1,
            "updatedReplicas": 1, "readyReplicas": pods, "availableReplicas": pods } });
        let path = self.bed.apps("deployments", "otel-collector/status");
        self.bed.patch(&path, status).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bundle_asks_for_is_taken_as_it_is_and_waited_for() {
    let place = Place::new().await;
    for document in place.documents() {
        law::changes(place.bed.object(document.clone())).await;
        law::unchanged(place.bed.object(document.clone())).await;
        if document["kind"] == "Instrumentation" {
            law::unchanged(place.waited(&document)).await;
            continue;
        }
        let collector = place.waited(&document);
        law::says(&collector, "the operator has not taken it up yet", SOON).await;
        place.status(json!({ "version": "0.140.0" })).await;
        law::says(
            &collector,
            "Deployment otel-collector is not there yet",
            SOON,
        )
        .await;
        place.deploy(&document).await;
        place.ready(0).await;
        law::says(
            &collector,
            "Deployment otel-collector: 0 of 1 pods ready",
            SOON,
        )
        .await;
        place.ready(1).await;
        law::unchanged(place.waited(&document)).await;
    }
}
