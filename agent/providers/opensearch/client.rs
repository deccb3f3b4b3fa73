//! The one place that talks to OpenSearch.

use std::sync::Arc;
use std::time::Duration;

use opensearch::auth::Credentials;
use opensearch::cert::{Certificate, CertificateValidation};
use opensearch::http::headers::{HeaderMap, HeaderValue};
use opensearch::http::request::JsonBody;
use opensearch::http::response::Response;
use opensearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use opensearch::http::{Method, Url};
use percent_encoding::AsciiSet;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::complaint::Complaint;
use super::error::{Error, Refusal};
use crate::certificate;
use crate::engine::{Failure, record_failure};
use crate::percent;
use crate::secret::{Credential, Login, Secrets};
use crate::trace_context;

/// Longer than the half minute that the server itself waits for its cluster manager.
const TIMEOUT: Duration = Duration::from_secs(40);

/// All but what names, lists and patterns of indices are made of.
const SET: AsciiSet = percent::RESERVED.remove(b',').remove(b'*');

/// An OpenSearch cluster; opened at the first call.
///
/// An authority given as `ca` is trusted *besides* the public ones: the driver cannot leave
/// those out. System proxies are not used.
pub struct Server {
    url: String,
    login: Option<(Credential, Credential)>,
    ca: Option<Credential>,
    secrets: Arc<dyn Secrets>,
    open: Mutex<Option<Session>>,
}

/// A transport and the login that it sends.
#[derive(Clone)]
struct Session {
    transport: Transport,
    login: Option<Login>,
}

/// What the server has said.
pub(super) struct Answer {
    status: u16,
    json: Value,
}

impl Answer {
    /// The document; none if what was asked for is not there.
    pub(super) fn found(self) -> Option<Value> {
        (self.status != 404).then_some(self.json)
    }

    /// The document, also that of a half answer.
    pub(super) fn json(self) -> Value {
        self.json
    }
}

/// A call that is to be made.
pub(super) struct Request {
    method: Method,
    template: &'static str,
    path: String,
    body: Option<Value>,
    absence: Absence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Absence {
    IsAnAnswer,
    IsAnError,
}

impl Request {
    /// Reads `template`, each `{…}` of it replaced by the next name. Absence is an answer.
    pub(super) fn get(template: &'static str, names: &[&str]) -> Self {
        Self::new(Method::Get, template, names, Absence::IsAnAnswer)
    }

    /// Asks a question that needs a body. Absence is an answer.
    pub(super) fn ask(template: &'static str, names: &[&str], question: Value) -> Self {
        Self::new(Method::Post, template, names, Absence::IsAnAnswer).body(question)
    }

    /// Writes a document.
    pub(super) fn put(template: &'static str, names: &[&str], document: Value) -> Self {
        Self::new(Method::Put, template, names, Absence::IsAnError).body(document)
    }

    /// Asks for a change.
    pub(super) fn post(template: &'static str, names: &[&str], document: Value) -> Self {
        Self::new(Method::Post, template, names, Absence::IsAnError).body(document)
    }

    fn new(method: Method, template: &'static str, names: &[&str], absence: Absence) -> Self {
        Self {
            method,
            template,
            path: percent::filled(template, names, &SET),
            body: None,
            absence,
        }
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        let before = if self.path.contains('?') { '&' } else { '?' };
        let value = percent::encoded(&value.to_string(), &SET);
        self.path = format!("{}{before}{key}={value}", self.path);
        self
    }

    /// As people name it: `PUT /_index_template/lens-logs`.
    fn line(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", word(self.method))
    }
}

impl Server {
    /// Knows where a cluster is; nothing is asked and no Secret read before the first call.
    #[must_use]
    pub fn new(
        url: &str,
        login: Option<(Credential, Credential)>,
        ca: Option<Credential>,
        secrets: Arc<dyn Secrets>,
    ) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            login,
            ca,
            secrets,
            open: Mutex::new(None),
        }
    }

    /// The base URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Makes one call.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let span = self.span(&request);
        async {
            let result = self.call(&request).await;
            if let Err(error) = &result {
                record_failure(&Span::current(), error.to_string(), error.kind());
            }
            result
        }
        .instrument(span)
        .await
    }

    fn span(&self, request: &Request) -> Span {
        let method = word(request.method);
        let url = Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or(&self.url);
        let port = url.as_ref().and_then(Url::port_or_known_default);
        tracing::info_span!(
            "call",
            otel.name = format!("{method} {}", request.template),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            db.system.name = "opensearch",
            http.request.method = method,
            url.template = request.template,
            url.full = format!("{}{}", self.url, request.path.split('?').next().unwrap_or_default()),
            server.address = host,
            server.port = port,
            http.response.status_code = Empty,
            error.type = Empty,
        )
    }

    async fn call(&self, request: &Request) -> Result<Answer, Error> {
        let session = self.session().await?;
        let body = request.body.as_ref().map(JsonBody::new);
        let sent = session.transport.send(
            request.method,
            &request.path,
            headers(),
            None::<&()>,
            body,
            None,
        );
        let response = sent.await.map_err(|source| self.unreachable(source))?;
        let status = response.status_code().as_u16();
        Span::current().record("http.response.status_code", status);
        if status == 401 {
            return Err(self.login_refused(session.login.as_ref()).await);
        }
        self.answer(request, response, session.login.as_ref()).await
    }

    async fn answer(
        &self,
        request: &Request,
        response: Response,
        login: Option<&Login>,
    ) -> Result<Answer, Error> {
        let status = response.status_code().as_u16();
        let text = response.text().await;
        let text = text.map_err(|source| self.unreachable(source))?;
        let json = serde_json::from_str::<Value>(&text).ok();
        // 408 is how a cluster's health says that it is not yet as asked for.
        let fine = matches!(status, 200..300 | 408)
            || status == 404 && request.absence == Absence::IsAnAnswer;
        match json {
            Some(json) if fine => Ok(Answer { status, json }),
            json => {
                // It may quote the login: in the whole text, which is cut then, and without escapes.
                let mask = |said: &str| {
                    let hidden = login.map(|login| login.hide(said));
                    self.secrets.mask(hidden.as_deref().unwrap_or(said))
                };
                let complaint = Complaint::read(json.as_ref(), &mask(&text));
                Err(Error::Refused(Refusal {
                    call: request.line(),
                    status,
                    kind: complaint.kind,
                    reason: mask(&complaint.reason),
                }))
            }
        }
    }

    async fn session(&self) -> Result<Session, Error> {
        let mut open = self.open.lock().await;
        if let Some(session) = open.as_ref() {
            return Ok(session.clone());
        }
        let session = self.connect().await?;
        *open = Some(session.clone());
        Ok(session)
    }

    async fn connect(&self) -> Result<Session, Error> {
        let url = Url::parse(&self.url).map_err(|source| Error::Url {
            url: self.url.clone(),
            source: source.into(),
        })?;
        let pool = SingleNodeConnectionPool::new(url);
        let mut builder = TransportBuilder::new(pool).disable_proxy().timeout(TIMEOUT);
        let login = self.read_login().await?;
        if let Some(Login { user, password }) = &login {
            let (user, password) = (user.expose().to_owned(), password.expose().to_owned());
            builder = builder.auth(Credentials::Basic(user, password));
        }
        if let Some(ca) = &self.ca {
            let pem = ca.resolve(&self.secrets).await?;
            let authority = Certificate::from_pem(pem.expose().as_bytes());
            let authority = authority.map_err(|source| Error::Authority {
                source: source.into(),
            })?;
            builder = builder.cert_validation(CertificateValidation::Full(authority));
        }
        let transport = builder.build().map_err(|source| Error::Client {
            source: source.into(),
        })?;
        Ok(Session { transport, login })
    }

    fn unreachable(&self, source: opensearch::Error) -> Error {
        let url = self.url.clone();
        if certificate::is_refused(&source) {
            return Error::Certificate {
                url,
                source: source.into(),
            };
        }
        Error::Unreachable {
            url,
            source: source.into(),
        }
    }

    /// Reads the login, anew: its Secret may have changed.
    async fn read_login(&self) -> Result<Option<Login>, Error> {
        match &self.login {
            Some(login) => Ok(Some(Login::read(login, &self.secrets).await?)),
            None => Ok(None),
        }
    }

    /// Says whether it helps to look again: only if the Secret holds another login by now.
    async fn login_refused(&self, sent: Option<&Login>) -> Error {
        *self.open.lock().await = None;
        let now = match self.read_login().await {
            Ok(now) => now,
            Err(error) => return error,
        };
        let url = self.url.clone();
        let Some((_, password)) = &self.login else {
            return Error::LoginMissing { url };
        };
        let from = password.to_string();
        if now.as_ref() == sent {
            Error::Login { url, from }
        } else {
            Error::LoginStale { url, from }
        }
    }
}

/// So that the cluster's own spans and logs of a request belong to ours.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(context) = trace_context::current() {
        for (name, value) in context.headers() {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
    }
    headers
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Put => "PUT",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        Method::Head => "HEAD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_put_into_the_path_and_encoded() {
        let request = Request::put("/{index}/_doc/{id}", &["<a>", "b/c:d"], json!({}));
        let request = request.with("if_seq_no", 0).with("routing", "x y");
        assert_eq!(
            request.path,
            "/%3Ca%3E/_doc/b%2Fc%3Ad?if_seq_no=0&routing=x%20y"
        );
        assert_eq!(request.line(), "PUT /%3Ca%3E/_doc/b%2Fc%3Ad");
    }

    #[test]
    fn lists_and_patterns_stay() {
        let request = Request::get("/_resolve/index/{names}", &["a,b-*"]);
        assert_eq!(request.path, "/_resolve/index/a,b-*");
    }
}
