//! A stand-in for the operators of the stack, which cannot be had.

use crate::recording::Line;
use crate::{Api, CustomKind, Error, program};
use http::Method;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::PathBuf;

const JSON_PATCH: &str = "application/json-patch+json";
const PGO_CLUSTER: &str = "postgres-operator.crunchydata.com/cluster";

/// None of the recordings has a workload of a generation beyond this.
const GENERATIONS: usize = 10;

/// Plays into a real API server what the real operators, and the controllers below them, were
/// recorded to write: objects, their labels and annotations, generations, statuses and events.
///
/// It decides nothing. What a recording lacks (templates of workloads, contents of Secrets) is
/// made up as far as the API server insists.
pub struct StandIn<'a> {
    api: &'a Api,
    /// What was made so far, by kind and name.
    made: HashMap<(String, String), Value>,
}

/// The object that is judged, which somebody else has applied.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// What the API server knows it by.
    pub uid: String,
    /// As it was applied.
    pub document: Value,
}

impl<'a> StandIn<'a> {
    /// One that has made nothing yet.
    #[must_use]
    pub fn new(api: &'a Api) -> Self {
        let made = HashMap::new();
        Self { api, made }
    }

    /// Makes a kind served: by a small definition of our own, or by the real one where
    /// `FIRSTLIGHT_CRDS` names a folder of them. Those of the OpenTelemetry operator are in the
    /// test bed's cache.
    ///
    /// # Errors
    /// When the folders do not hold it, or the API server does not take it.
    pub async fn define(&self, api_version: &str, kind: &str) -> Result<(), Error> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mut custom = CustomKind::new(group, version, kind);
        if kind == "FluentBit" {
            custom = custom.without_status();
        }
        let definition = match std::env::var_os("FIRSTLIGHT_CRDS") {
            Some(folder) => {
                let cached = program("opentelemetry-operator")?;
                real(vec![folder.into(), cached], &custom.name())?
            }
            None => custom.definition(),
        };
        self.api.define(&definition).await
    }

    /// Writes what an operator or a controller wrote. Events are on the object that is judged.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn play(&mut self, line: &Line, judged: &Judged) -> Result<(), Error> {
        let object = &line.object;
        if !line.is_read() {
            return Ok(());
        }
        let kind = text(&object["kind"]);
        if kind == "Event" {
            return self.event(object, judged).await;
        }
        let path = self.path(object);
        let key = (kind.to_owned(), name(object).to_owned());
        if line.deleted {
            self.api.delete(&path).await?;
            self.made.remove(&key);
            return Ok(());
        }
        if !self.made.contains_key(&key) {
            let new = self.new_object(object, &judged.document["spec"]);
            let (folder, _) = path.rsplit_once('/').unwrap_or_default();
            let made = self.api.post(folder, &new).await?;
            self.made.insert(key, made);
        }
        if matches!(kind, "StatefulSet" | "Deployment" | "DaemonSet") {
            self.generation(&path, object).await?;
        }
        self.status(object).await
    }

    /// Writes the status, the annotations and the labels of an object that is there.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub async fn status(&self, object: &Value) -> Result<(), Error> {
        let path = self.path(object);
        for field in ["annotations", "labels"] {
            let recorded = &object["metadata"][field];
            if recorded.is_object() {
                let merged = json!({ "metadata": { field: recorded } });
                self.api.patch(&path, &merged).await?;
            }
        }
        if object["status"].is_object() && object["kind"] != "FluentBit" {
            let status = self.moved(&object["status"]);
            let whole = json!([{ "op": "add", "path": "/status", "value": status }]);
            let path = format!("{path}/status");
            self.api
                .send(Method::PATCH, &path, JSON_PATCH, Some(&whole))
                .await?;
        }
        Ok(())
    }

    /// A Grafana lists what is in it by namespace, which was `lens`.
    fn moved(&self, status: &Value) -> Value {
        match status {
            Value::String(text) => match text.strip_prefix("lens/") {
                Some(rest) => format!("{}/{rest}", self.api.namespace()).into(),
                None => status.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.moved(item)).collect(),
            Value::Object(fields) => {
                let moved = fields
                    .iter()
                    .map(|(key, item)| (key.clone(), self.moved(item)));
                Value::Object(moved.collect())
            }
            _ => status.clone(),
        }
    }

    /// Changes the template until the generation is the recorded one.
    async fn generation(&self, path: &str, object: &Value) -> Result<(), Error> {
        let wanted = object["metadata"]["generation"].as_i64();
        if let Some(replicas) = object["spec"].get("replicas") {
            let scaled = json!({ "spec": { "replicas": replicas } });
            self.api.patch(path, &scaled).await?;
        }
        for _ in 0..GENERATIONS {
            let live = self.api.get(path).await?;
            let generation = live["metadata"]["generation"].as_i64();
            if generation >= wanted {
                break;
            }
            let mark =
                json!({ "annotations": { "played": generation.unwrap_or_default().to_string() } });
            let marked = json!({ "spec": { "template": { "metadata": mark } } });
            self.api.patch(path, &marked).await?;
        }
        Ok(())
    }

    /// Most workloads are recorded without their template, which has what their parent says of it.
    fn new_object(&self, object: &Value, parent: &Value) -> Value {
        let name = name(object);
        let mut new = json!({ "apiVersion": object["apiVersion"], "kind": object["kind"],
            "metadata": { "name": name, "labels": self.labels(object) } });
        let spec = spec(object, parent);
        if spec.is_object() {
            new["spec"] = spec;
        }
        let keys = object["dataKeys"].as_array().into_iter().flatten();
        let data: Map<String, Value> = keys.map(|key| (text(key).to_owned(), json!(""))).collect();
        if !data.is_empty() {
            new["data"] = data.into();
        }
        new
    }

    /// A pod has those by which its workload selects it.
    fn labels(&self, object: &Value) -> Value {
        let name = name(object);
        let mut owners = self.made.keys().map(|(_, owner)| owner.as_str());
        let owner = owners.find(|owner| name.starts_with(&format!("{owner}-")));
        let mut labels = json!({ "play": owner.unwrap_or(name), PGO_CLUSTER: "hippo" });
        let recorded = object["metadata"]["labels"].as_object();
        for (key, value) in recorded.into_iter().flatten() {
            labels[key] = value.clone();
        }
        labels
    }

    /// An event on the object that is judged; the API server finds it by its uid.
    async fn event(&self, object: &Value, judged: &Judged) -> Result<(), Error> {
        let namespace = self.api.namespace();
        let document = &judged.document;
        let about = json!({ "apiVersion": document["apiVersion"], "kind": document["kind"],
            "name": document["metadata"]["name"], "namespace": namespace, "uid": judged.uid });
        let event = json!({ "metadata": { "generateName": "played-" }, "involvedObject": about,
            "type": object["evtType"], "reason": object["reason"], "message": object["message"] });
        let path = format!("/api/v1/namespaces/{namespace}/events");
        self.api.post(&path, &event).await?;
        Ok(())
    }

    /// Where a recorded object is.
    #[must_use]
    pub fn path(&self, object: &Value) -> String {
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let root = if version.contains('/') { "apis" } else { "api" };
        let plural = format!("{}s", kind.to_lowercase());
        let (namespace, name) = (self.api.namespace(), name(object));
        format!("/{root}/{version}/namespaces/{namespace}/{plural}/{name}")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

fn spec(object: &Value, parent: &Value) -> Value {
    let name = name(object);
    let labels = json!({ "play": name });
    let mut containers = json!([{ "name": "main", "image": "example.com/main:1" }]);
    for field in ["image", "args", "command"] {
        if object["kind"] == "DaemonSet" && !parent[field].is_null() {
            containers[0][field] = parent[field].clone();
        }
    }
    if let Some(recorded) = object.pointer("/spec/template/spec/containers") {
        containers = recorded.clone();
    }
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } });
    let mut spec = json!({ "selector": { "matchLabels": labels }, "template": template });
    match text(&object["kind"]) {
        "StatefulSet" => {
            spec["serviceName"] = name.into();
            spec["replicas"] = object["spec"]["replicas"].clone();
            spec["updateStrategy"] = json!({ "type": object["spec"]["updateStrategy"] });
            spec
        }
        "Deployment" => {
            spec["replicas"] = object["spec"]["replicas"].clone();
            spec
        }
        "DaemonSet" => spec,
        "Pod" => json!({ "containers": containers }),
        _ => object["spec"].clone(),
    }
}

/// The definition of this name below one of these folders.
fn real(mut folders: Vec<PathBuf>, name: &str) -> Result<Value, Error> {
    use crate::error::InFile;
    let missing = Error::Never {
        what: format!("no definition of {name}"),
        because: format!("none of {folders:?} holds it"),
    };
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).file("read", &folder)? {
            let path = entry.file("read", &folder)?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).file("read", &path)?;
            let documents = text.split("\n---").filter(|it| it.contains(name));
            let found = documents
                .filter_map(|text| serde_saphyr::from_str::<Value>(text).ok())
                .find(|document| document["metadata"]["name"] == name);
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
    Err(missing)
}
