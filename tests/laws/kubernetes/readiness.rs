//! Waiting for objects; the tests write the status that a controller would.

use std::collections::BTreeMap;
use std::time::Duration;

use firstlight::engine::{Class, Plan, Resource};
use firstlight::expression::{Expression, ReadyRule};
use firstlight::providers::kubernetes::{Client, Object, Operator};
use serde_json::{Value, json};
use testbed::{Attempt, eventually, unique};

use super::bed::{Bed, object};
use crate::law;

fn deployment(name: &str) -> Value {
    let containers = json!([{ "name": "web", "image": "example.com/web:1" }]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": containers },
            },
        },
    })
}

fn status(ready: u32) -> Value {
    json!({ "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                        "readyReplicas": ready, "availableReplicas": ready } })
}

fn waited_for(bed: &Bed, document: Value) -> Object {
    object(bed.client.clone(), document, false, true)
}

/// What a resource waits for now.
async fn waiting<R: Resource>(resource: &R) -> String {
    let observed = resource.observe().await.expect("the server answers");
    match resource.plan(&observed) {
        Ok(Plan::InProgress(waiting)) => waiting.what,
        Ok(_) => panic!("it does not wait"),
        Err(error) => panic!("{error}"),
    }
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_deployment_is_waited_for_by_watch() {
    let bed = Bed::new().await;
    let web = || waited_for(&bed, deployment("web"));
    let name = format!("Deployment {}/web", bed.namespace);
    law::changes(bed.object(deployment("web"))).await;
    let unseen = "its controller has not seen the latest change yet";
    assert_eq!(waiting(&web()).await, format!("{name}: {unseen}"));

    let path = bed.apps("deployments", "web/status");
    bed.patch(&path, status(0)).await;
    let web = web();
    assert_eq!(waiting(&web).await, format!("{name}: 0 of 1 pods ready"));

    // A change before the wait for it is not lost, and one during the wait ends it.
    let seen = web.observe().await.expect("the server answers");
    bed.patch(&path, json!({ "status": { "replicas": 2 } }))
        .await;
    let woken = tokio::time::timeout(SOON, web.changed(&seen)).await;
    woken.expect("it had changed before");
    eventually("a quiet watch", SOON, async || {
        let seen = web.observe().await.expect("the server answers");
        let quiet = Duration::from_millis(300);
        match tokio::time::timeout(quiet, web.changed(&seen)).await {
            Err(_) => Attempt::Done(()),
            Ok(()) => Attempt::NotYet("it is behind what was seen".to_owned()),
        }
    })
    .await
    .expect("nobody changes it");
    let seen = web.observe().await.expect("the server answers");
    let (woken, _) = tokio::join!(
        tokio::time::timeout(SOON, web.changed(&seen)),
        bed.patch(&path, status(1)),
    );
    woken.expect("a change wakes");
    law::unchanged(object(bed.reader().await, deployment("web"), false, true)).await;
}

#[tokio::test]
async fn without_the_right_to_watch_nothing_wakes_and_looking_still_tells() {
    let bed = Bed::new().await;
    law::changes(bed.object(deployment("web"))).await;
    let blind = bed.user(&["get"]).await;
    let web = object(blind, deployment("web"), false, true);
    let seen = web.observe().await.expect("the server answers");
    bed.patch(&bed.apps("deployments", "web/status"), status(1))
        .await;
    let quiet = tokio::time::timeout(Duration::from_millis(500), web.changed(&seen)).await;
    assert!(quiet.is_err(), "nothing wakes");
    law::unchanged(web).await;
}

#[tokio::test]
async fn a_failed_job_ends_the_wait() {
    let bed = Bed::new().await;
    let containers = json!([{ "name": "main", "image": "example.com/main" }]);
    let template = json!({ "spec": { "restartPolicy": "Never", "containers": containers } });
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "once" },
                      "spec": { "template": template } });
    law::changes(bed.object(job.clone())).await;
    let once = waited_for(&bed, job.clone());
    assert!(waiting(&once).await.ends_with("not started"));
    let condition = |kind: &str| {
        json!({ "type": kind, "status": "True", "reason": "BackoffLimitExceeded",
                "lastProbeTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
                "message": "Job has reached the specified backoff limit" })
    };
    let failed = json!({ "status": { "startTime": "2026-01-01T00:00:00Z", "failed": 1,
        "conditions": [condition("FailureTarget"), condition("Failed")] } });
    let path = format!(
        "/apis/batch/v1/namespaces/{}/jobs/once/status",
        bed.namespace
    );
    bed.patch(&path, failed).await;
    let (class, said, _) = law::fails(waited_for(&bed, job)).await;
    assert_eq!(class, Class::Diverged);
    let expected = "once has failed: BackoffLimitExceeded: Job has reached";
    assert!(said.contains(expected), "{said}");
}

#[tokio::test]
async fn a_claim_that_waits_for_a_pod_is_ready_enough() {
    let bed = Bed::new().await;
    let lazy = unique("lazy");
    let class = |name: &str, mode: &str| {
        json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": { "name": name }, "provisioner": "example.com/nobody",
                "volumeBindingMode": mode })
    };
    let claim = |name: &str, class: &str| {
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
                "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                          "resources": { "requests": { "storage": "1024Mi" } } } })
    };
    law::changes(waited_for(&bed, class(&lazy, "WaitForFirstConsumer"))).await;
    law::changes(waited_for(&bed, claim("data", &lazy))).await;
    law::unchanged(object(
        bed.reader().await,
        claim("data", &lazy),
        false,
        true,
    ))
    .await;
    let (class, what) = law::last_seen(waited_for(&bed, claim("more", "nope"))).await;
    assert_eq!(class, Class::Unavailable);
    let expected = "more: Pending, storage class nope is not there or not readable";
    assert!(what.ends_with(expected), "{what}");
}

/// A definition with a status, as operators bring it.
fn definition(group: &str) -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("lenses.{group}") },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": { "kind": "Lens", "plural": "lenses", "singular": "lens", "listKind": "LensList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema },
                "subresources": { "status": {} },
            }],
        },
    })
}

#[tokio::test]
async fn a_custom_resource_is_made_when_its_kind_is_served_and_ready_when_it_says_so() {
    let bed = Bed::new().await;
    let group = format!("{}.example.com", unique("group"));
    let lens = json!({ "apiVersion": format!("{group}/v1"), "kind": "Lens",
                       "metadata": { "name": "wide" }, "spec": { "focus": 35 } });
    law::fresh(waited_for(&bed, lens.clone())).await;
    let (class, what) = law::last_seen(waited_for(&bed, lens.clone())).await;
    assert_eq!(class, Class::Unavailable);
    let expected = format!("the API server does not serve kind Lens of {group}/v1");
    assert_eq!(what, expected);

    law::changes(waited_for(&bed, definition(&group))).await;
    law::unchanged(object(bed.reader().await, definition(&group), false, true)).await;
    law::changes(bed.object(lens.clone())).await;
    let wide = waited_for(&bed, lens.clone());
    assert!(waiting(&wide).await.ends_with("no status yet"));

    let path = format!(
        "/apis/{group}/v1/namespaces/{}/lenses/wide/status",
        bed.namespace
    );
    bed.patch(&path, json!({ "status": { "phase": "RUNNING" } }))
        .await;
    let (class, said, hints) = law::fails(waited_for(&bed, lens.clone())).await;
    assert_eq!(class, Class::Invalid);
    assert!(said.contains("no readiness rule"), "{said}");
    assert!(hints[0].contains("wait: false"), "{hints:?}");

    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let status = json!({ "status": { "observedGeneration": "1", "conditions": ready } });
    bed.patch(&path, status).await;
    law::unchanged(waited_for(&bed, lens)).await;
}

#[tokio::test]
async fn a_bundle_says_itself_when_a_kind_is_ready() {
    let bed = Bed::new().await;
    let group = format!("{}.example.com", unique("group"));
    law::changes(waited_for(&bed, definition(&group))).await;
    let lens = json!({ "apiVersion": format!("{group}/v1"), "kind": "Lens",
                       "metadata": { "name": "wide" }, "spec": { "focus": 35 } });
    let compile = |source: &str| Some(Expression::compile(source).expect("an expression"));
    let ready = r#"object.status.phase == "Sharp" && object.status.focus == object.spec.focus"#;
    let rule = ReadyRule {
        ready: compile(ready),
        failed: compile(r#"object.status.phase == "Broken""#),
    };
    let wide = || waited_for(&bed, lens.clone()).judged_by(rule.clone());
    eventually("a served definition", SOON, async || {
        let observed = wide().observe().await.expect("the server answers");
        match wide().plan(&observed) {
            Ok(Plan::Change(_)) => Attempt::Done(()),
            other => Attempt::NotYet(format!("{other:?}")),
        }
    })
    .await
    .expect("it would be made");
    law::changes(bed.object(lens.clone())).await;
    let name = format!("Lens {}/wide", bed.namespace);
    let expected = format!("{name}: `ready: {ready}` cannot be told: there is no field `status`");
    assert_eq!(waiting(&wide()).await, expected);
    let path = format!(
        "/apis/{group}/v1/namespaces/{}/lenses/wide/status",
        bed.namespace
    );
    let status = |phase: &str| json!({ "status": { "phase": phase, "focus": 35 } });
    bed.patch(&path, status("Blurred")).await;
    assert_eq!(
        waiting(&wide()).await,
        format!("{name}: `ready: {ready}` is not true")
    );
    bed.patch(&path, status("Sharp")).await;
    law::unchanged(wide()).await;
    bed.patch(&path, status("Broken")).await;
    let (class, said, _) = law::fails(wide()).await;
    assert_eq!(class, Class::Diverged);
    assert!(
        said.contains(r#"`failed: object.status.phase == "Broken"` is true"#),
        "{said}"
    );
}

#[tokio::test]
async fn a_service_waits_for_somebody_behind_it() {
    let bed = Bed::new().await;
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] } });
    law::changes(bed.object(service.clone())).await;
    let web = || waited_for(&bed, service.clone());
    let name = format!("Service {}/web", bed.namespace);
    let none = "no endpoints: no pod matches its selector";
    assert_eq!(waiting(&web()).await, format!("{name}: {none}"));
    let slices = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
        bed.namespace
    );
    let endpoint =
        |ready: bool| json!([{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }]);
    let slice = json!({ "metadata": { "name": "web-x", "labels": {
        "kubernetes.io/service-name": "web" } }, "addressType": "IPv4", "endpoints": endpoint(false) });
    bed.post(&slices, slice).await;
    let web = web();
    assert_eq!(
        waiting(&web).await,
        format!("{name}: 0 of 1 endpoints ready")
    );
    let seen = web.observe().await.expect("the server answers");
    let path = format!("{slices}/web-x");
    let (woken, _) = tokio::join!(
        tokio::time::timeout(SOON, web.changed(&seen)),
        bed.patch(&path, json!({ "endpoints": endpoint(true) })),
    );
    woken.expect("its slice wakes it");
    law::unchanged(web).await;
}

#[tokio::test]
async fn an_operator_is_usable_when_it_runs_and_is_served() {
    let bed = Bed::new().await;
    let group = format!("{}.example.com", unique("group"));
    let crd = format!("lenses.{group}");
    let operator = |client: &Client| {
        let labels = BTreeMap::from([("app".to_owned(), "lens-operator".to_owned())]);
        Operator::new(client.clone(), "lens", None, labels, vec![crd.clone()])
    };
    let absent = format!("operator lens: CustomResourceDefinition {crd} does not exist");
    assert_eq!(waiting(&operator(&bed.client)).await, absent);
    law::changes(waited_for(&bed, definition(&group))).await;
    let running = operator(&bed.client);
    eventually("a served definition", SOON, async || {
        let what = waiting(&running).await;
        if what.contains("no Deployment in") {
            Attempt::Done(())
        } else {
            Attempt::NotYet(what)
        }
    })
    .await
    .expect("it is served");
    law::changes(bed.object(deployment("lens-operator"))).await;
    let path = bed.apps("deployments", "lens-operator/status");
    bed.patch(&path, status(0)).await;
    let expected = "operator lens: Deployment lens-operator: 0 of 1 pods ready";
    assert_eq!(waiting(&running).await, expected);
    let seen = running.observe().await.expect("the server answers");
    let (woken, _) = tokio::join!(
        tokio::time::timeout(SOON, running.changed(&seen)),
        bed.patch(&path, status(1)),
    );
    woken.expect("its Deployment wakes it");
    law::unchanged(operator(&bed.reader().await)).await;
}

/// What the controllers make of a Deployment: a ReplicaSet of the newest revision, and a pod.
async fn pod_of(bed: &Bed, name: &str, status: Value) {
    let owner = |kind: &str, name: &str, uid: &Value| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
    let parent = bed.get(&bed.apps("deployments", name)).await;
    let labels = json!({ "app": name, "pod-template-hash": "abc" });
    let spec = json!({ "containers": [{ "name": "web", "image": "example.com/web:1" }] });
    let set = json!({
        "metadata": { "name": format!("{name}-abc"), "labels": labels,
            "annotations": { "deployment.kubernetes.io/revision": "1" },
            "ownerReferences": owner("Deployment", name, &parent["metadata"]["uid"]) },
        "spec": { "selector": { "matchLabels": labels },
                  "template": { "metadata": { "labels": labels }, "spec": spec } },
    });
    let sets = bed.apps("replicasets", "");
    let set = bed.post(sets.trim_end_matches('/'), set).await;
    let pod = json!({
        "metadata": { "name": format!("{name}-abc-x"), "labels": labels,
            "ownerReferences": owner("ReplicaSet", &format!("{name}-abc"), &set["metadata"]["uid"]) },
        "spec": spec,
    });
    let pods = bed.core("pods", "");
    bed.post(pods.trim_end_matches('/'), pod).await;
    let path = bed.core("pods", &format!("{name}-abc-x/status"));
    bed.patch(&path, json!({ "status": status })).await;
}

#[tokio::test]
async fn a_long_wait_is_explained_by_the_pods() {
    let bed = Bed::new().await;
    law::changes(bed.object(deployment("web"))).await;
    bed.patch(&bed.apps("deployments", "web/status"), status(0))
        .await;
    let web = waited_for(&bed, deployment("web"));
    let seen = web.observe().await.expect("the server answers");
    assert_eq!(web.diagnose(Ok(&seen)).await, None);

    let image =
        json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image \"nope\"" });
    let containers = json!([{ "name": "web", "image": "nope", "imageID": "", "ready": false,
        "restartCount": 0, "state": { "waiting": image } }]);
    pod_of(&bed, "web", json!({ "containerStatuses": containers })).await;
    let said = web.diagnose(Ok(&seen)).await.expect("a diagnosis");
    assert_eq!(
        said.sentence,
        "pod web-abc-x: container web cannot pull image example.com/web:1 (registry example.com, tag 1): \
         ImagePullBackOff: Back-off pulling image \"nope\"; the pod names no pull secret"
    );
}
