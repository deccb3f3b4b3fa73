//! Renders the texts of a located tree, and whole files, and says where a template is wrong.

use std::path::Path;

use super::files::Files;
use super::lines::Lines;
use super::mistakes::{Found, Mistake, Place};
use super::parse;
use super::scalar::Scalar;
use super::template::{Fault, Templates, is_template};
use super::yaml::{self, Content, Node, Spot};

/// What files and texts are rendered with.
#[derive(Clone, Copy)]
pub(super) struct Rendering<'a> {
    pub(super) templates: &'a Templates,
    pub(super) files: &'a Files,
    pub(super) found: &'a Found,
}

/// A file whose texts are rendered one by one.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Rendering<'_> {
    /// Renders every text below a node.
    pub(super) fn tree(&self, node: &Node, source: Source<'_>) -> Node {
        let content = match &node.content {
            Content::Scalar(Scalar::Text(text)) if is_template(text) => {
                return match self.templates.scalar(text) {
                    Ok(value) => Node::from_value(node.at, value),
                    Err(fault) => {
                        self.report(&fault, text, node.at, source);
                        let (at, content) = (node.at, Content::Broken);
                        Node { at, content }
                    }
                };
            }
            Content::Sequence(items) => {
                let items = items.iter().map(|item| self.tree(item, source));
                Content::Sequence(items.collect())
            }
            Content::Mapping(entries) => {
                let entry =
                    |(key, node): &(yaml::Key, Node)| (key.clone(), self.tree(node, source));
                Content::Mapping(entries.iter().map(entry).collect())
            }
            other => other.clone(),
        };
        Node {
            at: node.at,
            content,
        }
    }

    /// Answers a `when`; none after a mistake.
    pub(super) fn condition(&self, node: &Node, source: Source<'_>) -> Option<bool> {
        if let Content::Scalar(Scalar::Bool(value)) = &node.content {
            return Some(*value);
        }
        let Some(text) = node.as_text() else {
            let what = format!("`when` must be an expression, but is {}", node.kind());
            self.found
                .add(Mistake::new(Place::at(source.file, node.at), what));
            return None;
        };
        match self.templates.condition(text) {
            Ok(answer) => Some(answer),
            Err(fault) => {
                self.report(&fault, text, node.at, source);
                None
            }
        }
    }

    fn report(&self, fault: &Fault, template: &str, at: Spot, source: Source<'_>) {
        let place = Place::at(source.file, pinpoint(fault, template, at, source.text));
        let mistake = Mistake::new(place, &fault.what);
        self.found.add(mistake.hint_if(fault.hint.clone()));
    }

    /// Reads a file, renders it and parses its documents. The empty ones are left out.
    pub(super) fn documents(&self, path: &Path) -> Vec<Node> {
        let Some(text) = self.files.read(path, self.found) else {
            return Vec::new();
        };
        let rendered = match self.templates.text(&text) {
            Ok(rendered) => rendered,
            Err(fault) => {
                let range = fault.range.unwrap_or(0..0);
                let place = Place::at(path, Spot::of_bytes(&text, range.start, range.end));
                self.found
                    .add(Mistake::new(place, fault.what).hint_if(fault.hint));
                return Vec::new();
            }
        };
        let (mut documents, mut problems) = parse::parse(&rendered);
        if rendered != text {
            let lines = Lines::trace(self.templates, &text, &rendered);
            for document in &mut documents {
                lines.move_tree(document);
            }
            for problem in &mut problems {
                lines.move_problem(problem);
            }
        }
        for problem in problems {
            self.found.add(problem.into_mistake(path));
        }
        documents.retain(|document| !document.is_null());
        documents
    }
}

/// The spot in the source that a fault of one text is about: a text may be quoted, escaped,
/// folded or indented there, so the faulty words are looked up.
fn pinpoint(fault: &Fault, template: &str, at: Spot, source: &str) -> Spot {
    let Some(words) = fault.range.clone().and_then(|range| template.get(range)) else {
        return at;
    };
    let words = words.trim();
    let raw = source.get(at.start..at.end).unwrap_or_default();
    match raw.find(words) {
        Some(start) if !words.is_empty() => {
            let start = at.start + start;
            Spot::of_bytes(source, start, start + words.len())
        }
        _ => at,
    }
}
