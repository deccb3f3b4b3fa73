//! The three signals on their ways to their servers.

use super::delivery::Delivery;
use super::folder::Folder;
use super::gather::{Gather, Item};
use super::identity::{Ids, Parent, RunIdentity, is_sampled, resource, scope};
use super::metrics::{self, ByItself, Instruments};
use super::pipe::{Flush, Pipe};
use super::post::Post;
use super::records::Records;
use super::spans::Spans;
use super::spool::Keep;
use super::store::Store;
use super::transport::Transport;
use super::undelivered::{self, Left};
use super::way::{Way, shown, what};
use crate::engine::Chain;
use crate::settings::{Endpoint, Otel, Settings, SettingsError, Signal};
use futures::future::join_all;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// 40,000 spans and more.
const SPANS: Keep = Keep::Bytes(16 * 1024 * 1024);

/// Some ten thousand log records.
const RECORDS: Keep = Keep::Bytes(8 * 1024 * 1024);

/// What may wait on disk, unless the user says otherwise.
const ON_DISK: u64 = 256 * 1024 * 1024;

/// How long the end of a run waits for a server that has answered before …
const GRACE: Duration = Duration::from_secs(10);

/// … and for one that never has.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// How long the record of a run waits for the last of its telemetry, from a server that takes it.
const MOMENT: Duration = Duration::from_secs(1);

/// Everything that is exported.
pub(super) struct Export {
    pub(super) trace_id: Option<String>,
    tracer: Option<SdkTracerProvider>,
    logger: Option<SdkLoggerProvider>,
    meter: Option<SdkMeterProvider>,
    /// None if no trace is exported.
    #[expect(dead_code, reason = "for the record of what is under way")]
    pub(super) spans: Option<SpanWay>,
    ways: Vec<Way>,
    tasks: JoinSet<()>,
    folder: Option<Arc<Folder>>,
    /// Where what is not delivered is left.
    undelivered: Option<PathBuf>,
    /// How long the end waits, if the user says so.
    grace: Option<Duration>,
}

/// The way of the spans, for those that do not come from the SDK.
#[derive(Clone)]
#[expect(dead_code, reason = "for the record of what is under way")]
pub(super) struct SpanWay {
    /// Takes single spans, also those made by hand. A flush puts them into the pipe.
    pub(super) gather: Arc<Gather<SpanData>>,
    /// Takes encoded requests, tells which have not arrived, and can hold them back.
    pub(super) pipe: Arc<Pipe>,
}

/// What all signals are set up with.
struct Setup<'a> {
    resource: Resource,
    mistakes: &'a mut Vec<SettingsError>,
    spans: Option<SpanWay>,
    ways: Vec<Way>,
    tasks: JoinSet<()>,
    folder: Option<Arc<Folder>>,
    on_disk: u64,
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
        let ids = Ids::new(parent);
        let trace = ids.trace;
        let mut setup = Setup {
            resource: resource(settings, otel, run),
            mistakes,
            spans: None,
            ways: Vec::new(),
            tasks: JoinSet::new(),
            folder: None,
            on_disk: settings.spool_limit.unwrap_or(ON_DISK),
        };
        setup.open_folder(settings, run);
        let sampled = otel
            .traces
            .as_ref()
            .filter(|_| is_sampled(otel.sampler, parent, trace));
        let tracer = sampled.and_then(|to| setup.tracer(to, ids, parent));
        let logger = otel.logs.as_ref().and_then(|to| setup.logger(to));
        let meter = otel
            .metrics
            .as_ref()
            .and_then(|to| setup.meter(to, otel.metric_interval));
        Self {
            trace_id: tracer.as_ref().map(|_| trace.to_string()),
            tracer,
            logger,
            meter,
            spans: setup.spans,
            ways: setup.ways,
            tasks: setup.tasks,
            folder: setup.folder,
            undelivered: undelivered::place(settings, &run.id),
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

    /// Turns events of tracing into log records.
    pub(super) fn record_layer(
        &self,
    ) -> Option<OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>> {
        self.logger.as_ref().map(OpenTelemetryTracingBridge::new)
    }

    pub(super) fn instruments(&self) -> Option<Instruments> {
        self.meter.as_ref().map(metrics::instruments)
    }

    pub(super) fn pipes(&self) -> Vec<Arc<Pipe>> {
        self.ways.iter().map(|way| Arc::clone(&way.pipe)).collect()
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
        self.flush();
        join_all(self.ways.iter().map(|way| self.drain(&way.pipe))).await;
        self.tasks.abort_all();
        // What still happens to files of the spool ends before its folder is looked at.
        while self.tasks.join_next().await.is_some() {}
        let left = self.leave().await;
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

    /// Writes down what was not delivered, and removes the files whose batches are elsewhere now.
    async fn leave(&self) -> Left {
        let ways = self.ways.iter();
        let pipes: Vec<_> = ways
            .map(|way| (way.signal, Arc::clone(&way.pipe)))
            .collect();
        let (place, folder) = (self.undelivered.clone(), self.folder.clone());
        let work = move || {
            let is_open = |(_, pipe): &&(Signal, Arc<Pipe>)| !pipe.is_empty();
            let open: Vec<_> = pipes.iter().filter(is_open).collect();
            let open: Vec<_> = open.iter().map(|(it, pipe)| (*it, pipe.as_ref())).collect();
            let left = match place {
                Some(path) if !open.is_empty() => undelivered::leave(path, &open),
                _ => Left::Nowhere,
            };
            if !matches!(left, Left::Failed { .. }) {
                for (_, pipe) in &pipes {
                    pipe.close();
                }
            }
            if let Some(folder) = folder {
                folder.tidy();
            }
            left
        };
        // It cannot fail: it does not panic, and the runtime goes on.
        spawn_blocking(work).await.unwrap_or_default()
    }
}

impl Setup<'_> {
    /// Without the folder there is only memory, which is a mistake and no failure.
    fn open_folder(&mut self, settings: &Settings, run: &RunIdentity) {
        let Some(path) = &settings.spool_dir else {
            return;
        };
        match Folder::open(path, &run.id) {
            Ok(folder) => self.folder = Some(Arc::new(folder)),
            Err(error) => self.no_folder(path, &error),
        }
    }

    fn no_folder(&mut self, path: &Path, error: &io::Error) {
        self.mistakes.push(SettingsError {
            variable: "FIRSTLIGHT_SPOOL_DIR".to_owned(),
            reason: format!("{} cannot be used: {error}", path.display()),
        });
    }

    /// The part of the folder for one signal: spans are more, and of more use.
    fn store(&mut self, signal: Signal) -> Option<Store> {
        let folder = Arc::clone(self.folder.as_ref()?);
        let (name, limit) = match signal {
            Signal::Traces => ("spans", self.on_disk / 3 * 2),
            Signal::Logs => ("records", self.on_disk / 3),
            Signal::Metrics => return None,
        };
        let store = Store::open(Arc::clone(&folder), name, limit);
        store
            .map_err(|error| self.no_folder(folder.parent(), &error))
            .ok()
    }

    fn tracer(
        &mut self,
        to: &Endpoint,
        ids: Ids,
        parent: Option<Parent>,
    ) -> Option<SdkTracerProvider> {
        let (gather, pipe) = self.gathered(Signal::Traces, to, SPANS)?;
        self.spans = Some(SpanWay {
            gather: Arc::clone(&gather),
            pipe,
        });
        let provider = SdkTracerProvider::builder()
            .with_resource(self.resource.clone())
            .with_id_generator(ids)
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(Spans { gather, parent });
        Some(provider.build())
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
        let pipe = Arc::new(Pipe::new(keep, self.store(signal)));
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
