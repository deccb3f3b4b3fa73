//! `search: { path }`: a folder of OpenSearch's objects, one folder for each kind.
//!
//! JSON is taken as it is, because OpenSearch has a `{{ }}` of its own; YAML is rendered.

use std::path::Path;

use super::{Context, Made, Part, order_by_tier};
use crate::bundle::mistakes::{Mistake, Place};
use crate::bundle::yaml::{Node, Spot};
use crate::bundle::{Action, Location, SearchKind, SearchObject, json, suggest};

/// The folders, with what a part of each kind is called.
const FOLDERS: [(&str, &str, SearchKind); 5] = [
    (
        "component-templates",
        "component-template",
        SearchKind::ComponentTemplate,
    ),
    (
        "index-templates",
        "index-template",
        SearchKind::IndexTemplate,
    ),
    ("pipelines", "pipeline", SearchKind::Pipeline),
    ("indices", "index", SearchKind::Index),
    ("documents", "document", SearchKind::Document),
];

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields = context.reader.fields(node, "a search", &["path"])?;
    let (folder, name) = context.folder(fields.need("path")?)?;
    let before = context.found().count();
    let mut parts = Vec::new();
    for (path, is_folder) in context.files().list(&folder, context.found()) {
        let kind = path.file_name().and_then(|name| name.to_str());
        let kind = kind.unwrap_or_default();
        match FOLDERS.iter().find(|(folder, ..)| *folder == kind) {
            Some((_, word, kind)) if is_folder => {
                parts.extend(objects(&path, word, *kind, context));
            }
            None if is_folder || is_document(&path) => {
                let folders = FOLDERS.iter().map(|(folder, ..)| *folder);
                let mistake = Mistake::new(
                    Place::whole(&path),
                    format!("`{kind}` is not a folder of a kind of OpenSearch's objects"),
                );
                context
                    .found()
                    .add(mistake.hint_if(suggest::hint(kind, folders)));
            }
            _ => {}
        }
    }
    if parts.is_empty() && context.found().count() == before {
        let folders = suggest::list(FOLDERS.iter().map(|(folder, ..)| *folder));
        let at = fields.need("path")?.at;
        let mistake = context
            .reader
            .mistake(at, "there is no object in the folder");
        context
            .found()
            .add(mistake.hint(format!("its folders are: {folders}")));
    }
    Some(Made::group(name, order_by_tier(parts)))
}

fn objects(
    folder: &Path,
    word: &str,
    kind: SearchKind,
    context: Context<'_>,
) -> Vec<(usize, Part)> {
    let mut parts = Vec::new();
    for (path, is_folder) in context.files().list(folder, context.found()) {
        let inner = if kind == SearchKind::Document && is_folder {
            context.files().list(&path, context.found())
        } else {
            vec![(path.clone(), is_folder)]
        };
        for (file, _) in inner
            .iter()
            .filter(|(file, is_folder)| !is_folder && is_document(file))
        {
            parts.extend(object(file, folder, word, kind, context));
        }
    }
    parts
}

fn is_document(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["json", "yaml", "yml"].contains(&extension))
}

fn object(
    file: &Path,
    folder: &Path,
    word: &str,
    kind: SearchKind,
    context: Context<'_>,
) -> Option<(usize, Part)> {
    // `INDEX/ID` of a document, else the file's stem.
    let name = file.strip_prefix(folder).ok()?.with_extension("");
    let name = name.to_str()?.to_owned();
    if kind == SearchKind::Document && !name.contains('/') {
        let mistake = Mistake::new(
            Place::whole(file),
            "a document is not in a folder of its index",
        );
        context
            .found()
            .add(mistake.hint("its place is documents/INDEX/ID.json"));
        return None;
    }
    let (body, at) = if file
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let first = Spot {
            line: 1,
            column: 1,
            length: 1,
            ..Spot::default()
        };
        (json::read(file, context.files(), context.found())?, first)
    } else {
        let mut documents = context.rendering.documents(file);
        if documents.len() != 1 {
            let what = format!("{} documents in a file that is one object", documents.len());
            context.found().add(Mistake::new(Place::whole(file), what));
            return None;
        }
        let document = documents.swap_remove(0);
        (document.to_value(), document.at)
    };
    if !body.is_object() {
        let place = Place::at(file, at);
        context
            .found()
            .add(Mistake::new(place, "the object must be a map"));
        return None;
    }
    let location = Location {
        file: file.to_owned(),
        line: at.line,
        column: at.column,
    };
    let part = Part {
        name: format!("{word}-{}", name.replace('/', "-")),
        needs: Vec::new(),
        location: location.clone(),
        action: Some(Action::Search(SearchObject {
            kind,
            name,
            body,
            location,
        })),
    };
    Some((kind as usize, part))
}
