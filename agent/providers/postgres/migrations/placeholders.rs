//! `${name}` in a migration: a name or a value of the bundle, quoted as what it is.
//!
//! They are put in where code is, and nowhere else: what is quoted is a text of its own, and a
//! comment does nothing. One that stands in quotes is therefore a mistake, and not left as it is.

use std::collections::BTreeMap;

use super::super::quote;
use super::script::Flaw;
use super::tokens::{Kind, tokens};

/// What is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// A name, as `"…"`.
    Identifier(String),
    /// A text, as `'…'`.
    Literal(String),
}

/// What is put in, by the name that it has in the files.
pub type Placeholders = BTreeMap<String, Placeholder>;

impl Placeholder {
    fn quoted(&self) -> String {
        match self {
            Self::Identifier(name) => quote::identifier(name),
            Self::Literal(text) => quote::literal(text),
        }
    }
}

/// A statement as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) sql: String,
    edits: Vec<Edit>,
}

/// Where something was put in, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edit {
    /// In what is sent.
    at: usize,
    /// Of what was put in.
    length: usize,
    /// Of what it was put in for.
    instead_of: usize,
}

impl Resolved {
    /// Where a character of what is sent comes from.
    pub(super) fn origin(&self, sent: usize) -> usize {
        let mut before = 0;
        let mut written = 0;
        for edit in self.edits.iter().take_while(|edit| edit.at <= sent) {
            if sent < edit.at + edit.length {
                return edit.at + written - before;
            }
            before += edit.length;
            written += edit.instead_of;
        }
        sent + written - before
    }
}

/// Puts in what a statement wants; the offsets of flaws are in characters of the statement.
pub(super) fn resolve(sql: &str, placeholders: &Placeholders, flaws: &mut Vec<Flaw>) -> Resolved {
    let mut resolved = Resolved {
        sql: String::with_capacity(sql.len()),
        edits: Vec::new(),
    };
    if !sql.contains("${") {
        resolved.sql.push_str(sql);
        return resolved;
    }
    let (mut at, mut read) = (0, 0);
    for token in tokens(sql) {
        let mut sent = std::borrow::Cow::Borrowed(token.text);
        let length = token.text.chars().count();
        match token.kind {
            Kind::Placeholder => match placeholders.get(key(token.text)) {
                Some(placeholder) => {
                    sent = placeholder.quoted().into();
                    resolved.edits.push(Edit {
                        at,
                        length: sent.chars().count(),
                        instead_of: length,
                    });
                }
                None => flaws.push(unknown(read, token.text, placeholders)),
            },
            Kind::Text | Kind::Name => flaws.extend(quoted(read, token.text, placeholders)),
            _ => {}
        }
        at += sent.chars().count();
        read += length;
        resolved.sql.push_str(&sent);
    }
    resolved
}

fn key(text: &str) -> &str {
    text.trim_start_matches("${").trim_end_matches('}')
}

fn unknown(offset: usize, text: &str, known: &Placeholders) -> Flaw {
    let hint = if known.is_empty() {
        "say in the bundle what it stands for: `placeholders: { name: { identifier: … } }`, or \
         `literal: …`"
            .to_owned()
    } else {
        let known: Vec<_> = known.keys().map(String::as_str).collect();
        format!("the placeholders of this step are: {}", known.join(", "))
    };
    Flaw {
        offset,
        what: format!("there is no placeholder {text}"),
        hint,
    }
}

/// One that its author expects to be put in, and that would stay as it is.
fn quoted(offset: usize, text: &str, known: &Placeholders) -> Option<Flaw> {
    let found = known.keys().find_map(|key| {
        let written = format!("${{{key}}}");
        let at = text.find(&written)?;
        Some((at, written))
    });
    let (at, written) = found?;
    Some(Flaw {
        offset: offset + text[..at].chars().count(),
        what: format!("{written} stands inside quotes, where nothing is put in"),
        hint: "write it without quotes: it brings its own; in the body of a function, read a \
               setting or a table instead"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Placeholders {
        BTreeMap::from([
            (
                "role".to_owned(),
                Placeholder::Identifier("a\"b".to_owned()),
            ),
            ("text".to_owned(), Placeholder::Literal("it's".to_owned())),
        ])
    }

    #[test]
    fn each_is_quoted_as_what_it_is() {
        let mut flaws = Vec::new();
        let sql = "/* ${none} */ GRANT x TO ${role}; SELECT ${text}, ä";
        let resolved = resolve(sql, &known(), &mut flaws);
        let sent = "/* ${none} */ GRANT x TO \"a\"\"b\"; SELECT 'it''s', ä";
        assert_eq!(resolved.sql, sent);
        assert_eq!(flaws, []);
        let place = |text: &str, of: &str| of.chars().position(|c| text.starts_with(c));
        assert_eq!(
            place("ä", sent).map(|at| resolved.origin(at)),
            place("ä", sql)
        );
        let inside = sent.find("b\"").expect("it is put in");
        assert_eq!(
            resolved.origin(inside),
            sql.find("${role}").expect("it is there")
        );
        assert_eq!(resolved.origin(0), 0);
    }

    #[test]
    fn what_cannot_be_put_in_is_a_mistake() {
        let mut flaws = Vec::new();
        resolve(
            "SELECT ${nmae}, 'ä${text}', $$ ${role} $$, '${other}'",
            &known(),
            &mut flaws,
        );
        let said: Vec<_> = flaws
            .iter()
            .map(|flaw| (flaw.offset, flaw.what.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (7, "there is no placeholder ${nmae}"),
                (18, "${text} stands inside quotes, where nothing is put in"),
                (31, "${role} stands inside quotes, where nothing is put in"),
            ]
        );
    }
}
