//! How a connection is encrypted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::engine::BoxError;
use crate::secret::Credential;

/// How connections are encrypted. There is no fallback from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    Disable,
    /// The server's certificate must come from this authority; its name is not compared.
    VerifyCa {
        /// The authority's certificate, PEM.
        ca: Credential,
    },
    /// The server's certificate must come from this authority and bear the host's name.
    VerifyFull {
        /// The authority's certificate, PEM; none for those that the system trusts.
        ca: Option<Credential>,
        /// The name to expect, if it is not the host's.
        server_name: Option<String>,
    },
}

/// Makes the TLS side of one connection.
#[derive(Clone)]
pub(super) struct Connector {
    rustls: MakeRustlsConnect,
    server_name: Option<String>,
    begun: Arc<AtomicBool>,
}

/// Whether the name in the certificate counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Compared,
    Ignored,
}

impl Connector {
    pub(super) fn new(
        roots: RootCertStore,
        names: Names,
        server_name: Option<String>,
    ) -> Result<Self, BoxError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match names {
            Names::Compared => builder.with_root_certificates(roots),
            Names::Ignored => builder
                .dangerous()
                .with_custom_certificate_verifier(AnyName::new(roots, provider)?),
        };
        Ok(Self {
            rustls: MakeRustlsConnect::new(config.with_no_client_auth()),
            server_name,
            begun: Arc::default(),
        })
    }

    /// Becomes true when the server has agreed to TLS.
    pub(super) fn begun(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.begun)
    }
}

/// The authorities in a PEM text.
pub(super) fn authorities(pem: &str) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".into());
    }
    Ok(roots)
}

/// The authorities that the system trusts.
pub(super) fn public_authorities() -> Result<RootCertStore, BoxError> {
    let mut found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    match found.errors.pop() {
        Some(error) if added == 0 => Err(error.into()),
        None if added == 0 => Err("the system trusts no authority".into()),
        _ => Ok(roots),
    }
}

impl<S> MakeTlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = Handshake<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect>;
    type Error = <MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let inner = MakeTlsConnect::<S>::make_tls_connect(&mut self.rustls, name)?;
        Ok(Handshake {
            inner,
            begun: Arc::clone(&self.begun),
        })
    }
}

/// Notes that the handshake has begun: without it, the server refused TLS as such.
pub(super) struct Handshake<C> {
    inner: C,
    begun: Arc<AtomicBool>,
}

impl<S, C: TlsConnect<S>> TlsConnect<S> for Handshake<C> {
    type Stream = C::Stream;
    type Error = C::Error;
    type Future = C::Future;

    fn connect(self, stream: S) -> Self::Future {
        self.begun.store(true, Ordering::Relaxed);
        self.inner.connect(stream)
    }
}

/// Verifies the chain up to the authority, the dates and the handshake's signature, not the name.
#[derive(Debug)]
struct AnyName {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    signatures: Arc<WebPkiServerVerifier>,
}

impl AnyName {
    fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Arc<Self>, BoxError> {
        let roots = Arc::new(roots);
        let signatures =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()?;
        Ok(Arc::new(Self {
            roots,
            provider,
            signatures,
        }))
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}
