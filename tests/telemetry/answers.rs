//! Answers that a collector, or what stands before it, gives: which are tried again, and when.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testbed::unique;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::child::{Driver, Said};
use crate::received::Collector;

/// A stand-in for a collector that is busy, or an ingress before it: it gives these answers to the
/// first requests, and passes all others on to a real collector.
struct StandIn {
    url: String,
    /// When it was asked.
    asked: Arc<Mutex<Vec<Instant>>>,
    task: JoinHandle<()>,
}

impl StandIn {
    async fn start(answers: &[&'static str], collector: &Collector) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let backend = collector.endpoint("http/protobuf");
        let backend = backend.trim_start_matches("http://").to_owned();
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let (times, answers) = (Arc::clone(&asked), Vec::from(answers));
        let mut answers = answers.into_iter();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                times.lock().expect("not poisoned").push(Instant::now());
                let answer = answers.next();
                // One after the other: the agent has one request under way.
                match answer {
                    Some(answer) => refuse(client, answer).await,
                    None => drop(tokio::spawn(pass_on(client, backend.clone()))),
                }
            }
        });
        Self { url, asked, task }
    }

    /// The pause between the first two requests.
    fn first_pause(&self) -> Duration {
        let asked = self.asked.lock().expect("not poisoned");
        asked[1] - asked[0]
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request and answers it.
async fn refuse(mut client: TcpStream, answer: &str) {
    let mut request = Vec::new();
    while missing(&request) > 0 {
        if client.read_buf(&mut request).await.expect("it is read") == 0 {
            return;
        }
    }
    let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    client
        .write_all(answer.as_bytes())
        .await
        .expect("it is written");
    client.shutdown().await.expect("it is closed");
}

/// How many bytes of a request are still to come, at least.
fn missing(request: &[u8]) -> usize {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some(end) = request.windows(4).position(|it| it == b"\r\n\r\n") else {
        return 1;
    };
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
    (end + 4 + length).saturating_sub(request.len())
}

async fn pass_on(mut client: TcpStream, backend: String) {
    let mut server = TcpStream::connect(backend).await.expect("the collector");
    // Whichever side ends, the other one sees it.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn run(id: &str, profile: &str, stand_in: &StandIn, collector: &Collector) -> Said {
    let traces = format!("{}/v1/traces", stand_in.url);
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str()),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            collector.endpoint("http/protobuf"),
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
    ];
    Driver::start(profile, &variables).end().await
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_all_has_arrived() {
    let collector = Collector::new();
    for answer in [
        "503 Service Unavailable",
        "429 Too Many Requests",
        "502 Bad Gateway",
        // An ingress, or a proxy that wants credentials, before the collector is there.
        "404 Not Found",
        "401 Unauthorized",
        "403 Forbidden",
        "500 Internal Server Error",
    ] {
        let id = unique("again");
        let stand_in = StandIn::start(&[answer, answer], &collector).await;
        let said = run(&id, "fine", &stand_in, &collector).await;
        assert_eq!(said.at("WARN"), Vec::<serde_json::Value>::new(), "{answer}");
        let count = said.all_spans();
        let received = collector.with_spans(&id, count).await;
        received.assert_whole(count);
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_granted() {
    let (id, collector) = (unique("pause"), Collector::new());
    let answer = "429 Too Many Requests\r\nretry-after: 2";
    let stand_in = StandIn::start(&[answer], &collector).await;
    let said = run(&id, "fine", &stand_in, &collector).await;
    let pause = stand_in.first_pause();
    // The next step pokes, and the end of the run would try four times a second.
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
    let count = said.all_spans();
    collector.with_spans(&id, count).await.assert_whole(count);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("it can be asked");
    let address = elsewhere.local_addr().expect("an address");
    let collector = Collector::new();
    for status in ["302 Found", "307 Temporary Redirect"] {
        let id = unique("redirect");
        let answer = format!("{status}\r\nlocation: http://{address}/v1/traces");
        let stand_in = StandIn::start(&[&*answer.leak()], &collector).await;
        let said = run(&id, "fine", &stand_in, &collector).await;
        let count = said.all_spans();
        collector.with_spans(&id, count).await.assert_whole(count);
        let asked = elsewhere.accept().map(drop);
        let nobody = asked.expect_err("what is sent along would be seen there");
        assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock, "{status}");
    }
}

#[tokio::test]
async fn what_can_never_succeed_is_refused_and_counted_and_the_rest_arrives() {
    let collector = Collector::new();
    for answer in ["400 Bad Request", "413 Payload Too Large"] {
        let id = unique("never");
        let stand_in = StandIn::start(&[answer], &collector).await;
        let said = run(&id, "busy 600", &stand_in, &collector).await;
        let (delivered, made) = said.spans();
        let refused = made - delivered;
        assert!(refused > 0 && delivered > 0, "{}", said.delivery);
        let counted = format!("spans delivered and {refused} refused");
        assert!(said.delivery.contains(&counted), "{}", said.delivery);
        assert!(
            said.delivery.contains(&format!("answered {answer}")),
            "{}",
            said.delivery
        );
        assert_eq!(said.at("WARN").len(), 1);
        let received = collector.with_spans(&id, delivered).await;
        assert_eq!(received.spans.len(), delivered);
    }
}
