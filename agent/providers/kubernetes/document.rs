//! A document of the bundle, in the form that the API server keeps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Error;
use super::kind::SECRET;

/// An object as it is to be, and what names it.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) content: Value,
}

impl Document {
    /// Takes a document with `apiVersion`, `kind` and `metadata.name`.
    pub(super) fn new(mut content: Value) -> Result<Self, Error> {
        let missing = |what: &str| Error::NotAnObject {
            problem: format!("{what} is missing or not text"),
        };
        let text = |pointer: &str, what: &str| {
            let found = content.pointer(pointer).and_then(Value::as_str);
            found.map(str::to_owned).ok_or_else(|| missing(what))
        };
        let document = Self {
            api_version: text("/apiVersion", "apiVersion")?,
            kind: text("/kind", "kind")?,
            name: text("/metadata/name", "metadata.name")?,
            namespace: text("/metadata/namespace", "").ok(),
            content: Value::Null,
        };
        if let Some(fields) = content.as_object_mut() {
            normalise(&document.kind, fields);
        }
        Ok(Self {
            content,
            ..document
        })
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Brings the document into the form in which the server keeps it, so that both can be compared.
fn normalise(kind: &str, fields: &mut Map<String, Value>) {
    // Written by generators of manifests; the status is its controller's.
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    if kind == SECRET.name
        && let Some(Value::Object(texts)) = fields.remove("stringData")
    {
        let data = fields
            .entry("data")
            .or_insert_with(|| Value::Object(Map::new()));
        for (key, value) in texts {
            let encoded = match &value {
                Value::String(text) => Value::String(STANDARD.encode(text)),
                // Not text: the server says so better.
                _ => value,
            };
            data[key] = encoded;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_compared_encoded() {
        let document = Document::new(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "login", "creationTimestamp": null },
            "stringData": { "user": "lens" }, "status": {},
        }))
        .expect("an object");
        assert_eq!(
            document.content,
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" },
                    "data": { "user": "bGVucw==" } })
        );
    }

    #[test]
    fn a_document_must_say_which_object_it_is() {
        let error = Document::new(json!({ "kind": "Secret" })).expect_err("not an object");
        assert_eq!(
            error.to_string(),
            "not a Kubernetes object: apiVersion is missing or not text"
        );
    }
}
