//! The connection to the API server: the one place that sends.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::response::Status;
use serde_json::Value;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

use super::Error;
use super::kind::{Kind, ServedKinds, Target};
use super::live::Live;
use super::refusal;
use super::request::Request;
use super::watches::Watches;
use crate::engine::Failure;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take; webhooks that the API server asks may take 30 s each.
const ANSWER: Duration = Duration::from_secs(40);

/// A connection to one cluster, cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    kube: kube::Client,
    host: String,
    port: u16,
    namespace: String,
    /// By API version. Never forgets: a kind that is gone answers 404, which is an answer too.
    kinds: Mutex<HashMap<String, Vec<Kind>>>,
    watches: Watches,
}

impl Client {
    /// Reads `KUBECONFIG`, `~/.kube/config` or the service account of the pod. Asks nothing yet.
    ///
    /// Without a namespace, that of the kubeconfig's context or of the pod is meant.
    ///
    /// # Errors
    /// When there is no configuration, or one that cannot be used.
    pub async fn connect(namespace: Option<String>) -> Result<Self, Error> {
        let config = kube::Config::infer()
            .await
            .map_err(|source| Error::NoConfig {
                source: source.into(),
            })?;
        Self::with_config(config, namespace)
    }

    /// Reads this kubeconfig and nothing else.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub async fn with_kubeconfig(path: &Path, namespace: Option<String>) -> Result<Self, Error> {
        let unusable = |source: kube::config::KubeconfigError| Error::NoConfig {
            source: source.into(),
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(unusable)?;
        Self::with_config(config, namespace)
    }

    fn with_config(mut config: kube::Config, namespace: Option<String>) -> Result<Self, Error> {
        config.connect_timeout = Some(CONNECT);
        // The engine alone looks again.
        config.default_retry = false;
        let uri = config.cluster_url.clone();
        let https = uri.scheme_str() != Some("http");
        let kube = kube::Client::try_from(config).map_err(|source| Error::BadConfig {
            server: uri.to_string(),
            source: source.into(),
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                namespace: namespace.unwrap_or_else(|| kube.default_namespace().to_owned()),
                watches: Watches::new(kube.clone()),
                kube,
                host: uri.host().unwrap_or_default().to_owned(),
                port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
                kinds: Mutex::default(),
            }),
        })
    }

    /// The namespace of whatever does not name one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    pub(super) fn watches(&self) -> &Watches {
        &self.inner.watches
    }

    /// How a kind is served; none if it is not, yet.
    pub(super) async fn kind(&self, api_version: &str, name: &str) -> Result<Option<Kind>, Error> {
        if let Some(kind) = self.known_kind(api_version, name) {
            return Ok(Some(kind));
        }
        let served: ServedKinds = match self.send(Request::kinds(api_version)).await {
            Ok(answer) => read(&Request::kinds(api_version), answer)?,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.inner
            .kinds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(api_version.to_owned(), served.into_kinds());
        Ok(self.known_kind(api_version, name))
    }

    fn known_kind(&self, api_version: &str, name: &str) -> Option<Kind> {
        let kinds = &self.inner.kinds;
        let kinds = kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds
            .get(api_version)?
            .iter()
            .find(|kind| kind.name == name)
            .cloned()
    }

    /// An object; none also if its namespace is not there or its kind is not served any more.
    pub(super) async fn get(&self, target: &Target) -> Result<Option<Live>, Error> {
        match self.send(Request::get(target)).await {
            Ok(answer) => Ok(Some(Live::new(answer))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a kind in a namespace that match both selectors; an empty one matches all.
    pub(super) async fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Result<Vec<Live>, Error> {
        let request = Request::list(kind, namespace, labels, fields);
        match self.send(request).await {
            Ok(mut answer) => Ok(match answer["items"].take() {
                Value::Array(items) => items
                    .into_iter()
                    .map(|item| Live::of_kind(kind, item))
                    .collect(),
                _ => Vec::new(),
            }),
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The API groups that are served; the core has no name and is not among them.
    pub(super) async fn groups(&self) -> Result<Vec<String>, Error> {
        let answer = Live::new(self.send(Request::groups()).await?);
        let groups = answer.list("/groups").iter();
        Ok(groups
            .filter_map(|group| Some(group["name"].as_str()?.to_owned()))
            .collect())
    }

    /// The end of a container's log; empty also if there is none of that run.
    pub(super) async fn log(
        &self,
        pod: &Target,
        container: &str,
        previous: bool,
    ) -> Result<String, Error> {
        match self.send(Request::log(pod, container, previous)).await {
            Ok(Value::String(text)) => Ok(text),
            Ok(_) | Err(Error::NotFound { .. } | Error::Refused { .. }) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// The object as it is after a server-side apply, or would be after it in a dry run.
    pub(super) async fn apply(
        &self,
        target: &Target,
        document: &Value,
        force: bool,
        dry_run: bool,
    ) -> Result<Live, Error> {
        let request = Request::apply(target, document, force, dry_run);
        match self.send(request).await {
            Err(error @ Error::Unexplained { .. }) => {
                Err(self.explained(error, target, document, force).await)
            }
            answer => answer.map(Live::new),
        }
    }

    /// Whether the document is what the server fails on.
    ///
    /// A document that does not fit its schema is answered with a bare 500 by a server-side
    /// apply, as is trouble with etcd. A dry-run create of the same document is refused in
    /// words; and if the server is well, and fails again on the same, then it is the document too.
    async fn explained(
        &self,
        error: Error,
        target: &Target,
        document: &Value,
        force: bool,
    ) -> Error {
        let is_well = match self.send(Request::try_create(target, document)).await {
            Ok(_) | Err(Error::Conflict { .. }) => true,
            Err(refused @ Error::Refused { .. }) => return refused,
            Err(_) => false,
        };
        let again = Request::apply(target, document, force, true);
        match self.send(again).await {
            Err(Error::Unexplained { request, message }) if is_well => Error::Refused {
                request,
                reason: "HTTP 500".to_owned(),
                message,
            },
            _ => error,
        }
    }

    pub(super) async fn create(&self, target: &Target, document: &Value) -> Result<Live, Error> {
        let request = Request::create(target, document);
        self.send(request).await.map(Live::new)
    }

    pub(super) async fn merge(&self, target: &Target, patch: &Value) -> Result<Live, Error> {
        let request = Request::merge(target, patch);
        self.send(request).await.map(Live::new)
    }

    /// Sends one request in a span of its own.
    async fn send(&self, request: Request) -> Result<Value, Error> {
        let span = tracing::info_span!(
            "kubernetes",
            otel.kind = "client",
            otel.name = format!("{} {}", request.method, request.template),
            otel.status_code = Empty,
            http.request.method = %request.method,
            url.template = request.template,
            server.address = self.inner.host,
            server.port = self.inner.port,
            http.response.status_code = Empty,
            error.type = Empty,
            exception.message = Empty,
            k8s.object = request.subject,
            dry_run = request.dry_run,
        );
        let absence_is_an_answer = request.method == http::Method::GET;
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
        match &answer {
            Err(Error::NotFound { .. }) if absence_is_an_answer => {}
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", error.kind());
                span.record("exception.message", display(error));
            }
            Ok(_) => {}
        }
        answer
    }

    async fn exchange(&self, request: &Request) -> Result<Value, Error> {
        let message = http::Request::builder()
            .method(request.method.clone())
            .uri(&request.url)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::CONTENT_TYPE, request.content_type)
            .body(Body::from(request.body.clone()))
            .map_err(|source| Error::Refused {
                request: request.to_string(),
                reason: "BadRequest".to_owned(),
                message: source.to_string(),
            })?;
        let lost = |source| refusal::no_answer(request, self.server(), source);
        let response = self.inner.kube.send(message).await.map_err(lost)?;
        let status = response.status();
        Span::current().record("http.response.status_code", status.as_u16());
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
        Err(refusal::negative_answer(
            request,
            self.server(),
            status.as_u16(),
            said,
        ))
    }

    fn server(&self) -> String {
        format!("{}:{}", self.inner.host, self.inner.port)
    }
}

/// Reads an answer as what it should be.
fn read<T: serde::de::DeserializeOwned>(request: &Request, answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer).map_err(|source| Error::Unreadable {
        request: request.to_string(),
        source: source.into(),
    })
}
