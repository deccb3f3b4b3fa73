//! Traces, metrics and logs over OTLP, and the log on the standard output: the only module that
//! knows OpenTelemetry.
//!
//! The rest of the program speaks to `tracing` and to [`Reporter`]. Without an endpoint in the
//! environment nothing is exported and nothing is said about it. With one, everything goes through
//! a [`spool`] until its server takes it, because the collector is one of the things that the run
//! installs.

mod bounds;
mod context;
mod delivery;
mod export;
mod fields;
mod folder;
mod gather;
mod identity;
mod lines;
mod live;
mod logs;
mod metrics;
mod otlp_json;
mod pipe;
mod post;
mod progress;
mod records;
mod replay;
mod reporter;
mod room;
mod size;
mod spans;
mod spool;
mod store;
mod transport;
mod undelivered;
mod way;

pub use delivery::{Delivered, Delivery};
pub use identity::RunIdentity;
pub use logs::LogTarget;
pub use progress::{Death, Progress, Snapshot, TakenOver, Unrecorded};
pub use replay::{Replay, ReplayError};
pub use spool::{Late, Tally};
pub use undelivered::Left;

use crate::engine::{Class, Reporter};
use crate::settings::{LogFormat, Otel, Settings, SettingsError};
use crate::trace_context;
use export::Export;
use identity::Parent;
use lines::{Kept, Lines, Style};
use live::Live;
use logs::{Audience, Log};
use records::Book;
use reporter::RunReporter;
use std::sync::Arc;
use tracing::{Level, Metadata, Subscriber, info, warn};
use tracing_subscriber::filter::{
    DynFilterFn, FilterExt, LevelFilter, dynamic_filter_fn, filter_fn,
};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, registry};

/// What the targets of our own events and spans begin with.
const TARGET: &str = "firstlight";

/// It tells of every answer that is no success; our own sentence says more, or that it was expected.
const SAID_BY_US: &str = "kube_client";

/// The event of a wait: a span has it by another name, that is no sentence.
const WAITING: &str = "step.waiting";

/// The spans of the engine that name their parent, or are the root.
const ENGINE: [&str; 2] = ["run", "task"];

/// Parts that work when something is exported. What they say would be exported, which makes them
/// say it again, for ever.
const EXPORTERS: [&str; 7] = [
    "hyper",
    "h2",
    "reqwest",
    "rustls",
    "tonic",
    "tower",
    "opentelemetry",
];

/// Said where a place for spans is named and no trace is recorded.
const UNSAMPLED: &str = "this run is not traced, as OTEL_TRACES_SAMPLER or the flags of TRACEPARENT say; no check looks for its trace";

/// The telemetry of one run.
pub struct Telemetry {
    export: Option<Export>,
    reporter: Arc<RunReporter>,
    trace_id: Option<String>,
    live: Option<Arc<Live>>,
    /// What the log has kept for the end.
    kept: Kept,
}

impl Telemetry {
    /// Starts the log, and the export if the environment names an endpoint.
    ///
    /// Call it once, inside the runtime, before the first span. It never fails: what is wrong with
    /// its settings is told in the log, and the run goes on without.
    #[must_use]
    pub fn start(settings: &Settings, otel: &Otel, run: &RunIdentity, log: LogTarget) -> Self {
        // The clients of reqwest and tonic panic without; that it is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut mistakes = otel.mistakes.clone();
        let export = otel
            .is_on()
            .then(|| Export::start(settings, otel, run, &mut mistakes));
        let spans = export.as_ref().and_then(Export::span_layer);
        let book = export.as_ref().and_then(Export::book);
        let kept = Kept::default();
        let log = teller(settings, log, book, kept.clone(), &mut mistakes);
        // Only a second start in one process is refused; then the first one's log goes on.
        let _ = registry()
            .with(spans.map(|layer| {
                let told_otherwise = filter_fn(|metadata| metadata.name() != WAITING);
                layer.with_filter(exported().and(told_otherwise))
            }))
            .with(log)
            .try_init();
        for unheeded in &otel.unheeded {
            info!(name: "telemetry.unheeded", target: "firstlight", "{unheeded}");
        }
        if export.as_ref().is_some_and(|export| export.is_unsampled) {
            info!(name: "telemetry.unsampled", target: "firstlight", "{UNSAMPLED}");
        }
        for mistake in mistakes {
            warn!(name: "telemetry.mistake", target: "firstlight", "{mistake}; it is ignored");
        }
        for strange in export.iter().flat_map(Export::strange) {
            warn!(name: "telemetry.strange", target: "firstlight", "{strange}");
        }
        let measures = export.as_ref().and_then(Export::measures);
        let live = export.as_ref().and_then(|export| export.live.clone());
        let caller = context::of_caller(otel);
        if otel.propagates {
            trace_context::provide(move || context::current().or_else(|| caller.clone()));
        }
        Self {
            reporter: Arc::new(RunReporter::new(measures, live.clone())),
            trace_id: export.as_ref().and_then(|export| export.trace_id.clone()),
            live,
            export,
            kept,
        }
    }

    /// The id of the run's trace in hex, known before the run; none if no trace is exported.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        self.trace_id.clone()
    }

    /// Whether no trace is exported although there is a place for it: because the sampler, or the
    /// caller's `TRACEPARENT`, says so.
    #[must_use]
    pub fn is_unsampled(&self) -> bool {
        self.export
            .as_ref()
            .is_some_and(|export| export.is_unsampled)
    }

    /// The span of the run as a `traceparent`, known before the run; none if no trace is exported.
    #[must_use]
    pub fn run_span(&self) -> Option<&str> {
        self.export.as_ref()?.run_span.as_deref()
    }

    /// Makes the run's span a child of that of the run's first attempt, given as `traceparent`.
    /// Call it before the run starts; what is in another trace is left alone.
    pub fn go_on_below(&self, first: &str) {
        let (Some(export), Some(first)) = (&self.export, Parent::parse(first)) else {
            return;
        };
        if self.trace_id == Some(first.trace.to_string()) {
            export.above.go_on_below(first);
        }
    }

    /// What is to be kept so that another process can go on with the trace; none if no trace is
    /// exported, and where none would go on.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.export.as_ref()?.progress.clone()
    }

    /// The id of the run's own span in hex; none before the run has begun.
    #[must_use]
    pub fn span_id(&self) -> Option<String> {
        let root = self.live.as_ref()?.root()?;
        root.is_valid().then(|| root.span_id().to_string())
    }

    /// Links the run to the one before it, by the ids of its trace and of its own span in hex.
    pub fn link_to(&self, trace: &str, span: &str) {
        if let Some(live) = &self.live {
            live.link_to(trace, span);
        }
    }

    /// Says that this is a run that installs, and not a look: it is to be measured from now on.
    pub fn pending(&self, bundle: &str) {
        if let Some(measures) = self.reporter.measures() {
            measures.pending(bundle);
        }
    }

    /// Whether anything is exported.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.export.is_some()
    }

    /// Says that the last run has made the same bundle current: whatever differs now is drift.
    pub fn was_current(&self) {
        if let Some(measures) = self.reporter.measures() {
            measures.was_current();
        }
    }

    /// Says that the run ended before its first step.
    pub fn not_begun(&self, class: Class) {
        if let Some(measures) = self.reporter.measures() {
            measures.not_begun(class);
        }
    }

    /// What the engine is to tell its events.
    #[must_use]
    pub fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.reporter) as Arc<dyn Reporter>
    }

    /// What has arrived by now; the spans that have ended are delivered before if that takes only
    /// a moment.
    pub async fn so_far(&self) -> Delivery {
        match &self.export {
            Some(export) => export.so_far().await,
            None => Delivery::default(),
        }
    }

    /// Delivers what is left, leaves in a file what cannot be delivered, and says in the log if
    /// not all of it arrived. All spans must have ended. Takes ten seconds at most, and two where
    /// the server has never answered, unless the user has set another grace.
    pub async fn finish(self) -> Delivery {
        if let Some(measures) = self.reporter.measures() {
            measures.ended();
        }
        let delivery = match self.export {
            Some(export) => export.finish().await,
            None => Delivery::default(),
        };
        delivery.tell();
        self.kept.write();
        delivery
    }
}

/// The layer that tells events, as lines and as records.
fn teller<S>(
    settings: &Settings,
    target: LogTarget,
    book: Option<Book>,
    kept: Kept,
    mistakes: &mut Vec<SettingsError>,
) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let levels = logs::levels(settings.log_level.as_deref()).unwrap_or_else(|error| {
        mistakes.push(SettingsError {
            variable: "FIRSTLIGHT_LOG_LEVEL".to_owned(),
            reason: error.to_string(),
        });
        logs::usual_levels()
    });
    let style = match settings.log {
        Some(LogFormat::Json) => Style::Json,
        _ => Style::Text {
            color: target.is_terminal() && !settings.no_color,
        },
    };
    let audience = Audience {
        levels,
        target,
        exports: book.is_some(),
    };
    let lines = Lines {
        target,
        style,
        kept,
    };
    let wanted = audience.clone();
    let log = Log {
        audience,
        lines,
        book,
    };
    log.with_filter(filter_fn(move |metadata| wanted.cares(metadata)))
}

/// What becomes a part of the trace: all of ours, and others' warnings, but never the exporters'
/// own. Calls outside of the run (its lock, its record, the watches that its steps share) belong to
/// no step, and would be further roots of its trace.
fn exported<S>() -> DynFilterFn<S, impl Fn(&Metadata<'_>, &Context<'_, S>) -> bool>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    dynamic_filter_fn(move |metadata: &Metadata<'_>, context: &Context<'_, S>| {
        let target = metadata.target();
        if target.starts_with(TARGET) && metadata.is_span() {
            let inside = ENGINE.contains(&metadata.name()) || context.lookup_current().is_some();
            return inside && *metadata.level() <= Level::DEBUG;
        }
        if target.starts_with(TARGET) {
            return *metadata.level() <= Level::INFO;
        }
        let mut unheard = EXPORTERS.iter().chain([&SAID_BY_US]);
        let is_unheard = unheard.any(|name| target.starts_with(name));
        metadata.is_event() && !is_unheard && *metadata.level() <= Level::WARN
    })
    .with_max_level_hint(LevelFilter::DEBUG)
}
