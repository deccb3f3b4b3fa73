//! What a real collector has received, as its file exporter wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Env, Otelcol, eventually};

use crate::child::Said;

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

/// The test bed's collector, from now on.
pub(crate) struct Collector {
    at: Otelcol,
    /// How long the file was before; what others have sent is not read again and again.
    before: u64,
}

impl Collector {
    pub(crate) fn new() -> Self {
        let env = Env::load().expect("the test bed is up");
        Self::at(env.otelcol().expect("the collector is up"))
    }

    /// Another one, from now on.
    pub(crate) fn at(at: Otelcol) -> Self {
        let before = std::fs::metadata(&at.received_file).map_or(0, |file| file.len());
        Self { at, before }
    }

    /// One that no other test sends to, from its beginning.
    pub(crate) fn of(at: Otelcol) -> Self {
        Self { at, before: 0 }
    }

    /// Where it takes this protocol.
    pub(crate) fn endpoint(&self, protocol: &str) -> &str {
        match protocol {
            "grpc" => &self.at.otlp_grpc,
            _ => &self.at.otlp_http,
        }
    }

    /// Reads on until what has come from the run is enough.
    pub(crate) async fn when(
        &self,
        run: &str,
        enough: impl Fn(&Received) -> Result<(), String>,
    ) -> Received {
        let attempt = async || {
            let received = self.read(run);
            match enough(&received) {
                Ok(()) => Attempt::Done(received),
                Err(because) => Attempt::NotYet(because),
            }
        };
        let what = format!(
            "the telemetry of run {run} in {}",
            self.at.received_file.display()
        );
        let received = eventually(&what, Duration::from_mins(1), attempt).await;
        received.unwrap_or_else(|error| panic!("{error}"))
    }

    /// As many spans as this, and logs and metrics at all.
    pub(crate) async fn with_spans(&self, run: &str, count: usize) -> Received {
        self.when(run, |received| {
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

    fn read(&self, run: &str) -> Received {
        let mut received = Received::default();
        for line in self.lines(run).lines() {
            received.add(&serde_json::from_str(line).expect("a line of JSON"));
        }
        received
    }

    /// The lines that have come from a run, as they are; but for one that is half written.
    pub(crate) fn lines(&self, run: &str) -> String {
        let mut text = Vec::new();
        let mut file = File::open(&self.at.received_file).expect("the collector's file");
        file.seek(SeekFrom::Start(self.before))
            .expect("it only grows");
        file.read_to_end(&mut text).expect("it is readable");
        let text = String::from_utf8_lossy(&text);
        let lines = text.split_inclusive('\n');
        let whole = lines.filter(|line| line.ends_with('\n'));
        whole.filter(|line| line.contains(run)).collect()
    }
}

impl Received {
    /// Adds an export request, or an answer of Jaeger.
    pub(crate) fn add(&mut self, request: &Value) {
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

    /// The signals of which something came.
    pub(crate) fn signals(&self) -> BTreeSet<&'static str> {
        let all = [
            ("logs", self.records.is_empty()),
            ("metrics", self.metrics.is_empty()),
            ("traces", self.spans.is_empty()),
        ];
        let came = all.into_iter().filter(|(_, is_empty)| !is_empty);
        came.map(|(signal, _)| signal).collect()
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

    /// So many spans, of one trace with one root, and every parent is among them.
    pub(crate) fn assert_whole(&self, count: usize) {
        assert_eq!(self.spans.len(), count);
        let traces: BTreeSet<_> = self.spans.values().map(|it| text(&it["traceId"])).collect();
        assert_eq!(traces.len(), 1, "{traces:?}");
        let parents = self.spans.values().map(|it| text(&it["parentSpanId"]));
        let (roots, parents): (Vec<_>, Vec<_>) = parents.partition(String::is_empty);
        assert_eq!(roots.len(), 1);
        let orphan = parents
            .iter()
            .find(|parent| !self.spans.contains_key(*parent));
        assert_eq!(orphan, None, "a parent that never came");
    }

    /// Each look that the driver tells of has come, below the step that it is of; and no other.
    pub(crate) fn assert_looks(&self, said: &Said) {
        let mut looks = BTreeSet::new();
        for (thing, id) in said.looks() {
            let span = self.spans.get(id);
            let path = self.path(span.unwrap_or_else(|| panic!("the look {id} at {thing}")));
            assert_eq!(path[0], "attempt", "{path:?}");
            assert!(path[1].ends_with(&format!("/{thing}")), "{path:?}");
            looks.insert(id);
        }
        assert_eq!(looks.len(), self.all("attempt").len());
    }

    /// All spans of this name, in the order of their beginnings.
    pub(crate) fn all(&self, name: &str) -> Vec<&Value> {
        let mut named: Vec<_> = self
            .spans
            .values()
            .filter(|span| span["name"] == name)
            .collect();
        named.sort_by_key(|span| text(&span["startTimeUnixNano"]));
        named
    }

    /// How many spans there are, but for the marks, which tell of a busy machine.
    pub(crate) fn without_marks(&self) -> usize {
        self.spans.len() - self.all("started").len()
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
