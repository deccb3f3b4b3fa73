//! The trace that a request belongs to, as it is told to the server.
//!
//! A leaf: providers send it along and know nothing of OpenTelemetry; telemetry says here what the
//! current span's is.

use std::sync::OnceLock;

/// Where a span is in its trace, in the form of W3C Trace Context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`
    pub traceparent: String,
    /// What other tracers have added on the way.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// As headers of an HTTP request.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let state = self.tracestate.as_deref();
        let state = state.map(|state| ("tracestate", state));
        std::iter::once(("traceparent", self.traceparent.as_str())).chain(state)
    }
}

type Source = Box<dyn Fn() -> Option<TraceContext> + Send + Sync>;

static SOURCE: OnceLock<Source> = OnceLock::new();

/// That of the current span; none if nothing is traced.
#[must_use]
pub fn current() -> Option<TraceContext> {
    SOURCE.get().and_then(|source| source())
}

/// Says from where it is known; the first who says so in a process counts.
pub fn provide(source: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) {
    SOURCE.get_or_init(|| Box::new(source));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_state_only_if_there_is_one() {
        let mut context = TraceContext {
            traceparent: "00-1-2-01".to_owned(),
            tracestate: None,
        };
        let headers: Vec<_> = context.headers().collect();
        assert_eq!(headers, [("traceparent", "00-1-2-01")]);
        context.tracestate = Some("a=b".to_owned());
        let headers: Vec<_> = context.headers().collect();
        assert_eq!(
            headers,
            [("traceparent", "00-1-2-01"), ("tracestate", "a=b")]
        );
    }
}
