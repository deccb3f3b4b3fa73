//! The one place that talks to Grafana.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url, redirect};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::error::{Error, Refusal};
use crate::certificate;
use crate::engine::{Failure, record_failure};
use crate::percent;
use crate::secret::{Credential, Login, Secrets, Sensitive};
use crate::trace_context;

/// Longer than Grafana waits for a dead datasource.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A Grafana; opened at the first call.
///
/// An authority given as `ca` is trusted *instead of* the public ones. Neither system proxies nor
/// redirects are followed: a redirect would take the login elsewhere.
pub struct Server {
    url: String,
    login: Option<(Credential, Credential)>,
    ca: Option<Credential>,
    secrets: Arc<dyn Secrets>,
    open: Mutex<Option<Session>>,
}

/// A client and the login that it sends.
#[derive(Clone)]
struct Session {
    client: Client,
    login: Option<Login>,
}

/// What the server has said.
pub(super) struct Answer {
    /// The HTTP status: a success, or one that the request takes for an answer.
    pub(super) status: u16,
    /// The body; null if it is not JSON.
    pub(super) json: Value,
}

impl Answer {
    /// The document; none if what was asked for is not there.
    pub(super) fn found(self) -> Option<Value> {
        (self.status != 404).then_some(self.json)
    }
}

/// A call that is to be made.
pub(super) struct Request {
    method: Method,
    template: &'static str,
    path: String,
    body: Option<Value>,
    answers: &'static [u16],
}

impl Request {
    /// Reads `template`, each `{…}` of it replaced by the next name. Absence is an answer.
    pub(super) fn get(template: &'static str, names: &[&str]) -> Self {
        Self::new(Method::GET, template, names, None).answered_by(&[404])
    }

    /// Asks for a change.
    pub(super) fn post(template: &'static str, names: &[&str], body: Value) -> Self {
        Self::new(Method::POST, template, names, Some(body))
    }

    /// Writes a document.
    pub(super) fn put(template: &'static str, names: &[&str], body: Value) -> Self {
        Self::new(Method::PUT, template, names, Some(body))
    }

    fn new(method: Method, template: &'static str, names: &[&str], body: Option<Value>) -> Self {
        Self {
            method,
            template,
            path: percent::filled(template, names, &percent::RESERVED),
            body,
            answers: &[],
        }
    }

    /// These statuses are answers, not errors.
    pub(super) fn answered_by(mut self, answers: &'static [u16]) -> Self {
        self.answers = answers;
        self
    }
}

impl Server {
    /// Knows where a Grafana is; nothing is asked and no Secret read before the first call.
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

    /// Reads a secret that Grafana is to be given.
    pub(super) async fn secret(&self, credential: &Credential) -> Result<Sensitive, Error> {
        Ok(credential.resolve(&self.secrets).await?)
    }

    /// What Grafana says, without the secrets that it was given.
    pub(super) fn mask(&self, said: &str) -> String {
        self.secrets.mask(said)
    }

    /// Makes one call.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let span = self.span(&request);
        async {
            let result = self.call(request).await;
            if let Err(error) = &result {
                record_failure(&Span::current(), error.to_string(), error.kind());
            }
            result
        }
        .instrument(span)
        .await
    }

    fn span(&self, request: &Request) -> Span {
        let url = Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or(&self.url);
        let port = url.as_ref().and_then(Url::port_or_known_default);
        tracing::info_span!(
            "call",
            otel.name = format!("{} {}", request.method, request.template),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = request.method.as_str(),
            url.template = request.template,
            url.full = format!("{}{}", self.url, request.path.split('?').next().unwrap_or_default()),
            server.address = host,
            server.port = port,
            http.response.status_code = Empty,
            error.type = Empty,
        )
    }

    async fn call(&self, request: Request) -> Result<Answer, Error> {
        let line = format!("{} {}", request.method, request.path);
        let answers = request.answers;
        let session = self.session().await?;
        let sent = self.build(&session, request)?.send().await;
        let response = sent.map_err(|source| self.unreachable(source))?;
        let status = response.status().as_u16();
        Span::current().record("http.response.status_code", status);
        if status == 401 {
            return Err(self.login_refused(session.login.as_ref()).await);
        }
        let text = self.text(response).await?;
        let json = serde_json::from_str::<Value>(&text).unwrap_or_default();
        if (200..300).contains(&status) || answers.contains(&status) {
            return Ok(Answer { status, json });
        }
        let refusal = Refusal::read(line, status, &json);
        let mask = |said: &str| {
            let login = session.login.as_ref();
            self.mask(&login.map_or_else(|| said.to_owned(), |login| login.hide(said)))
        };
        Err(Error::Refused(Refusal {
            reason: mask(&refusal.reason),
            word: mask(&refusal.word),
            ..refusal
        }))
    }

    fn build(&self, session: &Session, request: Request) -> Result<RequestBuilder, Error> {
        let url = format!("{}{}", self.url, request.path);
        let url = Url::parse(&url).map_err(|source| Error::Url {
            url: self.url.clone(),
            source: source.into(),
        })?;
        let mut builder = session.client.request(request.method, url);
        if let Some(Login { user, password }) = &session.login {
            builder = builder.basic_auth(user.expose(), Some(password.expose()));
        }
        if let Some(context) = trace_context::current() {
            for (name, value) in context.headers() {
                builder = builder.header(name, value);
            }
        }
        Ok(match &request.body {
            Some(body) => builder.json(body),
            None => builder,
        })
    }

    async fn text(&self, response: Response) -> Result<String, Error> {
        let text = response.text().await;
        text.map_err(|source| self.unreachable(source))
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
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("firstlight/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = &self.ca {
            let pem = ca.resolve(&self.secrets).await?;
            let authority = Certificate::from_pem_bundle(pem.expose().as_bytes());
            let authority = authority.map_err(|source| Error::Authority {
                source: source.into(),
            })?;
            builder = builder.tls_certs_only(authority);
        }
        let client = builder.build().map_err(|source| Error::Client {
            source: source.into(),
        })?;
        let login = self.read_login().await?;
        Ok(Session { client, login })
    }

    fn unreachable(&self, source: reqwest::Error) -> Error {
        let url = self.url.clone();
        // The URL is in our own message; the driver's has the path too, but no more.
        let source = source.without_url();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_into_the_path_and_encoded() {
        let request = Request::get("/api/datasources/name/{name}", &["My Postgres/1"]);
        assert_eq!(request.path, "/api/datasources/name/My%20Postgres%2F1");
    }
}
