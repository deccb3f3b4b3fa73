//! Connects to Postgres and sends statements: the only I/O of this provider.
//!
//! Sessions are opened on demand, a few per database, and used again; one that broke, or whose
//! user was stopped in the middle of something, is closed instead.

mod connection;
mod session;
mod tls;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tracing::{Instrument, field, info_span};

use crate::engine::BoxError;
use crate::secret::{Credential, Secrets, Sensitive};

use super::error::Error;
pub(super) use connection::{Carried, Interrupted, Row, Texts};
use connection::{Connection, fault, record};
pub(super) use session::Session;
pub use tls::Tls;
use tls::{Connector, Names};

/// How long a server may take to let us in.
const CONNECT: Duration = Duration::from_secs(10);
/// How many sessions are open in one database at once.
const SESSIONS: usize = 4;

/// Where a server is, and who we are there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A name or an address.
    pub host: String,
    /// Usually 5432.
    pub port: u16,
    /// The role to connect as.
    pub user: Credential,
    /// Its password.
    pub password: Credential,
    /// The database for work that needs none of its own: `postgres`.
    pub database: String,
    /// Whether and how connections are encrypted.
    pub tls: Tls,
    /// The longest that one statement may run; none leaves that to the server.
    pub statement_timeout: Option<Duration>,
}

/// A server; cheap to clone, and all clones share the sessions.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    secrets: Arc<dyn Secrets>,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
}

/// The sessions of one database.
struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    fn new() -> Self {
        Self {
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(SESSIONS)),
        }
    }

    /// The session that was used last, so that the others may be closed by the server.
    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Connection::is_usable);
        idle.pop()
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }
}

impl Server {
    /// A server that is connected to when it is first used.
    #[must_use]
    pub fn new(settings: Settings, secrets: Arc<dyn Secrets>) -> Self {
        let shared = Shared {
            settings,
            secrets,
            pools: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// `host:port`
    #[must_use]
    pub fn address(&self) -> String {
        let Settings { host, port, .. } = &self.shared.settings;
        format!("{host}:{port}")
    }

    /// The database for work that needs none of its own.
    pub(super) fn maintenance(&self) -> &str {
        &self.shared.settings.database
    }

    /// A session in a database, open already or new. Ends a moment's wait if all are in use.
    pub(super) async fn session(&self, database: &str) -> Result<Session, Error> {
        let pool = self.pool(database);
        // Nobody closes the semaphore; without a permit there would only be no limit.
        let permit = Arc::clone(&pool.permits).acquire_owned().await.ok();
        let connection = match pool.take() {
            Some(connection) => connection,
            None => self.connect(database).await?,
        };
        Ok(Session::pooled(connection, pool, permit))
    }

    /// A session that nobody else uses before or after.
    pub(super) async fn dedicated(&self, database: &str) -> Result<Session, Error> {
        Ok(Session::dedicated(self.connect(database).await?))
    }

    /// A credential of a resource, read now.
    pub(super) async fn resolve(&self, credential: &Credential) -> Result<Sensitive, Error> {
        let read = credential.resolve(&self.shared.secrets).await;
        read.map_err(|source| Error::Secret {
            server: self.address(),
            source,
        })
    }

    fn pool(&self, database: &str) -> Arc<Pool> {
        let pools = &self.shared.pools;
        let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(database.to_owned());
        Arc::clone(pool.or_insert_with(|| Arc::new(Pool::new())))
    }

    async fn connect(&self, database: &str) -> Result<Connection, Error> {
        let Settings { host, port, .. } = &self.shared.settings;
        let span = info_span!(
            "postgres",
            otel.kind = "client",
            otel.name = "connect",
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            db.system.name = "postgresql",
            db.namespace = database,
            db.query.summary = "connect",
            db.response.status_code = field::Empty,
            server.address = host,
            server.port = port,
            error.type = field::Empty,
        );
        let connecting = tokio::time::timeout(CONNECT, self.open(database));
        let opened = match connecting.instrument(span.clone()).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::Silent {
                server: self.address(),
                seconds: CONNECT.as_secs(),
            }),
        };
        opened.inspect_err(|error| record(&span, error))
    }

    /// Everything is read anew: passwords and authorities change, and names point elsewhere.
    async fn open(&self, database: &str) -> Result<Connection, Error> {
        let settings = &self.shared.settings;
        let user = self.resolve(&settings.user).await?.expose().to_owned();
        let password = self.resolve(&settings.password).await?;
        let mut config = Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .user(&user)
            .password(password.expose())
            .dbname(database)
            .application_name("firstlight")
            .connect_timeout(CONNECT)
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_mins(1));
        let mut connection = match self.connector().await? {
            None => {
                config.ssl_mode(SslMode::Disable);
                let connected = config.connect(NoTls).await;
                let (client, socket) =
                    connected.map_err(|error| self.refused(database, &user, None, error))?;
                Connection::new(settings, database, client, socket)
            }
            Some(connector) => {
                config.ssl_mode(SslMode::Require);
                let begun = connector.begun();
                let connected = config.connect(connector).await;
                let (client, socket) = connected.map_err(|error| {
                    let begun = begun.load(Ordering::Relaxed);
                    self.refused(database, &user, Some(begun), error)
                })?;
                Connection::new(settings, database, client, socket)
            }
        };
        connection.prepare().await?;
        Ok(connection)
    }

    async fn connector(&self) -> Result<Option<Connector>, Error> {
        let (ca, names, server_name) = match &self.shared.settings.tls {
            Tls::Disable => return Ok(None),
            Tls::VerifyCa { ca } => (Some(ca), Names::Ignored, None),
            Tls::VerifyFull { ca, server_name } => {
                (ca.as_ref(), Names::Compared, server_name.clone())
            }
        };
        let roots = match ca {
            Some(ca) => tls::authorities(self.resolve(ca).await?.expose()),
            None => tls::public_authorities(),
        };
        let from = ca.map_or_else(|| "the system".to_owned(), origin);
        roots
            .and_then(|roots| Connector::new(roots, names, server_name))
            .map(Some)
            .map_err(|source| Error::Authority { from, source })
    }

    /// Why a connection was not made; `begun` says whether a TLS handshake was, if one is asked for.
    fn refused(
        &self,
        database: &str,
        user: &str,
        begun: Option<bool>,
        error: tokio_postgres::Error,
    ) -> Error {
        let server = self.address();
        if let Some(said) = error.as_db_error() {
            return Error::Login {
                server,
                database: database.to_owned(),
                user: user.to_owned(),
                password_from: origin(&self.shared.settings.password),
                source: Box::new(fault(said)),
            };
        }
        let closed = error.is_closed();
        let source: BoxError = match error.into_source() {
            Some(source) => source,
            None if closed => "the server closed the connection".into(),
            None => "the server does not answer as Postgres does".into(),
        };
        let io = source.downcast_ref::<io::Error>();
        if io.is_some_and(is_rustls) {
            Error::Untrusted { server, source }
        } else if io.is_some() || closed {
            Error::Unreachable { server, source }
        } else if begun == Some(false) {
            Error::Plaintext { server }
        } else {
            Error::Authentication {
                server,
                user: user.to_owned(),
                source,
            }
        }
    }
}

/// A broken handshake is an error of the transport; only one that rustls itself ended is about trust.
fn is_rustls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
}

/// Where a credential comes from, without its value.
fn origin(credential: &Credential) -> String {
    match credential {
        Credential::Secret(reference) => reference.to_string(),
        Credential::Plain(_) => "the values given".to_owned(),
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::{Server, Settings, Tls};
    use crate::secret::{Credential, ReadSecret, SecretError, SecretRef, Secrets, Sensitive};

    struct NoSecrets;

    impl Secrets for NoSecrets {
        fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a> {
            Box::pin(async { Err(SecretError::Missing(reference.clone())) })
        }
    }

    /// A server that a table test only needs to name.
    pub(in super::super) fn nowhere() -> Server {
        let known = || Credential::Plain(Sensitive::new("nobody"));
        let settings = Settings {
            host: "nowhere.invalid".to_owned(),
            port: 5432,
            user: known(),
            password: known(),
            database: "postgres".to_owned(),
            tls: Tls::Disable,
            statement_timeout: None,
        };
        Server::new(settings, Arc::new(NoSecrets))
    }
}
