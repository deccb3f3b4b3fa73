//! A trace as Jaeger returns it, as a tree.

use crate::{Attempt, Error, eventually, http};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A trace: its spans, those without a parent in it first, each followed by its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// In the order of the tree.
    pub spans: Vec<Span>,
}

/// One span of a [`Trace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// In hex.
    pub id: String,
    /// In hex; empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether its status is an error.
    pub failed: bool,
    /// What its status says.
    pub said: String,
    /// Its `error.type`; empty if it has none.
    pub error: String,
    /// How deep it is in the tree.
    pub depth: usize,
}

#[derive(Deserialize)]
struct Answer {
    result: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<RawSpan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpan {
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    name: String,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    code: u8,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Attribute {
    key: String,
    value: serde_json::Value,
}

impl RawSpan {
    fn attribute(&self, key: &str) -> &str {
        let found = self.attributes.iter().find(|it| it.key == key);
        let text = found.and_then(|it| it.value["stringValue"].as_str());
        text.unwrap_or_default()
    }
}

impl Trace {
    /// Asks Jaeger for a trace until it has the root, which comes last.
    ///
    /// # Errors
    /// When Jaeger does not have the whole trace in time.
    pub async fn of_jaeger(query_url: &str, id: &str) -> Result<Self, Error> {
        let client = http::client(None)?;
        let url = format!("{query_url}/api/v3/traces/{id}");
        let what = format!("trace {id} in Jaeger");
        eventually(&what, Duration::from_secs(30), async || {
            let text = match http::answer(client.get(&url)).await {
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(because) => return Attempt::NotYet(because),
            };
            match Self::parse(&text) {
                Ok(trace)
                    if trace
                        .spans
                        .first()
                        .is_some_and(|span| span.parent.is_empty()) =>
                {
                    Attempt::Done(trace)
                }
                Ok(trace) => Attempt::NotYet(format!("{} spans, but no root", trace.spans.len())),
                Err(error) => Attempt::Never(error.to_string()),
            }
        })
        .await
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let answer: Answer = serde_json::from_str(text)?;
        let scopes = answer.result.resource_spans.into_iter();
        let raw = scopes
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans);
        // Exporters repeat a batch whose answer was lost; a span is one thing however often it came.
        let spans: BTreeMap<String, RawSpan> =
            raw.map(|span| (span.span_id.clone(), span)).collect();
        Ok(Self {
            spans: tree(&spans),
        })
    }

    /// The children of a span, in the order of their start.
    pub fn children<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(|other| other.parent == span.id)
    }

    /// The first span with a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.name == name)
    }
}

fn tree(spans: &BTreeMap<String, RawSpan>) -> Vec<Span> {
    let mut sorted: Vec<&RawSpan> = spans.values().collect();
    sorted.sort_by_key(|span| number(&span.start_time_unix_nano));
    let (orphans, roots): (Vec<&RawSpan>, Vec<&RawSpan>) = sorted
        .iter()
        .filter(|span| !spans.contains_key(&span.parent_span_id))
        .partition(|span| !span.parent_span_id.is_empty());
    let mut flat = Vec::new();
    for top in roots.into_iter().chain(orphans) {
        descend(top, 0, &sorted, &mut flat);
    }
    flat
}

fn descend(span: &RawSpan, depth: usize, all: &[&RawSpan], flat: &mut Vec<Span>) {
    let start = number(&span.start_time_unix_nano);
    flat.push(Span {
        id: span.span_id.clone(),
        parent: span.parent_span_id.clone(),
        name: span.name.clone(),
        start,
        took: Duration::from_nanos(number(&span.end_time_unix_nano).saturating_sub(start)),
        failed: span.status.code == 2,
        said: span.status.message.clone(),
        error: span.attribute("error.type").to_owned(),
        depth,
    });
    for child in all
        .iter()
        .filter(|other| other.parent_span_id == span.span_id)
    {
        descend(child, depth + 1, all, flat);
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

/// The tree with durations. Of many like spans below one parent only the first few are shown.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hidden: Option<usize> = None;
        for (at, span) in self.spans.iter().enumerate() {
            if hidden.is_some_and(|depth| span.depth > depth) {
                continue;
            }
            hidden = None;
            let alike = self.spans[..at]
                .iter()
                .filter(|other| other.parent == span.parent && other.name == span.name);
            let alike = alike.count();
            if alike >= LIKE {
                hidden = Some(span.depth);
                continue;
            }
            let took = span.took.as_secs_f64() * 1000.0;
            let mark = if span.failed { " !" } else { "" };
            writeln!(
                f,
                "{took:>10.1} ms  {}{}{mark}",
                "  ".repeat(span.depth),
                span.name
            )?;
        }
        write!(f, "{} spans", self.spans.len())
    }
}

/// How many like-named siblings are shown.
const LIKE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, name: &str, start: u64) -> String {
        format!(
            r#"{{"spanId":"{id}","parentSpanId":"{parent}","name":"{name}","startTimeUnixNano":"{start}000000","endTimeUnixNano":"{}000000"}}"#,
            start + 5
        )
    }

    #[test]
    fn spans_become_a_tree_however_they_come() {
        let spans = [
            span("c", "b", "attempt", 3),
            span("a", "", "RUN lens", 1),
            span("b", "a", "schema", 2),
            span("d", "a", "search", 1),
            span("c", "b", "attempt", 3),
        ];
        let text = format!(
            r#"{{"result":{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}}}"#,
            spans.join(",")
        );
        let trace = Trace::parse(&text).unwrap();
        assert_eq!(
            trace.to_string(),
            [
                "       5.0 ms  RUN lens",
                "       5.0 ms    search",
                "       5.0 ms    schema",
                "       5.0 ms      attempt",
                "4 spans"
            ]
            .join("\n")
        );
        assert_eq!(
            trace
                .spans
                .iter()
                .map(|span| (span.depth, span.name.as_str()))
                .collect::<Vec<_>>(),
            [
                (0, "RUN lens"),
                (1, "search"),
                (1, "schema"),
                (2, "attempt")
            ]
        );
    }
}
