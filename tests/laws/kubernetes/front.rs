//! Stands before an API server, in plain HTTP, and turns requests away when it is told to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::bed::Bed;

/// Which request of a method, counted from 1, is answered with which status and `Retry-After`; with
/// status 0 its connection is cut instead, and with [`LOST`] it is passed on, and then cut.
type Refusal = (usize, u16, Option<u64>);

/// What was asked for is done, and nobody hears of it.
pub(super) const LOST: u16 = 1;

#[derive(Default)]
struct Script {
    method: String,
    /// A part of the path; an empty one is in all.
    about: String,
    refusals: Vec<Refusal>,
    count: usize,
    came: Vec<Came>,
}

struct Came {
    at: Instant,
    method: String,
    /// Without the query.
    path: String,
    /// Whether it was told to come again later.
    turned_away: bool,
}

/// Passes requests on as the administrator; watches end at once, which makes clients read by name.
pub(super) struct Front {
    address: String,
    script: Arc<Mutex<Script>>,
    accepting: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Front {
    pub(super) async fn start(bed: Arc<Bed>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer(client, Arc::clone(&bed), Arc::clone(&shared)));
            }
        });
        Self {
            address,
            script,
            accepting,
        }
    }

    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    pub(super) fn turn_away(&self, method: &str, refusals: &[Refusal]) {
        self.turn_away_about(method, "", refusals);
    }

    /// The same of the requests whose path has this part; counts anew.
    pub(super) fn turn_away_about(&self, method: &str, about: &str, refusals: &[Refusal]) {
        let mut script = self.script.lock().expect("the script");
        *script = Script {
            method: method.to_owned(),
            about: about.to_owned(),
            refusals: refusals.to_vec(),
            ..Script::default()
        };
    }

    /// Every request that came: `GET /api/v1/namespaces/lens/configmaps/a`; a watch is one too.
    pub(super) fn came(&self) -> Vec<String> {
        let script = self.script.lock().expect("the script");
        let came = script.came.iter();
        came.map(|came| format!("{} {}", came.method, came.path))
            .collect()
    }

    /// How many of the requests came that are counted.
    pub(super) fn counted(&self) -> usize {
        self.script.lock().expect("the script").count
    }

    /// How long the object of the request that was told to come again later was left alone. Others
    /// may have been on their way by then.
    pub(super) fn left_alone(&self) -> Duration {
        let script = self.script.lock().expect("the script");
        let mut came = script.came.iter();
        let first = came.find(|came| came.turned_away);
        let first = first.expect("one was turned away");
        let next = came.find(|came| came.path == first.path);
        next.expect("it came again").at - first.at
    }
}

/// One request; the connection ends with it.
async fn answer(mut client: TcpStream, bed: Arc<Bed>, script: Arc<Mutex<Script>>) {
    let Some((head, body)) = read(&mut client).await else {
        return;
    };
    let mut words = head.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let refusal = {
        let mut script = script.lock().expect("the script");
        let counts = method == script.method && path.contains(&script.about);
        script.count += usize::from(counts);
        let count = script.count;
        let mut refusals = script.refusals.iter();
        let refusal = refusals.find(|(at, ..)| counts && *at == count).copied();
        script.came.push(Came {
            at: Instant::now(),
            method: method.clone(),
            path: path.split('?').next().unwrap_or_default().to_owned(),
            turned_away: refusal.is_some_and(|(_, _, after)| after.is_some()),
        });
        refusal
    };
    let content_type = header(&head, "content-type").unwrap_or_default();
    let (status, after, text) = match refusal {
        Some((_, 0, _)) => return,
        Some((_, LOST, _)) => {
            let method: Method = method.parse().expect("a method");
            let body: Option<Value> = serde_json::from_slice(&body).ok();
            let done = bed.ask(method, &path, &content_type, body.as_ref()).await;
            done.expect("it is done");
            return;
        }
        Some((_, status, after)) => (status, after, told(status).to_string()),
        None if path.contains("watch=true") => (200, None, String::new()),
        None => {
            let method: Method = method.parse().expect("a method");
            let body: Option<Value> = serde_json::from_slice(&body).ok();
            match bed.ask(method, &path, &content_type, body.as_ref()).await {
                Ok(answer) => (200, None, answer.to_string()),
                Err(kube::Error::Api(status)) => (
                    status.code,
                    None,
                    json!({ "kind": "Status", "reason": status.reason,
                        "message": status.message, "code": status.code })
                    .to_string(),
                ),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let after = after.map_or(String::new(), |after| format!("retry-after: {after}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nconnection: close\r\n\
         {after}content-length: {}\r\n\r\n",
        text.len()
    );
    // Who has gone needs no answer.
    let _ = client.write_all((head + &text).as_bytes()).await;
}

fn told(status: u16) -> Value {
    let reason = match status {
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({ "kind": "Status", "status": "Failure", "reason": reason,
            "message": "not now", "code": status })
}

/// The head and the body.
async fn read(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|text| text.parse().ok());
            let mut body = bytes.split_off(end + 4);
            let missing = length.unwrap_or(0_usize).saturating_sub(body.len());
            let mut rest = vec![0; missing];
            client.read_exact(&mut rest).await.ok()?;
            body.append(&mut rest);
            return Some((head, body));
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned())
}
