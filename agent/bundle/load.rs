//! The one way from files to a [`Bundle`].

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::Files;
use super::mistakes::{Found, Mistake, Mistakes, Place};
use super::needs::{self, Needs};
use super::parse;
use super::phases::Phases;
use super::reader::Reader;
use super::rendering::{Rendering, Source};
use super::template::Templates;
use super::values::Values;
use super::yaml::Node as Yaml;
use super::{Body, Bundle, Node, digest, drift, looks, objects, servers};

const BUNDLE: &str = "manifests/bundle.yaml";
const API_VERSION: &str = "firstlight.dev/v1alpha1";
const KIND: &str = "Bundle";
const KEYS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "servers",
    "phases",
    "prune",
    "keep",
];
const SERVERS: [&str; 3] = ["postgres", "opensearch", "grafana"];

/// What a bundle is loaded from.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder that holds `manifests/bundle.yaml`.
    pub root: PathBuf,
    /// The profile to use, a file in `manifests/profiles`.
    pub profile: Option<String>,
    /// Files of values, which win over the profile; the later over the earlier.
    pub values_files: Vec<PathBuf>,
    /// Single values (`a.b=c`), which win over all files; the later over the earlier.
    pub set: Vec<String>,
    /// The namespace of the installation.
    pub namespace: String,
}

impl Bundle {
    /// How many steps there are.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.phases.iter().map(Node::steps).sum()
    }

    /// Reads a bundle and everything it names, and checks all of it.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load(options: &Options) -> Result<Self, Mistakes> {
        let found = Found::default();
        let files = match Files::open(&options.root) {
            Ok(files) => files,
            Err(error) => {
                let what = format!("the bundle's root cannot be opened: {error}");
                let mistake = Mistake::new(Place::whole(&options.root), what);
                return Err(Mistakes::one(mistake));
            }
        };
        let bundle = load(options, &files, &found);
        let texts = files.into_texts();
        found.into_result(&texts)?;
        let mut bundle = bundle.ok_or_else(|| {
            let what = "the bundle could not be read, and nothing says why: this is a bug";
            Mistakes::one(Mistake::new(Place::whole(Path::new(BUNDLE)), what))
        })?;
        bundle.digest = digest::digest(&bundle, &texts);
        Ok(bundle)
    }
}

/// Reads what can be read; none, or a part of it, after mistakes.
fn load(options: &Options, files: &Files, found: &Found) -> Option<Bundle> {
    let values = Values::load(options, files, found);
    let file = Path::new(BUNDLE);
    let reader = Reader { file, found };
    let text = files.read(file, found)?;
    let root = document(&text, reader)?;
    if !values.complete {
        return None;
    }
    let templates = Templates::new(
        &values.merged,
        options.profile.as_deref(),
        &options.namespace,
    );
    let phases = Phases {
        reader,
        rendering: Rendering {
            templates: &templates,
            files,
            found,
        },
        source: Source { file, text: &text },
        namespace: &options.namespace,
    };
    build(&root, &phases, options, values.merged)
}

/// The one document of a bundle.
fn document(text: &str, reader: Reader<'_>) -> Option<Yaml> {
    let (mut documents, problems) = parse::parse(text);
    let readable = problems.is_empty();
    for problem in problems {
        reader.found.add(problem.into_mistake(reader.file));
    }
    if let Some(second) = documents.get(1) {
        reader.add(
            second.at,
            "a bundle is one document, and here starts another",
        );
    }
    if documents.is_empty() {
        if readable {
            let what = "the bundle is empty";
            reader
                .found
                .add(Mistake::new(Place::whole(reader.file), what));
        }
        return None;
    }
    Some(documents.swap_remove(0))
}

fn build(root: &Yaml, phases: &Phases<'_>, options: &Options, values: Value) -> Option<Bundle> {
    let Phases {
        reader,
        rendering,
        source,
        ..
    } = *phases;
    let fields = reader.fields(root, "the bundle", KEYS)?;
    for (key, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        let node = fields.need(key);
        if let Some(node) = node.filter(|node| node.as_text() != Some(wanted)) {
            reader.add(node.at, format!("`{key}` must be {wanted}"));
        }
    }
    let metadata = fields.need("metadata");
    let metadata = metadata.map(|node| rendering.tree(node, source));
    let metadata = metadata.as_ref();
    let metadata = metadata.and_then(|node| reader.fields(node, "metadata", &["name"]));
    let name = metadata.and_then(|metadata| metadata.need_text("name"));
    let servers = fields.get("servers");
    let servers = servers.map(|node| rendering.tree(node, source));
    let named = |server: &str| {
        servers
            .as_ref()
            .is_some_and(|node| node.get(server).is_some())
    };
    let missing: Vec<_> = SERVERS
        .into_iter()
        .filter(|server| !named(server))
        .collect();
    let servers = servers
        .as_ref()
        .and_then(|node| servers::read(node, reader));
    let mut needs = Needs::default();
    let list = fields.need("phases");
    let mut nodes = list
        .map(|list| phases.read(list, &mut needs))
        .unwrap_or_default();
    needs.resolve(&mut nodes, reader.found);
    drift::resolve(&mut nodes, &needs, reader.found);
    looks::check(&nodes, reader.found);
    missing_servers(&nodes, &missing, reader.found);
    let keep = fields
        .get("keep")
        .and_then(|node| reader.texts(node, "keep"));
    objects::check(&nodes, &options.namespace, reader.found);
    Some(Bundle {
        name: name?,
        profile: options.profile.clone(),
        namespace: options.namespace.clone(),
        values,
        servers: servers.unwrap_or_default(),
        phases: nodes,
        prune: fields.boolean("prune").unwrap_or(false),
        keep: keep.unwrap_or_default(),
        digest: String::new(),
    })
}

/// Reports the first step that uses a server which the bundle does not name.
fn missing_servers(phases: &[Node], missing: &[&str], found: &Found) {
    for server in missing {
        let mut nodes = needs::flat(phases);
        let user = nodes.find(|node| match &node.body {
            Body::Step(step) => step.action.server() == Some(*server),
            Body::Group(_) => false,
        });
        if let Some(user) = user {
            let what = format!("`{}` uses a server that the bundle does not name", user.id);
            let mistake = Mistake::new((&user.location).into(), what);
            found.add(mistake.hint(format!("say in {BUNDLE} where it is: servers.{server}")));
        }
    }
}
