//! OTLP by HTTP.

use super::{Refusal, Refused, Tls, refused, root_cause, wish};
use crate::engine::BoxError;
use crate::settings::Endpoint;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Response, StatusCode, Url};
use std::io::Write;

/// How much of an answer is read: it is small, or it is not one.
const LONGEST_ANSWER: usize = 64 * 1024;

pub(in crate::telemetry) struct Http {
    client: Client,
    url: Url,
    gzip: bool,
}

impl Http {
    pub(super) fn new(endpoint: &Endpoint, tls: &Tls) -> Result<Self, BoxError> {
        let url = Url::parse(&endpoint.url)?;
        let mut client = Client::builder()
            .user_agent(concat!("firstlight/", env!("CARGO_PKG_VERSION")))
            .timeout(endpoint.timeout)
            // Another place was not named, and is not to see what is sent along; and a POST that
            // is redirected may become a GET, whose success would say nothing.
            .redirect(Policy::none())
            .default_headers(headers(endpoint)?);
        if let Some(authority) = &tls.authority {
            client = client.tls_certs_only(Certificate::from_pem_bundle(authority)?);
        } else if url.scheme() == "http" {
            // Without certificates in the image no client can be built, for plain HTTP neither.
            client = client.tls_certs_only([]);
        }
        if let Some((certificate, key)) = &tls.client {
            client = client.identity(Identity::from_pem(
                &[&certificate[..], b"\n", key].concat(),
            )?);
        }
        Ok(Self {
            client: client.build()?,
            url,
            gzip: endpoint.gzip,
        })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Refused, Refusal> {
        let mut post = self.client.post(self.url.clone());
        post = match self.gzip.then(|| zip(&request)) {
            Some(Ok(zipped)) => post.header(CONTENT_ENCODING, "gzip").body(zipped),
            // Compression is a wish; without it the request is as good.
            Some(Err(_)) | None => post.body(request),
        };
        match post.send().await {
            Ok(response) => answered(response).await,
            Err(error) => {
                let why = root_cause(&error.without_url());
                Err(Refusal::NotNow { why, wish: None })
            }
        }
    }
}

fn headers(endpoint: &Endpoint) -> Result<HeaderMap, BoxError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    for (name, value) in &endpoint.headers {
        let mut value = HeaderValue::from_str(value.expose())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    Ok(headers)
}

fn zip(request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(request)?;
    zipped.finish()
}

async fn answered(mut response: Response) -> Result<Refused, Refusal> {
    let status = response.status();
    if status.is_success() {
        let mut answer = Vec::new();
        while let Ok(Some(part)) = response.chunk().await {
            answer.extend_from_slice(&part);
            if answer.len() > LONGEST_ANSWER {
                break;
            }
        }
        return Ok(refused(&answer));
    }
    let why = if status.is_redirection() {
        format!("answered {status}, and redirects are not followed")
    } else {
        format!("answered {status}")
    };
    if matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
    ) {
        return Err(Refusal::Never { why });
    }
    // All else may change while the installation goes on: an ingress says 404, a proxy 401,
    // before the collector is there.
    let wish = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|it| wish::retry_after(it.to_str().ok()?, Timestamp::now()));
    Err(Refusal::NotNow { why, wish })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_redirect_is_tried_again_and_called_one() {
        let answer = http::Response::builder().status(302).body("");
        let refused = answered(answer.expect("an answer").into()).await;
        let Err(Refusal::NotNow { why, wish: None }) = refused else {
            panic!("a redirect may be gone when the collector is there");
        };
        let wanted = "answered 302 Found, and redirects are not followed";
        assert_eq!(why, wanted);
    }
}
