//! Typed reading of located YAML that gathers mistakes instead of stopping at the first.
//!
//! Every reader returns none after it reported a mistake, and for an optional key that is not
//! there: since a single mistake fails the whole bundle, callers need not tell the two apart.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::mistakes::{Found, Mistake, Place};
use super::scalar::Scalar;
use super::yaml::{Content, Key, Node, Spot};
use super::{Location, duration, suggest};
use crate::secret::{Credential, SecretRef};

/// A file that is being read, and where its mistakes go.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) found: &'a Found,
}

impl<'a> Reader<'a> {
    pub(super) fn place(&self, at: Spot) -> Place {
        Place::at(self.file, at)
    }

    pub(super) fn location(&self, at: Spot) -> Location {
        Location {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
        }
    }

    pub(super) fn mistake(&self, at: Spot, what: impl Into<String>) -> Mistake {
        Mistake::new(self.place(at), what)
    }

    pub(super) fn add(&self, at: Spot, what: impl Into<String>) {
        self.found.add(self.mistake(at, what));
    }

    /// Says that a node is not what it has to be.
    fn wrong(&self, node: &Node, name: &str, wanted: &str) {
        if !matches!(node.content, Content::Broken) {
            let quote = if name.contains(' ') { "" } else { "`" };
            let name = format!("{quote}{name}{quote}");
            let what = format!("{name} must be {wanted}, but is {}", node.kind());
            self.add(node.at, what);
        }
    }

    /// Opens a map of which all keys are known.
    pub(super) fn fields<'n>(
        self,
        node: &'n Node,
        what: &'static str,
        allowed: &'static [&'static str],
    ) -> Option<Fields<'n>>
    where
        'a: 'n,
    {
        let entries = self.entries(node, what)?;
        for (key, _) in entries {
            if !allowed.contains(&key.text.as_str()) {
                let hint = suggest::hint(&key.text, allowed.iter().copied());
                let mistake = self.mistake(key.at, format!("unknown key `{}` in {what}", key.text));
                self.found.add(mistake.hint_if(hint));
            }
        }
        Some(Fields {
            reader: self,
            what,
            node,
        })
    }

    /// The entries of a map of which the keys are not known.
    pub(super) fn entries<'n>(&self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        if let Content::Mapping(entries) = &node.content {
            return Some(entries);
        }
        self.wrong(node, what, "a map");
        None
    }

    /// The items of a list.
    pub(super) fn items<'n>(&self, node: &'n Node, name: &str) -> Option<&'n [Node]> {
        if let Content::Sequence(items) = &node.content {
            return Some(items);
        }
        self.wrong(node, name, "a list");
        None
    }

    /// A text that is not empty. A number or a boolean is its text, as people expect of `12`.
    pub(super) fn text(&self, node: &Node, name: &str) -> Option<String> {
        match &node.content {
            Content::Scalar(Scalar::Text(text)) if text.trim().is_empty() => {
                self.add(node.at, format!("`{name}` must not be empty"));
                None
            }
            Content::Scalar(scalar) if *scalar != Scalar::Null => Some(scalar.to_string()),
            _ => {
                self.wrong(node, name, "text");
                None
            }
        }
    }

    pub(super) fn boolean(&self, node: &Node, name: &str) -> Option<bool> {
        if let Content::Scalar(Scalar::Bool(value)) = &node.content {
            return Some(*value);
        }
        self.wrong(node, name, "true or false");
        None
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, node: &Node, name: &str, least: u64, most: u64) -> Option<u64> {
        let Content::Scalar(Scalar::Number(number)) = &node.content else {
            self.wrong(node, name, "a whole number");
            return None;
        };
        let fits = number.as_u64().filter(|n| (least..=most).contains(n));
        if fits.is_none() {
            let what = match most {
                u64::MAX => format!("`{name}` must be a whole number of at least {least}"),
                _ => format!("`{name}` must be a whole number from {least} to {most}"),
            };
            self.add(node.at, format!("{what}, but is {number}"));
        }
        fits
    }

    pub(super) fn duration(&self, node: &Node, name: &str) -> Option<Duration> {
        let text = self.text(node, name)?;
        let duration = duration::parse(&text);
        if duration.is_none() {
            let mistake = self.mistake(node.at, format!("`{name}` is not a duration: {text}"));
            self.found.add(mistake.hint(duration::EXAMPLES));
        }
        duration
    }

    /// A key of a Secret, by reference.
    pub(super) fn secret(&self, node: &Node, name: &str) -> Option<Credential> {
        if matches!(node.content, Content::Scalar(_)) {
            self.found.hide(self.place(node.at));
            let what = format!("`{name}` must name a key of a Secret, and never be in the bundle");
            let mistake = self.mistake(node.at, what);
            self.found
                .add(mistake.hint("write { secret: NAME, key: KEY }"));
            return None;
        }
        let fields = self.fields(node, "a reference to a Secret", &["secret", "key"])?;
        let (secret, key) = (fields.need_text("secret"), fields.need_text("key"));
        Some(Credential::Secret(SecretRef {
            secret: secret?,
            key: key?,
        }))
    }

    pub(super) fn texts(&self, node: &Node, name: &str) -> Option<Vec<String>> {
        let items = self.items(node, name)?;
        items.iter().map(|item| self.text(item, name)).collect()
    }

    pub(super) fn text_map(&self, node: &Node, name: &str) -> Option<BTreeMap<String, String>> {
        let entries = self.entries(node, name)?;
        let entry = |(key, node): &(Key, Node)| Some((key.text.clone(), self.text(node, name)?));
        entries.iter().map(entry).collect()
    }
}

/// The keys of one map.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    pub(super) reader: Reader<'n>,
    what: &'static str,
    node: &'n Node,
}

impl<'n> Fields<'n> {
    /// The keys of a map that were looked at already.
    pub(super) fn new(reader: Reader<'n>, what: &'static str, node: &'n Node) -> Self {
        Self { reader, what, node }
    }

    pub(super) fn at(&self) -> Spot {
        self.node.at
    }

    /// The value of a key; one that is null is not there.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.node.get(name).filter(|node| !node.is_null())
    }

    /// A key and its value, for a mistake about the key itself.
    pub(super) fn entry(&self, name: &str) -> Option<&'n (Key, Node)> {
        self.node.entry(name)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, name: &str) -> Option<&'n Node> {
        let node = self.get(name);
        if node.is_none() {
            let at = self
                .node
                .entry(name)
                .map_or(self.node.at, |(key, _)| key.at);
            let what = format!("{} needs `{name}`", self.what);
            self.reader.add(Spot { length: 1, ..at }, what);
        }
        node
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.reader.text(self.get(name)?, name)
    }

    pub(super) fn need_text(&self, name: &str) -> Option<String> {
        self.reader.text(self.need(name)?, name)
    }

    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.reader.boolean(self.get(name)?, name)
    }

    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Option<u64> {
        self.reader.number(self.get(name)?, name, least, most)
    }

    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        self.reader.duration(self.get(name)?, name)
    }

    pub(super) fn secret(&self, name: &str) -> Option<Credential> {
        self.reader.secret(self.get(name)?, name)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let node = self.get(name);
        let texts = node.and_then(|node| self.reader.texts(node, name));
        texts.unwrap_or_default()
    }

    pub(super) fn text_map(&self, name: &str) -> BTreeMap<String, String> {
        let node = self.get(name);
        let map = node.and_then(|node| self.reader.text_map(node, name));
        map.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::parse;
    use super::*;

    fn mistakes(text: &str, read: impl Fn(&Fields<'_>)) -> Vec<String> {
        let found = Found::default();
        let root = parse::parse(text).0.swap_remove(0);
        let reader = Reader {
            file: Path::new("f"),
            found: &found,
        };
        let fields = reader.fields(
            &root,
            "a thing",
            &["name", "wait", "size", "after", "password"],
        );
        fields.iter().for_each(read);
        match found.into_result(&HashMap::new()) {
            Ok(()) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn each_mistake_is_gathered() {
        let text = "nmae: x\nwait: 3\nsize: 300\nafter: soon\npassword: hunter2\n";
        let found = mistakes(text, |fields| {
            assert_eq!(fields.need_text("name"), None);
            assert_eq!(fields.boolean("wait"), None);
            assert_eq!(fields.number("size", 1, 256), None);
            assert_eq!(fields.duration("after"), None);
            assert_eq!(fields.secret("password"), None);
        });
        assert_eq!(
            found,
            [
                "f:1:1: a thing needs `name`",
                "f:1:1: unknown key `nmae` in a thing\n  hint: did you mean `name`?",
                "f:2:7: `wait` must be true or false, but is a number",
                "f:3:7: `size` must be a whole number from 1 to 256, but is 300",
                "f:4:8: `after` is not a duration: soon\n  hint: write a number and a unit, like 90s, 5m or 1h30m",
                "f:5:11: `password` must name a key of a Secret, and never be in the bundle\n  hint: write { secret: NAME, key: KEY }",
            ]
        );
    }
}
