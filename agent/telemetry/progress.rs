//! What of the run's trace would be lost with this process, so that the next one can go on.
//!
//! A Job whose pod is killed starts another one. For the trace to be whole then, somebody else must
//! know which spans were open, and hold those that had ended and not yet arrived. A [`Snapshot`] is
//! both. Until it is on record nothing is delivered that is newer: a span that had arrived while its
//! parent was known to nobody would be an orphan for ever, and one that had arrived as ended while
//! it was on record as open would be sent once more with another content.

mod open;
mod parts;
mod request;

pub(super) use open::Open;

use super::export::SpanWay;
use super::identity::{Above, Parent, scope};
use super::pipe::Flush as _;
use crate::settings::Limits;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use parts::{OPEN, Parts};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The record of a run's trace, to be kept by somebody else.
#[derive(Clone)]
pub struct Progress {
    open: Arc<Open>,
    way: SpanWay,
    resource: Resource,
    above: Arc<Above>,
    limits: Limits,
    parts: Arc<Mutex<Parts>>,
    /// How many changes the last snapshot has seen.
    seen: Arc<AtomicU64>,
    /// The last batch on record.
    recorded: Arc<AtomicU64>,
}

/// What of the trace would be lost now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Export requests, compressed with gzip, by name. What is under a name never changes, but for
    /// the first one, `open`.
    pub parts: BTreeMap<String, Bytes>,
    /// How many spans there was no room for.
    pub left_out: u64,
    /// The last batch that is in it.
    up_to: u64,
}

/// How a process ended that could not say so itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// A bounded word, for `error.type`: `OOMKilled`.
    pub kind: String,
    /// One sentence.
    pub said: String,
    /// When, as far as is known.
    pub at: SystemTime,
}

/// An attempt that died before anything of it was on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecorded {
    /// The bundle's name.
    pub bundle: String,
    /// Its number.
    pub attempt: u32,
    /// Its pod.
    pub pod: String,
    /// The uid of that.
    pub pod_uid: Option<String>,
    /// What its process called itself.
    pub instance: Option<String>,
    /// The `traceparent` of its run.
    pub run: String,
    /// That of the run's first attempt, if it was another one.
    pub first: Option<String>,
    /// When it took the lock.
    pub started: SystemTime,
}

/// What was taken over from the process before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Spans that had ended.
    pub ended: u64,
    /// Spans that were open.
    pub closed: u64,
    /// Parts that could not be read.
    pub broken: u64,
}

impl Progress {
    pub(super) fn new(
        open: Arc<Open>,
        way: SpanWay,
        resource: Resource,
        above: Arc<Above>,
        limits: Limits,
    ) -> Self {
        Self {
            open,
            way,
            resource,
            above,
            limits,
            parts: Arc::default(),
            seen: Arc::default(),
            recorded: Arc::default(),
        }
    }

    /// From now on nothing is delivered that is not on record.
    pub fn hold_back(&self) {
        self.way.pipe.allow(0);
    }

    /// From now on everything is delivered, on record or not; but not what was left to another.
    pub fn let_go(&self) {
        self.way.pipe.allow(u64::MAX);
    }

    /// What is not on record is given up, whether it could be delivered or not: another process
    /// goes on with the trace from there, and ends what was open. It would come with another
    /// content.
    pub fn leave(&self) {
        self.way.pipe.allow(self.recorded.load(Ordering::SeqCst));
        self.way.pipe.leave_rest();
    }

    /// What is in the snapshot may be delivered: it is on record.
    pub fn recorded(&self, snapshot: &Snapshot) {
        self.recorded.store(snapshot.up_to, Ordering::SeqCst);
        self.way.pipe.allow(snapshot.up_to);
    }

    /// The next snapshot is made, even if nothing has changed: the last one was not put on record.
    pub fn try_again(&self) {
        self.open.touch();
    }

    /// What would be lost now; none if it is what the last snapshot says.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let changes = self.open.changes();
        let is_seen = self.seen.swap(changes, Ordering::SeqCst) == changes;
        if is_seen && !self.has_unrecorded() {
            return None;
        }
        let (open, (up_to, batches)) = self.open.beside(|| {
            self.way.gather.flush();
            // In this order: a batch that is pushed meanwhile is not let pass, and on record next time.
            (self.way.pipe.pushed(), self.way.pipe.pending())
        });
        let open = open.into_iter().map(|span| self.with_parent(span));
        let open: Vec<SpanData> = open.collect();
        let open = request::encoded(open, &self.resource);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let (parts, left_out) = parts.of(&open, &batches);
        Some(Snapshot {
            parts,
            left_out,
            up_to,
        })
    }

    /// Whether something waits to be put on record that is no span of the run's own.
    fn has_unrecorded(&self) -> bool {
        self.way.pipe.pushed() > self.recorded.load(Ordering::SeqCst)
    }

    /// Sends what a dead process had on record: what had ended as it is, what was open as ended by
    /// its death. The parts are requests as in [`Snapshot::parts`], not compressed any more.
    #[must_use = "it says what could not be read"]
    pub fn take_over(&self, parts: &BTreeMap<String, Vec<u8>>, death: &Death) -> TakenOver {
        let mut taken = TakenOver::default();
        for (name, request) in parts {
            if name == OPEN {
                continue;
            }
            match request::count(request) {
                None | Some(0) => taken.broken += 1,
                Some(items) => taken.ended += self.send(request.clone().into(), items),
            }
        }
        // Last, so that who reads along sees the parents end after their children.
        if let Some(request) = parts.get(OPEN) {
            match request::closed(request, death, self.limits) {
                Some(closed) => taken.closed += self.send_all(closed),
                None => taken.broken += 1,
            }
        }
        taken
    }

    /// Sends the one span of an attempt that left nothing behind, which those after it hang below.
    pub fn bury(&self, dead: &Unrecorded, death: &Death) {
        let Some(run) = Parent::parse(&dead.run) else {
            return;
        };
        let first = dead.first.as_deref().and_then(Parent::parse);
        let first = first.filter(|first| first.span != run.span);
        let above = first.or_else(|| self.above.caller(run.trace));
        let open = request::encoded(vec![run_span(dead, run, above)], &self.resource_of(dead));
        let closed = request::closed(&open, death, self.limits);
        self.send_all(closed.unwrap_or_default());
    }

    fn send_all(&self, requests: Vec<(Bytes, u64)>) -> u64 {
        let requests = requests.into_iter();
        requests
            .map(|(request, items)| self.send(request, items))
            .sum()
    }

    fn resource_of(&self, dead: &Unrecorded) -> Resource {
        let theirs = ["service.instance.id", "k8s.pod.name", "k8s.pod.uid"];
        let same = self
            .resource
            .iter()
            .filter(|(key, _)| !theirs.contains(&key.as_str()));
        let same = same.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let pod = [
            ("service.instance.id", dead.instance.as_ref()),
            ("k8s.pod.name", Some(&dead.pod)),
            ("k8s.pod.uid", dead.pod_uid.as_ref()),
        ];
        let pod = pod
            .into_iter()
            .filter_map(|(key, value)| Some(KeyValue::new(key, value?.clone())));
        Resource::builder_empty()
            .with_attributes(same.chain(pod))
            .build()
    }

    fn send(&self, request: Bytes, items: u64) -> u64 {
        if items > 0 {
            self.way.pipe.push(request, items);
            self.open.touch();
        }
        items
    }

    /// As it will be when it ends.
    fn with_parent(&self, mut span: SpanData) -> SpanData {
        self.above.adopt(&mut span);
        span
    }
}

/// The span of a run of which only that is known which the lock told.
fn run_span(dead: &Unrecorded, run: Parent, above: Option<Parent>) -> SpanData {
    let attributes = vec![
        KeyValue::new("cicd.pipeline.name", dead.bundle.clone()),
        KeyValue::new("cicd.pipeline.action.name", "RUN"),
        KeyValue::new("firstlight.attempt", i64::from(dead.attempt)),
    ];
    SpanData {
        span_context: SpanContext::new(
            run.trace,
            run.span,
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: above.map_or(SpanId::INVALID, |above| above.span),
        parent_span_is_remote: above.is_some(),
        span_kind: SpanKind::Server,
        name: format!("RUN {}", dead.bundle).into(),
        start_time: dead.started,
        end_time: dead.started,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope(),
    }
}
