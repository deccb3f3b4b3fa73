//! `secret: { name, generate: { key: length }, values: { key: text } }`: made once, kept after.

use std::collections::BTreeMap;

use super::{Context, Made};
use crate::bundle::yaml::{Key, Node};
use crate::bundle::{Action, GeneratedSecret};

/// A shorter password can be guessed.
const SHORTEST: u64 = 8;
const LONGEST: u64 = 256;

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let reader = context.reader;
    let fields = reader.fields(node, "a secret", &["name", "generate", "values"])?;
    let name = fields.need_text("name");
    let values = fields.text_map("values");
    let mut generate = BTreeMap::new();
    let keys = fields.get("generate");
    let keys = keys.and_then(|node| reader.entries(node, "generate"));
    for (Key { text, at, .. }, length) in keys.unwrap_or_default() {
        if values.contains_key(text) {
            reader.add(*at, format!("`{text}` is both generated and given"));
        }
        if let Some(length) = reader.number(length, text, SHORTEST, LONGEST) {
            generate.insert(text.clone(), usize::try_from(length).ok()?);
        }
    }
    if fields.get("generate").is_none() && fields.get("values").is_none() {
        let mistake = reader.mistake(fields.at(), "the secret has no keys");
        let hint = "say which to generate, each with its length: generate: { password: 32 }";
        context.found().add(mistake.hint(hint));
    }
    let name = name?;
    let secret = GeneratedSecret {
        name: name.clone(),
        generate,
        values,
    };
    Some(Made::step(name, Action::Secret(secret)))
}
