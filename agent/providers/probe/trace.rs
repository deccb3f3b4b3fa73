//! Whether a trace can be found in Jaeger, or in what speaks like it.

use super::client::{Answer, Call, Client, shown};
use super::error::{Error, Refusal};
use crate::engine::{Plan, Resource, Waiting};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OnceCell;

/// A trace that is to be found.
#[derive(Debug)]
pub struct TraceCheck {
    client: Client,
    url: String,
    subject: Subject,
}

#[derive(Debug)]
enum Subject {
    /// A trace of one span, sent before the first look.
    Sent {
        endpoint: String,
        id: String,
        sent: OnceCell<()>,
    },
    /// This run's own trace, if it has one.
    Run(Option<String>),
    /// None: it was decided that this run is not traced.
    Untraced,
    /// The trace of the last run, if one is on record.
    LastRun(Option<String>),
}

/// Whether the trace was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// Not there yet.
    Absent,
    /// There, with so many spans so far.
    Present {
        /// How many.
        spans: usize,
    },
}

impl TraceCheck {
    /// Sends a span of its own to `endpoint` by OTLP over HTTP and looks for it at `url`, which proves
    /// the whole way. The trace has one id for the life of this check and is sent once.
    #[must_use]
    pub fn sending(client: Client, url: &str, endpoint: &str) -> Self {
        let id = format!("{:032x}", rand::random_range(1..=u128::MAX));
        let endpoint = endpoint.trim_end_matches('/');
        let endpoint = match endpoint.strip_suffix("/v1/traces") {
            Some(_) => endpoint.to_owned(),
            None => format!("{endpoint}/v1/traces"),
        };
        let subject = Subject::Sent {
            endpoint,
            id,
            sent: OnceCell::new(),
        };
        Self {
            client,
            url: url.to_owned(),
            subject,
        }
    }

    /// Looks at `url` for the trace of this run; none if the run is not traced.
    #[must_use]
    pub fn of_run(client: Client, url: &str, trace_id: Option<String>) -> Self {
        Self {
            client,
            url: url.to_owned(),
            subject: Subject::Run(trace_id),
        }
    }

    /// Has nothing to look for, and is met: that this run is not traced was decided on purpose, by a
    /// setting or by the caller, and says nothing against the stack.
    #[must_use]
    pub fn of_untraced_run(client: Client, url: &str) -> Self {
        Self {
            client,
            url: url.to_owned(),
            subject: Subject::Untraced,
        }
    }

    /// Looks at `url` for the trace of the last run; none if none is on record. A preview asks so,
    /// because it sends nothing and its own trace is not there before it ends.
    #[must_use]
    pub fn of_last_run(client: Client, url: &str, trace_id: Option<String>) -> Self {
        Self {
            client,
            url: url.to_owned(),
            subject: Subject::LastRun(trace_id),
        }
    }

    fn id(&self) -> Result<&str, Error> {
        match &self.subject {
            Subject::Sent { id, .. } => Ok(id),
            Subject::Run(id) | Subject::LastRun(id) => id.as_deref().ok_or(Error::NotTraced),
            Subject::Untraced => Err(Error::NotTraced),
        }
    }

    /// The span is the question itself, so it is sent while looking.
    async fn send_first(&self) -> Result<(), Error> {
        let Subject::Sent { endpoint, id, sent } = &self.subject else {
            return Ok(());
        };
        let send = async || {
            let call = Call::post(endpoint, span(id, SystemTime::now()))?;
            let line = call.line();
            taken(line, &self.client.send(call).await?)
        };
        sent.get_or_try_init(send).await.copied()
    }

    async fn look(
        &self,
        template: &str,
        read: fn(&[u8]) -> Option<usize>,
    ) -> Result<Option<Sighting>, Error> {
        let call = Call::get_below(&self.url, template, self.id()?)?;
        let line = call.line();
        sighting(line, &self.client.send(call).await?, read)
    }
}

impl Resource for TraceCheck {
    type Observed = Sighting;
    type Change = Infallible;
    type Error = Error;

    async fn observe(&self) -> Result<Sighting, Error> {
        if matches!(self.subject, Subject::LastRun(None) | Subject::Untraced) {
            return Ok(Sighting::Absent);
        }
        self.send_first().await?;
        if let Some(sighting) = self.look("/api/v3/traces/{}", spans_of_v3).await? {
            return Ok(sighting);
        }
        // A Jaeger older than that interface, or a Tempo.
        let old = self.look("/api/traces/{}", spans_of_old).await?;
        Ok(old.unwrap_or(Sighting::Absent))
    }

    fn plan(&self, observed: &Sighting) -> Result<Plan<Infallible>, Error> {
        if let Sighting::Present { .. } = observed {
            return Ok(Plan::Current);
        }
        if matches!(self.subject, Subject::Untraced) {
            return Ok(Plan::Current);
        }
        if matches!(self.subject, Subject::LastRun(None)) {
            let what = "the trace of a run: none is on record";
            return Ok(Plan::InProgress(Waiting::unmet(what)));
        }
        let (id, url) = (self.id()?, shown(&self.url));
        Ok(Plan::InProgress(Waiting::unmet(match &self.subject {
            Subject::Sent { endpoint, .. } => {
                let endpoint = shown(endpoint);
                format!("trace {id}, sent to {endpoint}, is not yet found at {url}")
            }
            Subject::Run(_) | Subject::Untraced => {
                format!("trace {id} of this run is not yet found at {url}")
            }
            Subject::LastRun(_) => format!("trace {id} of the last run is not found at {url}"),
        })))
    }

    async fn apply(&self, change: Infallible) -> Result<(), Error> {
        match change {}
    }
}

/// One span of a millisecond, as OTLP's JSON has it.
fn span(trace: &str, now: SystemTime) -> String {
    let nanos = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_nanos().to_string()
    };
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let span = json!({
        "traceId": trace,
        "spanId": format!("{:016x}", rand::random_range(1..=u64::MAX)),
        "name": "probe",
        "kind": 1,
        "startTimeUnixNano": nanos(now - Duration::from_millis(1)),
        "endTimeUnixNano": nanos(now),
    });
    let scope = json!({ "scope": { "name": "firstlight" }, "spans": [span] });
    let resource = json!({ "attributes": [text("service.name", "firstlight-probe")] });
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [scope] }] }).to_string()
}

/// Whether a receiver has taken the span; a success can still be a refusal of the one span.
fn taken(call: String, answer: &Answer) -> Result<(), Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Response {
        partial_success: Option<Partial>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Partial {
        error_message: String,
    }
    let response = serde_json::from_slice::<Response>(&answer.body).unwrap_or_default();
    let complaint = response.partial_success.unwrap_or_default().error_message;
    if answer.is_success() && complaint.is_empty() {
        return Ok(());
    }
    let reason = if complaint.is_empty() {
        answer.excerpt()
    } else {
        answer.said(&complaint)
    };
    Err(Error::Refused(Refusal {
        call,
        status: answer.status,
        kind: String::new(),
        reason,
    }))
}

/// What an answer says of the trace; none if the server does not know the question.
fn sighting(
    call: String,
    answer: &Answer,
    read: fn(&[u8]) -> Option<usize>,
) -> Result<Option<Sighting>, Error> {
    match answer.status {
        200..300 => Ok(read(&answer.body).map(|spans| match spans {
            0 => Sighting::Absent,
            spans => Sighting::Present { spans },
        })),
        404 => Ok(says_no_such_trace(&answer.body).then_some(Sighting::Absent)),
        status => {
            let reason = answer.excerpt();
            Err(Error::Refused(Refusal {
                call,
                status,
                kind: String::new(),
                reason,
            }))
        }
    }
}

/// Tells Jaeger's own 404, which is JSON, from that of a server without such a path.
fn says_no_such_trace(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Complaint {
        #[serde(rename = "error")]
        _error: IgnoredAny,
    }
    serde_json::from_slice::<Complaint>(body).is_ok()
}

#[derive(Deserialize)]
struct V3 {
    result: ResultOfV3,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultOfV3 {
    #[serde(default)]
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
    spans: Vec<IgnoredAny>,
}

/// How many spans an answer of `/api/v3` has; none if it is something else, like the page of an old
/// Jaeger, which answers so to any path. A long trace comes as several documents, one after the other.
fn spans_of_v3(body: &[u8]) -> Option<usize> {
    let mut count = None;
    for part in serde_json::Deserializer::from_slice(body).into_iter::<V3>() {
        let resources = part.ok()?.result.resource_spans;
        let scopes = resources.iter().flat_map(|resource| &resource.scope_spans);
        count = Some(count.unwrap_or(0) + scopes.map(|scope| scope.spans.len()).sum::<usize>());
    }
    count
}

/// How many spans an answer of an old Jaeger (`data`) or of a Tempo (`batches`) has, or at least one.
fn spans_of_old(body: &[u8]) -> Option<usize> {
    #[derive(Deserialize)]
    struct Old {
        #[serde(default)]
        data: Vec<OldTrace>,
        #[serde(default)]
        batches: Vec<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct OldTrace {
        #[serde(default)]
        spans: Vec<IgnoredAny>,
    }
    let old: Old = serde_json::from_slice(body).ok()?;
    Some(
        old.data
            .iter()
            .map(|trace| trace.spans.len())
            .sum::<usize>()
            + old.batches.len(),
    )
}

#[cfg(test)]
mod tests;
