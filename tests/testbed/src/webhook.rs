//! A validating webhook, as an operator has one.

use crate::{Authority, Error, ports};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A webhook over TLS in the process of the test: it admits every object, or denies every one
/// with the same words.
pub struct Webhook {
    port: u16,
    authority: String,
    config: Arc<ServerConfig>,
    denial: Arc<Mutex<Option<String>>>,
}

impl Webhook {
    /// With a certificate of its own and an address where nobody answers yet.
    ///
    /// # Errors
    /// When no port is free or the certificate cannot be made.
    pub fn new() -> Result<Self, Error> {
        // Fails only where a provider is set already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = Authority::new()?;
        let signed = authority.sign(&["localhost", "127.0.0.1"])?;
        let config =
            config(&signed.certificate, &signed.key).map_err(|source| Error::Tls { source })?;
        Ok(Self {
            port: ports::free()?,
            authority: authority.pem(),
            config: Arc::new(config),
            denial: Arc::default(),
        })
    }

    /// Answers from now on, until the test's process ends.
    ///
    /// # Errors
    /// When its port was taken meanwhile.
    pub fn open(&self) -> Result<(), Error> {
        let address = (Ipv4Addr::LOCALHOST, self.port);
        let listener = TcpListener::bind(address).map_err(|source| Error::Listen {
            address: address.into(),
            source,
        })?;
        let (config, denial) = (Arc::clone(&self.config), Arc::clone(&self.denial));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, denial) = (Arc::clone(&config), Arc::clone(&denial));
                // Whoever goes away early is not our affair.
                thread::spawn(move || answer(stream, config, &denial));
            }
        });
        Ok(())
    }

    /// Denies with these words from now on; with none it admits.
    pub fn say(&self, denial: Option<&str>) {
        let mut said = self.denial.lock().unwrap_or_else(PoisonError::into_inner);
        *said = denial.map(str::to_owned);
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is and whom to trust, as the `clientConfig` of a configuration names it.
    #[must_use]
    pub fn client_config(&self) -> Value {
        json!({ "url": format!("https://127.0.0.1:{}/check", self.port), "caBundle": self.authority() })
    }

    /// The authority of its certificate, as a `caBundle`.
    #[must_use]
    pub fn authority(&self) -> String {
        STANDARD.encode(&self.authority)
    }
}

fn config(
    certificate: &str,
    key: &str,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(config.with_single_cert(vec![certificate], key)?)
}

/// One question, one answer.
fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    denial: &Mutex<Option<String>>,
) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let review = read(&mut stream)?;
    let denial = denial
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mut response = json!({ "uid": review["request"]["uid"], "allowed": denial.is_none() });
    if let Some(message) = denial {
        response["status"] = json!({ "code": 403, "reason": "Forbidden", "message": message });
    }
    let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                       "response": response })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let stream = stream.get_mut();
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

/// The body of a request, as JSON.
fn read(stream: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
