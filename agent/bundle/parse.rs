//! From YAML to located nodes, with everything that is wrong in the text.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::scalar;
use super::yaml::{Content, Key, Node, Problem, Spot};

/// More nodes than these come from aliases of aliases, not from a person.
const MOST_NODES: usize = 2_000_000;

/// Reads all documents of a text. An empty document is a null.
pub(super) fn parse(text: &str) -> (Vec<Node>, Vec<Problem>) {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => {
                let spot = Spot::of(&Span::empty(*error.marker()));
                builder.problem(spot, format!("bad YAML: {}", error.info()), None);
                break;
            }
        }
        if builder.nodes > MOST_NODES {
            builder.problem(Spot::default(), "too many nodes".to_owned(), None);
            break;
        }
    }
    (builder.documents, builder.problems)
}

enum Frame {
    Sequence(Spot, usize, Vec<Node>),
    Mapping(Spot, usize, Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    problems: Vec<Problem>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn problem(&mut self, at: Spot, what: String, hint: Option<&'static str>) {
        self.problems.push(Problem { at, what, hint });
    }

    fn take(&mut self, event: Event<'_>, span: &Span) {
        let at = Spot::of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|tag| tag.original());
                let plain = matches!(style, ScalarStyle::Plain);
                let content = match scalar::resolve(&text, plain, tag.as_deref()) {
                    Ok(scalar) => Content::Scalar(scalar),
                    Err(what) => {
                        self.problem(at, what, None);
                        Content::Broken
                    }
                };
                self.place(Node { at, content }, anchor);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.stack.push(Frame::Sequence(at, anchor, Vec::new()));
            }
            Event::MappingStart(_, anchor, _) => {
                self.stack
                    .push(Frame::Mapping(at, anchor, Vec::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let content = node.map_or(Content::Broken, |node| node.content);
                self.nodes += size(&content);
                self.place(Node { at, content }, 0);
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let (at, anchor, content) = match self.stack.pop() {
            Some(Frame::Sequence(at, anchor, items)) => (at, anchor, Content::Sequence(items)),
            Some(Frame::Mapping(at, anchor, entries, _)) => {
                (at, anchor, Content::Mapping(merged(entries)))
            }
            None => return,
        };
        self.place(Node { at, content }, anchor);
    }

    /// Puts a finished node where it belongs: into what is open, or among the documents.
    fn place(&mut self, node: Node, anchor: usize) {
        self.nodes += 1;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.documents.push(node),
            Some(Frame::Sequence(_, _, items)) => items.push(node),
            Some(Frame::Mapping(_, _, entries, key @ Some(_))) => {
                // A key that is none was reported; its value would only give more mistakes.
                let key = key.take().filter(|key| !key.is_broken);
                entries.extend(key.map(|key| (key, node)));
            }
            Some(Frame::Mapping(_, _, entries, key)) => {
                let (text, problem) = key_text(&node, entries);
                *key = Some(Key {
                    at: node.at,
                    is_broken: problem.is_some(),
                    text,
                });
                self.problems.extend(problem);
            }
        }
    }
}

/// The text of a key, and what is wrong with it.
fn key_text(node: &Node, entries: &[(Key, Node)]) -> (String, Option<Problem>) {
    let at = node.at;
    let Content::Scalar(scalar) = &node.content else {
        let problem = Problem {
            at,
            what: "a key must be a plain word".to_owned(),
            hint: Some("a value that starts with {{ must be in quotes: \"{{ … }}\""),
        };
        return (String::new(), Some(problem));
    };
    let text = scalar.to_string();
    let twice = entries.iter().find(|(key, _)| key.text == text);
    let problem = twice.map(|(first, _)| Problem {
        at,
        what: format!(
            "the key `{text}` is here twice, first in line {}",
            first.at.line
        ),
        hint: None,
    });
    (text, problem)
}

/// The entries with those of `<<` added where they are not said.
fn merged(entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    if entries.iter().all(|(key, _)| key.text != "<<") {
        return entries;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key.text == "<<");
    let sources = merges.into_iter().flat_map(|(_, node)| match node.content {
        Content::Sequence(items) => items,
        _ => vec![node],
    });
    for source in sources {
        if let Content::Mapping(more) = source.content {
            for (key, node) in more {
                if own.iter().all(|(known, _)| known.text != key.text) {
                    own.push((key, node));
                }
            }
        }
    }
    own
}

fn size(content: &Content) -> usize {
    match content {
        Content::Scalar(_) | Content::Broken => 1,
        Content::Sequence(items) => 1 + items.iter().map(|item| size(&item.content)).sum::<usize>(),
        Content::Mapping(entries) => {
            1 + entries
                .iter()
                .map(|(_, node)| size(&node.content))
                .sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn values(text: &str) -> Vec<Value> {
        let (documents, problems) = parse(text);
        assert_eq!(problems, []);
        documents.iter().map(Node::to_value).collect()
    }

    #[test]
    fn documents_become_values() {
        assert_eq!(
            values("a: 1\nb: [x, true, ~, 0644, 1.5, '7']\n---\n- c\n"),
            [
                json!({ "a": 1, "b": ["x", true, null, 420, 1.5, "7"] }),
                json!(["c"])
            ]
        );
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        assert_eq!(
            values("base: &b { x: 1, y: 2 }\nown:\n  <<: *b\n  y: 3\n"),
            [json!({ "base": { "x": 1, "y": 2 }, "own": { "x": 1, "y": 3 } })]
        );
    }

    #[test]
    fn everything_knows_where_it_stands() {
        let (documents, _) = parse("é: x\nkey:\n  - value\n");
        let (key, node) = documents[0].entry("key").expect("the key");
        assert_eq!((key.at.line, key.at.column, key.at.length), (2, 1, 3));
        let Content::Sequence(items) = &node.content else {
            panic!("not a list");
        };
        let at = items[0].at;
        assert_eq!((at.line, at.column, at.length), (3, 5, 5));
        assert_eq!((documents[0].at.line, documents[0].at.column), (1, 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let (_, problems) = parse("a: 1\na: 2\n");
        assert_eq!(
            problems[0].what,
            "the key `a` is here twice, first in line 1"
        );
        let (_, problems) = parse("a: {{ values.x }}\n");
        assert!(problems[0].hint.is_some(), "{problems:?}");
        let (_, problems) = parse("a: [1, 2\nb: 3\n");
        assert!(problems[0].what.starts_with("bad YAML: "), "{problems:?}");
    }

    #[test]
    fn aliases_of_aliases_are_bounded() {
        let mut text = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*l{}", level - 1);
            let ten = vec![before; 10].join(", ");
            text = format!("{text}l{level}: &l{level} [{ten}]\n");
        }
        let (_, problems) = parse(&text);
        assert_eq!(problems[0].what, "too many nodes");
    }
}
