//! The steps of a phase: one file for each kind.

mod adoption;
mod apply;
mod check;
mod database;
mod drift;
mod grafana;
mod grants;
mod migrate;
mod operator;
mod ready_rule;
mod role;
mod running;
mod search;
mod secret;

use std::path::Path;
use std::time::Duration;

use super::files::{Entry, Files};
use super::mistakes::Found;
use super::reader::{Fields, Reader};
use super::rendering::Rendering;
use super::yaml::{Content, Key, Node as Yaml, Spot};
use super::{Action, Body, Location, Node, Step, suggest};

/// The keys that every step may have beside its kind.
const COMMON: [&str; 6] = [
    "name",
    "needs",
    "when",
    "optional",
    "timeout",
    "noProgressTimeout",
];

/// The kinds of steps.
const KINDS: [&str; 10] = [
    "apply", "operator", "secret", "role", "database", "migrate", "grants", "search", "grafana",
    "check",
];

/// How the steps that one entry of a bundle makes are run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) timeout: Duration,
    pub(super) no_progress: Option<Duration>,
    pub(super) optional: bool,
}

/// What a kind of step is read with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) rendering: Rendering<'a>,
    pub(super) namespace: &'a str,
}

/// What a kind of step makes, before it has an id.
pub(super) struct Made {
    /// The name it has unless the bundle gives another.
    name: Option<String>,
    body: Draft,
}

/// A step or a group without ids.
enum Draft {
    Step(Action),
    Group(Vec<Part>),
}

/// A member of a group.
struct Part {
    name: String,
    /// The names of the members that must be current before.
    needs: Vec<String>,
    location: Location,
    /// None where parts only meet: those that need it need all that it needs.
    action: Option<Action>,
}

impl<'a> Context<'a> {
    fn files(&self) -> &'a Files {
        self.rendering.files
    }

    fn found(&self) -> &'a Found {
        self.reader.found
    }

    /// The same, reading another file.
    fn in_file(&self, file: &'a Path) -> Self {
        let reader = Reader {
            file,
            ..self.reader
        };
        Self { reader, ..*self }
    }

    /// What the `path` of a step leads to, and its stem.
    fn path(&self, fields: &Fields<'_>) -> Option<(Entry, Option<String>)> {
        self.entry(fields.need("path")?)
    }

    fn entry(&self, node: &Yaml) -> Option<(Entry, Option<String>)> {
        let text = self.reader.text(node, "path")?;
        let entry = self
            .files()
            .find(&text, &self.reader.place(node.at), self.found())?;
        let (Entry::File(path) | Entry::Folder(path)) = &entry;
        let stem = match entry {
            Entry::File(_) => path.file_stem(),
            Entry::Folder(_) => path.file_name(),
        };
        let stem = stem.and_then(|stem| stem.to_str()).map(str::to_owned);
        Some((entry, stem))
    }

    /// The folder that a path leads to, and its name.
    fn folder(&self, node: &Yaml) -> Option<(std::path::PathBuf, Option<String>)> {
        match self.entry(node)? {
            (Entry::Folder(path), stem) => Some((path, stem)),
            (Entry::File(path), _) => {
                let at = node.at;
                let what = format!("`{}` is a file; a folder is needed", path.display());
                self.reader.add(at, what);
                None
            }
        }
    }
}

/// The one key of a step that says its kind.
pub(super) fn kind<'n>(step: &'n Yaml, reader: Reader<'_>) -> Option<(&'static str, &'n Yaml)> {
    let entries = reader.entries(step, "a step")?;
    let mut kinds: Vec<(&'static str, Spot, &Yaml)> = Vec::new();
    let mut unknown = false;
    for (Key { at, text, .. }, node) in entries {
        match KINDS.iter().find(|kind| *kind == text) {
            Some(kind) => kinds.push((kind, *at, node)),
            None if COMMON.contains(&text.as_str()) => {}
            None => {
                unknown = true;
                unknown_key(text, *at, reader);
            }
        }
    }
    match kinds[..] {
        [] if unknown => None,
        [] => {
            let at = Spot {
                length: 1,
                ..step.at
            };
            let mistake = reader.mistake(at, "the step does not say what it does");
            reader
                .found
                .add(mistake.hint(format!("give it one of: {}", suggest::list(KINDS))));
            None
        }
        [(kind, _, node)] => Some((kind, node)),
        [(first, ..), (second, at, _), ..] => {
            let what = format!("the step is both `{first}` and `{second}`");
            let mistake = reader.mistake(at, what);
            reader
                .found
                .add(mistake.hint("a step does one thing; write two"));
            None
        }
    }
}

fn unknown_key(text: &str, at: Spot, reader: Reader<'_>) {
    let words = || KINDS.into_iter().chain(COMMON);
    let common = suggest::nearest(text, words()).is_some_and(|near| COMMON.contains(&near));
    let mistake = if common {
        reader.mistake(at, format!("unknown key `{text}` in a step"))
    } else {
        reader.mistake(at, format!("there is no kind of step `{text}`"))
    };
    let hint = match suggest::nearest(text, words()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the kinds are: {}", suggest::list(KINDS)),
    };
    reader.found.add(mistake.hint(hint));
}

/// Reads what a step does.
pub(super) fn read(kind: &'static str, node: &Yaml, context: Context<'_>) -> Option<Made> {
    match kind {
        "apply" => apply::read(node, context),
        "operator" => operator::read(node, context),
        "secret" => secret::read(node, context),
        "role" => role::read(node, context),
        "database" => database::read(node, context),
        "migrate" => migrate::read(node, context),
        "grants" => grants::read(node, context),
        "search" => search::read(node, context),
        "grafana" => grafana::read(node, context),
        _ => check::read(node, context),
    }
}

/// The name that a step would have, told without rendering or reading anything: for one that a
/// condition dropped, or that has a mistake.
pub(super) fn plain_name(step: &Yaml) -> Option<String> {
    if let Some(name) = step.get("name") {
        return name.as_text().map(str::to_owned);
    }
    let Content::Mapping(entries) = &step.content else {
        return None;
    };
    let mut others = entries
        .iter()
        .filter(|(key, _)| !COMMON.contains(&key.text.as_str()));
    let (_, content) = others.next()?;
    if let Some(name) = content.get("name") {
        return name.as_text().map(str::to_owned);
    }
    let path = content.get("path")?;
    let path = match &path.content {
        Content::Sequence(paths) => paths.first()?,
        _ => path,
    };
    let path = Path::new(path.as_text()?);
    Some(path.file_stem()?.to_str()?.to_owned())
}

impl Made {
    fn step(name: impl Into<String>, action: Action) -> Self {
        Self {
            name: Some(name.into()),
            body: Draft::Step(action),
        }
    }

    fn group(name: Option<String>, parts: Vec<Part>) -> Self {
        Self {
            name,
            body: Draft::Group(parts),
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The node, and those below it, with ids.
    pub(super) fn into_node(self, id: String, location: Location, pace: Pace) -> Node {
        let body = match self.body {
            Draft::Step(action) => Body::Step(pace.step(action)),
            Draft::Group(parts) => {
                let parts = parts.into_iter().map(|part| part.into_node(&id, pace));
                Body::Group(parts.collect())
            }
        };
        Node {
            id,
            needs: Vec::new(),
            location,
            body,
        }
    }
}

impl Part {
    fn into_node(self, group: &str, pace: Pace) -> Node {
        let needs = self.needs.iter().map(|need| format!("{group}/{need}"));
        Node {
            id: format!("{group}/{}", self.name),
            needs: needs.collect(),
            location: self.location,
            body: match self.action {
                Some(action) => Body::Step(pace.step(action)),
                None => Body::Group(Vec::new()),
            },
        }
    }
}

impl Pace {
    fn step(self, action: Action) -> Step {
        Step {
            action,
            timeout: self.timeout,
            no_progress: self.no_progress,
            optional: self.optional,
        }
    }
}

/// So many needs are written out one by one; more of them meet in a part without an action, so
/// that thousands of parts do not have millions of needs.
const MANY: usize = 1000;

/// Gives each part the need of all parts of the nearest tier before its own.
fn order_by_tier(mut parts: Vec<(usize, Part)>) -> Vec<Part> {
    parts.sort_by_key(|(tier, _)| *tier);
    let mut ordered: Vec<Part> = Vec::with_capacity(parts.len());
    let mut before: Vec<String> = Vec::new();
    while let Some((tier, _)) = parts.first() {
        let tier = *tier;
        let others = parts.split_off(parts.partition_point(|(other, _)| *other == tier));
        if before.len() * parts.len() > MANY {
            let meeting = Part {
                name: format!("before-tier-{tier}"),
                needs: std::mem::take(&mut before),
                location: parts[0].1.location.clone(),
                action: None,
            };
            before.push(meeting.name.clone());
            ordered.push(meeting);
        }
        let names = parts.iter().map(|(_, part)| part.name.clone()).collect();
        for (_, mut part) in std::mem::replace(&mut parts, others) {
            part.needs.extend(before.iter().cloned());
            ordered.push(part);
        }
        before = names;
    }
    ordered
}
