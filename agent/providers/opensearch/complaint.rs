//! What the server says when it refuses: four forms of bodies, read leniently.

use serde_json::Value;

/// Why the server refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The server's word for it; empty if it gave none.
    pub(super) kind: String,
    /// Its sentence.
    pub(super) reason: String,
}

impl Complaint {
    /// Reads a body: an exception, a text, an answer of the security plugin, or no JSON at all.
    pub(super) fn read(json: Option<&Value>, text: &str) -> Self {
        let Some(json) = json else {
            return Self {
                kind: String::new(),
                reason: shorten(text.trim()),
            };
        };
        let error = &json["error"];
        let kind = word(&error["type"]).unwrap_or_default();
        let reason = match error {
            Value::String(text) => Some(text.clone()),
            Value::Object(_) => exception(error),
            _ => security(json),
        };
        let reason = reason.unwrap_or_else(|| shorten(text.trim()));
        Self { kind, reason }
    }
}

/// The reason of an exception, and the deepest cause if that says more.
fn exception(error: &Value) -> Option<String> {
    let reason = word(&error["reason"])?;
    let mut deepest = error;
    while deepest["caused_by"].is_object() {
        deepest = &deepest["caused_by"];
    }
    // A failed search says why only in what its shards say.
    let shard = &error["failed_shards"][0]["reason"]["reason"];
    let cause = word(&deepest["reason"]).or_else(|| word(shard));
    match cause {
        Some(cause) if !reason.contains(&cause) => Some(format!("{reason}: {cause}")),
        _ => Some(reason),
    }
}

/// `{"status": "FORBIDDEN", "message": …}` or `{"status": "error", "reason": …, "invalid_keys": …}`
fn security(json: &Value) -> Option<String> {
    let said = word(&json["message"]).or_else(|| word(&json["reason"]))?;
    match &json["invalid_keys"] {
        Value::Null => Some(said),
        keys => Some(format!("{said}: invalid keys {keys}")),
    }
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn shorten(text: &str) -> String {
    const MOST: usize = 200;
    if text.is_empty() {
        return "(no reason given)".to_owned();
    }
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let json = serde_json::from_str(text).ok();
        let complaint = Complaint::read(json.as_ref(), text);
        (complaint.kind, complaint.reason)
    }

    #[test]
    fn every_form_of_a_body_is_read() {
        let table = [
            (
                r#"{"error":{"type":"parsing_exception","reason":"unknown query [bad]","caused_by":{"reason":"x","caused_by":{"reason":"unknown field [bad]"}}},"status":400}"#,
                "parsing_exception",
                "unknown query [bad]: unknown field [bad]",
            ),
            (
                r#"{"error":"no handler found for uri [/_x] and method [GET]"}"#,
                "",
                "no handler found for uri [/_x] and method [GET]",
            ),
            (
                r#"{"status":"FORBIDDEN","message":"Resource 'x' is reserved."}"#,
                "",
                "Resource 'x' is reserved.",
            ),
            (
                r#"{"status":"error","reason":"Invalid configuration","invalid_keys":{"keys":"a"}}"#,
                "",
                r#"Invalid configuration: invalid keys {"keys":"a"}"#,
            ),
            (
                "OpenSearch Security not initialized.",
                "",
                "OpenSearch Security not initialized.",
            ),
            ("", "", "(no reason given)"),
            ("{}", "", "{}"),
        ];
        for (body, kind, reason) in table {
            assert_eq!(read(body), (kind.to_owned(), reason.to_owned()), "{body}");
        }
    }
}
