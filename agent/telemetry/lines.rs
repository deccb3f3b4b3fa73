//! Events as lines, for people or for machines.

use super::logs::{LogTarget, Told};
use crate::engine::Took;
use jiff::Timestamp;
use opentelemetry::trace::TraceContextExt;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::Level;

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

/// Writes lines.
pub(super) struct Lines {
    pub(super) target: LogTarget,
    pub(super) style: Style,
    pub(super) kept: Kept,
}

impl Lines {
    /// Writes one line at once, so that lines of several threads never mix.
    pub(super) fn write(&self, told: &Told<'_>) {
        let line = match self.style {
            Style::Text { color } => text(told, color),
            Style::Json => json(told),
        };
        // Nobody can be told that the log cannot be written.
        let _ = match self.target {
            LogTarget::Stdout => io::stdout().write_all(line.as_bytes()),
            LogTarget::Stderr => io::stderr().write_all(line.as_bytes()),
            LogTarget::AtEnd => {
                self.kept.add(&line);
                Ok(())
            }
        };
    }
}

fn text(told: &Told<'_>, color: bool) -> String {
    let level = told.metadata.level();
    let time = time(told);
    let mut line = if color {
        let paint = paint(*level);
        format!("\x1b[2m{time}\x1b[0m \x1b[{paint}m{level:<5}\x1b[0m")
    } else {
        format!("{time} {level:<5}")
    };
    if let Some(step) = &told.step {
        let _ = write!(line, " {step}:");
    }
    let _ = write!(line, " {}", told.fields.message);
    // The step begins with its phase, and the message says the outcome.
    let shown = |(name, _): &&(&str, Value)| !["phase", "outcome"].contains(name);
    for (name, value) in told.fields.all.iter().filter(shown) {
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
    message: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'a str, &'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
}

fn json(told: &Told<'_>) -> String {
    // The layer that makes spans makes the current one of tracing the current one there too, where
    // the records find theirs.
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    let fields = told.fields.all.iter();
    let line = Line {
        time: time(told),
        level: told.metadata.level().as_str(),
        target: told.metadata.target(),
        step: told.step.as_deref(),
        message: &told.fields.message,
        fields: fields.map(|(name, value)| (*name, value)).collect(),
        trace_id: span.is_valid().then(|| span.trace_id().to_string()),
        span_id: span.is_valid().then(|| span.span_id().to_string()),
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// RFC 3339 with microseconds.
fn time(told: &Told<'_>) -> String {
    let at = Timestamp::try_from(told.at).unwrap_or_default();
    format!("{at:.6}")
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
}
