//! A real admission webhook, in the process of the test: it denies whatever it is asked.

use serde_json::{Value, json};
use testbed::Webhook;

use crate::place::Place;

/// Lets the API server ask a server of this process about the `ConfigMap`s of the place that say so.
pub(crate) fn deny(place: &Place) {
    let webhook = Webhook::new().expect("a webhook");
    webhook.say(Some("the currency none is not one of euro, yen"));
    webhook.open().expect("its port is still free");
    place
        .cluster
        .expose(webhook.port())
        .expect("the API server reaches it");
    register(place, &webhook.client_config());
}

/// Names a webhook whose Service leads nowhere.
pub(crate) fn lead_nowhere(place: &Place) {
    let webhook = Webhook::new().expect("a webhook");
    let service = "apiVersion: v1
kind: Service
metadata: { name: price-check }
spec:
  selector: { app: price-check }
  ports: [{ port: 443, targetPort: 8443 }]
";
    place.kubectl_with(&["create", "-f", "-"], service);
    let called = json!({ "namespace": place.namespace, "name": "price-check", "path": "/check" });
    let client = json!({ "service": called, "caBundle": webhook.authority() });
    register(place, &client);
}

fn register(place: &Place, client: &Value) {
    let namespace = json!({ "kubernetes.io/metadata.name": place.namespace });
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": place.namespace },
        "webhooks": [{
            "name": "prices.firstlight.test",
            "clientConfig": client,
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                        "operations": ["CREATE", "UPDATE"] }],
            "namespaceSelector": { "matchLabels": namespace },
            "objectSelector": { "matchLabels": { "checked": "yes" } },
            "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 3,
            "admissionReviewVersions": ["v1"],
        }],
    });
    place.kubectl_with(&["create", "-f", "-"], &webhook.to_string());
}

/// Takes it out of the API server's way again.
pub(crate) fn remove(place: &Place) {
    place.kubectl(&["delete", "validatingwebhookconfiguration", &place.namespace]);
}
