//! Who speaks: the run, its trace, and the resource that every signal carries.

use crate::settings::{Otel, Sampler, Settings};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use std::collections::HashMap;

/// What is known of a run before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunIdentity {
    /// Unique among the runs of an installation.
    pub id: String,
}

impl RunIdentity {
    /// A new one: 16 random hexadecimal digits.
    #[must_use]
    pub fn random() -> Self {
        Self {
            id: format!("{:016x}", rand::random::<u64>()),
        }
    }
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

/// All traces of this process are the one of its run; spans get random ids.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) trace: TraceId,
    pub(super) random: RandomIdGenerator,
}

impl Ids {
    /// The trace of the parent, or a new one.
    pub(super) fn new(parent: Option<Parent>) -> Self {
        let random = RandomIdGenerator::default();
        let trace = parent.map_or_else(|| random.new_trace_id(), |parent| parent.trace);
        Self { trace, random }
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.trace
    }

    fn new_span_id(&self) -> SpanId {
        self.random.new_span_id()
    }
}

/// The attributes of everything that is exported; what the user says comes last and wins.
pub(super) fn resource(settings: &Settings, otel: &Otel, run: &RunIdentity) -> Resource {
    let ours = [
        ("service.name", Some("firstlight")),
        ("service.version", Some(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", Some(run.id.as_str())),
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
        let ids = Ids::new(Some(parent));
        assert_eq!(
            ids.new_trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_ne!(ids.new_span_id(), ids.new_span_id());
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
        let trace = Ids::new(None).trace;
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
            .filter(|_| is_sampled(sampler, None, Ids::new(None).trace))
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
        let resource = resource(&settings, &otel, &RunIdentity { id: "1".to_owned() });
        let value = |key: &'static str| resource.get(&key.into()).map(|it| it.to_string());
        assert_eq!(value("service.name"), Some("lens".to_owned()));
        assert_eq!(value("team"), Some("a b".to_owned()));
        assert_eq!(value("k8s.pod.name"), Some("lens-1".to_owned()));
        assert_eq!(value("k8s.job.name"), None);
        assert_eq!(value("telemetry.sdk.language"), Some("rust".to_owned()));
    }
}
