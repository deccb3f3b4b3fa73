//! Answers that a collector, or what stands before it, gives: which are tried again, and when.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::Value;
use testbed::unique;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::child::{Driver, Said};
use crate::received::Collector;

/// What a request is answered with.
#[derive(Clone, Debug)]
enum Answer {
    /// By HTTP/1.1: the status, further headers, and what follows them.
    Http(String, Vec<u8>),
    /// By HTTP/2, which gRPC is spoken over.
    Grpc(Response<()>),
    /// The same, with a message before the status that says that all is well.
    GrpcMessage(Vec<u8>),
}

impl Answer {
    fn http(status: impl Into<String>) -> Self {
        Self::Http(status.into(), Vec::new())
    }

    /// So many items were refused for this reason, and all others taken.
    fn partly(protocol: &str, refused: u8, why: &str) -> Self {
        let partial = [vec![1 << 3, refused], text(2, why.as_bytes())].concat();
        let message = text(1, &partial);
        match protocol {
            "grpc" => Self::GrpcMessage(message),
            _ => Self::Http("200 OK".to_owned(), message),
        }
    }

    /// A status of gRPC, by its number; with a pause of so many seconds if one is wished for.
    fn grpc(code: u8, pause: Option<u8>) -> Self {
        let answer = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", code.to_string())
            .header("grpc-message", "no");
        let answer = match pause {
            Some(seconds) => {
                let details = STANDARD_NO_PAD.encode(retry_info(code, seconds));
                answer.header("grpc-status-details-bin", details)
            }
            None => answer,
        };
        Self::Grpc(answer.body(()).expect("an answer"))
    }

    /// A status of HTTP from something that does not speak gRPC.
    fn ingress(status: u16) -> Self {
        let answer = Response::builder().status(status);
        let answer = answer.header("content-type", "text/html").body(());
        Self::Grpc(answer.expect("an answer"))
    }

    fn protocol(&self) -> &'static str {
        match self {
            Self::Http(..) => "http/protobuf",
            Self::Grpc(_) | Self::GrpcMessage(_) => "grpc",
        }
    }

    /// Reads one request and answers it.
    async fn give(self, client: TcpStream) {
        match self {
            Self::Http(status, body) => answer_http(client, &status, &body).await,
            Self::Grpc(answer) => answer_grpc(client, answer, None).await,
            Self::GrpcMessage(message) => {
                let answer = Response::builder().header("content-type", "application/grpc");
                let answer = answer.body(()).expect("an answer");
                answer_grpc(client, answer, Some(message)).await;
            }
        }
    }
}

/// A field of Protobuf that holds bytes.
fn text(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("it is short");
    [&[tag << 3 | 2, length], bytes].concat()
}

/// A `google.rpc.Status` with a `RetryInfo`, as bytes of Protobuf.
fn retry_info(code: u8, seconds: u8) -> Vec<u8> {
    let info = text(1, &[1 << 3, seconds]);
    let name = text(1, b"type.googleapis.com/google.rpc.RetryInfo");
    [
        vec![1 << 3, code],
        text(3, &[name, text(2, &info)].concat()),
    ]
    .concat()
}

/// A stand-in for a collector that is busy, or an ingress before it: it gives these answers to the
/// first requests, and passes all others on to a real collector.
struct StandIn {
    url: String,
    protocol: &'static str,
    /// When it was asked.
    asked: Arc<Mutex<Vec<Instant>>>,
    task: JoinHandle<()>,
}

impl StandIn {
    async fn start(answers: Vec<Answer>, collector: &Collector) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let protocol = answers[0].protocol();
        let backend = collector.endpoint(protocol);
        let backend = backend.trim_start_matches("http://").to_owned();
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let times = Arc::clone(&asked);
        let mut answers = answers.into_iter();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                times.lock().expect("not poisoned").push(Instant::now());
                // One after the other: the agent has one request under way.
                match answers.next() {
                    Some(answer) => answer.give(client).await,
                    None => drop(tokio::spawn(pass_on(client, backend.clone()))),
                }
            }
        });
        Self {
            url,
            protocol,
            asked,
            task,
        }
    }

    /// Where traces go.
    fn traces(&self) -> String {
        match self.protocol {
            "grpc" => self.url.clone(),
            _ => format!("{}/v1/traces", self.url),
        }
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

async fn answer_http(mut client: TcpStream, status: &str, body: &[u8]) {
    let mut request = Vec::new();
    while missing(&request) > 0 {
        if client.read_buf(&mut request).await.expect("it is read") == 0 {
            return;
        }
    }
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    client
        .write_all(&[head.as_bytes(), body].concat())
        .await
        .expect("it is written");
    client.shutdown().await.expect("it is closed");
}

async fn answer_grpc(client: TcpStream, answer: Response<()>, message: Option<Vec<u8>>) {
    let mut connection = h2::server::handshake(client).await.expect("HTTP/2");
    let Some(request) = connection.accept().await else {
        return;
    };
    let (request, mut respond) = request.expect("a request");
    let answering = tokio::spawn(async move {
        let mut body = request.into_body();
        while let Some(part) = body.data().await {
            let length = part.expect("it is read").len();
            let room = body.flow_control().release_capacity(length);
            room.expect("the stream is open");
        }
        let mut stream = respond.send_response(answer, message.is_none())?;
        if let Some(message) = message {
            let length = u32::try_from(message.len()).expect("it is short");
            let framed = [&[0], &length.to_be_bytes()[..], &message].concat();
            stream.send_data(framed.into(), false)?;
            let well = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            stream.send_trailers(well)?;
        }
        Ok::<(), h2::Error>(())
    });
    connection.graceful_shutdown();
    // Nothing moves on the connection unless it is asked for more.
    while connection.accept().await.is_some() {}
    answering
        .await
        .expect("it ran")
        .expect("the answer is written");
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
    let attributes = format!("test.run={id}");
    let endpoint = collector.endpoint(stand_in.protocol);
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*stand_in.traces()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", stand_in.protocol),
        ("OTEL_RESOURCE_ATTRIBUTES", &attributes),
    ];
    Driver::start(profile, &variables).end().await
}

async fn arrives_after(answers: Vec<Answer>) {
    let collector = Collector::new();
    for answer in answers {
        let id = unique("again");
        let twice = vec![answer.clone(), answer.clone()];
        let stand_in = StandIn::start(twice, &collector).await;
        let said = run(&id, "fine", &stand_in, &collector).await;
        assert_eq!(said.at("WARN"), Vec::<Value>::new(), "{answer:?}");
        let count = said.all_spans();
        let received = collector.with_spans(&id, count).await;
        received.assert_whole(count);
        received.assert_looks(&said);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_all_has_arrived_by_http() {
    let statuses = [
        "503 Service Unavailable",
        "429 Too Many Requests",
        "502 Bad Gateway",
        // An ingress, or a proxy that wants credentials, before the collector is there.
        "404 Not Found",
        "401 Unauthorized",
        "403 Forbidden",
        "500 Internal Server Error",
    ];
    arrives_after(statuses.map(Answer::http).to_vec()).await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_all_has_arrived_by_grpc() {
    // Unavailable, Unimplemented, Unauthenticated, PermissionDenied, Internal.
    let mut answers = [14, 12, 16, 7, 13]
        .map(|code| Answer::grpc(code, None))
        .to_vec();
    // ResourceExhausted, by one who says that it will pass.
    answers.push(Answer::grpc(8, Some(0)));
    answers.extend([502, 404].map(Answer::ingress));
    arrives_after(answers).await;
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_granted() {
    let collector = Collector::new();
    let busy = Answer::http("429 Too Many Requests\r\nretry-after: 2");
    for answer in [busy, Answer::grpc(8, Some(2)), Answer::grpc(14, Some(2))] {
        let id = unique("pause");
        let stand_in = StandIn::start(vec![answer.clone()], &collector).await;
        let said = run(&id, "fine", &stand_in, &collector).await;
        let pause = stand_in.first_pause();
        // The end of the run would try four times a second.
        assert!(pause >= Duration::from_secs(2), "{pause:?} {answer:?}");
        let count = said.all_spans();
        collector.with_spans(&id, count).await.assert_whole(count);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("it can be asked");
    let address = elsewhere.local_addr().expect("an address");
    let collector = Collector::new();
    for status in ["302 Found", "307 Temporary Redirect"] {
        let id = unique("redirect");
        let answer = Answer::http(format!("{status}\r\nlocation: http://{address}/v1/traces"));
        let stand_in = StandIn::start(vec![answer], &collector).await;
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
    for (answer, why) in [
        (Answer::http("400 Bad Request"), "400 Bad Request"),
        (
            Answer::http("413 Payload Too Large"),
            "413 Payload Too Large",
        ),
        (Answer::grpc(3, None), "InvalidArgument: no"),
        (Answer::grpc(8, None), "ResourceExhausted: no"),
    ] {
        let id = unique("never");
        let stand_in = StandIn::start(vec![answer], &collector).await;
        let said = run(&id, "busy 600", &stand_in, &collector).await;
        let (delivered, made) = said.spans();
        let refused = made - delivered;
        assert!(refused > 0 && delivered > 0, "{}", said.delivery);
        for told in [
            format!("spans delivered and {refused} refused"),
            format!("answered {why}"),
        ] {
            assert!(said.delivery.contains(&told), "{}", said.delivery);
        }
        assert_eq!(said.at("WARN").len(), 1);
        let received = collector.with_spans(&id, delivered).await;
        assert_eq!(received.spans.len(), delivered);
    }
}

#[tokio::test]
async fn what_a_server_takes_a_part_of_is_counted_so() {
    let collector = Collector::new();
    for protocol in ["http/protobuf", "grpc"] {
        // The first request may hold one span only.
        let answer = Answer::partly(protocol, 1, "too old");
        let stand_in = StandIn::start(vec![answer], &collector).await;
        let said = run(&unique("partly"), "busy 600", &stand_in, &collector).await;
        let (delivered, made) = said.spans();
        assert_eq!(made - delivered, 1, "{}", said.delivery);
        for told in ["spans delivered and 1 refused", ": too old"] {
            assert!(said.delivery.contains(told), "{}", said.delivery);
        }
        assert_eq!(said.at("WARN").len(), 1, "{}", said.delivery);
    }
}
