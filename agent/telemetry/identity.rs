//! Who speaks: the run, its trace, and the resource that every signal carries.

use crate::settings::{Otel, Sampler, Settings};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is known of a run before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIdentity {
    /// Unique among the runs of an installation: 16 hexadecimal digits.
    pub id: String,
    /// This process among those that work on the run one after the other; in the same form.
    pub instance: String,
    /// The trace that all of them are in; none where one process is the whole run.
    trace: Option<TraceId>,
}

impl RunIdentity {
    /// A new one, of a run that ends with this process.
    #[must_use]
    pub fn random() -> Self {
        let id = random_digits();
        Self {
            instance: id.clone(),
            id,
            trace: None,
        }
    }

    /// That of a Job's run, which every pod of the Job has. It comes from the Job's uid, so that
    /// it is known before anything is read or written, and needs no place to be kept in.
    #[must_use]
    pub fn of_job(uid: &str) -> Self {
        let sum = Sha256::digest(format!("firstlight: the run of Job {uid}"));
        let (mut trace, mut id) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&sum[..16]);
        id.copy_from_slice(&sum[16..24]);
        Self {
            id: format!("{:016x}", u64::from_be_bytes(id)),
            instance: random_digits(),
            trace: Some(TraceId::from_bytes(trace)),
        }
    }

    /// Whether another process may go on with the run when this one dies.
    pub(super) fn is_shared(&self) -> bool {
        self.trace.is_some()
    }
}

fn random_digits() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The span that the run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) sampled: bool,
}

impl Parent {
    /// Reads a `traceparent` as W3C Trace Context defines it.
    pub(super) fn parse(traceparent: &str) -> Option<Self> {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let context = TraceContextPropagator::new().extract(&carrier);
        let span = context.span().span_context().clone();
        span.is_valid().then(|| Self {
            trace: span.trace_id(),
            span: span.span_id(),
            sampled: span.is_sampled(),
        })
    }
}

/// The span that the run's own span is a child of: that of the run's first attempt, which is known
/// only when the lock is held, or the caller's.
#[derive(Debug, Default)]
pub(super) struct Above {
    caller: Option<Parent>,
    first: OnceLock<Parent>,
}

impl Above {
    pub(super) fn new(caller: Option<Parent>) -> Self {
        Self {
            caller,
            first: OnceLock::new(),
        }
    }

    /// The caller's span, if that is in this trace.
    pub(super) fn caller(&self, trace: TraceId) -> Option<Parent> {
        self.caller.filter(|caller| caller.trace == trace)
    }

    /// There was an attempt before; only the first word counts.
    pub(super) fn go_on_below(&self, first: Parent) {
        let _ = self.first.set(first);
    }

    /// Gives the run's span its parent. The engine, which made it, knows of none.
    pub(super) fn adopt(&self, span: &mut SpanData) {
        if span.parent_span_id != SpanId::INVALID {
            return;
        }
        if let Some(above) = self.first.get().copied().or(self.caller) {
            span.parent_span_id = above.span;
            span.parent_span_is_remote = true;
        }
    }
}

/// Whether the trace is recorded; decided once, because the id is known and there is one trace.
pub(super) fn is_sampled(sampler: Sampler, parent: Option<Parent>, trace: TraceId) -> bool {
    if let (true, Some(parent)) = (sampler.follows_parent, parent) {
        return parent.sampled;
    }
    // As the standard has it: by the lower half of the id, so that all who see a trace agree.
    let lower = u128::from_be_bytes(trace.to_bytes()) & u128::from(u64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    let dice = (lower >> 11) as f64 / (1_u64 << 53) as f64;
    dice < sampler.ratio
}

/// All traces of this process are the one of its run. Its first span, which all others are below,
/// has an id that is known before; the others get random ones.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) trace: TraceId,
    /// The span of the run in this process.
    pub(super) run: SpanId,
    first: Mutex<Option<SpanId>>,
    random: RandomIdGenerator,
}

impl Ids {
    /// The trace of the parent, that of the run's other processes, or a new one.
    pub(super) fn new(parent: Option<Parent>, identity: &RunIdentity) -> Self {
        let random = RandomIdGenerator::default();
        let own = || identity.trace.unwrap_or_else(|| random.new_trace_id());
        let trace = parent.map_or_else(own, |parent| parent.trace);
        let run = random.new_span_id();
        Self {
            trace,
            run,
            first: Mutex::new(Some(run)),
            random,
        }
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.trace
    }

    fn new_span_id(&self) -> SpanId {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        first.unwrap_or_else(|| self.random.new_span_id())
    }
}

/// The attributes of everything that is exported; what the user says comes last and wins.
pub(super) fn resource(settings: &Settings, otel: &Otel, run: &RunIdentity) -> Resource {
    let ours = [
        ("service.name", Some("firstlight")),
        ("service.version", Some(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", Some(run.instance.as_str())),
        ("k8s.namespace.name", settings.namespace.as_deref()),
        ("k8s.pod.name", settings.pod_name.as_deref()),
        ("k8s.pod.uid", settings.pod_uid.as_deref()),
        ("k8s.job.name", settings.job_name.as_deref()),
        ("k8s.job.uid", settings.job_uid.as_deref()),
    ];
    let ours = ours
        .into_iter()
        .filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned())));
    let theirs = otel
        .resource_attributes
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let name = otel
        .service_name
        .iter()
        .map(|name| KeyValue::new("service.name", name.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector) as Box<dyn ResourceDetector>)
        .with_attributes(ours.chain(theirs).chain(name))
        .build()
}

/// The scope of everything that is exported.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("firstlight")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_brings_its_trace() {
        let parent = Parent::parse(PARENT).expect("valid");
        assert!(parent.sampled);
        assert_eq!(parent.span.to_string(), "b7ad6b7169203331");
        let ids = Ids::new(Some(parent), &RunIdentity::random());
        assert_eq!(
            ids.new_trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(
            ids.new_span_id(),
            ids.run,
            "the first one is that of the run"
        );
        assert_ne!(ids.new_span_id(), ids.run);
        assert_ne!(ids.new_span_id(), ids.new_span_id());
    }

    #[test]
    fn all_pods_of_a_job_are_in_one_trace() {
        let uid = "0b1f63b8-55a5-4ac1-8f22-2d0a4f1a8a11";
        let (one, other) = (RunIdentity::of_job(uid), RunIdentity::of_job(uid));
        let trace = |identity| Ids::new(None, identity).trace;
        assert_eq!((&one.id, trace(&one)), (&other.id, trace(&other)));
        assert_ne!(one.instance, other.instance);
        assert_ne!(Ids::new(None, &one).run, Ids::new(None, &other).run);
        let next = RunIdentity::of_job("another");
        assert_ne!((&one.id, trace(&one)), (&next.id, trace(&next)));
        let given = Parent::parse(PARENT);
        assert_eq!(Ids::new(given, &one).trace.to_string(), &PARENT[3..35]);
    }

    #[test]
    fn what_is_no_traceparent_brings_nothing() {
        for text in [
            "",
            "x",
            "00-0-0-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert_eq!(Parent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_parent_decides_unless_it_is_not_asked() {
        let unsampled = Parent::parse(&PARENT.replace("-01", "-00"));
        let all = Sampler::default();
        let trace = Ids::new(None, &RunIdentity::random()).trace;
        assert!(is_sampled(all, None, trace));
        assert!(!is_sampled(all, unsampled, trace));
        assert!(is_sampled(
            Sampler {
                follows_parent: false,
                ..all
            },
            unsampled,
            trace
        ));
        assert!(!is_sampled(Sampler { ratio: 0.0, ..all }, None, trace));
    }

    #[test]
    fn a_ratio_takes_its_share() {
        let sampler = Sampler {
            follows_parent: true,
            ratio: 0.25,
        };
        let taken = (0..2_000)
            .filter(|_| is_sampled(sampler, None, Ids::new(None, &RunIdentity::random()).trace))
            .count();
        assert!((380..620).contains(&taken), "{taken} of 2000");
    }

    #[test]
    fn the_users_attributes_win() {
        let settings = Settings {
            pod_name: Some("lens-1".to_owned()),
            ..Settings::default()
        };
        let otel = Otel {
            service_name: Some("lens".to_owned()),
            resource_attributes: vec![
                ("service.name".to_owned(), "other".to_owned()),
                ("team".to_owned(), "a b".to_owned()),
            ],
            ..Otel::default()
        };
        let resource = resource(&settings, &otel, &RunIdentity::random());
        let value = |key: &'static str| resource.get(&key.into()).map(|it| it.to_string());
        assert_eq!(value("service.name"), Some("lens".to_owned()));
        assert_eq!(value("team"), Some("a b".to_owned()));
        assert_eq!(value("k8s.pod.name"), Some("lens-1".to_owned()));
        assert_eq!(value("k8s.job.name"), None);
        assert_eq!(value("telemetry.sdk.language"), Some("rust".to_owned()));
    }
}
