//! `apply: { path, force?, wait?, ready?, failed?, adopt?, recreate?, restartOn?, traceparent? }`: the
//! documents of a file, or of all files below a folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Context, Made, Part, order_by_tier, ready_rule};
use crate::bundle::files::Entry;
use crate::bundle::reader::Fields;
use crate::bundle::yaml::Node;
use crate::bundle::{Action, Foreign, Manifest, Restart, Terms, Traced};
use crate::expression::ReadyRule;

const KEYS: &[&str] = &[
    "path",
    "force",
    "wait",
    "ready",
    "failed",
    "adopt",
    "recreate",
    "restartOn",
    "traceparent",
];
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields = context.reader.fields(node, "an apply", KEYS)?;
    let terms = Terms {
        force: fields.boolean("force").unwrap_or(false),
        wait: fields.boolean("wait").unwrap_or(true),
        recreate: fields.boolean("recreate").unwrap_or(false),
        restart: restart(&fields, context),
        foreign: match fields.boolean("adopt") {
            Some(true) => Foreign::Adopt,
            _ => Foreign::Refuse,
        },
        trace: match fields.boolean("traceparent") {
            Some(true) => Traced::Told,
            _ => Traced::Untold,
        },
    };
    let said = ready_rule::read(&fields, context);
    let (entry, name) = context.path(&fields)?;
    let files = files(entry, context);
    if files.is_empty() {
        let what = "there is no manifest in the folder";
        let mistake = context.reader.mistake(fields.need("path")?.at, what);
        context
            .found()
            .add(mistake.hint("manifests end in .yaml, .yml or .json"));
    }
    let mut manifests = Vec::new();
    for file in &files {
        for document in context.rendering.documents(file) {
            manifests.extend(manifest(&document, file, terms, context));
        }
    }
    ready_rule::give(said, &mut manifests, context);
    if let [_] = manifests[..] {
        let mut made = Made::step("", Action::Object(manifests.swap_remove(0)));
        made.name = name;
        return Some(made);
    }
    Some(Made::group(name, parts(manifests)))
}

/// The one word that `restartOn` takes.
const CONFIG: &str = "config";

fn restart(fields: &Fields<'_>, context: Context<'_>) -> Restart {
    let Some(node) = fields.get("restartOn") else {
        return Restart::ByHand;
    };
    if node.as_text() != Some(CONFIG) {
        let what = format!("`restartOn` can only be {CONFIG}");
        let mistake = context.reader.mistake(node.at, what);
        let hint = "pods are then replaced when a ConfigMap or Secret that they read changes";
        context.found().add(mistake.hint(hint));
    }
    Restart::OnConfig
}

fn files(entry: Entry, context: Context<'_>) -> Vec<PathBuf> {
    match entry {
        Entry::File(path) => vec![path],
        Entry::Folder(folder) => {
            let mut files = context.files().walk(&folder, context.found());
            files.retain(|file| {
                let extension = file.extension().and_then(|extension| extension.to_str());
                extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
            });
            files
        }
    }
}

fn manifest(document: &Node, file: &Path, terms: Terms, context: Context<'_>) -> Option<Manifest> {
    let reader = context.in_file(file).reader;
    reader.entries(document, "an object")?;
    let need = |node: Option<&Node>, what: &str| {
        let said = node.is_some_and(|node| node.as_text().is_some_and(|text| !text.is_empty()));
        if !said {
            let at = node.map_or(document.at, |node| node.at);
            let mistake = reader.mistake(at, format!("the object needs `{what}`, a text"));
            let is_list = document.get("items").is_some();
            let hint = is_list.then_some("write the items of a list as documents of their own");
            context
                .found()
                .add(mistake.hint_if(hint.map(str::to_owned)));
        }
        said
    };
    let metadata = document.get("metadata");
    let name = metadata.and_then(|metadata| metadata.get("name"));
    let all = [
        need(document.get("apiVersion"), "apiVersion"),
        need(document.get("kind"), "kind"),
        need(name, "metadata.name"),
    ];
    all.iter().all(|said| *said).then(|| Manifest {
        object: document.to_value(),
        terms,
        rule: ReadyRule::default(),
        location: reader.location(document.at),
    })
}

/// One part for each object, in the order in which a cluster needs them.
fn parts(manifests: Vec<Manifest>) -> Vec<Part> {
    let mut count: HashMap<String, usize> = HashMap::new();
    for manifest in &manifests {
        *count.entry(short_name(&manifest.object)).or_default() += 1;
    }
    let part = |manifest: Manifest| {
        let object = &manifest.object;
        let mut name = short_name(object);
        // Only the names that would be the same twice say more, so that the others stay short.
        if count.get(&name).is_some_and(|count| *count > 1) {
            name.extend(full_name(object));
        }
        let part = Part {
            name,
            needs: Vec::new(),
            location: manifest.location.clone(),
            action: Some(Action::Object(manifest)),
        };
        (tier(&part), part)
    };
    order_by_tier(manifests.into_iter().map(part).collect())
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn short_name(object: &Value) -> String {
    let kind = text(object, "/kind").to_lowercase();
    format!("{kind}-{}", text(object, "/metadata/name"))
}

/// What tells apart two objects of one kind and name: where they are and whose kind it is.
fn full_name(object: &Value) -> Option<String> {
    let group = text(object, "/apiVersion").rsplit_once('/');
    let group = group.map(|(group, _)| group).unwrap_or_default();
    let namespace = text(object, "/metadata/namespace");
    let words: Vec<&str> = [namespace, group]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| format!(".{}", words.join(".")))
}

/// Objects of a lower tier are what those of a higher one are made with. A Service is not one of
/// these: it is ready when the pods behind it are, so both go side by side.
fn tier(part: &Part) -> usize {
    let Some(Action::Object(Manifest { object, .. })) = &part.action else {
        return 0;
    };
    match text(object, "/kind") {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => 2,
        "ConfigMap"
        | "Secret"
        | "PersistentVolumeClaim"
        | "PersistentVolume"
        | "StorageClass"
        | "PriorityClass"
        | "LimitRange"
        | "ResourceQuota" => 3,
        _ => 4,
    }
}
