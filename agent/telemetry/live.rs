//! What a viewer sees of a run that still goes on.
//!
//! Only ended spans are exported, and a span must not be sent twice. So whatever is open for longer
//! than a moment has a child of its own that says that it has started; the children of a step that
//! have ended are seen beside it.

use super::bounds::bound;
use super::gather::Gather;
use super::identity::scope;
use crate::engine::{Diagnosis, Event, EventKind, StepId, Waiting};
use crate::settings::Limits;
use opentelemetry::KeyValue;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// What is open for so long is said to have started.
const MOMENT: Duration = Duration::from_secs(1);

/// How long a mark is: one of no length is taken for a mistake.
const LENGTH: Duration = Duration::from_millis(1);

/// The spans of the run, its groups and its steps that are open.
#[derive(Debug)]
pub(super) struct Live {
    gather: Arc<Gather<SpanData>>,
    limits: Limits,
    ids: RandomIdGenerator,
    /// None is the run itself.
    open: Mutex<HashMap<Option<StepId>, Open>>,
    root: OnceLock<SpanContext>,
    before: OnceLock<SpanContext>,
}

#[derive(Debug)]
struct Open {
    place: SpanContext,
    since: SystemTime,
    name: KeyValue,
    is_marked: bool,
}

impl Live {
    pub(super) fn new(gather: Arc<Gather<SpanData>>, limits: Limits) -> Self {
        Self {
            gather,
            limits,
            ids: RandomIdGenerator::default(),
            open: Mutex::default(),
            root: OnceLock::new(),
            before: OnceLock::new(),
        }
    }

    /// Listens to the run; called inside the span that the event is about.
    pub(super) fn hear(&self, event: &Event<'_>) {
        match &event.kind {
            EventKind::RunStarted { run, .. } => {
                let name = KeyValue::new("cicd.pipeline.name", run.bundle.clone());
                let place = self.begin(None, event.at, name);
                self.root.get_or_init(|| place);
            }
            EventKind::StepStarted { step, .. } => {
                let name = KeyValue::new("cicd.pipeline.task.name", step.to_string());
                self.begin(Some((*step).clone()), event.at, name);
            }
            EventKind::StepWaiting {
                waiting, diagnosis, ..
            } => tell(waiting, *diagnosis),
            EventKind::StepFinished { report } => self.end(&report.id),
            EventKind::GroupFinished { step, .. } => self.end(step),
            EventKind::RunFinished { .. } => self.open().clear(),
            EventKind::StepChanged { .. } | EventKind::RunStopping { .. } => {}
        }
    }

    /// Marks what is open, until it is aborted.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = interval(MOMENT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.mark(SystemTime::now());
        }
    }

    /// The run's own span, once it has begun.
    pub(super) fn root(&self) -> Option<&SpanContext> {
        self.root.get()
    }

    /// Says which run was before this one; ids that are none are no run.
    pub(super) fn link_to(&self, trace: &str, span: &str) {
        let ids = (TraceId::from_hex(trace), SpanId::from_hex(span));
        if let (Ok(trace), Ok(span)) = ids {
            let flags = TraceFlags::SAMPLED;
            let place = SpanContext::new(trace, span, flags, true, TraceState::default());
            self.before.get_or_init(|| place);
        }
    }

    /// From the run to the one before it.
    pub(super) fn link(&self) -> Option<Link> {
        let place = self.before.get().filter(|place| place.is_valid())?;
        let kind = KeyValue::new("firstlight.link", "previous_run");
        Some(Link::new(place.clone(), vec![kind], 0))
    }

    fn begin(&self, node: Option<StepId>, since: SystemTime, name: KeyValue) -> SpanContext {
        let context = Span::current().context();
        let place = context.span().span_context().clone();
        let open = Open {
            place: place.clone(),
            since,
            name,
            is_marked: false,
        };
        if place.is_valid() {
            self.open().insert(node, open);
        }
        place
    }

    fn end(&self, step: &StepId) {
        self.open().remove(&Some(step.clone()));
    }

    fn mark(&self, now: SystemTime) {
        // To add may be to encode what has come together, and steps that begin wait for the lock.
        for mark in self.due(now) {
            self.gather.add(mark);
        }
    }

    fn due(&self, now: SystemTime) -> Vec<SpanData> {
        let mut marks = Vec::new();
        for open in self.open().values_mut() {
            let age = now.duration_since(open.since).unwrap_or_default();
            if !open.is_marked && age >= MOMENT {
                open.is_marked = true;
                marks.push(open.mark(self.ids.new_span_id(), self.limits));
            }
        }
        marks
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Option<StepId>, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn mark(&self, id: SpanId, limits: Limits) -> SpanData {
        let place = &self.place;
        let mut attributes = vec![self.name.clone()];
        let (most, length) = (limits.span_attributes, limits.span_value_length);
        let dropped_attributes_count = bound(&mut attributes, most, length);
        SpanData {
            span_context: SpanContext::new(
                place.trace_id(),
                id,
                place.trace_flags(),
                false,
                place.trace_state().clone(),
            ),
            parent_span_id: place.span_id(),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "started".into(),
            start_time: self.since,
            end_time: self.since + LENGTH,
            attributes,
            dropped_attributes_count,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: scope(),
        }
    }
}

/// What a step waits for, in the span of the wait: by a name that is always the same, where the
/// event for the log has a sentence.
fn tell(waiting: &Waiting, diagnosis: Option<&Diagnosis>) {
    let mut attributes = vec![
        KeyValue::new("firstlight.wait.reason", waiting.what.clone()),
        KeyValue::new("firstlight.wait.class", waiting.class.word()),
    ];
    let name = match diagnosis {
        Some(diagnosis) => {
            let sentence = diagnosis.sentence.clone();
            attributes.push(KeyValue::new("firstlight.diagnosis", sentence));
            "wait.diagnosis"
        }
        None => "wait.reason",
    };
    Span::current().add_event(name, attributes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_as_large_as_is_said() {
        let open = Open {
            place: SpanContext::empty_context(),
            since: SystemTime::UNIX_EPOCH,
            name: KeyValue::new("cicd.pipeline.name", "lens"),
            is_marked: false,
        };
        let mark = |limits| open.mark(SpanId::INVALID, limits);
        let short = mark(Limits {
            span_value_length: 2,
            ..Limits::default()
        });
        assert_eq!(
            short.attributes,
            [KeyValue::new("cicd.pipeline.name", "le")]
        );
        let bare = mark(Limits {
            span_attributes: 0,
            ..Limits::default()
        });
        assert_eq!(
            (bare.attributes.len(), bare.dropped_attributes_count),
            (0, 1)
        );
    }
}
