//! `grafana: { path }`: a folder with `folders.yaml`, `datasources.yaml` and
//! `<folder's uid>/<dashboard's uid>.json`. Dashboards are taken as they are: `{{ }}` is theirs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Context, Made, Part};
use crate::bundle::mistakes::{Mistake, Place};
use crate::bundle::yaml::{Content, Key, Node};
use crate::bundle::{Action, Dashboard, Datasource, Folder, Location, json, suggest};
use crate::secret::Credential;

const FOLDERS: &str = "folders.yaml";
const DATASOURCES: &str = "datasources.yaml";
const SECRETS: &str = "secureJsonData";

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields = context.reader.fields(node, "a grafana", &["path"])?;
    let (folder, name) = context.folder(fields.need("path")?)?;
    let before = context.found().count();
    let folders = folders(&folder.join(FOLDERS), context);
    let datasources = datasources(&folder.join(DATASOURCES), context);
    let dashboards = dashboards(&folder, &folders, &datasources, context);
    let mut parts = folders;
    parts.extend(datasources);
    parts.extend(dashboards);
    if parts.is_empty() && context.found().count() == before {
        let at = fields.need("path")?.at;
        let mistake = context
            .reader
            .mistake(at, "there is nothing for Grafana in the folder");
        let hint = format!("it holds {FOLDERS}, {DATASOURCES} and FOLDER/UID.json");
        context.found().add(mistake.hint(hint));
    }
    Some(Made::group(name, parts))
}

/// The entries of the list that a file holds under a key, if there is the file.
fn entries(file: &Path, key: &'static str, context: Context<'_>) -> Vec<Node> {
    if !context.files().exists(file) {
        return Vec::new();
    }
    let reader = context.in_file(file).reader;
    let mut entries = Vec::new();
    for document in context.rendering.documents(file) {
        if !matches!(document.content, Content::Mapping(_)) {
            let what = format!("the file must be a map, but is {}", document.kind());
            let hint = format!("write the list below `{key}:`");
            context
                .found()
                .add(reader.mistake(document.at, what).hint(hint));
            continue;
        }
        // `apiVersion` is what Grafana's own files of this kind start with.
        let Content::Mapping(map) = document.content else {
            continue;
        };
        for (Key { text, at, .. }, node) in map {
            if text == key {
                let items = reader.items(&node, key);
                entries.extend(items.unwrap_or_default().iter().cloned());
            } else if text != "apiVersion" {
                let mistake = reader.mistake(at, format!("the file has no key `{text}`"));
                context
                    .found()
                    .add(mistake.hint_if(suggest::hint(&text, [key])));
            }
        }
    }
    entries
}

fn folders(file: &Path, context: Context<'_>) -> Vec<Part> {
    let entries = entries(file, "folders", context);
    let uids: Vec<&str> = entries
        .iter()
        .filter_map(|node| node.get("uid")?.as_text())
        .collect();
    let entry = |node: &Node| folder(node, &uids, context.in_file(file));
    entries.iter().filter_map(entry).collect()
}

fn folder(node: &Node, uids: &[&str], context: Context<'_>) -> Option<Part> {
    let reader = context.reader;
    let fields = reader.fields(node, "a folder", &["uid", "title", "parent"])?;
    let uid = fields.need("uid").and_then(|node| uid(node, context));
    let title = fields.need_text("title");
    let parent = fields.text("parent");
    if let (Some(parent), Some(node)) = (&parent, fields.get("parent"))
        && !uids.contains(&parent.as_str())
    {
        let mistake = reader.mistake(node.at, format!("there is no folder `{parent}`"));
        context
            .found()
            .add(mistake.hint_if(suggest::hint(parent, uids.iter().copied())));
    }
    let uid = uid?;
    Some(Part {
        name: format!("folder-{uid}"),
        needs: parent
            .iter()
            .map(|parent| format!("folder-{parent}"))
            .collect(),
        location: reader.location(node.at),
        action: Some(Action::Folder(Folder {
            uid,
            title: title?,
            parent,
        })),
    })
}

/// What Grafana takes as a uid.
fn uid(node: &Node, context: Context<'_>) -> Option<String> {
    let text = context.reader.text(node, "uid")?;
    if let Err(what) = check_uid(&text) {
        context.reader.add(node.at, what);
        return None;
    }
    Some(text)
}

fn check_uid(uid: &str) -> Result<(), String> {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if uid.len() <= 40 && uid.chars().all(simple) {
        return Ok(());
    }
    Err(format!(
        "`{uid}` is not a uid: at most 40 of letters, digits, `-` and `_`"
    ))
}

fn datasources(file: &Path, context: Context<'_>) -> Vec<Part> {
    let entries = entries(file, "datasources", context);
    let entry = |node: &Node| datasource(node, context.in_file(file));
    entries.iter().filter_map(entry).collect()
}

fn datasource(node: &Node, context: Context<'_>) -> Option<Part> {
    let reader = context.reader;
    reader.entries(node, "a datasource")?;
    let need = |key: &str| {
        let value = node.get(key);
        if value.is_none() {
            reader.add(node.at, format!("a datasource needs `{key}`"));
        }
        value
    };
    let (uid_node, name, kind) = (need("uid"), need("name"), need("type"));
    let uid = uid_node.and_then(|node| uid(node, context));
    let name = name.and_then(|node| reader.text(node, "name"));
    kind.and_then(|node| reader.text(node, "type"));
    let secrets = secrets(node, context);
    let mut body = node.to_value();
    if let Value::Object(map) = &mut body {
        map.remove(SECRETS);
    }
    let uid = uid?;
    let location = reader.location(node.at);
    Some(Part {
        name: format!("datasource-{uid}"),
        needs: Vec::new(),
        location: location.clone(),
        action: Some(Action::Datasource(Datasource {
            uid,
            name: name?,
            body,
            secrets,
            location,
        })),
    })
}

fn secrets(node: &Node, context: Context<'_>) -> BTreeMap<String, Credential> {
    let node = node.get(SECRETS);
    let entries = node.and_then(|node| context.reader.entries(node, SECRETS));
    let entries = entries.unwrap_or_default().iter();
    let entry = |(key, node): &(Key, Node)| {
        Some((key.text.clone(), context.reader.secret(node, &key.text)?))
    };
    entries.filter_map(entry).collect()
}

fn dashboards(
    folder: &Path,
    folders: &[Part],
    datasources: &[Part],
    context: Context<'_>,
) -> Vec<Part> {
    let known: Vec<&str> = folders
        .iter()
        .filter_map(|part| part.name.strip_prefix("folder-"))
        .collect();
    let mut parts = Vec::new();
    for (path, is_folder) in context.files().list(folder, context.found()) {
        if !is_folder {
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let mistake = Mistake::new(Place::whole(&path), "the dashboard is in no folder");
                let hint = "put it into a folder that is named as a uid in folders.yaml";
                context.found().add(mistake.hint(hint));
            }
            continue;
        }
        let files = context.files().list(&path, context.found());
        let files = files.into_iter().map(|(file, _)| file);
        let files: Vec<_> = files
            .filter(|file| {
                file.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        let uid = path.file_name().and_then(|name| name.to_str());
        let uid = uid.unwrap_or_default();
        if !files.is_empty() && !known.contains(&uid) {
            let what = format!("there is no folder `{uid}` in {FOLDERS}");
            let mistake = Mistake::new(Place::whole(&path), what);
            context
                .found()
                .add(mistake.hint_if(suggest::hint(uid, known.iter().copied())));
        }
        for file in files {
            parts.extend(dashboard(&file, uid, datasources, context));
        }
    }
    parts
}

fn dashboard(
    file: &Path,
    folder: &str,
    datasources: &[Part],
    context: Context<'_>,
) -> Option<Part> {
    let uid = file.file_stem()?.to_str()?.to_owned();
    let model = json::read(file, context.files(), context.found())?;
    let wrong = |key: &str, what: String| {
        Mistake::new(
            json::place(file, key, context.files(), context.found()),
            what,
        )
    };
    let own = model.get("uid").and_then(Value::as_str);
    let title = model.get("title").and_then(Value::as_str);
    let mut mistakes = Vec::new();
    if let Err(what) = check_uid(&uid) {
        mistakes
            .push(Mistake::new(Place::whole(file), what).hint("the uid is the name of the file"));
    }
    if title.is_none_or(str::is_empty) {
        mistakes.push(wrong("title", "the dashboard has no `title`".to_owned()));
    }
    if let Some(own) = own.filter(|own| !own.is_empty() && *own != uid) {
        let what = format!("the dashboard's `uid` is `{own}`, and its file is named {uid}.json");
        mistakes.push(wrong("uid", what).hint(format!("name the file {own}.json")));
    }
    if model.get("__inputs").is_some() {
        let what = "the dashboard was exported for sharing: its datasources are placeholders";
        let hint = "export it again without \"Export for sharing externally\"";
        mistakes.push(wrong("__inputs", what.to_owned()).hint(hint));
    }
    if !mistakes.is_empty() {
        for mistake in mistakes {
            context.found().add(mistake);
        }
        return None;
    }
    let mut needs = vec![format!("folder-{folder}")];
    needs.extend(datasources.iter().map(|part| part.name.clone()));
    let location = Location {
        file: file.to_owned(),
        line: 1,
        column: 1,
    };
    Some(Part {
        name: format!("dashboard-{uid}"),
        needs,
        location: location.clone(),
        action: Some(Action::Dashboard(Dashboard {
            uid,
            folder: folder.to_owned(),
            model,
            location,
        })),
    })
}
