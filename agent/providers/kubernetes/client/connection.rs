//! One connection to an API server: the one place that sends.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use kube::client::Body;
use kube::core::WatchEvent;
use kube::core::response::Status;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

use super::super::hold::Hold;
use super::super::known_values::KnownValues;
use super::super::request::{Request, Selection};
use super::super::{Error, refusal};
use crate::engine::Failure as _;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take; webhooks that the API server asks may take 30 s each.
const ANSWER: Duration = Duration::from_secs(40);
/// How many requests are under way at once: each has a connection of its own, and a server that
/// is asked for more at a time only lets them wait.
const AT_ONCE: usize = 32;
/// The longest that a server is left alone because it asked for it.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// A connection to one API server, cheap to clone.
#[derive(Clone)]
pub(in crate::providers::kubernetes) struct Connection(Arc<Line>);

struct Line {
    kube: kube::Client,
    /// `https://host:port`, with the path that a proxy may want.
    base: String,
    host: String,
    port: u16,
    permits: Semaphore,
    /// Until when the server has asked to be left alone.
    rest: Mutex<Option<Instant>>,
    /// Of the lock of the run.
    hold: Hold,
    known: KnownValues,
}

impl Connection {
    /// Asks nothing yet.
    pub(super) fn open(mut config: kube::Config) -> Result<Self, Error> {
        config.connect_timeout = Some(CONNECT);
        // The engine alone looks again.
        config.default_retry = false;
        let uri = config.cluster_url.clone();
        let (scheme, usual) = match uri.scheme_str() {
            Some("http") => ("http", 80),
            _ => ("https", 443),
        };
        let host = uri.host().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(usual);
        let kube = kube::Client::try_from(config).map_err(|source| Error::BadConfig {
            server: uri.to_string(),
            source: source.into(),
        })?;
        Ok(Self(Arc::new(Line {
            kube,
            base: format!(
                "{scheme}://{host}:{port}{}",
                uri.path().trim_end_matches('/')
            ),
            host,
            port,
            permits: Semaphore::new(AT_ONCE),
            rest: Mutex::default(),
            hold: Hold::default(),
            known: KnownValues::default(),
        })))
    }

    /// The namespace that the configuration names.
    pub(super) fn default_namespace(&self) -> &str {
        self.0.kube.default_namespace()
    }

    /// Whether the lock of the run is ours.
    pub(in crate::providers::kubernetes) fn hold(&self) -> &Hold {
        &self.0.hold
    }

    /// What was read of Secrets, so that it is not shown.
    pub(in crate::providers::kubernetes) fn known(&self) -> &KnownValues {
        &self.0.known
    }

    /// `host:port`
    pub(super) fn server(&self) -> String {
        format!("{}:{}", self.0.host, self.0.port)
    }

    /// Sends one request in a span of its own, after those that came before it.
    pub(in crate::providers::kubernetes) async fn send(
        &self,
        request: Request,
    ) -> Result<Value, Error> {
        // The lock of a run must not be lost because its work stands in the way.
        let _permit = if request.is_urgent() {
            None
        } else {
            let permit = self.0.permits.acquire().await.ok();
            self.may_be_asked(&request)?;
            if request.is_for_the_holder() {
                self.0.hold.check(std::time::Instant::now())?;
            }
            permit
        };
        if request.is_of_secret() {
            self.0.known.learn_document(&request.body);
        }
        let span = self.span(&request);
        let answer = tokio::time::timeout(ANSWER, self.exchange(&request))
            .instrument(span.clone())
            .await
            .unwrap_or_else(|_| {
                Err(Error::Silent {
                    request: request.to_string(),
                    server: self.server(),
                    after: ANSWER,
                })
            });
        if let Ok(answer) = &answer
            && request.is_of_secret()
        {
            self.0.known.learn(answer);
        }
        if let Err(error) = &answer
            && !request.expects(error)
        {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error.kind());
            if !request.is_of_secret() {
                span.record("otel.status_description", display(error));
            }
        }
        answer
    }

    fn span(&self, request: &Request) -> Span {
        tracing::info_span!(
            "kubernetes",
            otel.kind = "client",
            otel.name = format!("{} {}", request.method, request.template),
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = %request.method,
            url.template = request.template,
            url.full = format!("{}{}", self.0.base, request.url.split('?').next().unwrap_or_default()),
            server.address = self.0.host,
            server.port = self.0.port,
            http.response.status_code = Empty,
            error.type = Empty,
            k8s.namespace.name = request.namespace,
            firstlight.k8s.object = request.subject,
            firstlight.k8s.dry_run = request.dry_run,
        )
    }

    /// A server that has asked to be left alone is not asked before that time is over: who asks
    /// hears the same answer again, and the engine decides when to look next.
    fn may_be_asked(&self, request: &Request) -> Result<(), Error> {
        let rest = *self.0.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let left = rest.and_then(|until| until.checked_duration_since(Instant::now()));
        match left {
            None => Ok(()),
            Some(_) => Err(Error::Unable {
                request: request.to_string(),
                reason: "TooManyRequests".to_owned(),
                message: "it has asked to be left alone for a moment".to_owned(),
            }),
        }
    }

    fn take_rest(&self, headers: &HeaderMap) {
        let seconds = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let Some(seconds) = seconds.and_then(|text| text.parse().ok()) else {
            return;
        };
        let rest = Duration::from_secs(seconds).min(LONGEST_REST);
        let mut until = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + rest);
    }

    async fn exchange(&self, request: &Request) -> Result<Value, Error> {
        let message = http::Request::builder()
            .method(request.method.clone())
            .uri(&request.url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, request.content_type)
            .body(Body::from(request.body.clone()))
            .map_err(|source| not_sent(request, &source))?;
        let lost = |source| refusal::no_answer(request, self.server(), source);
        let response = self.0.kube.send(message).await.map_err(lost)?;
        let status = response.status();
        Span::current().record("http.response.status_code", status.as_u16());
        if matches!(status.as_u16(), 429 | 503) {
            self.take_rest(response.headers());
        }
        let body = response.into_body().collect_bytes().await.map_err(lost)?;
        if status.is_success() && request.is_text {
            return Ok(String::from_utf8_lossy(&body).into_owned().into());
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|source| Error::Unreadable {
                request: request.to_string(),
                source: source.into(),
            });
        }
        // What stands before an API server may answer with a page or with nothing.
        let said = serde_json::from_slice(&body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body);
            Status::failure(text.trim(), "")
        });
        let said = self.0.known.mask_status(said);
        Err(refusal::negative_answer(
            request,
            self.server(),
            status.as_u16(),
            said,
        ))
    }

    /// Reads a list page by page. `take` gets the items of a page and how many are still to come,
    /// and may break off. The version of the list; none if it was broken off.
    pub(in crate::providers::kubernetes) async fn pages(
        &self,
        selection: &Selection,
        mut take: impl FnMut(Vec<Value>, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<String>, Error> {
        let mut next = String::new();
        loop {
            let mut page = self.send(Request::list(selection, &next)).await?;
            let items = match page["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
            let left = page["metadata"]["remainingItemCount"].as_u64();
            if take(items, left.unwrap_or_default()).is_break() {
                return Ok(None);
            }
            let text = |key: &str| {
                page["metadata"][key]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            next = text("continue");
            if next.is_empty() {
                return Ok(Some(text("resourceVersion")));
            }
        }
    }

    /// Starts to watch: what happens after this version. Takes no turn among the requests, because
    /// a watch lasts.
    pub(in crate::providers::kubernetes) async fn watch(
        &self,
        selection: &Selection,
        version: &str,
    ) -> Result<impl Stream<Item = Result<WatchEvent<Value>, kube::Error>> + use<>, Error> {
        let request = Request::watch(selection, version);
        let message = http::Request::builder()
            .uri(&request.url)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|source| not_sent(&request, &source))?;
        let events = self.0.kube.request_events::<Value>(message).await;
        let events = events.map_err(|error| match error {
            kube::Error::Api(status) => {
                let said = self.0.known.mask_status(*status);
                refusal::negative_answer(&request, self.server(), said.code, said)
            }
            other => refusal::no_answer(&request, self.server(), other),
        })?;
        let (line, is_of_secret) = (Arc::clone(&self.0), request.is_of_secret());
        Ok(events.inspect(move |event| {
            if let Ok(event) = event
                && is_of_secret
            {
                line.known.hear(event);
            }
        }))
    }
}

fn not_sent(request: &Request, source: &http::Error) -> Error {
    Error::Refused {
        request: request.to_string(),
        reason: "BadRequest".to_owned(),
        message: source.to_string(),
    }
}
