//! What became of the spans of one run: by its own word, and by what the collector has kept.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use testbed::{Attempt, Otelcol, eventually};

use crate::Failure;

/// How long the collector may take to write what it got.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many spans there were.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spans {
    #[serde(rename = "spans_made")]
    pub(crate) made: usize,
    #[serde(rename = "spans_arrived")]
    pub(crate) arrived: usize,
}

/// The file of the collector, from a moment on.
pub(crate) struct Kept {
    collector: Otelcol,
    before: u64,
}

/// A line of it; those of logs and metrics have no such field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    resource_spans: Vec<OfResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfResource {
    #[serde(default)]
    scope_spans: Vec<OfScope>,
}

#[derive(Deserialize)]
struct OfScope {
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    span_id: String,
}

impl Kept {
    /// From now on.
    pub(crate) fn by(collector: &Otelcol) -> Self {
        let before = std::fs::metadata(&collector.received_file).map_or(0, |file| file.len());
        Self {
            collector: collector.clone(),
            before,
        }
    }

    /// Waits until all that a run says to have made has arrived: a benchmark of what loses spans
    /// would say nothing.
    pub(crate) async fn all_of(&self, record: &Value) -> Result<Spans, Failure> {
        let made = made(record).ok_or("the run does not say how many spans it has made")?;
        let trace = record["traceId"].as_str().unwrap_or_default();
        let arrived = eventually("all spans have arrived", PATIENCE, async || {
            match self.arrived(trace) {
                Ok(arrived) if arrived == made => Attempt::Done(arrived),
                Ok(arrived) => Attempt::NotYet(format!("{arrived} of {made}")),
                Err(error) => Attempt::Never(error.to_string()),
            }
        });
        let arrived = arrived.await?;
        Ok(Spans { made, arrived })
    }

    /// How many spans of a trace are there; the same one twice counts once.
    fn arrived(&self, trace: &str) -> Result<usize, Failure> {
        let mut file = File::open(&self.collector.received_file)?;
        file.seek(SeekFrom::Start(self.before))?;
        let mut ids = HashSet::new();
        for line in BufReader::new(file).lines() {
            // The last line may be written right now.
            let Ok(line) = serde_json::from_str::<Line>(&line?) else {
                continue;
            };
            let scopes = line
                .resource_spans
                .into_iter()
                .flat_map(|it| it.scope_spans);
            let spans = scopes.flat_map(|it| it.spans);
            ids.extend(spans.filter(|it| it.trace_id == trace).map(|it| it.span_id));
        }
        Ok(ids.len())
    }
}

/// How many spans a run says to have made.
fn made(record: &Value) -> Option<usize> {
    let signals = record["telemetry"]["signals"].as_array()?;
    let spans = signals.iter().find(|signal| signal["what"] == "spans")?;
    spans["made"].as_u64()?.try_into().ok()
}
