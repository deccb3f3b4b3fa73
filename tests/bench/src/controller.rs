//! A stand-in for an operator: it says of each widget that it is ready, as soon as it sees it.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use testbed::{Attempt, CustomKind, eventually};
use tokio::task::JoinHandle;

use crate::Failure;
use crate::load::GROUP;

/// So many at once, like a controller with several workers.
const WORKERS: usize = 8;

fn widgets() -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{GROUP}/v1"),
        kind: "Widget".to_owned(),
        plural: "widgets".to_owned(),
    }
}

fn definitions() -> ApiResource {
    ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    }
}

/// Defines the kind, waits until it is served, and starts to make its objects ready.
pub(crate) async fn start(client: &Client) -> Result<JoinHandle<()>, Failure> {
    let api = Api::<DynamicObject>::all_with(client.clone(), &definitions());
    let kind = CustomKind::new(GROUP, "v1", "Widget");
    let patch = PatchParams::apply("bench").force();
    api.patch(&kind.name(), &patch, &Patch::Apply(kind.definition()))
        .await?;
    let all = Api::<DynamicObject>::all_with(client.clone(), &widgets());
    eventually(
        "the kind is served",
        Duration::from_secs(30),
        async || match all.list(&kube::api::ListParams::default()).await {
            Ok(_) => Attempt::Done(()),
            Err(error) => Attempt::not_yet(&error),
        },
    )
    .await?;
    let client = client.clone();
    Ok(tokio::spawn(async move {
        let seen = watcher(all, watcher::Config::default()).default_backoff();
        seen.applied_objects()
            .try_filter(|widget| std::future::ready(widget.data.get("status").is_none()))
            .for_each_concurrent(WORKERS, |widget| make_ready(client.clone(), widget))
            .await;
    }))
}

async fn make_ready(client: Client, widget: Result<DynamicObject, watcher::Error>) {
    let Ok(widget) = widget else { return };
    let namespace = widget.namespace().unwrap_or_default();
    let api = Api::<DynamicObject>::namespaced_with(client, &namespace, &widgets());
    let status = json!({ "status": {
        "observedGeneration": widget.metadata.generation,
        "conditions": [{ "type": "Ready", "status": "True", "reason": "Done", "message": "",
                         "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    } });
    let patch = PatchParams::default();
    // One that is gone by now needs no status.
    let _ = api
        .patch_status(&widget.name_any(), &patch, &Patch::Merge(status))
        .await;
}
