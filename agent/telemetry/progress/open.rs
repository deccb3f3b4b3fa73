//! The spans that have begun and not ended.

use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is under way.
///
/// A span leaves it and reaches the spool in one step, so that whoever looks sees every span in
/// exactly one of the two places.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Open {
    spans: Mutex<HashMap<SpanId, SpanData>>,
    changes: AtomicU64,
}

impl Open {
    /// A span has begun.
    pub(in crate::telemetry) fn begun(&self, span: SpanData) {
        self.spans().insert(span.span_context.span_id(), span);
        self.touch();
    }

    /// A span has ended and is handed on.
    pub(in crate::telemetry) fn ended(&self, span: SpanData, hand_on: impl FnOnce(SpanData)) {
        let mut spans = self.spans();
        spans.remove(&span.span_context.span_id());
        hand_on(span);
        self.touch();
    }

    /// Something is to be put on record.
    pub(super) fn touch(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// How often something has changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// What is open while `look` looks at what was handed on: nothing begins or ends meanwhile.
    pub(super) fn beside<T>(&self, look: impl FnOnce() -> T) -> (Vec<SpanData>, T) {
        let spans = self.spans();
        (spans.values().cloned().collect(), look())
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<SpanId, SpanData>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
