//! A TCP proxy that has the outages which a shared server must not have.

use crate::{Error, ports};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Stands between one test and one server, on a port of its own that never changes.
///
/// It passes bytes on as they are, so a client that verifies the server's name must be given
/// the name that the certificate has. Dropping it ends its connections and frees the port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Line {
    backend: Mutex<String>,
    delay_ms: AtomicU64,
    accepted: AtomicUsize,
    carried: AtomicU64,
    connections: Mutex<JoinSet<()>>,
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes every connection on to `backend`, a `host:port`.
    ///
    /// # Errors
    /// [`Error::NoPort`] or [`Error::Listen`] when there is no port to listen on.
    pub async fn start(backend: impl Into<String>) -> Result<Self, Error> {
        let line = Arc::new(Line {
            backend: Mutex::new(backend.into()),
            delay_ms: AtomicU64::new(0),
            accepted: AtomicUsize::new(0),
            carried: AtomicU64::new(0),
            connections: Mutex::default(),
            cut: watch::Sender::default(),
        });
        let mut proxy = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?)),
            line,
            accepting: None,
        };
        // Another process may have taken the port since it was found to be free.
        for _ in 0..5 {
            if proxy.allow().await.is_ok() {
                return Ok(proxy);
            }
            proxy.address.set_port(ports::free()?);
        }
        proxy.allow().await?;
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted since it was started.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.line.accepted.load(Ordering::SeqCst)
    }

    /// How many bytes it has passed on, in both directions.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.line.carried.load(Ordering::Relaxed)
    }

    /// Lets new connections in again.
    ///
    /// # Errors
    /// [`Error::Listen`] when another process has taken the port in the meantime.
    pub async fn allow(&mut self) -> Result<(), Error> {
        if self.accepting.is_none() {
            let listener =
                TcpListener::bind(self.address)
                    .await
                    .map_err(|source| Error::Listen {
                        address: self.address,
                        source,
                    })?;
            self.accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.line))));
        }
        Ok(())
    }

    /// Refuses new connections, as a server that is down does; open ones go on until [`Proxy::cut`].
    pub async fn refuse(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // Its end closes the port. A program that is being started right now holds it for a
            // moment longer, until it is that program.
            let _ = accepting.await;
        }
    }

    /// Passes new connections on to another backend, as a Service does after a failover; open ones
    /// go on until [`Proxy::cut`].
    pub fn redirect(&self, backend: impl Into<String>) {
        *self.line.backend() = backend.into();
    }

    /// Holds back everything that passes, in both directions, for this long. Zero passes it at once.
    pub fn delay(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.line.delay_ms.store(millis, Ordering::SeqCst);
    }

    /// Cuts every open connection in the middle of what it does; both sides see a reset.
    pub async fn cut(&self) {
        let open = std::mem::take(&mut *self.line.open());
        self.line.cut.send_replace(());
        open.join_all().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.line.open().abort_all();
    }
}

impl Line {
    fn open(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn backend(&self) -> std::sync::MutexGuard<'_, String> {
        self.backend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(self: Arc<Self>, mut client: TcpStream, mut cut: watch::Receiver<()>) {
        // A backend that refuses is seen by the client as a connection that ends at once.
        let backend = self.backend().clone();
        let Ok(mut server) = TcpStream::connect(backend).await else {
            return;
        };
        tokio::select! {
            _ = self.carry(&mut client, &mut server) => {}
            _ = cut.changed() => {
                // No client can take a reset for a proper end.
                for side in [client, server] {
                    let _ = side.set_zero_linger();
                }
            }
        }
    }

    async fn carry(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::try_join!(
            self.copy(from_client, to_server),
            self.copy(from_server, to_client)
        )?;
        Ok(())
    }

    async fn copy(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = from.read(&mut buffer).await?;
            let delay = self.delay_ms.load(Ordering::SeqCst);
            if delay > 0 {
                #[expect(clippy::disallowed_methods, reason = "a delay is what was asked for")]
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if count == 0 {
                return to.shutdown().await;
            }
            self.carried.fetch_add(count as u64, Ordering::Relaxed);
            to.write_all(&buffer[..count]).await?;
        }
    }
}

async fn accept(listener: TcpListener, line: Arc<Line>) {
    // An error of accept belongs to a connection that has gone; the next one may be well.
    loop {
        if let Ok((client, _)) = listener.accept().await {
            line.accepted.fetch_add(1, Ordering::SeqCst);
            let mut open = line.open();
            while open.try_join_next().is_some() {}
            open.spawn(Arc::clone(&line).connect(client, line.cut.subscribe()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Proxy;
    use crate::{Attempt, eventually};
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A server that gives back what it gets, until the other side has said all.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn proxy() -> Proxy {
        Proxy::start(echo().await.to_string())
            .await
            .expect("a proxy")
    }

    async fn ask(client: &mut TcpStream) -> std::io::Result<[u8; 4]> {
        client.write_all(b"ping").await?;
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn it_passes_counts_and_ends_properly() {
        let proxy = proxy().await;
        for _ in 0..3 {
            let mut client = TcpStream::connect(proxy.address())
                .await
                .expect("connected");
            assert_eq!(&ask(&mut client).await.expect("an answer"), b"ping");
            client.shutdown().await.expect("said all");
            assert_eq!(client.read(&mut [0; 8]).await.expect("a proper end"), 0);
        }
        assert_eq!(proxy.accepted(), 3);
        assert_eq!(proxy.carried(), 3 * 8);
    }

    #[tokio::test]
    async fn it_refuses_and_lets_in_again_on_the_same_port() {
        let mut proxy = proxy().await;
        let mut open = TcpStream::connect(proxy.address())
            .await
            .expect("connected");
        ask(&mut open).await.expect("an answer");
        proxy.refuse().await;
        let refused =
            eventually(
                "it refuses",
                Duration::from_secs(10),
                async || match TcpStream::connect(proxy.address()).await {
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                        Attempt::Done(())
                    }
                    other => Attempt::NotYet(format!("{other:?}")),
                },
            );
        refused.await.expect("nobody listens");
        ask(&mut open).await.expect("an open connection goes on");
        proxy.allow().await.expect("the port is still ours");
        let mut again = TcpStream::connect(proxy.address())
            .await
            .expect("connected");
        ask(&mut again).await.expect("an answer");
    }

    #[tokio::test]
    async fn a_cut_is_seen_as_a_reset_and_new_connections_go() {
        let proxy = proxy().await;
        let mut open = TcpStream::connect(proxy.address())
            .await
            .expect("connected");
        ask(&mut open).await.expect("an answer");
        proxy.cut().await;
        let cut = open.read(&mut [0; 8]).await;
        assert_eq!(
            cut.expect_err("no proper end").kind(),
            std::io::ErrorKind::ConnectionReset
        );
        let mut again = TcpStream::connect(proxy.address())
            .await
            .expect("connected");
        ask(&mut again).await.expect("an answer");
    }

    #[tokio::test]
    async fn it_delays_each_direction() {
        let proxy = proxy().await;
        let mut client = TcpStream::connect(proxy.address())
            .await
            .expect("connected");
        proxy.delay(Duration::from_millis(40));
        let asked = Instant::now();
        ask(&mut client).await.expect("an answer");
        assert!(asked.elapsed() >= Duration::from_millis(80));
        proxy.delay(Duration::ZERO);
        ask(&mut client).await.expect("an answer");
    }

    #[tokio::test]
    async fn an_absent_backend_ends_the_connection() {
        let proxy = Proxy::start("127.0.0.1:1").await.expect("a proxy");
        let mut client = TcpStream::connect(proxy.address())
            .await
            .expect("connected");
        let end = client.read(&mut [0; 8]).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}
