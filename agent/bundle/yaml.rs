//! YAML as a small tree in which everything knows where it stands.
//!
//! Scalars mean what they mean to Kubernetes tools: the core schema of YAML 1.2, and a number
//! with a leading zero is octal (`defaultMode: 0644`). Anchors, aliases and `<<` are understood.

use std::path::Path;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::Span;

use super::mistakes::{Mistake, Place};
use super::scalar::Scalar;

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// From 1; 0 for nowhere in particular.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// In characters.
    pub(super) length: usize,
    /// The bytes from here …
    pub(super) start: usize,
    /// … to here, exclusive.
    pub(super) end: usize,
}

impl Spot {
    pub(super) fn of(span: &Span) -> Self {
        let bytes = span.byte_range().unwrap_or_default();
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
            length: span.end.index().saturating_sub(span.start.index()),
            start: bytes.start,
            end: bytes.end,
        }
    }

    /// The spot of some bytes of a text.
    pub(super) fn of_bytes(text: &str, start: usize, end: usize) -> Self {
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            length: text.get(start..end).map_or(1, |part| part.chars().count()),
            start,
            end,
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Spot,
    pub(super) content: Content,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
    /// What it is cannot be told, because of a mistake that was reported already.
    Broken,
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Spot,
    pub(super) text: String,
    /// Whether a mistake was reported of it.
    pub(super) is_broken: bool,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: Spot,
    pub(super) what: String,
    pub(super) hint: Option<&'static str>,
}

impl Problem {
    /// The mistake in a file that has this text.
    pub(super) fn into_mistake(self, file: &Path) -> Mistake {
        let mistake = Mistake::new(Place::at(file, self.at), self.what);
        mistake.hint_if(self.hint.map(str::to_owned))
    }
}

impl Node {
    /// The value without places.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Broken => Value::Null,
            Content::Scalar(scalar) => scalar.to_value(),
            Content::Sequence(items) => items.iter().map(Self::to_value).collect(),
            Content::Mapping(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, node)| (key.text.clone(), node.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// A value that all stands at one place.
    pub(super) fn from_value(at: Spot, value: Value) -> Self {
        let content = match value {
            Value::Null => Content::Scalar(Scalar::Null),
            Value::Bool(value) => Content::Scalar(Scalar::Bool(value)),
            Value::Number(value) => Content::Scalar(Scalar::Number(value)),
            Value::String(value) => Content::Scalar(Scalar::Text(value)),
            Value::Array(items) => {
                let items = items.into_iter();
                Content::Sequence(items.map(|item| Self::from_value(at, item)).collect())
            }
            Value::Object(entries) => {
                let entries = entries.into_iter();
                let key = |text| Key {
                    at,
                    text,
                    is_broken: false,
                };
                let entry = |(text, value)| (key(text), Self::from_value(at, value));
                Content::Mapping(entries.map(entry).collect())
            }
        };
        Self { at, content }
    }

    /// The entry of a mapping with this key.
    pub(super) fn entry(&self, name: &str) -> Option<&(Key, Self)> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|(key, _)| key.text == name),
            _ => None,
        }
    }

    /// The value of a mapping's key.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The text of a scalar that is text.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing is said.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Scalar::Null))
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(scalar) => scalar.kind(),
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a map",
            Content::Broken => "broken",
        }
    }
}
