//! The log: each event is one line, for people or for machines, and one record that is exported,
//! both of the same moment.

use super::fields::Fields;
use super::lines::Lines;
use super::records::Book;
use super::{EXPORTERS, SAID_BY_US, TARGET};
use serde_json::Value;
use std::io::{self, IsTerminal};
use std::time::SystemTime;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// To the standard output.
    Stdout,
    /// To the standard error, because the standard output is the result.
    Stderr,
    /// Warnings only, and to the standard error at the end: until then the console shows the run.
    AtEnd,
}

impl LogTarget {
    /// Whether somebody looks at it.
    pub(super) fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr | Self::AtEnd => io::stderr().is_terminal(),
        }
    }
}

/// Which events are told: ours from `info` on, others' from `warn` on, or as the user says.
///
/// # Errors
/// When the text is no filter.
pub(super) fn levels(text: Option<&str>) -> Result<Targets, ParseError> {
    match text {
        Some(text) => text.parse(),
        None => Ok(usual_levels()),
    }
}

pub(super) fn usual_levels() -> Targets {
    Targets::new()
        .with_default(Level::WARN)
        .with_target(SAID_BY_US, LevelFilter::OFF)
        .with_target(TARGET, Level::INFO)
}

/// What the console shows by itself.
const OF_THE_RUN: [&str; 4] = ["run.", "phase.", "group.", "step."];

/// Who hears of which event.
#[derive(Debug, Clone)]
pub(super) struct Audience {
    pub(super) levels: Targets,
    pub(super) target: LogTarget,
    /// Whether records are exported at all.
    pub(super) exports: bool,
}

impl Audience {
    /// Whether this is looked at: events that somebody hears of, and our spans for their names.
    pub(super) fn cares(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return metadata.target().starts_with(TARGET) && *metadata.level() <= Level::INFO;
        }
        self.reads(metadata) || self.receives(metadata)
    }

    /// Whether it becomes a line.
    fn reads(&self, metadata: &Metadata<'_>) -> bool {
        let shown = || OF_THE_RUN.iter().any(|of| metadata.name().starts_with(of));
        if self.target == LogTarget::AtEnd && (*metadata.level() > Level::WARN || shown()) {
            return false;
        }
        self.enabled(metadata)
    }

    /// Whether it becomes a record.
    fn receives(&self, metadata: &Metadata<'_>) -> bool {
        let feeds_itself = || {
            let mut exporters = EXPORTERS.iter();
            exporters.any(|name| metadata.target().starts_with(name))
        };
        self.exports && self.enabled(metadata) && !feeds_itself()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.levels
            .would_enable(metadata.target(), metadata.level())
    }
}

/// An event that is told.
pub(super) struct Told<'a> {
    pub(super) at: SystemTime,
    pub(super) metadata: &'static Metadata<'static>,
    /// The step that it is about.
    pub(super) step: Option<String>,
    pub(super) fields: &'a Fields,
}

/// Tells events.
pub(super) struct Log {
    pub(super) audience: Audience,
    pub(super) lines: Lines,
    pub(super) book: Option<Book>,
}

/// The step that a span belongs to.
struct Step(String);

impl<S> Layer<S> for Log
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = fields.take("cicd.pipeline.task.name");
        if let (Some(Value::String(name)), Some(span)) = (name, context.span(id)) {
            span.extensions_mut().insert(Step(name));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let at = SystemTime::now();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let step = match fields.take("step") {
            Some(Value::String(step)) => Some(step),
            _ => context.event_scope(event).and_then(|mut scope| {
                scope.find_map(|span| span.extensions().get::<Step>().map(|step| step.0.clone()))
            }),
        };
        let metadata = event.metadata();
        let told = Told {
            at,
            metadata,
            step,
            fields: &fields,
        };
        if let Some(book) = self
            .book
            .as_ref()
            .filter(|_| self.audience.receives(metadata))
        {
            book.enter(&told);
        }
        if self.audience.reads(metadata) {
            self.lines.write(&told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ours_or_the_users() {
        let ours = levels(None).expect("valid");
        assert!(ours.would_enable("firstlight::engine", &Level::INFO));
        assert!(!ours.would_enable("firstlight", &Level::DEBUG));
        assert!(!ours.would_enable("kube_client::client::builder", &Level::ERROR));
        assert!(ours.would_enable("hyper", &Level::WARN));
        let theirs = levels(Some("warn,firstlight=debug")).expect("valid");
        assert!(theirs.would_enable("firstlight", &Level::DEBUG));
        assert!(levels(Some("firstlight=loud")).is_err());
    }
}
