//! When an operator can be used: it leads, its webhooks answer, and they admit what is written.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use firstlight::engine::Class;
use firstlight::providers::kubernetes::Operator;
use serde_json::{Value, json};
use testbed::{Webhook, unique};

use super::bed::Bed;
use crate::law;

const SOON: Duration = Duration::from_secs(20);

/// An operator that runs, of a group of its own.
struct Farm {
    bed: Bed,
    group: String,
}

impl Farm {
    async fn new() -> Self {
        let farm = Self {
            bed: Bed::new().await,
            group: format!("{}.example.com", unique("farm")),
        };
        let group = &farm.group;
        let anything = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let definition = json!({
            "metadata": { "name": format!("sheep.{group}") },
            "spec": { "group": group, "scope": "Namespaced",
                "names": { "kind": "Sheep", "plural": "sheep" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": anything }] },
        });
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        farm.bed.post(definitions, definition).await;
        let labels = json!({ "app": "shepherd" });
        let deployment = json!({
            "metadata": { "name": "shepherd", "labels": labels },
            "spec": { "selector": { "matchLabels": labels }, "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "shepherd", "image": "example.com/shepherd" }] } } },
        });
        let deployments = farm.bed.apps("deployments", "");
        farm.bed
            .post(deployments.trim_end_matches('/'), deployment)
            .await;
        let status = json!({ "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": 1, "availableReplicas": 1 } });
        farm.bed
            .patch(&farm.bed.apps("deployments", "shepherd/status"), status)
            .await;
        farm
    }

    fn sheep(&self, version: &str) -> Value {
        let api_version = format!("{}/{version}", self.group);
        json!({ "apiVersion": api_version, "kind": "Sheep", "metadata": { "name": "dolly" }, "spec": { "wool": 3 } })
    }

    /// The gate for what the bundle is going to write.
    fn gate(&self, documents: Vec<Value>) -> Operator {
        let labels = BTreeMap::from([("app".to_owned(), "shepherd".to_owned())]);
        let crd = format!("sheep.{}", self.group);
        Operator::new(self.bed.client.clone(), "shepherd", None, labels, vec![crd])
            .admitting(documents)
            .expect("objects")
    }

    async fn opens(&self) {
        law::unchanged(self.gate(vec![self.sheep("v1")])).await;
    }

    /// Waits until the gate says this, which the server may be slow to hear of.
    async fn says(&self, version: &str, words: &str) {
        let gate = self.gate(vec![self.sheep(version)]);
        law::comes_to_say(&gate, words, SOON).await;
    }

    /// Sends every object of the group to a webhook.
    async fn configure(&self, client: Value) {
        let group = &self.group;
        let hooks = json!({
            "metadata": { "name": group },
            "webhooks": [{
                "name": format!("check.{group}"),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
                "rules": [{ "apiGroups": [group], "apiVersions": ["*"], "resources": ["*"],
                            "operations": ["CREATE", "UPDATE"] }],
                "clientConfig": client,
            }],
        });
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.bed.post(path, hooks).await;
    }

    async fn remove_hooks(&self) {
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        self.bed.delete(&format!("{path}/{}", self.group)).await;
    }
}

#[tokio::test]
async fn it_opens_when_the_webhook_answers_and_a_denial_ends_it_at_once() {
    let farm = Farm::new().await;
    farm.opens().await;
    let webhook = Webhook::new().expect("a webhook");
    farm.configure(webhook.client_config()).await;
    // Nobody answers there yet.
    farm.says("v1", "failed calling webhook").await;
    webhook.open().expect("its port is still free");
    farm.opens().await;
    webhook.say(Some("dolly has too much wool"));
    let (class, said, _) = law::fails(farm.gate(vec![farm.sheep("v1")])).await;
    assert_eq!(class, Class::Invalid, "{said}");
    let words = format!(
        "admission webhook \"check.{}\" denied the request: dolly has too much wool",
        farm.group
    );
    assert!(said.ends_with(&words), "{said}");
    let dolly = format!(
        "/apis/{}/v1/namespaces/{}/sheep",
        farm.group, farm.bed.namespace
    );
    assert_eq!(
        farm.bed.get(&dolly).await["items"],
        json!([]),
        "it was only tried"
    );
    farm.remove_hooks().await;
}

#[tokio::test]
async fn a_service_without_endpoints_and_a_missing_authority_are_named() {
    let farm = Farm::new().await;
    let namespace = farm.bed.namespace.clone();
    let mut client =
        json!({ "service": { "namespace": namespace, "name": "hooks", "path": "/check" } });
    farm.configure(client.clone()).await;
    let webhook = format!("operator shepherd: webhook check.{}: ", farm.group);
    farm.says("v1", &format!("{webhook}its caBundle is empty"))
        .await;
    farm.remove_hooks().await;
    client["caBundle"] = Webhook::new().expect("a webhook").authority().into();
    farm.configure(client).await;
    let silent = format!("{webhook}Service {namespace}/hooks has no ready endpoint");
    farm.says("v1", &silent).await;
    farm.remove_hooks().await;
}

#[tokio::test]
async fn a_version_that_is_not_served_and_a_leader_that_is_gone_are_named() {
    let farm = Farm::new().await;
    let group = farm.group.clone();
    let unserved = format!("CustomResourceDefinition sheep.{group}: {group}/v2 is not served yet");
    farm.says("v2", &unserved).await;

    let leases = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
        farm.bed.namespace
    );
    let ago = |age: Duration| {
        let then = SystemTime::now() - age;
        format!("{:.6}", jiff::Timestamp::try_from(then).expect("a moment"))
    };
    let late = ago(Duration::from_mins(1));
    let lease = json!({ "metadata": { "name": "shepherd-leader" }, "spec": {
        "holderIdentity": "shepherd-6d4c-x2x9z_0b1c", "leaseDurationSeconds": 15, "renewTime": late } });
    farm.bed.post(&leases, lease).await;
    let words =
        "operator shepherd: Lease shepherd-leader: its leader shepherd-6d4c-x2x9z was last at work";
    farm.says("v1", words).await;
    let lease = format!("{leases}/shepherd-leader");
    let renewed = |age| json!({ "spec": { "renewTime": ago(age) } });
    farm.bed.patch(&lease, renewed(Duration::ZERO)).await;
    farm.opens().await;
    // Left over from a pod that is gone.
    let hour = Duration::from_hours(1);
    farm.bed.patch(&lease, renewed(hour)).await;
    farm.opens().await;
    let pods = format!("/api/v1/namespaces/{}/pods", farm.bed.namespace);
    let pod = json!({ "metadata": { "name": "shepherd-6d4c-x2x9z" }, "spec": {
        "containers": [{ "name": "shepherd", "image": "example.com/shepherd" }] } });
    farm.bed.post(&pods, pod).await;
    farm.says("v1", words).await;
}
