//! What a server is sent: a proxy that writes down what passes it on the way there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Stands between the program and one server that speaks HTTP without TLS.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// In front of the server at this `http://host:port`.
    pub(crate) async fn to(url: &str) -> Self {
        let backend = url.strip_prefix("http://").expect("plain HTTP").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let written = Arc::clone(&sent);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, backend.clone(), Arc::clone(&written)));
            }
        });
        Self {
            address,
            sent,
            accepting,
        }
    }

    /// The heads of the requests so far, each as its lines.
    pub(crate) fn requests(&self) -> Vec<Vec<String>> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&sent).into_owned();
        let mut requests: Vec<Vec<String>> = Vec::new();
        let mut is_head = false;
        for line in text.lines() {
            // A body may stand before the request line of the next request, without an end of line.
            if let (Some(begin), true) = (line.find('/'), line.ends_with(" HTTP/1.1")) {
                requests.push(vec![line[begin..].to_owned()]);
                is_head = true;
            } else if line.is_empty() {
                is_head = false;
            } else if let (true, Some(request)) = (is_head, requests.last_mut()) {
                request.push(line.to_ascii_lowercase());
            }
        }
        requests
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, backend: String, sent: Arc<Mutex<Vec<u8>>>) {
    let Ok(mut server) = TcpStream::connect(backend).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let there = async {
        let mut part = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut part).await {
            {
                let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                sent.extend_from_slice(&part[..length]);
            }
            if to_server.write_all(&part[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}
