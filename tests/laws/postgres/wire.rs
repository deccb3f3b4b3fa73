//! A line to Postgres that reads what passes, and can hold one request, or the answer to it.
//!
//! Only the session that takes the lock of the migrations is counted. Between its requests nothing
//! happens, so a run that is held is at exactly one place.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// On which side of the server a run is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Face {
    /// The request has not reached the server.
    Before,
    /// The server has answered, and the answer has not reached the agent.
    After,
    /// This request and those behind it were sent one after another, `all` of them. The server has
    /// answered them, and `told` of the answers have reached the agent.
    Sent { all: usize, told: usize },
}

/// One place in a run.
pub(super) type Stop = (usize, Face);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Held,
    /// What is held never arrives; from now on everything passes.
    Over,
}

/// The line. Dropping it cuts it.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    backend: String,
    stop: Option<Stop>,
    state: watch::Sender<State>,
    requests: Mutex<Vec<String>>,
}

impl Wire {
    pub(super) async fn start(backend: String, stop: Option<Stop>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            backend,
            stop,
            state: watch::Sender::new(State::Running),
            requests: Mutex::default(),
        });
        let lines = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&lines);
                // A line that breaks is what is tested.
                tokio::spawn(async move { shared.serve(client).await });
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Ends when the run is at the place where it is to be held.
    pub(super) async fn held(&self) {
        let mut state = self.shared.state.subscribe();
        let held = state.wait_for(|state| *state == State::Held).await;
        held.expect("the line is there");
    }

    /// Lets everything pass but what is held, which is lost.
    pub(super) fn go_on(&self) {
        self.shared.state.send_replace(State::Over);
    }

    /// The requests that were counted, each as the text of its SQL.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests().clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.go_on();
        self.accepting.abort();
    }
}

impl Shared {
    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.backend).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut client, mut server) = (client, server);
        self.carry(&mut client, &mut server).await
    }

    async fn carry(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        // The greeting has no kind. What follows it is answered up to the first "ready".
        let length = client.read_u32().await?;
        let mut greeting = vec![0; length as usize - 4];
        client.read_exact(&mut greeting).await?;
        server.write_u32(length).await?;
        server.write_all(&greeting).await?;
        let mut counted = false;
        loop {
            let (mut asked, mut said) = ([0; 1], [0; 1]);
            tokio::select! {
                read = client.peek(&mut asked) => {
                    if read? == 0 {
                        return server.shutdown().await;
                    }
                }
                read = server.peek(&mut said) => {
                    if read? == 0 {
                        return client.shutdown().await;
                    }
                    // Part of the greeting, or said without being asked.
                    let said = message(server).await?;
                    client.write_all(&said).await?;
                    continue;
                }
            }
            let (request, asks) = request(client).await?;
            let text = sql(&request);
            counted = counted || text.contains("pg_try_advisory_lock");
            if !(counted && asks) {
                server.write_all(&request).await?;
                continue;
            }
            let number = self.note(text);
            if let Some((stop, Face::Sent { all, told })) = self.stop
                && stop == number
            {
                if self.several(&request, (all, told), client, server).await? {
                    return pour(server, client).await;
                }
                continue;
            }
            let is_stop = |face| self.stop == Some((number, face));
            if is_stop(Face::Before) && self.hold().await {
                return pour(server, client).await;
            }
            server.write_all(&request).await?;
            let answer = answer(server).await?;
            if is_stop(Face::After) && self.hold().await {
                return pour(server, client).await;
            }
            client.write_all(&answer).await?;
        }
    }

    /// The number of a request.
    fn note(&self, text: String) -> usize {
        let mut requests = self.requests();
        requests.push(text);
        requests.len() - 1
    }

    /// Carries `all` requests to the server before an answer, holds the run once `told` of the answers
    /// have reached it, and loses the others; false if it is over already.
    async fn several(
        &self,
        first: &[u8],
        (all, told): (usize, usize),
        client: &mut TcpStream,
        server: &mut TcpStream,
    ) -> io::Result<bool> {
        server.write_all(first).await?;
        for _ in 1..all {
            let (request, _) = request(client).await?;
            self.note(sql(&request));
            server.write_all(&request).await?;
        }
        let mut answers = Vec::new();
        for _ in 0..all {
            answers.push(answer(server).await?);
        }
        let lost = answers.split_off(told);
        client.write_all(&answers.concat()).await?;
        if self.hold().await {
            return Ok(true);
        }
        client.write_all(&lost.concat()).await?;
        Ok(false)
    }

    /// Waits until the test has done what it does; false if it is over already.
    async fn hold(&self) -> bool {
        if *self.state.borrow() == State::Over {
            return false;
        }
        self.state.send_replace(State::Held);
        let mut state = self.state.subscribe();
        state.wait_for(|state| *state == State::Over).await.is_ok()
    }
}

/// What the server has said on its own until its end: why it ends.
async fn pour(server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
    // Nobody asks this session any more. The server learns that the agent is gone, unless it was
    // the server that went.
    server.shutdown().await?;
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = server.read_to_end(&mut rest).await;
    client.write_all(&rest).await?;
    client.shutdown().await
}

/// One message with its kind and its length.
async fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut message = vec![kind];
    message.extend(length.to_be_bytes());
    message.resize(length as usize + 1, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// The messages up to one that the server answers to with "ready", if there is one.
async fn request(client: &mut TcpStream) -> io::Result<(Vec<u8>, bool)> {
    let mut request = Vec::new();
    loop {
        let part = message(client).await?;
        request.extend(&part);
        match part[0] {
            // A query, or the end of an extended one.
            b'Q' | b'S' => return Ok((request, true)),
            // A password, a goodbye.
            b'p' | b'X' => return Ok((request, false)),
            _ => {}
        }
    }
}

/// Everything up to "ready".
async fn answer(server: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    loop {
        match message(server).await {
            Ok(part) => {
                answer.extend(&part);
                if part[0] == b'Z' {
                    return Ok(answer);
                }
            }
            // It ended on its own; what it said last is to arrive.
            Err(_) => return Ok(answer),
        }
    }
}

/// The SQL of a request: that of a query, or of the first part of an extended one.
fn sql(request: &[u8]) -> String {
    let mut body = request.get(5..).unwrap_or_default();
    if request.first() == Some(&b'P') {
        let name = body.iter().position(|byte| *byte == 0).unwrap_or_default();
        body = body.get(name + 1..).unwrap_or_default();
    }
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(body.len());
    String::from_utf8_lossy(&body[..end]).into_owned()
}
