//! The laws of an object.

use firstlight::engine::{Chain, Class, Difference, Plan, Resource as _};
use firstlight::providers::kubernetes::Client;
use serde_json::{Value, json};
use testbed::Proxy;

use super::bed::{Bed, object};
use crate::law;

fn config_map(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

/// With what servers like to rewrite: amounts, defaults, items of lists found by keys.
fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/name": name } },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "securityContext": { "runAsNonRoot": true },
                    "containers": [{
                        "name": "web",
                        "image": "example.com/web:1",
                        "args": ["--port", "80"],
                        "ports": [{ "containerPort": 80 }, { "containerPort": 81, "name": "more" }],
                        "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
                        "resources": {
                            "requests": { "cpu": 0.5, "memory": "1024Mi" },
                            "limits": { "memory": "2048Mi" },
                        },
                        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                    }],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }],
                },
            },
        },
    })
}

/// What would be done, field by field.
async fn planned(client: Client, document: Value) -> Difference {
    let object = object(client, document, true, false);
    let observed = object.observe().await.expect("the server answers");
    match object.plan(&observed).expect("a plan") {
        Plan::Change(mut changes) => changes.remove(0).into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plain_object_keeps_the_laws() {
    let bed = Bed::new().await;
    let one = config_map("one", &json!({ "a": "1", "b": "2" }));
    let path = bed.core("configmaps", "one");
    law::fresh(bed.object(one.clone())).await;
    let made = law::changes(bed.object(one.clone())).await;
    assert_eq!(made, [format!("create ConfigMap {}/one", bed.namespace)]);

    let before = bed.get(&path).await;
    let reader = bed.reader().await;
    law::unchanged(object(reader, one.clone(), false, true)).await;
    assert_eq!(before, bed.get(&path).await);

    bed.delete(&path).await;
    law::changes(bed.object(one.clone())).await;
    law::cut_short(|polls| {
        let document = config_map(&format!("cut-{polls}"), &json!({ "a": "1" }));
        bed.object(document)
    })
    .await;
    law::two_at_once(|| bed.object(config_map("two", &json!({ "a": "1" })))).await;
}

#[tokio::test]
async fn an_equal_workload_is_compared_without_any_write() {
    let bed = Bed::new().await;
    law::changes(bed.object(deployment("web"))).await;
    let before = bed.get(&bed.apps("deployments", "web")).await;
    let reader = bed.reader().await;
    law::unchanged(object(reader, deployment("web"), false, false)).await;
    let after = bed.get(&bed.apps("deployments", "web")).await;
    assert_eq!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn a_difference_names_our_fields_only() {
    let bed = Bed::new().await;
    law::changes(bed.object(deployment("web"))).await;
    let mut next = deployment("web");
    let container = &mut next["spec"]["template"]["spec"]["containers"][0];
    container["image"] = "example.com/web:2".into();
    container["env"] = json!([{ "name": "A", "value": "1" }, { "name": "C", "value": "3" }]);
    let difference = planned(bed.client.clone(), next.clone()).await;
    let fields: Vec<String> = difference
        .fields
        .iter()
        .map(|field| {
            let (before, after) = (field.before.as_deref(), field.after.as_deref());
            let shown = |value: Option<&str>| value.unwrap_or("-").to_owned();
            format!("{}: {} → {}", field.path, shown(before), shown(after))
        })
        .collect();
    let container = "spec.template.spec.containers[name=web]";
    assert_eq!(
        fields,
        [
            format!("{container}.env[name=C]: - → {{\"name\":\"C\",\"value\":\"3\"}}"),
            format!("{container}.env[name=B]: {{\"name\":\"B\",\"value\":\"2\"}} → -"),
            format!("{container}.image: example.com/web:1 → example.com/web:2"),
        ]
    );
    law::changes(bed.object(next.clone())).await;
    law::unchanged(object(bed.reader().await, next, false, false)).await;
}

#[tokio::test]
async fn drift_is_repaired_and_a_conflict_is_named() {
    let bed = Bed::new().await;
    let document = config_map("drifts", &json!({ "ours": "1" }));
    let path = bed.core("configmaps", "drifts");
    law::changes(bed.object(document.clone())).await;

    let by = format!("{path}?fieldManager=somebody");
    bed.patch(&by, json!({ "data": { "theirs": "x" } })).await;
    law::unchanged(bed.object(document.clone())).await;
    bed.patch(&by, json!({ "data": { "ours": "2" } })).await;
    let (class, said, hints) = law::fails(bed.object(document.clone())).await;
    assert_eq!(class, Class::Diverged);
    assert!(
        said.contains("somebody") && said.contains(".data.ours"),
        "{said}"
    );
    assert!(hints[0].contains("force: true"), "{hints:?}");

    law::changes(object(bed.client.clone(), document, true, false)).await;
    let data = bed.get(&path).await["data"].clone();
    assert_eq!(data, json!({ "ours": "1", "theirs": "x" }));
}

#[tokio::test]
async fn a_field_that_leaves_the_document_leaves_the_object() {
    let bed = Bed::new().await;
    law::changes(bed.object(config_map("less", &json!({ "a": "1", "b": "2" })))).await;
    let less = config_map("less", &json!({ "a": "1" }));
    let difference = planned(bed.client.clone(), less.clone()).await;
    assert_eq!(difference.fields.len(), 1, "{difference:?}");
    assert_eq!(difference.fields[0].path, "data.b");
    law::changes(bed.object(less)).await;
    let data = bed.get(&bed.core("configmaps", "less")).await["data"].clone();
    assert_eq!(data, json!({ "a": "1" }));
}

#[tokio::test]
async fn an_equal_object_of_somebody_else_becomes_ours_once() {
    let bed = Bed::new().await;
    let document = config_map("adopted", &json!({ "a": "1" }));
    let path = bed.core("configmaps", "");
    bed.post(path.trim_end_matches('/'), document.clone()).await;
    let difference = planned(bed.client.clone(), document.clone()).await;
    assert_eq!(difference.fields[0].path, "metadata.managedFields");
    law::changes(bed.object(document.clone())).await;
    law::unchanged(object(bed.reader().await, document, false, false)).await;
}

#[tokio::test]
async fn the_values_of_a_secret_are_not_shown() {
    let bed = Bed::new().await;
    let secret = |password: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" },
                "stringData": { "password": password } })
    };
    law::changes(bed.object(secret("first"))).await;
    law::unchanged(object(bed.reader().await, secret("first"), false, true)).await;
    let difference = planned(bed.client.clone(), secret("second")).await;
    assert_eq!(difference.fields[0].path, "data.password");
    assert!(difference.fields[0].sensitive);
    let shown = format!("{difference:?}");
    for secret in ["first", "second", "Zmlyc3Q=", "c2Vjb25k"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_refused_secret_is_not_quoted() {
    let bed = Bed::new().await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" },
                         "data": { "pin": "4711, and no base64" } });
    let (_, said, _) = law::fails(bed.object(secret)).await;
    assert!(said.contains("may quote a secret"), "{said}");
    assert!(!said.contains("4711"), "{said}");
}

#[tokio::test]
async fn an_absent_namespace_is_waited_for() {
    let bed = Bed::without_namespace().await;
    let document = config_map("early", &json!({}));
    law::fresh(bed.object(document.clone())).await;
    let (class, what) = law::waits_for(bed.object(document.clone())).await;
    assert_eq!(class, Class::Unavailable);
    let said = format!("namespaces \"{}\" not found", bed.namespace);
    assert!(what.contains(&said), "{what}");
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
                            "metadata": { "name": bed.namespace } });
    let namespace = object(bed.client.clone(), namespace, false, true);
    let made = law::changes(namespace).await;
    assert_eq!(made, [format!("create Namespace {}", bed.namespace)]);
    law::changes(bed.object(document)).await;
}

#[tokio::test]
async fn the_server_says_what_is_wrong_with_a_document() {
    let bed = Bed::new().await;
    let mut unknown = deployment("web");
    unknown["spec"]["replicaz"] = 1.into();
    let (class, said, _) = law::fails(bed.object(unknown)).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("spec.replicaz"), "{said}");

    let mut text = deployment("web");
    text["spec"]["replicas"] = "two".into();
    let (class, said, _) = law::fails(bed.object(text)).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("replicas"), "{said}");

    let mut twice = deployment("web");
    let port = json!({ "containerPort": 80 });
    twice["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([port, port]);
    let (class, said, _) = law::fails(bed.object(twice)).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("duplicate entries for key"), "{said}");

    let mut negative = deployment("web");
    negative["spec"]["replicas"] = json!(-1);
    let (class, said, _) = law::fails(bed.object(negative)).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("spec.replicas"), "{said}");

    let mut moved = deployment("web");
    law::changes(bed.object(moved.clone())).await;
    moved["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    moved["spec"]["template"]["metadata"]["labels"]["app"] = "other".into();
    let (class, said, _) = law::fails(bed.object(moved)).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("immutable"), "{said}");
}

#[tokio::test]
async fn an_absent_server_is_waited_for() {
    let bed = Bed::new().await;
    let document = config_map("down", &json!({ "a": "1" }));
    let mut proxy = Proxy::start(bed.address()).await.expect("a proxy");
    let client = bed.at(&format!("https://{}", proxy.address())).await;
    law::changes(object(client.clone(), document.clone(), false, false)).await;
    proxy.refuse().await;
    proxy.cut().await;
    law::waits(object(client.clone(), document.clone(), false, false)).await;
    let error = object(client.clone(), document.clone(), false, false)
        .observe()
        .await;
    let said = Chain(&error.expect_err("it is down")).to_string();
    assert!(said.contains("Connection refused"), "{said}");
    proxy.allow().await.expect("the port is still ours");
    law::unchanged(object(client, document, false, false)).await;
}

#[tokio::test]
async fn what_is_not_allowed_ends_at_once() {
    let bed = Bed::new().await;
    let document = config_map("denied", &json!({ "a": "1" }));
    let stranger = bed.with_token("nobody").await;
    let (class, said, hints) = law::fails(object(stranger, document.clone(), false, false)).await;
    assert_eq!(class, Class::Forbidden, "{said}");
    assert!(hints[0].contains("whoami"), "{hints:?}");

    let reader = bed.reader().await;
    let (class, said, hints) = law::fails(object(reader, document, false, false)).await;
    assert_eq!(class, Class::Forbidden, "{said}");
    let namespace = &bed.namespace;
    let missing = format!("not allowed to patch configmaps in namespace {namespace}: ");
    assert!(said.starts_with(&missing), "{said}");
    let hint = format!("`kubectl auth can-i patch configmaps -n {namespace}`");
    assert!(hints[0].contains(&hint), "{hints:?}");
}

#[tokio::test]
async fn a_server_under_another_name_is_not_trusted() {
    let bed = Bed::new().await;
    let client = bed.expecting("elsewhere.example").await;
    let document = config_map("x", &json!({}));
    let (class, said, hints) = law::fails(object(client, document, false, false)).await;
    assert_eq!(class, Class::Invalid, "{said}");
    assert!(said.contains("do not trust the certificate"), "{said}");
    assert!(hints[0].contains("certificate-authority"), "{hints:?}");
}

#[tokio::test]
async fn claims_of_a_stateful_set_are_compared_without_a_try() {
    let bed = Bed::new().await;
    let document = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "db" },
        "spec": {
            "serviceName": "db",
            "selector": { "matchLabels": { "app": "db" } },
            "template": {
                "metadata": { "labels": { "app": "db" } },
                "spec": { "containers": [{ "name": "db", "image": "example.com/db" }] },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": "1024Mi" } },
                },
            }],
        },
    });
    law::changes(bed.object(document.clone())).await;
    // Whoever may only read cannot try it out.
    let reader = bed.reader().await;
    law::unchanged(object(reader.clone(), document.clone(), false, false)).await;
    let mut larger = document;
    larger["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
        "2Gi".into();
    let (class, said, _) = law::fails(object(reader, larger, false, false)).await;
    assert_eq!(class, Class::Forbidden, "the server must be asked: {said}");
}
