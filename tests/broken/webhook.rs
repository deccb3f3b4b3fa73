//! A real admission webhook, in the process of the test: it denies whatever it is asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use testbed::certify;

use crate::place::Place;

/// What it says.
const DENIAL: &str = "the currency none is not one of euro, yen";

/// Lets the API server ask a server of this process about the `ConfigMap`s of the place that say so.
pub(crate) fn deny(place: &Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certify(folder.path()).expect("a certificate");
    let certificate = CertificateDer::from_pem_file(&files.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
    // Another test may have set it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || answer(stream, config));
        }
    });
    place
        .cluster
        .expose(port)
        .expect("the API server reaches it");
    let url = json!({ "url": format!("https://127.0.0.1:{port}/check") });
    register(place, &files.ca, url);
}

/// Names a webhook whose Service leads nowhere.
pub(crate) fn lead_nowhere(place: &Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certify(folder.path()).expect("a certificate");
    let service = "apiVersion: v1
kind: Service
metadata: { name: price-check }
spec:
  selector: { app: price-check }
  ports: [{ port: 443, targetPort: 8443 }]
";
    place.kubectl_with(&["create", "-f", "-"], service);
    let called = json!({ "namespace": place.namespace, "name": "price-check", "path": "/check" });
    register(place, &files.ca, json!({ "service": called }));
}

fn register(place: &Place, ca: &std::path::Path, mut client: Value) {
    let authority = std::fs::read(ca).expect("an authority");
    client["caBundle"] = BASE64_STANDARD.encode(authority).into();
    let namespace = json!({ "kubernetes.io/metadata.name": place.namespace });
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": place.namespace },
        "webhooks": [{
            "name": "prices.firstlight.test",
            "clientConfig": client,
            "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                        "operations": ["CREATE", "UPDATE"] }],
            "namespaceSelector": { "matchLabels": namespace },
            "objectSelector": { "matchLabels": { "checked": "yes" } },
            "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 3,
            "admissionReviewVersions": ["v1"],
        }],
    });
    place.kubectl_with(&["create", "-f", "-"], &webhook.to_string());
}

/// Takes it out of the API server's way again.
pub(crate) fn remove(place: &Place) {
    place.kubectl(&["delete", "validatingwebhookconfiguration", &place.namespace]);
}

/// One question, one answer; a connection that is cut is nobody's loss here.
fn answer(stream: TcpStream, config: Arc<ServerConfig>) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let review: Value = serde_json::from_slice(&body).ok()?;
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": { "uid": review["request"]["uid"], "allowed": false,
                      "status": { "code": 403, "reason": "Forbidden", "message": DENIAL } },
    })
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}
