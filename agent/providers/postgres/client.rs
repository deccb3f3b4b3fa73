//! Connects to Postgres and sends statements: the only I/O of this provider.
//!
//! Sessions are opened on demand, a few per database, and used again; one that broke, or whose
//! user was stopped in the middle of something, is closed instead.

mod address;
mod answers;
mod cancel;
mod comment;
mod connection;
mod direct;
mod notices;
mod open;
mod pipeline;
mod session;
mod tls;
mod trust;
mod waits;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use crate::secret::{Credential, Secrets, Sensitive, Setting};

use super::error::Error;
use address::Address;
pub(super) use answers::{Interrupted, Row, Texts};
pub use cancel::Cancels;
use connection::Connection;
pub(super) use pipeline::{Heard, Text};
pub(super) use session::Session;
pub use tls::Tls;
pub use trust::Distrust;
pub use waits::{Blocker, LockWait};

/// How many sessions are open in one database at once.
const SESSIONS: usize = 4;

/// Where a server is, and who we are there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A name or an address.
    pub host: Setting<String>,
    /// Usually 5432.
    pub port: Setting<u16>,
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
    cancels: Cancels,
}

struct Shared {
    settings: Settings,
    secrets: Arc<dyn Secrets>,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    /// Where the server was found last, if a Secret says where it is.
    found: Mutex<Option<Address>>,
    /// Set once it is known that no pooler lends our sessions to others.
    direct: OnceCell<()>,
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
        let mut idle = self.idle();
        idle.retain(Connection::is_usable);
        idle.pop()
    }

    fn put(&self, connection: Connection) {
        if connection.is_usable() {
            self.idle().push(connection);
        }
    }

    fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
            found: Mutex::default(),
            direct: OnceCell::new(),
        };
        Self {
            shared: Arc::new(shared),
            cancels: Cancels::default(),
        }
    }

    /// The same server, whose requests to leave off are among those that somebody waits for.
    #[must_use]
    pub fn counting(self, cancels: &Cancels) -> Self {
        Self {
            cancels: cancels.clone(),
            ..self
        }
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
        Ok(Session::pooled(self, connection, pool, permit))
    }

    /// The same; none if there is no such database, which is no error of who only looks.
    pub(super) async fn session_if_any(&self, database: &str) -> Result<Option<Session>, Error> {
        match self.session(database).await {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.is_no_database() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A session that nobody else uses before or after, not even where a pooler stands between.
    pub(super) async fn dedicated(&self, database: &str) -> Result<Session, Error> {
        let mut connection = self.connect(database).await?;
        self.verify(&mut connection, database).await?;
        Ok(Session::dedicated(self, connection))
    }

    /// A credential of a resource, read now.
    pub(super) async fn resolve(&self, credential: &Credential) -> Result<Sensitive, Error> {
        self.read("the credentials", credential).await
    }

    async fn read(&self, what: &'static str, credential: &Credential) -> Result<Sensitive, Error> {
        let read = credential.resolve(&self.shared.secrets).await;
        read.map_err(|source| Error::Secret {
            what,
            server: self.address(),
            source,
        })
    }

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn pool(&self, database: &str) -> Arc<Pool> {
        let mut pools = self.pools();
        let pool = pools.entry(database.to_owned());
        Arc::clone(pool.or_insert_with(|| Arc::new(Pool::new())))
    }

    /// Keeps a connection for whoever needs one next, unless the server has moved meanwhile.
    fn keep(&self, pool: &Pool, connection: Connection) {
        if self.is_at(connection.address()) {
            pool.put(connection);
        }
    }

    /// Closes what is idle: where one session found the server gone or demoted, so would they.
    fn forget_idle(&self) {
        for pool in self.pools().values() {
            pool.clear();
        }
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<String, Arc<Pool>>> {
        let pools = self.shared.pools.lock();
        pools.unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection beside the session at work, even where those in use are many enough.
    async fn spare(&self, database: &str) -> Result<Connection, Error> {
        match self.pool(database).take() {
            Some(connection) => Ok(connection),
            None => self.connect(database).await,
        }
    }

    /// A new connection, set up as all of ours are.
    async fn connect(&self, database: &str) -> Result<Connection, Error> {
        // Large, and rarely run: it is not to be a part of every question's future.
        let mut connection = Box::pin(self.open(database)).await?;
        connection.prepare().await?;
        Ok(connection)
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
            host: "nowhere.invalid".to_owned().into(),
            port: 5432.into(),
            user: known(),
            password: known(),
            database: "postgres".to_owned(),
            tls: Tls::Disable,
            statement_timeout: None,
        };
        Server::new(settings, Arc::new(NoSecrets))
    }
}
