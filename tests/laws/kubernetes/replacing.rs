//! What cannot be changed in place, what restarts pods, and what cannot be told beforehand.

use std::sync::Arc;

use firstlight::engine::{Class, Mode, Outcome, Reporters};
use firstlight::providers::kubernetes::{Configs, Object};
use serde_json::{Value, json};

use super::bed::{Bed, object};
use super::widgets::{Many, Widgets, outcomes};
use crate::law;

/// A workload whose pods have this label and read one ConfigMap and one Secret.
fn workload(kind: &str, label: &str) -> Value {
    let mut workload = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "app": label } },
            "template": {
                "metadata": { "labels": { "app": label } },
                "spec": { "containers": [{
                    "name": "web",
                    "image": "example.com/web:1",
                    "envFrom": [{ "configMapRef": { "name": "settings" } }],
                    "env": [{ "name": "PASSWORD", "valueFrom": {
                        "secretKeyRef": { "name": "login", "key": "password" } } }],
                }] },
            },
        },
    });
    if kind == "StatefulSet" {
        workload["spec"]["serviceName"] = "web".into();
        workload["spec"]["volumeClaimTemplates"] = json!([{
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"],
                      "resources": { "requests": { "storage": "1Gi" } } },
        }]);
    }
    workload
}

async fn uid(bed: &Bed, resource: &str) -> Value {
    bed.get(&bed.apps(resource, "web")).await["metadata"]["uid"].clone()
}

fn recreating(bed: &Bed, document: Value) -> Object {
    bed.object(document).recreate(true)
}

#[tokio::test]
async fn what_cannot_be_changed_is_made_anew_only_if_that_is_allowed() {
    let bed = Bed::new().await;
    law::changes(bed.object(workload("Deployment", "one"))).await;
    let before = uid(&bed, "deployments").await;
    let other = workload("Deployment", "other");
    let (class, said, hints) = law::fails(bed.object(other.clone())).await;
    assert_eq!(class, Class::Invalid);
    assert!(
        said.contains("spec.selector (field is immutable)"),
        "{said}"
    );
    assert!(hints[0].contains("`recreate: true`"), "{hints:?}");
    assert_eq!(before, uid(&bed, "deployments").await);

    let target = format!("Deployment {}/web", bed.namespace);
    let made = law::changes(recreating(&bed, other.clone())).await;
    assert_eq!(
        made,
        [format!("replace {target}"), format!("create {target}")]
    );
    assert_ne!(before, uid(&bed, "deployments").await);
    law::unchanged(recreating(&bed, other)).await;
}

#[tokio::test]
async fn what_may_hold_data_is_never_made_anew() {
    let bed = Bed::new().await;
    law::changes(bed.object(workload("StatefulSet", "one"))).await;
    let before = uid(&bed, "statefulsets").await;
    let (class, said, hints) = law::fails(recreating(&bed, workload("StatefulSet", "other"))).await;
    assert_eq!(class, Class::Invalid);
    assert!(
        said.contains("updates to statefulset spec for fields other than"),
        "{said}"
    );
    assert!(hints[0].contains("may hold data"), "{hints:?}");
    assert_eq!(before, uid(&bed, "statefulsets").await);
}

#[tokio::test]
async fn another_mistake_deletes_nothing() {
    let bed = Bed::new().await;
    law::changes(bed.object(workload("Deployment", "one"))).await;
    let before = uid(&bed, "deployments").await;
    let mut wrong = workload("Deployment", "other");
    wrong["spec"]["replicas"] = json!(-1);
    let (class, said, _) = law::fails(recreating(&bed, wrong)).await;
    assert_eq!(class, Class::Invalid);
    assert!(said.contains("refuses it"), "{said}");
    assert_eq!(before, uid(&bed, "deployments").await);
}

/// The sum in the template of the workload.
async fn sum(bed: &Bed) -> Value {
    let live = bed.get(&bed.apps("deployments", "web")).await;
    live["spec"]["template"]["metadata"]["annotations"]["firstlight.dev/config-sum"].clone()
}

#[tokio::test]
async fn pods_are_replaced_when_their_configuration_changes() {
    let bed = Bed::new().await;
    let config = |number: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
                "data": { "number": number } })
    };
    let web = |number: &str| {
        let configs = Configs::of(&bed.client, [&config(number)]);
        bed.object(workload("Deployment", "one"))
            .restart_with(Arc::new(configs))
    };
    law::changes(bed.object(config("1"))).await;
    law::changes(web("1")).await;
    law::unchanged(web("1")).await;
    let first = sum(&bed).await;
    assert_eq!(first.as_str().map(str::len), Some(64), "{first}");

    // A preview knows it before the configuration is written.
    assert!(matches!(law::preview(web("2")).await, Outcome::Changed(_)));
    law::changes(bed.object(config("2"))).await;
    law::changes(web("2")).await;
    law::unchanged(web("2")).await;
    let second = sum(&bed).await;
    assert_ne!(first, second);

    // What the cluster has counts too, whoever made it.
    let secret = json!({ "metadata": { "name": "login" }, "data": { "password": "eA==" } });
    bed.post(bed.core("secrets", "").trim_end_matches('/'), secret)
        .await;
    law::changes(web("2")).await;
    assert_ne!(second, sum(&bed).await);
}

async fn deferred(object: Object) -> String {
    match law::preview(object.rehearse(true)).await {
        Outcome::Deferred { waiting, .. } => waiting.what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_preview_says_what_it_cannot_tell() {
    let bed = Bed::without_namespace().await;
    let namespace = &bed.namespace;
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap",
                         "metadata": { "name": "early" }, "data": {} });
    assert_eq!(
        deferred(bed.object(config.clone())).await,
        format!(
            "ConfigMap {namespace}/early would be made, and cannot be tried out before \
             namespace {namespace} is there"
        )
    );
    let unknown = json!({ "apiVersion": "nobody.example/v1", "kind": "Nothing",
                          "metadata": { "name": "x" } });
    assert_eq!(
        deferred(bed.object(unknown)).await,
        "Nothing x would be made, and cannot be tried out before kind Nothing of \
         nobody.example/v1 is there"
    );
    bed.create_namespace().await;
    law::fresh(bed.object(config.clone()).rehearse(true)).await;
    let mut wrong = config;
    wrong["dat"] = json!({});
    match law::preview(bed.object(wrong).rehearse(true)).await {
        Outcome::Failed { error, .. } => assert!(error.to_string().contains("observe"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_custom_resource_waits_until_its_kind_is_served() {
    let bed = Bed::new().await;
    let widgets = Widgets::unknown(&bed);
    let mut many = Many::new();
    let widget = widgets.document("early");
    many.step(
        "definition",
        object(bed.client.clone(), widgets.definition(), false, true),
    );
    many.step("widget", object(bed.client.clone(), widget, false, false));
    let report = many.run(Mode::Apply, Reporters::new()).await;
    assert_eq!(outcomes(&report).get("changed"), Some(&2));
}
