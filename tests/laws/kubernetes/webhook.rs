//! A validating webhook over TLS, as an operator has one; it denies when it is told to.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An address that answers from [`Webhook::open`] on.
pub(super) struct Webhook {
    files: TempDir,
    address: String,
    /// What is said to an object; none admits it.
    denial: Arc<Mutex<Option<String>>>,
}

impl Webhook {
    /// With a certificate of its own and an address where nobody answers yet.
    pub(super) fn new() -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let (key, certificate) = (files.path().join("key.pem"), files.path().join("cert.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args([
                "-subj",
                "/CN=webhook",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .arg("-keyout")
            .arg(key)
            .arg("-out")
            .arg(certificate)
            .output();
        assert!(made.expect("openssl runs").status.success());
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        Self {
            files,
            address,
            denial: Arc::default(),
        }
    }

    /// Answers from now on, until the test's process ends.
    pub(super) fn open(&self) {
        let file = |name: &str| self.files.path().join(name);
        let certificate = CertificateDer::from_pem_file(file("cert.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        let config = Arc::new(config.expect("they fit"));
        let listener = TcpListener::bind(&self.address).expect("the port is still free");
        let denial = Arc::clone(&self.denial);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, denial) = (Arc::clone(&config), Arc::clone(&denial));
                std::thread::spawn(move || answer(stream, config, &denial));
            }
        });
    }

    pub(super) fn say(&self, denial: Option<&str>) {
        *self.denial.lock().expect("no panic") = denial.map(str::to_owned);
    }

    /// A configuration that sends every object of a group here.
    pub(super) fn configuration(&self, group: &str) -> Value {
        let authority = std::fs::read(Path::new(self.files.path()).join("cert.pem"));
        json!({
            "metadata": { "name": group },
            "webhooks": [{
                "name": format!("check.{group}"),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
                "rules": [{ "apiGroups": [group], "apiVersions": ["*"], "resources": ["*"],
                            "operations": ["CREATE", "UPDATE"] }],
                "clientConfig": {
                    "url": format!("https://{}/check", self.address),
                    "caBundle": STANDARD.encode(authority.expect("a file")),
                },
            }],
        })
    }
}

/// Answers one request; whoever goes away early is not our affair.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, denial: &Mutex<Option<String>>) {
    let connection = ServerConnection::new(config).expect("a configuration");
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let Some(review) = read(&mut stream) else {
        return;
    };
    let denial = denial.lock().expect("no panic").clone();
    let response = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": denial.is_none(),
            // As most webhooks do.
            "status": { "code": 403, "reason": "Forbidden", "message": denial.unwrap_or_default() },
        },
    });
    let body = response.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let stream = stream.get_mut();
    let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn read(stream: &mut impl std::io::BufRead) -> Option<Value> {
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
