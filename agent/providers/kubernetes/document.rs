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
        if document.kind == SECRET.name && document.api_version == SECRET.api_version() {
            refuse_other_than_text(&content)?;
        }
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

/// A Secret with another value than text is not sent at all: the server's answer would quote it.
fn refuse_other_than_text(secret: &Value) -> Result<(), Error> {
    for part in ["data", "stringData"] {
        let values = secret.get(part).and_then(Value::as_object);
        if let Some((key, _)) = values.into_iter().flatten().find(|(_, it)| !it.is_string()) {
            return Err(Error::NotAnObject {
                problem: format!("{part}.{key} is not text; put the value in quotes"),
            });
        }
    }
    Ok(())
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
                // Of another kind of that name.
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
    fn what_is_not_text_in_a_secret_is_named_and_not_quoted() {
        for part in ["data", "stringData"] {
            for value in [
                json!(4711),
                json!(true),
                json!(null),
                json!({ "pin": 4711 }),
            ] {
                let secret = json!({ "apiVersion": "v1", "kind": "Secret",
                                     "metadata": { "name": "login" }, part: { "pin": value } });
                let error = Document::new(secret).expect_err("not text");
                assert_eq!(
                    error.to_string(),
                    format!(
                        "not a Kubernetes object: {part}.pin is not text; put the value in quotes"
                    )
                );
            }
        }
        let other = json!({ "apiVersion": "example.com/v1", "kind": "Secret",
                            "metadata": { "name": "login" }, "data": { "pin": 4711 } });
        assert!(Document::new(other).is_ok());
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
