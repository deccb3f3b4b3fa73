//! The one place that asks.

use super::error::Error;
use crate::certificate;
use crate::engine::{BoxError, Failure, record_failure};
use crate::trace_context;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Response, Url};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to reach the server.
const CONNECT: Duration = Duration::from_secs(5);

/// In place of a parameter.
const MASK: &str = "(sensitive)";

/// A shorter parameter is a word that may stand anywhere.
const SHORTEST: usize = 8;

/// How much of an answer is read: a trace of some ten thousand spans.
const LONGEST: usize = 32 * 1024 * 1024;

/// Asks by HTTP. Cheap to clone; connections are kept. Redirects are answers like others.
#[derive(Debug, Clone)]
pub struct Client {
    plain: reqwest::Client,
    secure: Arc<OnceCell<reqwest::Client>>,
    authority: Option<Arc<[u8]>>,
}

/// A question.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    url: Url,
    template: String,
    json: Option<String>,
    hidden: Vec<String>,
}

/// What the server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Parameters of the bundle's URL: one may be a token, and an answer may quote it.
    pub(super) hidden: Vec<String>,
}

impl Call {
    /// A question to this URL as it is.
    pub(super) fn get(url: &str) -> Result<Self, Error> {
        let url = parse(url)?;
        let template = url.path().to_owned();
        Ok(Self {
            method: Method::GET,
            hidden: parameters(&url),
            url,
            template,
            json: None,
        })
    }

    /// A question to a path below a base URL; `{}` in it becomes the name.
    pub(super) fn get_below(base: &str, template: &str, name: &str) -> Result<Self, Error> {
        let mut url = parse(base)?;
        url.set_path(&format!(
            "{}{}",
            url.path().trim_end_matches('/'),
            template.replace("{}", name)
        ));
        let template = template.replace("{}", "{id}");
        Ok(Self {
            method: Method::GET,
            hidden: parameters(&url),
            url,
            template,
            json: None,
        })
    }

    /// Sends JSON to this URL.
    pub(super) fn post(url: &str, json: String) -> Result<Self, Error> {
        let call = Self::get(url)?;
        Ok(Self {
            method: Method::POST,
            json: Some(json),
            ..call
        })
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// As people name it: method and URL, without a login or parameters.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.shown())
    }

    fn shown(&self) -> String {
        let base = self.url.origin().ascii_serialization();
        format!("{base}{}", self.url.path())
    }

    fn span(&self) -> Span {
        tracing::info_span!(
            "call",
            otel.name = format!("{} {}", self.method, self.template),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = self.method.as_str(),
            url.template = self.template,
            url.full = self.shown(),
            server.address = self.url.host_str(),
            server.port = self.url.port_or_known_default(),
            http.response.status_code = Empty,
            error.type = Empty,
        )
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The beginning of the body, on one line, for people.
    pub(super) fn excerpt(&self) -> String {
        let text = self.said(&String::from_utf8_lossy(&self.body));
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(200) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// What stands in the answer, without the parameters of the question.
    pub(super) fn said(&self, text: &str) -> String {
        let hide = |text: String, value: &String| text.replace(value, MASK);
        self.hidden.iter().fold(text.to_owned(), hide)
    }
}

impl Client {
    /// A client that trusts this certificate authority (PEM) only, or else the system's.
    ///
    /// # Errors
    /// When no client can be made at all.
    pub fn new(authority: Option<&[u8]>) -> Result<Self, Error> {
        // Without certificates in the image no client can be built, for plain HTTP neither.
        let plain = builder().tls_certs_only([]).build();
        Ok(Self {
            plain: plain.map_err(|source| Error::Client {
                source: source.into(),
            })?,
            secure: Arc::default(),
            authority: authority.map(Into::into),
        })
    }

    /// Asks, and takes any status for an answer.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, Error> {
        let span = call.span();
        let result = self.ask(call).instrument(span.clone()).await;
        match &result {
            Ok(answer) => {
                span.record("http.response.status_code", answer.status);
                if answer.status >= 400 {
                    let said = format!("HTTP {}", answer.status);
                    record_failure(&span, said, &answer.status.to_string());
                }
            }
            Err(error) => {
                record_failure(&span, error.to_string(), error.kind());
            }
        }
        result
    }

    async fn ask(&self, call: Call) -> Result<Answer, Error> {
        let line = call.line();
        let hidden = call.hidden;
        let host = call.url.host_str().unwrap_or_default().to_owned();
        let failed = |source: reqwest::Error| unreachable(&line, &host, source.without_url());
        let mut request = self
            .client(&call.url)
            .await?
            .request(call.method.clone(), call.url);
        if let Some(json) = call.json {
            request = request
                .header("content-type", "application/json")
                .body(json);
        }
        if let Some(context) = trace_context::current() {
            for (name, value) in context.headers() {
                request = request.header(name, value);
            }
        }
        let request = request.header("accept", "application/json, */*");
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = read(response).await.map_err(failed)?;
        match body {
            Some(body) => Ok(Answer {
                status,
                body,
                hidden,
            }),
            None => Err(Error::Unexpected {
                call: line.clone(),
                expected: "smaller than 32 MiB",
                source: None,
            }),
        }
    }

    async fn client(&self, url: &Url) -> Result<&reqwest::Client, Error> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        self.secure
            .get_or_try_init(async || {
                let mut secure = builder();
                if let Some(pem) = &self.authority {
                    let authority = Certificate::from_pem_bundle(pem);
                    let authority = authority.map_err(|source| Error::Authority {
                        source: source.into(),
                    })?;
                    secure = secure.tls_certs_only(authority);
                }
                secure.build().map_err(|source| Error::Client {
                    source: source.into(),
                })
            })
            .await
    }
}

/// A URL of the bundle without what may be a secret: its parameters. It has no login.
pub(super) fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// The parameters of a URL, as they are written and as they are meant.
fn parameters(url: &Url) -> Vec<String> {
    let written = url.query().unwrap_or_default().split('&');
    let written = written.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned()));
    let meant = url.query_pairs().map(|(_, value)| value.into_owned());
    let all = written.chain(meant);
    all.filter(|value| value.len() >= SHORTEST).collect()
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("firstlight/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT)
}

fn parse(text: &str) -> Result<Url, Error> {
    let url = |source| Error::Url {
        url: shown(text).to_owned(),
        source,
    };
    let parsed = Url::parse(text).map_err(|source| url(Some(source.into())))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        _ => Err(url(None)),
    }
}

async fn read(mut response: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        if body.len() + part.len() > LONGEST {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body))
}

fn unreachable(call: &str, host: &str, source: reqwest::Error) -> Error {
    if certificate::is_refused(&source) {
        return Error::Certificate {
            host: host.to_owned(),
            source: source.into(),
        };
    }
    let source: BoxError = source.into();
    Error::Unreachable {
        call: call.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_without_login_and_parameters() {
        let call = Call::get_below(
            "http://user:word@jaeger:16686/base/",
            "/api/v3/traces/{}",
            "ab12",
        )
        .map(|call| call.with("raw", "yes"))
        .expect("a call");
        assert_eq!(
            call.line(),
            "GET http://jaeger:16686/base/api/v3/traces/ab12"
        );
        assert_eq!(call.template, "/api/v3/traces/{id}");
        assert_eq!(call.url.query(), Some("raw=yes"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for text in ["", "jaeger:16686", "ftp://jaeger"] {
            assert!(matches!(Call::get(text), Err(Error::Url { .. })), "{text}");
        }
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        let body = format!("<html>\n  {}\n</html>", "é".repeat(300)).into_bytes();
        let hidden = Vec::new();
        let status = 200;
        let answer = Answer {
            status,
            body,
            hidden,
        };
        let excerpt = answer.excerpt();
        assert_eq!(excerpt.chars().count(), 201);
        assert!(excerpt.starts_with("<html> é"), "{excerpt}");
    }

    #[test]
    fn an_answer_that_quotes_the_question_is_told_without_its_parameters() {
        let call = Call::get("http://grafana/api?token=open%20sesame&wait=yes").expect("a call");
        let answer = Answer {
            status: 404,
            body: b"no /api?token=open%20sesame&wait=yes: 'open sesame' is old, yes".to_vec(),
            hidden: call.hidden,
        };
        assert_eq!(
            answer.excerpt(),
            "no /api?token=(sensitive)&wait=yes: '(sensitive)' is old, yes"
        );
        let wrong = Call::get("http://grafana:port/?token=opensesame").expect_err("no port");
        assert!(!wrong.to_string().contains("opensesame"), "{wrong}");
    }
}
