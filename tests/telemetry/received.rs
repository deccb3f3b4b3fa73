//! What a real collector has received, as its file exporter wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Env, eventually};

/// Everything that one run has sent.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) resources: Vec<Value>,
    /// By span id. A span that comes twice is the same both times.
    pub(crate) spans: BTreeMap<String, Value>,
    pub(crate) records: Vec<(String, Value)>,
    /// The last state of each metric, by name.
    pub(crate) metrics: BTreeMap<String, Value>,
}

impl Received {
    /// Reads the file until what is there of the run is enough.
    pub(crate) async fn when(run: &str, enough: impl Fn(&Self) -> Result<(), String>) -> Self {
        let env = Env::load().expect("the test bed is up");
        let file = env.otelcol().expect("the collector is up").received_file;
        let attempt = async || {
            let received = Self::read(&file, run);
            match enough(&received) {
                Ok(()) => Attempt::Done(received),
                Err(because) => Attempt::NotYet(because),
            }
        };
        let what = format!("the telemetry of run {run} in {}", file.display());
        eventually(&what, Duration::from_secs(20), attempt)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// As much as this many spans, and logs and metrics at all.
    pub(crate) async fn with_spans(run: &str, count: usize) -> Self {
        Self::when(run, |received| {
            let (spans, records) = (received.spans.len(), received.records.len());
            if spans < count || records == 0 || received.metrics.is_empty() {
                let metrics = received.metrics.len();
                return Err(format!(
                    "{spans} of {count} spans, {records} records, {metrics} metrics"
                ));
            }
            Ok(())
        })
        .await
    }

    fn read(file: &Path, run: &str) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut received = Self::default();
        // The last line may be half written; the next attempt sees the rest of it.
        for line in text.lines().filter(|line| line.contains(run)) {
            if let Ok(request) = serde_json::from_str::<Value>(line) {
                received.add(&request);
            }
        }
        received
    }

    fn add(&mut self, request: &Value) {
        for resource in list(&request["resourceSpans"]) {
            self.resources.push(resource["resource"].clone());
            for span in list(&resource["scopeSpans"])
                .iter()
                .flat_map(|scope| list(&scope["spans"]))
            {
                let before = self.spans.insert(text(&span["spanId"]), span.clone());
                assert!(
                    before.is_none_or(|before| before == *span),
                    "two contents of one span: {span}"
                );
            }
        }
        for scope in list(&request["resourceLogs"])
            .iter()
            .flat_map(|it| list(&it["scopeLogs"]))
        {
            let target = text(&scope["scope"]["name"]);
            let records = list(&scope["logRecords"]).iter();
            self.records
                .extend(records.map(|record| (target.clone(), record.clone())));
        }
        for scope in list(&request["resourceMetrics"])
            .iter()
            .flat_map(|it| list(&it["scopeMetrics"]))
        {
            for metric in list(&scope["metrics"]) {
                self.metrics.insert(text(&metric["name"]), metric.clone());
            }
        }
    }

    /// The one span of this name.
    pub(crate) fn span(&self, name: &str) -> &Value {
        let mut named = self.spans.values().filter(|span| span["name"] == name);
        let span = named
            .next()
            .unwrap_or_else(|| panic!("no span {name:?} in {:?}", self.names()));
        assert!(named.next().is_none(), "more than one span {name:?}");
        span
    }

    /// The names of all spans.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.spans
            .values()
            .map(|span| text(&span["name"]))
            .collect()
    }

    /// The names from a span up to the root.
    pub(crate) fn path(&self, span: &Value) -> Vec<String> {
        let mut path = vec![text(&span["name"])];
        let mut parent = text(&span["parentSpanId"]);
        while let Some(above) = self.spans.get(&parent) {
            path.push(text(&above["name"]));
            parent = text(&above["parentSpanId"]);
        }
        path
    }
}

/// The attributes of a span, a resource or a record, each as text.
pub(crate) fn attributes(of: &Value) -> BTreeMap<String, String> {
    let pairs = list(&of["attributes"]).iter();
    pairs
        .map(|pair| {
            let value = pair["value"]
                .as_object()
                .and_then(|it| it.values().next().cloned());
            let value = value.unwrap_or_default();
            (
                text(&pair["key"]),
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), ToOwned::to_owned),
            )
        })
        .collect()
}

/// The items of a list; none if it is absent.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text; empty if it is absent.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
