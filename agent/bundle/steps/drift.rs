//! `drift: warn | fail | accept | off`, or `{ on, ignore }`: what becomes of changes that somebody
//! else has made in a database.

use crate::bundle::reader::Fields;
use crate::bundle::yaml::{Content, Node};
use crate::bundle::{Drift, OnDrift, suggest};

const WORDS: [(&str, Option<OnDrift>); 4] = [
    ("warn", Some(OnDrift::Warn)),
    ("fail", Some(OnDrift::Fail)),
    ("accept", Some(OnDrift::Accept)),
    ("off", None),
];

/// None if nobody is to look.
pub(super) fn read(fields: &Fields<'_>) -> Option<Drift> {
    let Some(node) = fields.get("drift") else {
        return Some(Drift {
            on: OnDrift::Warn,
            ignore: Vec::new(),
        });
    };
    if let Content::Scalar(_) = node.content {
        let on = word(fields, node)?;
        let ignore = Vec::new();
        return Some(Drift { on, ignore });
    }
    let inner = fields.reader.fields(node, "drift", &["on", "ignore"])?;
    let on = match inner.get("on") {
        Some(node) => word(fields, node)?,
        None => OnDrift::Warn,
    };
    let ignore = inner.texts("ignore");
    Some(Drift { on, ignore })
}

fn word(fields: &Fields<'_>, node: &Node) -> Option<OnDrift> {
    let reader = fields.reader;
    // YAML's older readers take `off` for false; a person means the word.
    let text = match reader.text(node, "drift")?.as_str() {
        "false" => "off".to_owned(),
        other => other.to_owned(),
    };
    let known = WORDS.into_iter().find(|(word, _)| *word == text);
    if known.is_none() {
        let words = WORDS.map(|(word, _)| word);
        let mistake = reader.mistake(node.at, format!("`drift` cannot be `{text}`"));
        reader
            .found
            .add(mistake.hint_if(suggest::hint(&text, words)));
    }
    known?.1
}
