//! Percent-encoding, for the parts of URLs and of comments in SQL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded: all but letters, digits and the signs that mean nothing in any part of a URL.
pub const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The text, of which the characters of this set are encoded.
#[must_use]
pub fn encoded(text: &str, set: &'static AsciiSet) -> String {
    utf8_percent_encode(text, set).to_string()
}

/// The template of a path, with each `{…}` replaced by the next name, encoded.
#[must_use]
pub fn filled(template: &str, names: &[&str], set: &'static AsciiSet) -> String {
    // Every second part stands between braces.
    let parts = template.split(['{', '}']).enumerate();
    let filled = parts.map(|(at, part)| match names.get(at / 2) {
        Some(name) if at % 2 == 1 => encoded(name, set),
        _ => part.to_owned(),
    });
    filled.collect()
}
