//! The trace in which an object was last written, said on it: whoever works on it can join.

use serde_json::{Value, json};

use super::super::live::Live;
use crate::trace_context;

const ANNOTATION: &str = "firstlight.dev/traceparent";
const POINTER: &str = "/metadata/annotations/firstlight.dev~1traceparent";

/// Whether an object says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TraceMark {
    /// It does not.
    None,
    /// It says which one.
    LastWrite,
}

impl TraceMark {
    /// Leaves the mark that the object has: another trace alone is no reason to write.
    pub(super) fn keep(self, live: Option<&Live>, document: &mut Value) {
        let mark = live.map_or("", |live| live.text(POINTER));
        if self == Self::LastWrite && !mark.is_empty() {
            put(document, mark);
        }
    }

    /// What is written now is written in this trace.
    pub(super) fn renew(self, document: &mut Value) {
        if self == Self::LastWrite
            && let Some(context) = trace_context::current()
        {
            put(document, &context.traceparent);
        }
    }
}

fn put(document: &mut Value, mark: &str) {
    let Some(metadata) = document.get_mut("metadata") else {
        return;
    };
    if metadata["annotations"].is_null() {
        metadata["annotations"] = json!({});
    }
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.insert(ANNOTATION.to_owned(), mark.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_mark_of_an_earlier_run_is_no_difference() {
        let live = Live::new(json!({ "metadata": { "annotations": { ANNOTATION: MARK } } }));
        let bare = Live::new(json!({ "metadata": {} }));
        let document = || json!({ "metadata": { "name": "web" } });
        for (mark, live, expected) in [
            (TraceMark::LastWrite, Some(&live), Some(MARK)),
            (TraceMark::LastWrite, Some(&bare), None),
            (TraceMark::LastWrite, None, None),
            // Who does not ask for it any more takes it away.
            (TraceMark::None, Some(&live), None),
        ] {
            let mut document = document();
            mark.keep(live, &mut document);
            let found = document["metadata"]["annotations"][ANNOTATION].as_str();
            assert_eq!(found, expected, "{mark:?}");
        }
    }
}
