//! Asking a server by HTTP whether it is there.

use crate::error::InFile;
use crate::{Attempt, Error};
use reqwest::{Certificate, Client, RequestBuilder, Response};
use std::path::Path;
use std::time::Duration;

/// A client that trusts only this certificate authority, and needs none for plain HTTP.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Client, Error> {
    // Fails only where a provider is set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = Vec::new();
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).file("read", path)?;
        roots.push(Certificate::from_pem(&pem).map_err(|source| Error::Http { source })?);
    }
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .tls_certs_only(roots)
        .build()
        .map_err(|source| Error::Http { source })
}

/// The answer, if it is a yes; else what it was instead, as the reason of a wait.
pub(crate) async fn answer(request: RequestBuilder) -> Result<Response, String> {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Err(crate::eventually::chain(&error)),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.text().await.unwrap_or_default();
    Err(format!("it answered {status}: {}", body.trim()))
}

/// Done when all of these are answered with a yes, one after the other.
pub(crate) async fn all(requests: impl IntoIterator<Item = RequestBuilder>) -> Attempt<()> {
    for request in requests {
        if let Err(because) = answer(request).await {
            return Attempt::NotYet(because);
        }
    }
    Attempt::Done(())
}

/// An OTLP request without a span: whether its receiver is there.
pub(crate) fn no_spans(client: &Client, otlp_http: &str) -> RequestBuilder {
    client
        .post(format!("{otlp_http}/v1/traces"))
        .json(&serde_json::json!({ "resourceSpans": [] }))
}
