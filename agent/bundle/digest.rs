//! What a bundle is made from, as one short text: a later run knows by it whether it has the same.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Bundle;

/// Of the files that were read and of what the templates got.
pub(super) fn digest(bundle: &Bundle, texts: &HashMap<PathBuf, String>) -> String {
    let mut hash = Sha256::new();
    let values = bundle.values.to_string();
    let profile = bundle.profile.as_deref().unwrap_or_default();
    for part in [&values, profile, &bundle.namespace] {
        add(&mut hash, part.as_bytes());
    }
    let sorted: BTreeMap<&Path, &str> = texts
        .iter()
        .map(|(path, text)| (path.as_path(), text.as_str()))
        .collect();
    for (path, text) in sorted {
        add(&mut hash, path.as_os_str().as_encoded_bytes());
        add(&mut hash, text.as_bytes());
    }
    let mut digest = String::new();
    for byte in hash.finalize() {
        // Writing to a string does not fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// With its length, so that no two lists of parts read the same.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}
