//! The log: one line an event, for people or for machines.

use super::{SAID_BY_US, TARGET};
use crate::engine::Took;
use opentelemetry::trace::TraceContextExt;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
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

/// Lines that wait for the end.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    /// So many say enough; more would only take memory.
    const MOST: usize = 100;

    fn add(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < Self::MOST {
            lines.push(line.to_owned());
        }
    }

    /// Writes them now.
    pub(super) fn write(&self) {
        let lines = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        // Nobody can be told that they cannot be written.
        let _ = io::stderr().write_all(lines.concat().as_bytes());
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Text { color: bool },
    Json,
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

/// Which lines are written: ours from `info` on, others' from `warn` on, or as the user says.
///
/// # Errors
/// When the text is no filter.
pub(super) fn levels(
    text: Option<&str>,
) -> Result<Targets, tracing_subscriber::filter::ParseError> {
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

/// Whether the log layer wants to see this: lines by their level, and our spans for their names.
pub(super) fn wanted(target: LogTarget, levels: &Targets, metadata: &Metadata<'_>) -> bool {
    if metadata.is_span() {
        return metadata.target().starts_with(TARGET) && *metadata.level() <= Level::INFO;
    }
    let shown = || OF_THE_RUN.iter().any(|of| metadata.name().starts_with(of));
    if target == LogTarget::AtEnd && (*metadata.level() > Level::WARN || shown()) {
        return false;
    }
    levels.would_enable(metadata.target(), metadata.level())
}

/// Writes lines.
pub(super) struct Lines {
    pub(super) target: LogTarget,
    pub(super) style: Style,
    pub(super) kept: Kept,
}

impl Lines {
    /// Writes one line at once, so that lines of several threads never mix.
    fn write(&self, line: &str) {
        // Nobody can be told that the log cannot be written.
        let _ = match self.target {
            LogTarget::Stdout => io::stdout().write_all(line.as_bytes()),
            LogTarget::Stderr => io::stderr().write_all(line.as_bytes()),
            LogTarget::AtEnd => {
                self.kept.add(line);
                Ok(())
            }
        };
    }
}

/// The step that a span belongs to.
struct Step(String);

impl<S> Layer<S> for Lines
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
        let mut fields = Fields::default();
        event.record(&mut fields);
        let step = match fields.take("step") {
            Some(Value::String(step)) => Some(step),
            _ => context.event_scope(event).and_then(|mut scope| {
                scope.find_map(|span| span.extensions().get::<Step>().map(|step| step.0.clone()))
            }),
        };
        let line = match self.style {
            Style::Text { color } => text(event.metadata(), step.as_deref(), fields, color),
            Style::Json => json(event.metadata(), step.as_deref(), fields),
        };
        self.write(&line);
    }
}

fn now() -> String {
    let mut time = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

fn text(metadata: &Metadata<'_>, step: Option<&str>, mut fields: Fields, color: bool) -> String {
    // The step begins with its phase, and the message says the outcome.
    fields.take("phase");
    fields.take("outcome");
    let level = metadata.level();
    let mut line = if color {
        format!(
            "\x1b[2m{}\x1b[0m \x1b[{}m{level:<5}\x1b[0m",
            now(),
            paint(*level)
        )
    } else {
        format!("{} {level:<5}", now())
    };
    if let Some(step) = step {
        let _ = write!(line, " {step}:");
    }
    let _ = write!(line, " {}", fields.message);
    for (name, value) in &fields.all {
        let _ = write!(line, " {name}={}", Shown(name, value));
    }
    line.push('\n');
    line
}

fn paint(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        _ => "2",
    }
}

/// A value in a line of text: durations as people read them, quotes only where they help.
struct Shown<'a>(&'a str, &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Value::Number(seconds) if ["duration", "elapsed"].contains(&self.0) => {
                let seconds = seconds.as_f64().unwrap_or_default();
                let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                write!(f, "{}", Took(duration))
            }
            Value::String(text) if text.is_empty() || text.contains([' ', '"', '=', '\n']) => {
                write!(f, "{text:?}")
            }
            Value::String(text) => f.write_str(text),
            other => write!(f, "{other}"),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    message: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
}

fn json(metadata: &Metadata<'_>, step: Option<&str>, fields: Fields) -> String {
    // The bridge to OpenTelemetry makes the current span of tracing the current one there too.
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    let line = Line {
        time: now(),
        level: metadata.level().as_str(),
        target: metadata.target(),
        step,
        message: fields.message,
        fields: fields
            .all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        trace_id: span.is_valid().then(|| span.trace_id().to_string()),
        span_id: span.is_valid().then(|| span.span_id().to_string()),
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// The fields of an event or a span, in their order.
#[derive(Default)]
struct Fields {
    message: String,
    all: Vec<(&'static str, Value)>,
}

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.all.iter().position(|(other, _)| *other == name)?;
        Some(self.all.remove(at).1)
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.all.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, value: impl Into<Value>) -> String {
        Shown(name, &value.into()).to_string()
    }

    #[test]
    fn values_read_well() {
        assert_eq!(shown("outcome", "changed"), "changed");
        assert_eq!(shown("why", "no such host"), "\"no such host\"");
        assert_eq!(shown("duration", 1.25), "1.2s");
        assert_eq!(shown("changes", 3), "3");
        assert_eq!(shown("empty", ""), "\"\"");
    }

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
