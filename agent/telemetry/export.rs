//! The three signals on their ways to their servers.

use super::context::Carrying;
use super::delivery::Delivery;
use super::gather::{Gather, Item};
use super::identity::{Above, Ids, Parent, RunIdentity, is_sampled, resource, scope};
use super::live::Live;
use super::metrics::{self, ByItself, Measures};
use super::pipe::{Flush, Pipe};
use super::post::Post;
use super::progress::{Open, Progress};
use super::records::{Book, Records};
use super::room::Room;
use super::spans::Spans;
use super::spool::Keep;
use super::transport::Transport;
use super::undelivered::Left;
use super::way::{Way, shown, what};
use crate::engine::Chain;
use crate::settings::{Endpoint, Limits, Otel, Settings, SettingsError, Signal};
use futures::future::join_all;
use opentelemetry::logs::LoggerProvider;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanLimits};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// 40,000 spans and more.
const SPANS: Keep = Keep::Bytes(16 * 1024 * 1024);

/// Some ten thousand log records.
const RECORDS: Keep = Keep::Bytes(8 * 1024 * 1024);

/// How long the end of a run waits for a server that has answered before …
const GRACE: Duration = Duration::from_secs(10);

/// … and for one that never has.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// How long the record of a run waits for the last of its telemetry, from a server that takes it.
const MOMENT: Duration = Duration::from_secs(1);

/// Everything that is exported.
pub(super) struct Export {
    pub(super) trace_id: Option<String>,
    /// Spans have a place to go to, and it was decided that there are none.
    pub(super) is_unsampled: bool,
    /// None if no trace is exported.
    pub(super) live: Option<Arc<Live>>,
    tracer: Option<SdkTracerProvider>,
    logger: Option<SdkLoggerProvider>,
    meter: Option<SdkMeterProvider>,
    limits: Limits,
    /// The span of the run, before it has begun, as a `traceparent`; none if no trace is exported.
    pub(super) run_span: Option<String>,
    pub(super) above: Arc<Above>,
    /// None if no trace is exported, and where nobody goes on if this process dies.
    pub(super) progress: Option<Progress>,
    ways: Vec<Way>,
    tasks: JoinSet<()>,
    room: Room,
    /// How long the end waits, if the user says so.
    grace: Option<Duration>,
}

/// The way of the spans, for those that do not come from the SDK.
#[derive(Clone)]
pub(super) struct SpanWay {
    /// Takes single spans, also those made by hand. A flush puts them into the pipe.
    pub(super) gather: Arc<Gather<SpanData>>,
    /// Takes encoded requests, tells which have not arrived, and can hold them back.
    pub(super) pipe: Arc<Pipe>,
}

/// What all signals are set up with.
struct Setup<'a> {
    resource: Resource,
    limits: Limits,
    mistakes: &'a mut Vec<SettingsError>,
    above: Arc<Above>,
    open: Option<Arc<Open>>,
    progress: Option<Progress>,
    ways: Vec<Way>,
    tasks: JoinSet<()>,
    room: Room,
}

impl Export {
    /// Opens the ways; one that cannot be opened is left out and is a mistake.
    pub(super) fn start(
        settings: &Settings,
        otel: &Otel,
        run: &RunIdentity,
        mistakes: &mut Vec<SettingsError>,
    ) -> Self {
        let parent = parent(otel, mistakes);
        let ids = Ids::new(parent, run);
        let (trace, run_span) = (ids.trace, traceparent(ids.trace, ids.run));
        let room = Room::open(settings, run, mistakes);
        let mut setup = Setup {
            resource: resource(settings, otel, run),
            limits: otel.limits,
            mistakes,
            above: Arc::new(Above::new(parent)),
            open: run.is_shared().then(Arc::default),
            progress: None,
            ways: Vec::new(),
            tasks: JoinSet::new(),
            room,
        };
        let to = otel.traces.as_ref();
        let sampled = to.filter(|_| is_sampled(otel.sampler, parent, trace));
        let is_unsampled = to.is_some() && sampled.is_none();
        let carrying = Carrying::new(otel);
        let trace_way = sampled.and_then(|to| setup.tracer(to, ids, carrying));
        let (tracer, live) = trace_way.unzip();
        let logger = otel.logs.as_ref().and_then(|to| setup.logger(to));
        let meter = otel
            .metrics
            .as_ref()
            .and_then(|to| setup.meter(to, otel.metric_interval));
        let run_span = tracer.is_some().then_some(run_span);
        Self {
            trace_id: tracer.as_ref().map(|_| trace.to_string()),
            is_unsampled,
            live,
            tracer,
            logger,
            meter,
            run_span,
            above: setup.above,
            progress: setup.progress,
            limits: otel.limits,
            ways: setup.ways,
            tasks: setup.tasks,
            room: setup.room,
            grace: settings.telemetry_grace,
        }
    }

    /// Turns spans of tracing into spans.
    pub(super) fn span_layer<S>(&self) -> Option<OpenTelemetryLayer<S, SdkTracer>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.tracer.as_ref()?.tracer_with_scope(scope());
        // What the code's place and the thread cost in bytes tells nobody how a run went.
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let layer = layer
            .with_location(false)
            .with_threads(false)
            .with_target(false);
        Some(layer.with_level(false).with_tracked_inactivity(false))
    }

    /// Where events are entered as log records.
    pub(super) fn book(&self) -> Option<Book> {
        let logger = self.logger.as_ref()?.logger("");
        let limits = self.limits.record;
        Some(Book { logger, limits })
    }

    /// What in the folder of the spool was left alone: a sentence for each.
    pub(super) fn strange(&self) -> &[String] {
        self.room.strange()
    }

    pub(super) fn measures(&self) -> Option<Measures> {
        self.meter.as_ref().map(Measures::new)
    }

    /// What has arrived by now, after a moment in which the rest may arrive too.
    pub(super) async fn so_far(&self) -> Delivery {
        self.flush();
        let settle = |way: &Way| {
            let pipe = Arc::clone(&way.pipe);
            async move { pipe.settle_down(MOMENT).await }
        };
        join_all(self.ways.iter().map(settle)).await;
        self.delivery(Left::Nowhere)
    }

    /// Delivers what is left, within the grace, and leaves the rest in a file.
    pub(super) async fn finish(mut self) -> Delivery {
        // This state is the last one: none is made while it is on its way, and called lost.
        let _ = self.meter.as_ref().map(SdkMeterProvider::shutdown);
        self.flush();
        join_all(self.ways.iter().map(|way| self.drain(&way.pipe))).await;
        self.tasks.abort_all();
        // What still happens to files of the spool ends before its folder is looked at.
        while self.tasks.join_next().await.is_some() {}
        let left = self.room.leave(&self.ways).await;
        self.delivery(left)
    }

    async fn drain(&self, pipe: &Pipe) {
        if let Some(grace) = self.grace {
            return pipe.drain(grace).await;
        }
        pipe.drain(SHORT_GRACE).await;
        // It may have come just now.
        if pipe.has_answered() {
            pipe.drain(GRACE.saturating_sub(SHORT_GRACE)).await;
        }
    }

    /// Ours only put what they have into their pipes, so these neither wait nor fail.
    fn flush(&self) {
        let _ = self.meter.as_ref().map(SdkMeterProvider::force_flush);
        let _ = self.tracer.as_ref().map(SdkTracerProvider::force_flush);
        let _ = self.logger.as_ref().map(SdkLoggerProvider::force_flush);
    }

    fn delivery(&self, left: Left) -> Delivery {
        Delivery {
            signals: self.ways.iter().map(Way::delivered).collect(),
            left,
        }
    }
}

impl Setup<'_> {
    fn tracer(
        &mut self,
        to: &Endpoint,
        ids: Ids,
        carrying: Carrying,
    ) -> Option<(SdkTracerProvider, Arc<Live>)> {
        let (gather, pipe) = self.gathered(Signal::Traces, to, SPANS)?;
        let way = SpanWay {
            gather: Arc::clone(&gather),
            pipe,
        };
        let (resource, above) = (self.resource.clone(), Arc::clone(&self.above));
        self.progress = self
            .open
            .as_ref()
            .map(|open| Progress::new(Arc::clone(open), way, resource, above, self.limits));
        let live = Arc::new(Live::new(Arc::clone(&gather), self.limits));
        self.tasks.spawn(Arc::clone(&live).run());
        let spans = Spans {
            gather,
            above: Arc::clone(&self.above),
            open: self.open.clone(),
            live: Arc::clone(&live),
            limits: self.limits,
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(self.resource.clone())
            .with_id_generator(ids)
            .with_sampler(carrying)
            .with_span_limits(span_limits(self.limits))
            .with_span_processor(spans);
        Some((provider.build(), live))
    }

    fn logger(&mut self, to: &Endpoint) -> Option<SdkLoggerProvider> {
        let (gather, _) = self.gathered(Signal::Logs, to, RECORDS)?;
        let provider = SdkLoggerProvider::builder().with_resource(self.resource.clone());
        Some(provider.with_log_processor(Records { gather }).build())
    }

    fn meter(&mut self, to: &Endpoint, every: Duration) -> Option<SdkMeterProvider> {
        let pipe = Arc::new(Pipe::new(Keep::Newest, None));
        let post = Arc::new(Post::new(Arc::clone(&pipe)));
        let provider = metrics::provider(self.resource.clone(), every, post);
        let provider = self.right(Signal::Metrics, to, provider)?;
        self.open(Signal::Metrics, to, &pipe, Arc::new(ByItself))?;
        Some(provider)
    }

    fn gathered<T: Item>(
        &mut self,
        signal: Signal,
        to: &Endpoint,
        keep: Keep,
    ) -> Option<(Arc<Gather<T>>, Arc<Pipe>)> {
        let store = self.room.store(signal, self.mistakes);
        let pipe = Arc::new(Pipe::new(keep, store));
        let gather = Gather::new(&self.resource, Arc::new(Post::new(Arc::clone(&pipe))));
        let gather = Arc::new(self.right(signal, to, gather)?);
        self.open(signal, to, &pipe, Arc::clone(&gather) as Arc<dyn Flush>)?;
        Some((gather, pipe))
    }

    fn open(
        &mut self,
        signal: Signal,
        to: &Endpoint,
        pipe: &Arc<Pipe>,
        source: Arc<dyn Flush>,
    ) -> Option<()> {
        let transport = self.right(signal, to, Transport::new(to, signal))?;
        self.tasks.spawn(Arc::clone(pipe).run(transport, source));
        self.ways.push(Way::new(signal, to, Arc::clone(pipe)));
        Some(())
    }

    /// What was made, or a mistake.
    fn right<T, E: Error + 'static>(
        &mut self,
        signal: Signal,
        to: &Endpoint,
        made: Result<T, E>,
    ) -> Option<T> {
        made.map_err(|error| {
            let what = what(signal);
            let place = shown(&to.url);
            self.mistakes.push(SettingsError {
                variable: "OTEL_EXPORTER_OTLP_…".to_owned(),
                reason: format!("no {what} to {place}: {}", Chain(&error)),
            });
        })
        .ok()
    }
}

fn span_limits(limits: Limits) -> SpanLimits {
    SpanLimits {
        max_events_per_span: limits.span_events,
        max_attributes_per_span: limits.span_attributes,
        max_links_per_span: limits.span_links,
        max_attributes_per_event: limits.event_attributes,
        max_attributes_per_link: limits.link_attributes,
    }
}

/// As W3C Trace Context writes a span that is recorded.
fn traceparent(trace: TraceId, span: SpanId) -> String {
    format!("00-{trace}-{span}-01")
}

fn parent(otel: &Otel, mistakes: &mut Vec<SettingsError>) -> Option<Parent> {
    let text = otel.traceparent.as_deref()?;
    let parent = Parent::parse(text);
    if parent.is_none() {
        mistakes.push(SettingsError {
            variable: "TRACEPARENT".to_owned(),
            reason: format!("{text} is not of the form 00-<trace id>-<span id>-<flags>"),
        });
    }
    parent
}
