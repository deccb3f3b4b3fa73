//! The trace that a statement belongs to, behind it, in the form of sqlcommenter: so it is found
//! in `pg_stat_activity`, in the server's log and by whatever reads that.

use std::borrow::Cow;
use std::fmt::Write as _;

use tracing::Span;

use super::super::fault::{Fault, Position};
use crate::trace_context::{self, TraceContext};

/// The statement as it is sent within the span. One that has a comment stays as it is, by the
/// rules of sqlcommenter; what looks like one and is not costs only ours.
pub(super) fn with_trace<'a>(sql: &'a str, span: &Span) -> Cow<'a, str> {
    let context = span.in_scope(trace_context::current);
    match context {
        Some(context) if !sql.contains("--") && !sql.contains("/*") => {
            Cow::Owned(commented(sql, &context))
        }
        _ => Cow::Borrowed(sql),
    }
}

/// The server may have found the end of the text where ours ends and not theirs.
pub(super) fn within(sql: &str, mut fault: Fault) -> Fault {
    if let Some(Position::Sent(at)) = &mut fault.position {
        *at = (*at).min(sql.chars().count() + 1);
    }
    fault
}

fn commented(sql: &str, context: &TraceContext) -> String {
    let mut text = format!("{sql} /*");
    for (number, (key, value)) in context.headers().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{key}='{}'", encoded(value));
    }
    text.push_str("*/");
    text
}

fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_values_encoded() {
        let mut context = TraceContext {
            traceparent: "00-ab-cd-01".to_owned(),
            tracestate: None,
        };
        assert_eq!(
            commented("SELECT 1", &context),
            "SELECT 1 /*traceparent='00-ab-cd-01'*/"
        );
        // Nothing of it can end the comment.
        context.tracestate = Some("a=b*/;'x".to_owned());
        assert_eq!(
            commented("SELECT 1", &context),
            "SELECT 1 /*traceparent='00-ab-cd-01',tracestate='a%3Db%2A%2F%3B%27x'*/"
        );
    }

    #[test]
    fn without_a_trace_nothing_is_added() {
        let sql = with_trace("SELECT 1", &Span::none());
        assert!(matches!(sql, Cow::Borrowed("SELECT 1")));
    }
}
