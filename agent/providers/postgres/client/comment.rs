//! The trace that a statement belongs to, behind it, in the form of sqlcommenter: so it is found
//! in `pg_stat_activity`, in the server's log and by whatever reads that.

use std::borrow::Cow;
use std::fmt::Write as _;

use tracing::Span;

use super::super::fault::{Fault, Position};
use crate::percent;
use crate::trace_context::{self, TraceContext};

/// The statement as it is sent within the span. One that has a comment stays as it is, by the
/// rules of sqlcommenter; what looks like one and is not costs only ours.
pub(super) fn with_trace<'a>(sql: &'a str, span: &Span) -> Cow<'a, str> {
    let context = span.in_scope(trace_context::current);
    match context {
        Some(context) if takes_comment(sql) => Cow::Owned(commented(sql, &context)),
        _ => Cow::Borrowed(sql),
    }
}

/// Whether it has no comment and ends outside of quotes, by a look that is too strict rather than
/// too lenient: behind a quote that was never closed ours would end it, and be what is wrong.
fn takes_comment(sql: &str) -> bool {
    let quotes = |sign| sql.matches(sign).count();
    let is_closed = |sign| quotes(sign).is_multiple_of(2);
    let has_other = sql.contains('\\') || sql.contains('$');
    !sql.contains("--") && !sql.contains("/*") && !has_other && is_closed('\'') && is_closed('"')
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
        let _ = write!(
            text,
            "{comma}{key}='{}'",
            percent::encoded(value, &percent::RESERVED)
        );
    }
    text.push_str("*/");
    text
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
    fn what_ends_inside_of_quotes_takes_none() {
        for sql in ["SELECT 1", "SELECT 'a''b', \"C\""] {
            assert!(takes_comment(sql), "{sql}");
        }
        for sql in [
            "SELECT 1 -- one",
            "SELECT /* one */ 1",
            "SELECT 'abc",
            "SELECT \"abc",
            "SELECT E'it\\'s",
            "SELECT $$abc",
        ] {
            assert!(!takes_comment(sql), "{sql}");
        }
    }

    #[test]
    fn without_a_trace_nothing_is_added() {
        let sql = with_trace("SELECT 1", &Span::none());
        assert!(matches!(sql, Cow::Borrowed("SELECT 1")));
    }
}
