//! A server that refuses whatever it is given, and quotes all of it: headers, path and body.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// It says what makes an OpenSearch or a Grafana worth writing to, and that nothing is there yet.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer(client));
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One request, one answer. Whoever goes away early is not our affair.
async fn answer(mut client: TcpStream) -> Option<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if client.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let said = String::from_utf8_lossy(&request).into_owned();
    let (status, body) = reply(&said);
    let body = body.to_string();
    let head = "content-type: application/json\r\nconnection: close";
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status} No\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
    client.write_all(answer.as_bytes()).await.ok()?;
    client.shutdown().await.ok()
}

fn reply(said: &str) -> (u16, Value) {
    let line = said.lines().next().unwrap_or_default();
    let health = json!({ "database": "ok", "status": "green",
        "version": { "distribution": "opensearch", "number": "3.0.0" } });
    match line.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["GET", "/" | "/api/health" | "/api/org" | "/_cluster/health"] => (200, health),
        // What an ingress says to those whom it does not know, is tried again.
        [_, path] if path.starts_with("/v1/") => (401, quoted(said)),
        ["GET", path] if !path.contains("token") => (404, json!({})),
        _ => (400, quoted(said)),
    }
}

/// In the words of both servers.
fn quoted(said: &str) -> Value {
    let reason = format!("cannot take {said}");
    json!({ "message": reason, "error": { "type": "refused_exception", "reason": reason } })
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|it| it == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
    request.len() >= end + 4 + length
}
