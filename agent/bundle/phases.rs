//! The phases of a bundle, and the steps in them, with ids and with the needs as they are written.

use std::time::Duration;

use super::mistakes::Place;
use super::needs::{Needs, Written};
use super::reader::{Fields, Reader};
use super::rendering::{Rendering, Source};
use super::servers::GATES;
use super::steps::{self, Context, Pace};
use super::yaml::{Content, Node as Yaml, Spot};
use super::{Body, Node};

const PHASE: &[&str] = &[
    "name",
    "needs",
    "when",
    "optional",
    "timeout",
    "noProgressTimeout",
    "steps",
];
const TIMEOUT: Duration = Duration::from_mins(5);

/// What phases are read with.
#[derive(Clone, Copy)]
pub(super) struct Phases<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) rendering: Rendering<'a>,
    pub(super) source: Source<'a>,
    pub(super) namespace: &'a str,
}

impl Phases<'_> {
    /// Reads all phases, without their needs, which go to `needs`.
    pub(super) fn read(&self, list: &Yaml, needs: &mut Needs) -> Vec<Node> {
        let mut phases = Vec::new();
        let mut before: Option<String> = None;
        for item in self.reader.items(list, "phases").unwrap_or_default() {
            let phase = self.phase(item, before.as_deref(), needs);
            if let Some((name, phase)) = phase {
                before = Some(name);
                phases.extend(phase);
            }
        }
        phases
    }

    /// Reads a phase: its name, and nothing more if its condition says no.
    fn phase(
        &self,
        item: &Yaml,
        before: Option<&str>,
        needs: &mut Needs,
    ) -> Option<(String, Option<Node>)> {
        let fields = self.reader.fields(item, "a phase", PHASE)?;
        let wanted = self.wanted(&fields);
        let own = self.without(item, &["steps", "when"]);
        let name = own.get("name").or_else(|| fields.need("name"))?;
        let name = self.name(name, &self.reader.text(name, "name")?)?;
        let own = self.reader.fields(&own, "a phase", PHASE)?;
        let written = match own.get("needs") {
            Some(node) => self.written(node),
            None => before.map(Written::implied).into_iter().collect(),
        };
        if !wanted {
            needs.drop(&name, written);
            return Some((name, None));
        }
        needs.write(&name, written);
        let pace = pace_of(
            &own,
            Pace {
                timeout: TIMEOUT,
                no_progress: None,
                optional: false,
            },
        );
        let steps = fields.need("steps");
        let steps = steps.and_then(|node| self.reader.items(node, "steps"));
        let steps = steps.unwrap_or_default().iter();
        let steps = steps.filter_map(|step| self.step(step, &name, pace, needs));
        let phase = Node {
            body: Body::Group(steps.collect()),
            id: name.clone(),
            needs: Vec::new(),
            location: self.reader.location(item.at),
        };
        Some((name, Some(phase)))
    }

    /// Reads a step. What needs one that has a mistake has none for that.
    fn step(&self, item: &Yaml, phase: &str, pace: Pace, needs: &mut Needs) -> Option<Node> {
        let before = self.reader.found.count();
        let node = self.try_step(item, phase, pace, needs);
        if self.reader.found.count() > before {
            match steps::plain_name(item) {
                Some(name) => needs.drop(&format!("{phase}/{name}"), Vec::new()),
                None => needs.drop(phase, Vec::new()),
            }
        }
        node
    }

    fn try_step(&self, item: &Yaml, phase: &str, pace: Pace, needs: &mut Needs) -> Option<Node> {
        let (kind, content) = steps::kind(item, self.reader)?;
        let wanted = self.wanted(&Fields::new(self.reader, "a step", item));
        let common = self.without(item, &[kind, "when"]);
        let common = Fields::new(self.reader, "a step", &common);
        let written = common.get("needs");
        let written = written.map(|node| self.written(node)).unwrap_or_default();
        if !wanted {
            if let Some(name) = steps::plain_name(item) {
                needs.drop(&format!("{phase}/{name}"), written);
            }
            return None;
        }
        let pace = pace_of(&common, pace);
        let given = common.text("name");
        let content = self.rendering.tree(content, self.source);
        let made = steps::read(kind, &content, self.context())?;
        let Some(name) = given.as_deref().or(made.name()) else {
            let at = Spot {
                length: 1,
                ..item.at
            };
            self.reader.add(at, "the step needs a `name`");
            return None;
        };
        let name = self.step_name(common.get("name").unwrap_or(item), name)?;
        let id = format!("{phase}/{name}");
        needs.write(&id, written);
        Some(made.into_node(id, self.reader.location(item.at), pace))
    }

    fn context(&self) -> Context<'_> {
        Context {
            reader: self.reader,
            rendering: self.rendering,
            namespace: self.namespace,
        }
    }

    /// Whether the condition of a phase or step, if it has one, says yes.
    fn wanted(&self, fields: &Fields<'_>) -> bool {
        let when = fields.get("when");
        when.is_none_or(|when| self.rendering.condition(when, self.source) != Some(false))
    }

    /// A map without some of its keys, rendered.
    fn without(&self, node: &Yaml, keys: &[&str]) -> Yaml {
        let Content::Mapping(entries) = &node.content else {
            return node.clone();
        };
        let rest = entries
            .iter()
            .filter(|(key, _)| !keys.contains(&key.text.as_str()));
        let rest = Yaml {
            at: node.at,
            content: Content::Mapping(rest.cloned().collect()),
        };
        self.rendering.tree(&rest, self.source)
    }

    fn written(&self, node: &Yaml) -> Vec<Written> {
        // One need is a list of one.
        let items = match &node.content {
            Content::Scalar(_) => std::slice::from_ref(node),
            _ => self.reader.items(node, "needs").unwrap_or_default(),
        };
        let written = |item: &Yaml| {
            let need = self.reader.text(item, "needs")?;
            Some(Written::at(need, Place::at(self.reader.file, item.at)))
        };
        items.iter().filter_map(written).collect()
    }

    /// A name that no step of our own has.
    fn step_name(&self, node: &Yaml, name: &str) -> Option<String> {
        if !GATES.contains(&name) {
            return self.name(node, name);
        }
        let at = Spot {
            length: 1,
            ..node.at
        };
        let what = format!("`{name}` is the name of the step that waits for the server");
        let mistake = self.reader.mistake(at, what);
        self.reader
            .found
            .add(mistake.hint("give it another `name`"));
        None
    }

    /// A name that can be a part of an id.
    fn name(&self, node: &Yaml, name: &str) -> Option<String> {
        let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.chars().all(simple) {
            return Some(name.to_owned());
        }
        let what = format!("`{name}` cannot be a part of an id");
        let mistake = self.reader.mistake(
            Spot {
                length: 1,
                ..node.at
            },
            what,
        );
        let hint = "give it a `name` of letters, digits, `-`, `_` and `.`";
        self.reader.found.add(mistake.hint(hint));
        None
    }
}

fn pace_of(fields: &Fields<'_>, default: Pace) -> Pace {
    Pace {
        timeout: fields.duration("timeout").unwrap_or(default.timeout),
        no_progress: fields.duration("noProgressTimeout").or(default.no_progress),
        optional: fields.boolean("optional").unwrap_or(default.optional),
    }
}
