//! The sum of the configuration that the pods of a workload start with: a pod reads it only once,
//! so with the sum in its template it is replaced when the configuration changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::document::Document;
use super::kind::{CONFIG_MAP, Kind, SECRET, Target};
use super::live::Live;
use super::{Client, Error};

const ANNOTATION: &str = "firstlight.dev/config-sum";

/// The configuration that a bundle applies: each `ConfigMap` and Secret.
#[derive(Debug, Default)]
pub struct Configs(HashMap<Target, Value>);

impl Configs {
    /// Takes those of these documents.
    #[must_use]
    pub fn of<'a>(client: &Client, documents: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut configs = HashMap::new();
        for document in documents {
            let Ok(document) = Document::new(document.clone()) else {
                continue;
            };
            let Some(kind) = config_kind(&document) else {
                continue;
            };
            let namespace = document.namespace.as_deref();
            let namespace = namespace.unwrap_or(client.namespace());
            let target = Target::new(kind, namespace, document.name);
            configs.insert(target, document.content);
        }
        Self(configs)
    }
}

fn config_kind(document: &Document) -> Option<Kind> {
    match (document.api_version.as_str(), document.kind.as_str()) {
        ("v1", "ConfigMap") => Some(CONFIG_MAP),
        ("v1", "Secret") => Some(SECRET),
        _ => None,
    }
}

/// Whether its pods read configuration when they start, and it can replace them.
pub(super) fn has_pods(document: &Document) -> bool {
    let kinds = ["DaemonSet", "Deployment", "StatefulSet"];
    document.api_version == "apps/v1" && kinds.contains(&document.kind.as_str())
}

/// Puts the sum of what the workload's pods read into its template: as the cluster has it, with
/// what the bundle is going to change of it.
pub(super) async fn put(
    client: &Client,
    configs: &Configs,
    namespace: &str,
    document: &mut Value,
) -> Result<(), Error> {
    let names = config_names(document);
    if names.is_empty() {
        return Ok(());
    }
    let mut sum = Sha256::new();
    for (is_secret, name) in names {
        let kind = if is_secret { SECRET } else { CONFIG_MAP };
        let target = Target::new(kind, namespace, name);
        let live = client.look(&target).await?;
        add(&mut sum, &target, live.as_deref(), configs.0.get(&target));
    }
    let mut text = String::with_capacity(64);
    for byte in sum.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    annotate(document, text);
    Ok(())
}

fn annotate(document: &mut Value, sum: String) {
    let Some(Value::Object(template)) = document.pointer_mut("/spec/template") else {
        return;
    };
    let metadata = template.entry("metadata").or_insert_with(|| json!({}));
    let metadata = metadata.as_object_mut();
    let annotations = metadata.map(|metadata| metadata.entry("annotations"));
    let annotations = annotations.map(|it| it.or_insert_with(|| json!({})));
    if let Some(Value::Object(annotations)) = annotations {
        annotations.insert(ANNOTATION.to_owned(), sum.into());
    }
}

fn add(sum: &mut Sha256, target: &Target, live: Option<&Live>, applied: Option<&Value>) {
    let mut all: BTreeMap<String, &str> = BTreeMap::new();
    for source in [live.map(Live::value), applied].into_iter().flatten() {
        for part in ["data", "binaryData"] {
            let texts = source[part].as_object().into_iter().flatten();
            let texts =
                texts.filter_map(|(key, value)| Some((format!("{part}.{key}"), value.as_str()?)));
            all.extend(texts);
        }
    }
    // A sum of a short password could be found by trying, by who may read workloads but no Secrets.
    let salt = match live {
        Some(live) if target.kind == SECRET => live.uid(),
        _ => "",
    };
    sum.update(json!([target.to_string(), salt, all]).to_string());
}

/// What the pods of a workload read when they start: whether it is a Secret, and its name.
#[must_use]
pub fn config_names(workload: &Value) -> BTreeSet<(bool, String)> {
    let template = workload.pointer("/spec/template/spec");
    template.map(names).unwrap_or_default()
}

/// What the containers and volumes of a pod name: whether it is a Secret, and its name.
fn names(pod: &Value) -> BTreeSet<(bool, String)> {
    let mut found = BTreeSet::new();
    let mut add = |is_secret, name: &Value| {
        found.extend(name.as_str().map(|name| (is_secret, name.to_owned())));
    };
    for container in ["initContainers", "containers"]
        .map(|key| items(&pod[key]))
        .concat()
    {
        for from in items(&container["envFrom"]) {
            add(false, &from["configMapRef"]["name"]);
            add(true, &from["secretRef"]["name"]);
        }
        for variable in items(&container["env"]) {
            let from = &variable["valueFrom"];
            add(false, &from["configMapKeyRef"]["name"]);
            add(true, &from["secretKeyRef"]["name"]);
        }
    }
    for volume in items(&pod["volumes"]) {
        add(false, &volume["configMap"]["name"]);
        add(true, &volume["secret"]["secretName"]);
        for source in items(&volume["projected"]["sources"]) {
            add(false, &source["configMap"]["name"]);
            add(true, &source["secret"]["name"]);
        }
    }
    found
}

fn items(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_pod_reads_is_found() {
        let pod = json!({
            "initContainers": [{ "envFrom": [{ "configMapRef": { "name": "a" } }, { "secretRef": { "name": "b" } }] }],
            "containers": [{ "env": [
                { "name": "X", "value": "1" },
                { "name": "Y", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } },
                { "name": "Z", "valueFrom": { "secretKeyRef": { "name": "d", "key": "k" } } } ] }],
            "volumes": [
                { "name": "1", "configMap": { "name": "e" } },
                { "name": "2", "secret": { "secretName": "f" } },
                { "name": "3", "projected": { "sources": [{ "configMap": { "name": "g" } }, { "secret": { "name": "h" } }] } },
                { "name": "4", "emptyDir": {} } ],
        });
        let found: Vec<String> = names(&pod).into_iter().map(|(_, name)| name).collect();
        assert_eq!(found.concat(), "acegbdfh");
    }

    fn sum(live: Option<&Value>, applied: Option<&Value>) -> Vec<u8> {
        let target = Target::new(CONFIG_MAP, "lens", "settings");
        let live = live.cloned().map(Live::new);
        let mut sum = Sha256::new();
        add(&mut sum, &target, live.as_ref(), applied);
        sum.finalize().to_vec()
    }

    #[test]
    fn what_the_bundle_changes_counts_before_it_is_written() {
        let old = json!({ "data": { "a": "1", "theirs": "x" } });
        let new = json!({ "data": { "a": "2", "theirs": "x" } });
        let ours = json!({ "data": { "a": "2" } });
        assert_ne!(sum(Some(&old), None), sum(Some(&new), None));
        assert_eq!(sum(Some(&old), Some(&ours)), sum(Some(&new), Some(&ours)));
        assert_ne!(sum(None, None), sum(None, Some(&ours)));
    }

    #[test]
    fn the_sum_stands_in_the_template() {
        let mut document = json!({ "spec": { "template": { "spec": {} } } });
        annotate(&mut document, "5".to_owned());
        let template = json!({ "metadata": { "annotations": { ANNOTATION: "5" } }, "spec": {} });
        assert_eq!(document["spec"]["template"], template);
    }
}
