//! Sends one encoded request, by HTTP or gRPC, and says what the answer means.

mod grpc;
mod http;
mod wish;

use crate::engine::BoxError;
use crate::settings::{Endpoint, Protocol, Signal};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A way to one endpoint.
pub(super) enum Transport {
    Http(http::Http),
    Grpc(Box<grpc::Grpc>),
}

/// What of a request that was taken was refused all the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) items: u64,
    pub(super) why: Option<String>,
}

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It may be taken later; the server may wish for a pause.
    NotNow { why: String, wish: Option<Duration> },
    /// It never will.
    Never { why: String },
}

/// Why an endpoint cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("failed to read {path}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("failed to set up the way to it")]
    Setup(#[source] BoxError),
}

/// Certificates as PEM text.
#[derive(Default)]
struct Tls {
    authority: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Transport {
    /// Opens nothing yet. Must be called inside the runtime.
    pub(super) fn new(endpoint: &Endpoint, signal: Signal) -> Result<Self, TransportError> {
        let tls = Tls::read(endpoint)?;
        match endpoint.protocol {
            Protocol::HttpProtobuf => http::Http::new(endpoint, &tls).map(Self::Http),
            Protocol::Grpc => {
                grpc::Grpc::new(endpoint, signal, tls).map(|grpc| Self::Grpc(Box::new(grpc)))
            }
        }
        .map_err(TransportError::Setup)
    }

    /// Sends one request.
    pub(super) async fn send(&self, request: Bytes) -> Result<Refused, Refusal> {
        match self {
            Self::Http(http) => http.send(request).await,
            Self::Grpc(grpc) => grpc.send(request).await,
        }
    }
}

impl Tls {
    fn read(endpoint: &Endpoint) -> Result<Self, TransportError> {
        let authority = endpoint.certificate.as_deref().map(read).transpose()?;
        let client = match &endpoint.client {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        Ok(Self { authority, client })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|source| TransportError::File {
        path: path.to_path_buf(),
        source,
    })
}

/// The innermost cause, which names what happened; the outer ones only say that sending failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// Reads what a server says about a request that it has taken.
///
/// The answers for the three signals are the same on the wire. One that cannot be read says nothing
/// of refused items, so there are none.
fn refused(answer: &[u8]) -> Refused {
    let partial = ExportTraceServiceResponse::decode(answer)
        .ok()
        .and_then(|it| it.partial_success);
    let Some(partial) = partial else {
        return Refused::default();
    };
    let items = u64::try_from(partial.rejected_spans).unwrap_or(0);
    let why = Some(partial.error_message).filter(|why| items > 0 && !why.is_empty());
    Refused { items, why }
}
