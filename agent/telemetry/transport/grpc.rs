//! OTLP by gRPC.

use super::{Refusal, Refused, Tls, refused, root_cause, wish};
use crate::engine::{BoxError, Took};
use crate::settings::{Endpoint, Signal};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Request, Status};

pub(in crate::telemetry) struct Grpc {
    to: tonic::transport::Endpoint,
    /// Over one connection; another one is opened when that does not answer.
    channel: Mutex<Channel>,
    gzip: bool,
    patience: Duration,
    path: PathAndQuery,
    metadata: MetadataMap,
}

impl Grpc {
    pub(super) fn new(endpoint: &Endpoint, signal: Signal, tls: Tls) -> Result<Self, BoxError> {
        let mut to = Channel::from_shared(endpoint.url.clone())?
            .user_agent(concat!("firstlight/", env!("CARGO_PKG_VERSION")))?;
        if to.uri().scheme_str() == Some("https") {
            to = to.tls_config(config(tls))?;
        }
        Ok(Self {
            channel: Mutex::new(to.connect_lazy()),
            to,
            gzip: endpoint.gzip,
            patience: endpoint.timeout,
            path: PathAndQuery::from_static(path(signal)),
            metadata: metadata(endpoint)?,
        })
    }

    /// The time counts from the opening of the connection, which tonic itself does not bound.
    pub(super) async fn send(&self, request: Bytes) -> Result<Refused, Refusal> {
        if let Ok(answer) = timeout(self.patience, self.attempt(request)).await {
            return answer;
        }
        // The other end may be gone without a word, and then it would take minutes to be noticed.
        *self.channel() = self.to.connect_lazy();
        Err(Refusal::NotNow {
            why: format!("no answer within {}", Took(self.patience)),
            wish: None,
        })
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> tonic::client::Grpc<Channel> {
        let client = tonic::client::Grpc::new(self.channel().clone());
        if !self.gzip {
            return client;
        }
        // Servers answer as they were asked.
        client
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip)
    }

    async fn attempt(&self, request: Bytes) -> Result<Refused, Refusal> {
        let mut client = self.client();
        if let Err(error) = client.ready().await {
            return Err(Refusal::NotNow {
                why: root_cause(&error),
                wish: None,
            });
        }
        let mut request = Request::new(request);
        *request.metadata_mut() = self.metadata.clone();
        match client.unary(request, self.path.clone(), Encoded).await {
            Ok(answer) => Ok(refused(answer.get_ref())),
            Err(status) => Err(refusal(&status)),
        }
    }
}

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

fn config(tls: Tls) -> ClientTlsConfig {
    let mut config = ClientTlsConfig::new();
    config = match tls.authority {
        Some(authority) => config.ca_certificate(Certificate::from_pem(authority)),
        None => config.with_native_roots(),
    };
    match tls.client {
        Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
        None => config,
    }
}

fn metadata(endpoint: &Endpoint) -> Result<MetadataMap, BoxError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in &endpoint.headers {
        let key: MetadataKey<Ascii> = name.to_ascii_lowercase().parse()?;
        let mut value: MetadataValue<Ascii> = value.expose().parse()?;
        value.set_sensitive(true);
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn refusal(status: &Status) -> Refusal {
    let why = match std::error::Error::source(status) {
        Some(source) => root_cause(source),
        None => format!("answered {:?}: {}", status.code(), status.message()),
    };
    let wish = wish::retry_info(status.details());
    match status.code() {
        Code::InvalidArgument => Refusal::Never { why },
        // With a wish for a pause there is too much just now, without one the request is too large.
        Code::ResourceExhausted if wish.is_none() => Refusal::Never { why },
        // All else may change while the installation goes on, as by HTTP.
        _ => Refusal::NotNow { why, wish },
    }
}

/// Passes messages on as the bytes that they are already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_succeed_is_told_apart() {
        for (code, never) in [
            (Code::InvalidArgument, true),
            (Code::ResourceExhausted, true),
            (Code::Unavailable, false),
            (Code::Unimplemented, false),
            (Code::PermissionDenied, false),
            (Code::Unauthenticated, false),
            (Code::Internal, false),
        ] {
            let refusal = refusal(&Status::new(code, "no"));
            let is_never = matches!(refusal, Refusal::Never { .. });
            assert_eq!(is_never, never, "{code:?}");
        }
    }
}
