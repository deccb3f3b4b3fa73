//! A stand-in for the operators of the stack: it plays into a real API server what the real ones
//! were recorded to write.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testbed::{Attempt, eventually};

use super::bed::{Bed, MERGE};

/// One event of a recording.
pub(super) struct Line {
    pub(super) at_ms: i64,
    deleted: bool,
    pub(super) object: Value,
}

/// A recording, and what its index says of it.
pub(super) struct Recording {
    pub(super) lines: Vec<Line>,
    pub(super) entry: Value,
}

impl Recording {
    /// `pgo/postgrescluster--created-and-ready-with-proxy`
    pub(super) fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
        let path = folder.join(format!("{name}.jsonl"));
        let text = std::fs::read_to_string(&path).expect("a recording");
        let index = path.parent().expect("a folder").join("index.json");
        let index = std::fs::read_to_string(index).expect("an index");
        let mut index: Value = serde_json::from_str(&index).expect("an index");
        let file = path.file_name().expect("a name").to_string_lossy();
        let entries = index["recordings"].as_array_mut().expect("recordings");
        let entry = entries.iter_mut().find(|it| it["file"] == *file);
        Self {
            lines: text.lines().filter_map(line).collect(),
            entry: entry.expect("it is in the index").take(),
        }
    }

    pub(super) fn is_judged(&self, object: &Value) -> bool {
        object["kind"] == self.entry["kind"] && object["metadata"]["name"] == self.entry["name"]
    }

    /// The kinds that an operator brings, each with its API version.
    pub(super) fn foreign_kinds(&self) -> BTreeSet<(&str, &str)> {
        let lines = self.lines.iter();
        let kinds = lines.filter_map(|line| {
            let version = line.object["apiVersion"].as_str()?;
            let kind = line.object["kind"].as_str()?;
            let is_foreign = version.split_once('/')?.0.contains('.');
            (is_foreign && !UNREAD.contains(&kind)).then_some((version, kind))
        });
        kinds.collect()
    }

    pub(super) fn was_ready(&self, number: usize) -> bool {
        let stretches = self.entry["ready_lines"].as_array().expect("a list").iter();
        let at = |stretch: &Value, end: usize| stretch[end].as_u64().expect("a line");
        let number = number as u64;
        stretches
            .into_iter()
            .any(|it| (at(it, 0)..=at(it, 1)).contains(&number))
    }
}

fn line(text: &str) -> Option<Line> {
    let mut line: Value = serde_json::from_str(text).expect("a line");
    Some(Line {
        at_ms: line["t_ms"].as_i64()?,
        deleted: line["type"] == "DELETED",
        object: line["object"].take(),
    })
}

/// What was made so far, by kind and name.
pub(super) struct StandIn<'a> {
    bed: &'a Bed,
    made: HashMap<(String, String), Value>,
}

impl<'a> StandIn<'a> {
    pub(super) fn new(bed: &'a Bed) -> Self {
        let made = HashMap::new();
        Self { bed, made }
    }

    /// Writes what an operator or a controller wrote.
    pub(super) async fn play(&mut self, line: &Line, judged: &(String, Value)) {
        let object = &line.object;
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let kind = text("kind");
        match kind.as_str() {
            kind if UNREAD.contains(&kind) => return,
            "Event" => return self.event(object, judged).await,
            _ => {}
        }
        let path = self.path(object);
        let name = object["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        let key = (kind.clone(), name);
        if line.deleted {
            self.bed.delete(&path).await;
            self.made.remove(&key);
            return;
        }
        if !self.made.contains_key(&key) {
            let new = self.new_object(object, &judged.1["spec"]);
            let folder = path.rsplit_once('/').expect("a folder").0;
            let made = self.bed.post(folder, new).await;
            self.made.insert(key.clone(), made);
        }
        if matches!(kind.as_str(), "StatefulSet" | "Deployment" | "DaemonSet") {
            self.generation(&path, object).await;
        }
        self.status(&path, object).await;
    }

    /// The status, the annotations and the labels of an object that is there.
    pub(super) async fn status(&self, path: &str, object: &Value) {
        for field in ["annotations", "labels"] {
            let recorded = &object["metadata"][field];
            if recorded.is_object() {
                let merged = json!({ "metadata": { field: recorded } });
                self.bed.patch(path, merged).await;
            }
        }
        if object["status"].is_object() && object["kind"] != "FluentBit" {
            // A Grafana lists what is in it by namespace, which was `lens`.
            let here = format!("\"{}/", self.bed.namespace);
            let status = object["status"].to_string().replace("\"lens/", &here);
            let status: Value = serde_json::from_str(&status).expect("it was JSON before");
            let whole = json!([{ "op": "add", "path": "/status", "value": status }]);
            let path = format!("{path}/status");
            let written = self.bed.ask(
                Method::PATCH,
                &path,
                "application/json-patch+json",
                Some(&whole),
            );
            written
                .await
                .unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }

    /// Changes the template until the generation is the recorded one.
    async fn generation(&self, path: &str, object: &Value) {
        let wanted = object["metadata"]["generation"].as_i64().expect("a number");
        if let Some(replicas) = object["spec"].get("replicas") {
            let scaled = json!({ "spec": { "replicas": replicas } });
            self.bed.patch(path, scaled).await;
        }
        // None of the recordings has a workload of a generation beyond this.
        for _ in 0..10 {
            let live = self.bed.get(path).await;
            let generation = live["metadata"]["generation"].as_i64().expect("a number");
            if generation >= wanted {
                return;
            }
            let mark =
                json!({ "metadata": { "annotations": { "played": generation.to_string() } } });
            self.bed
                .patch(path, json!({ "spec": { "template": mark } }))
                .await;
        }
    }

    /// A workload is recorded without its template, which has what its parent says of it.
    fn new_object(&self, object: &Value, parent: &Value) -> Value {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let labels = json!({ "play": name });
        let mut containers = json!([{ "name": "main", "image": "example.com/main:1" }]);
        for field in ["image", "args", "command"] {
            if object["kind"] == "DaemonSet" && !parent[field].is_null() {
                containers[0][field] = parent[field].clone();
            }
        }
        let template =
            json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } });
        let spec = match object["kind"].as_str().expect("a kind") {
            "StatefulSet" => json!({ "selector": { "matchLabels": labels }, "template": template,
                "serviceName": name, "replicas": object["spec"]["replicas"],
                "updateStrategy": { "type": object["spec"]["updateStrategy"] } }),
            "Deployment" => json!({ "selector": { "matchLabels": labels }, "template": template,
                "replicas": object["spec"]["replicas"] }),
            "DaemonSet" => json!({ "selector": { "matchLabels": labels } , "template": template }),
            "Pod" => json!({ "containers": containers }),
            _ => object["spec"].clone(),
        };
        let owner = self
            .made
            .keys()
            .find(|(_, owner)| name.starts_with(&format!("{owner}-")));
        let play = owner.map_or(name, |(_, owner)| owner);
        let mut labels = json!({ "play": play, PGO_CLUSTER: "hippo" });
        for (key, value) in object["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten()
        {
            labels[key] = value.clone();
        }
        let keys = object["dataKeys"].as_array().into_iter().flatten();
        let data: serde_json::Map<String, Value> = keys
            .map(|key| (key.as_str().expect("a key").to_owned(), json!("")))
            .collect();
        let mut new = json!({ "apiVersion": object["apiVersion"], "kind": object["kind"],
            "metadata": { "name": name, "labels": labels } });
        if spec.is_object() {
            new["spec"] = spec;
        }
        if !data.is_empty() {
            new["data"] = data.into();
        }
        new
    }

    /// An event on the object that is judged; the API server finds it by its uid.
    async fn event(&self, object: &Value, (uid, judged): &(String, Value)) {
        let about = json!({ "apiVersion": judged["apiVersion"], "kind": judged["kind"],
            "name": judged["metadata"]["name"], "namespace": self.bed.namespace, "uid": uid });
        let event = json!({ "metadata": { "generateName": "played-" }, "involvedObject": about,
            "type": object["evtType"], "reason": object["reason"], "message": object["message"] });
        let path = self.bed.core("events", "");
        self.bed.post(path.trim_end_matches('/'), event).await;
    }

    pub(super) fn path(&self, object: &Value) -> String {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let root = if version.contains('/') { "apis" } else { "api" };
        let plural = format!("{}s", kind.to_lowercase());
        let (namespace, name) = (&self.bed.namespace, text(&object["metadata"]["name"]));
        format!("/{root}/{version}/namespaces/{namespace}/{plural}/{name}")
    }
}

/// Nothing that is judged here reads these.
const UNREAD: [&str; 4] = [
    "ClusterFluentBitConfig",
    "Job",
    "PersistentVolumeClaim",
    "Probe",
];

const PGO_CLUSTER: &str = "postgres-operator.crunchydata.com/cluster";

/// Makes a kind served: by a small definition of our own, or by the real one where
/// `FIRSTLIGHT_CRDS` names a folder of them.
pub(super) async fn define(bed: &Bed, api_version: &str, kind: &str) {
    let (group, version) = api_version.split_once('/').expect("a group");
    let plural = format!("{}s", kind.to_lowercase());
    let name = format!("{plural}.{group}");
    let definition = real(&name).unwrap_or_else(|| small(group, version, kind, &plural));
    let path = format!(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=tests&force=true"
    );
    let applied = bed.ask(
        Method::PATCH,
        &path,
        "application/apply-patch+yaml",
        Some(&definition),
    );
    applied
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    // It is served a moment before discovery, by which clients go, tells of it.
    let path = format!("/apis/{api_version}");
    eventually("a served kind", Duration::from_secs(20), async || match bed
        .ask(Method::GET, &path, MERGE, None)
        .await
    {
        Ok(kinds) if kinds.to_string().contains(&format!("\"{plural}\"")) => Attempt::Done(()),
        Ok(kinds) => Attempt::NotYet(kinds.to_string()),
        Err(error) => Attempt::NotYet(error.to_string()),
    })
    .await
    .expect("it is served");
}

fn small(group: &str, version: &str, kind: &str, plural: &str) -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let mut version = json!({ "name": version, "served": true, "storage": true,
                              "schema": { "openAPIV3Schema": schema } });
    if kind != "FluentBit" {
        version["subresources"] = json!({ "status": {} });
    }
    let names = json!({ "kind": kind, "plural": plural, "singular": kind.to_lowercase(),
                        "listKind": format!("{kind}List") });
    json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": "Namespaced", "names": names, "versions": [version] } })
}

fn real(name: &str) -> Option<Value> {
    #[expect(clippy::disallowed_methods, reason = "a test reads where its data lie")]
    let folder = PathBuf::from(std::env::var_os("FIRSTLIGHT_CRDS")?);
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let documents = text.split("\n---").filter(|it| it.contains(name));
            let found = documents
                .filter_map(|text| serde_saphyr::from_str::<Value>(text).ok())
                .find(|document| document["metadata"]["name"] == name);
            if found.is_some() {
                return found;
            }
        }
    }
    panic!("no definition of {name} in FIRSTLIGHT_CRDS");
}
