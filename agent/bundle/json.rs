//! JSON files that are taken as they are.

use std::path::Path;

use serde_json::Value;

use super::files::Files;
use super::mistakes::{Found, Mistake, Place};
use super::parse;
use super::yaml::Spot;

/// Reads a file as JSON; none after a mistake.
pub(super) fn read(path: &Path, files: &Files, found: &Found) -> Option<Value> {
    let text = files.read(path, found)?;
    match serde_json::from_str(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            let message = error.to_string();
            let end = message.rfind(" at line ").unwrap_or(message.len());
            let place = Place::at(path, spot(&text, error.line(), error.column()));
            found.add(Mistake::new(
                place,
                format!("not JSON: {}", &message[..end]),
            ));
            None
        }
    }
}

/// Where a key of a file's outermost map stands; without it, where the map does. JSON is YAML
/// enough for that.
pub(super) fn place(path: &Path, key: &str, files: &Files, found: &Found) -> Place {
    let text = files.read(path, found).unwrap_or_default();
    let root = parse::parse(&text).0.into_iter().next();
    let spot = root.as_ref().map(|root| match root.entry(key) {
        Some((key, _)) => key.at,
        None => Spot {
            length: 1,
            ..root.at
        },
    });
    Place::at(path, spot.unwrap_or_default())
}

/// The spot of a column that counts bytes.
fn spot(text: &str, line: usize, column: usize) -> Spot {
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before = content.as_bytes().iter().take(column.saturating_sub(1));
    let column = before.filter(|byte| (**byte & 0xC0) != 0x80).count() + 1;
    Spot {
        line,
        column,
        length: 1,
        ..Spot::default()
    }
}
