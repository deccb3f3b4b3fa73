//! What a run finds changed that the run before it had left current.
//!
//! The built program works on a real API server.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;
use testbed::{Api, Cluster, Env, unique};

use crate::received::{Collector, attributes, list, text};

const BUNDLE: &str = "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: { name: shop }
phases:
  - name: settings
    steps:
      - apply: { path: manifests/prices.yaml }
";

fn prices(tea: u32) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: prices }}\ndata: {{ tea: '{tea}' }}\n"
    )
}

struct Shop {
    cluster: Cluster,
    api: Api,
    folder: TempDir,
}

impl Shop {
    async fn new() -> Self {
        let cluster = Env::load().and_then(|env| env.api_server());
        let cluster = cluster.expect("an API server is up");
        let api = Api::of(&cluster, &unique("drift")).await.expect("a client");
        let namespace = json!({ "metadata": { "name": api.namespace() } });
        let made = api.post("/api/v1/namespaces", &namespace).await;
        made.expect("a namespace");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("manifests")).expect("a folder");
        let shop = Self {
            cluster,
            api,
            folder,
        };
        shop.put("bundle.yaml", BUNDLE);
        shop.put("prices.yaml", &prices(2));
        shop
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.folder.path().join("manifests").join(name);
        std::fs::write(path, content).expect("a file");
    }

    /// Somebody else takes the prices away.
    async fn meddle(&self) {
        let path = format!(
            "/api/v1/namespaces/{}/configmaps/prices",
            self.api.namespace()
        );
        let deleted = self.api.ask(http::Method::DELETE, &path, "", None);
        deleted.await.expect("it is deleted");
    }

    /// Runs a command; the drift that it tells, if it does, and whether it counts as a run.
    async fn drift(&self, command: &str) -> (Option<u64>, bool) {
        let (id, collector) = (unique("drift"), Collector::new());
        let output = Command::new(Path::new(env!("CARGO_BIN_EXE_firstlight")))
            .arg(command)
            .env_clear()
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", self.folder.path())
            .env("FIRSTLIGHT_NAMESPACE", self.api.namespace())
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            )
            .env("OTEL_RESOURCE_ATTRIBUTES", format!("test.run={id}"))
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let received = collector
            .when(&id, |received| {
                if received.metrics.is_empty() {
                    Err(said.clone())
                } else {
                    Ok(())
                }
            })
            .await;
        let drift = received.metrics.get("firstlight.run.drift");
        let point = drift.map(|drift| list(&drift["gauge"]["dataPoints"])[0].clone());
        let count = point.map(|point| {
            assert_eq!(attributes(&point)["cicd.pipeline.name"], "shop");
            text(&point["asInt"]).parse().expect("a count")
        });
        let is_run = received.metrics.contains_key("cicd.pipeline.run.duration");
        (count, is_run)
    }
}

#[tokio::test]
async fn only_what_others_changed_is_drift() {
    let shop = Shop::new().await;
    assert_eq!(
        shop.drift("run").await,
        (None, true),
        "there was no run before"
    );
    assert_eq!(shop.drift("run").await, (Some(0), true));
    shop.meddle().await;
    assert_eq!(shop.drift("check").await, (Some(1), false));
    assert_eq!(shop.drift("run").await, (Some(1), true));
    shop.put("prices.yaml", &prices(3));
    assert_eq!(
        shop.drift("plan").await,
        (None, false),
        "the bundle is another one"
    );
    assert_eq!(shop.drift("run").await, (None, true));
    assert_eq!(shop.drift("check").await, (Some(0), false));
}
