//! Opening a connection: who we are, how we are encrypted, and why we are not let in.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tracing::{Instrument, Span, field, info_span};

use crate::engine::BoxError;
use crate::secret::{Credential, Login};

use super::super::error::Error;
use super::address::Address;
use super::answers::fault;
use super::cancel::Cancel;
use super::connection::{Connection, record};
use super::tls::{self, Connector, Names};
use super::trust::Distrust;
use super::{Server, Settings, Tls};

/// How long a server may take to let us in.
const CONNECT: Duration = Duration::from_secs(10);

impl Server {
    /// A new connection, as the server gives it: nothing is set in it yet.
    pub(super) async fn open(&self, database: &str) -> Result<Connection, Error> {
        let span = info_span!(
            "postgres",
            otel.kind = "client",
            otel.name = "connect",
            otel.status_code = field::Empty,
            otel.status_description = field::Empty,
            db.system.name = "postgresql",
            db.namespace = database,
            db.operation.name = "connect",
            db.response.status_code = field::Empty,
            server.address = field::Empty,
            server.port = field::Empty,
            error.type = field::Empty,
        );
        let opened = self.enter(database).instrument(span.clone()).await;
        opened.inspect_err(|error| record(&span, error))
    }

    /// Everything is read anew: passwords and authorities change, and servers move.
    async fn enter(&self, database: &str) -> Result<Connection, Error> {
        let way = self.way().await?;
        let refused = match self.enter_by(&way, database).await {
            Err(error) if error.is_wrong_password() => error,
            entered => return entered,
        };
        // It may have been changed between our look at the Secret and the server's at the password.
        let now = self.way().await?;
        if now == way {
            return Err(refused);
        }
        self.enter_by(&now, database).await
    }

    /// Where to, and as whom.
    async fn way(&self) -> Result<(Address, Login), Error> {
        let address = self.find().await?;
        let span = Span::current();
        span.record("server.address", address.host.as_str());
        span.record("server.port", address.port);
        Ok((address, self.login().await?))
    }

    async fn enter_by(
        &self,
        (address, login): &(Address, Login),
        database: &str,
    ) -> Result<Connection, Error> {
        let connector = self.connector().await?;
        let entering = self.enter_as(address, database, login, connector);
        let entered = tokio::time::timeout(CONNECT, entering).await;
        entered.unwrap_or_else(|_| {
            Err(Error::Silent {
                server: address.to_string(),
                seconds: CONNECT.as_secs(),
            })
        })
    }

    async fn login(&self) -> Result<Login, Error> {
        let Settings { user, password, .. } = self.settings();
        Ok(Login {
            user: self.resolve(user).await?,
            password: self.resolve(password).await?,
        })
    }

    async fn enter_as(
        &self,
        address: &Address,
        database: &str,
        login: &Login,
        connector: Option<Connector>,
    ) -> Result<Connection, Error> {
        let user = login.user.expose();
        let mut config = config(address, database, login);
        let timeout = self.settings().statement_timeout;
        let place = (address, database);
        let cancel = |client: &Client, tls| Cancel {
            token: client.cancel_token(),
            tls,
            cancels: self.cancels.clone(),
        };
        match connector {
            None => {
                config.ssl_mode(SslMode::Disable);
                let connected = config.connect(NoTls).await;
                let opened = connected.map_err(|error| self.refused(place, user, None, error))?;
                let cancel = cancel(&opened.0, None);
                Ok(Connection::new(place, timeout, cancel, opened))
            }
            Some(connector) => {
                config.ssl_mode(SslMode::Require);
                let begun = connector.begun();
                let connected = config.connect(connector.clone()).await;
                let opened = connected.map_err(|error| {
                    let begun = begun.load(Ordering::Relaxed);
                    self.refused(place, user, Some(begun), error)
                })?;
                let cancel = cancel(&opened.0, Some(connector));
                Ok(Connection::new(place, timeout, cancel, opened))
            }
        }
    }

    async fn connector(&self) -> Result<Option<Connector>, Error> {
        let (ca, names, server_name) = match &self.settings().tls {
            Tls::Disable => return Ok(None),
            Tls::VerifyCa { ca } => (Some(ca), Names::Ignored, None),
            Tls::VerifyFull { ca, server_name } => {
                (ca.as_ref(), Names::Compared, server_name.clone())
            }
        };
        let roots = match ca {
            Some(ca) => tls::authorities(self.read("the authority", ca).await?.expose()),
            None => tls::public_authorities(),
        };
        roots
            .and_then(|roots| Connector::new(roots, names, server_name))
            .map(Some)
            .map_err(|source| Error::Authority {
                from: self.authority(),
                source,
            })
    }

    /// Where the authority comes from.
    fn authority(&self) -> String {
        match &self.settings().tls {
            Tls::VerifyCa { ca } | Tls::VerifyFull { ca: Some(ca), .. } => origin(ca),
            Tls::VerifyFull { ca: None, .. } | Tls::Disable => "the system".to_owned(),
        }
    }

    /// Why a connection was not made; `begun` says whether a TLS handshake was, if one is asked for.
    fn refused(
        &self,
        (address, database): (&Address, &str),
        user: &str,
        begun: Option<bool>,
        error: tokio_postgres::Error,
    ) -> Error {
        let server = address.to_string();
        if let Some(said) = error.as_db_error() {
            return Error::Login {
                server,
                database: database.to_owned(),
                user: user.to_owned(),
                password_from: origin(&self.settings().password),
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
        if let Some(refusal) = io.and_then(of_rustls) {
            let source = Box::new(Distrust::new(refusal, &self.authority()));
            Error::Untrusted { server, source }
        } else if io.is_some_and(takes_no_writes) {
            Error::ReadOnly { server }
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

/// Session settings are not among it: poolers refuse what they do not know as a startup parameter,
/// and take a `SET`.
fn config(address: &Address, database: &str, login: &Login) -> Config {
    let mut config = Config::new();
    config
        .host(&address.host)
        .port(address.port)
        .user(login.user.expose())
        .password(login.password.expose())
        .dbname(database)
        .application_name("firstlight")
        // Of several addresses of a name, the one that takes writes; after a failover the name may
        // still lead to the old one.
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .connect_timeout(CONNECT)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_mins(1));
    config
}

/// A broken handshake is an error of the transport; only one that rustls itself ended is about trust.
fn of_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// How the driver says that a server is not the one that `target_session_attrs` asks for. The
/// system denies no connection by this kind but for a local firewall, which has a number.
fn takes_no_writes(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// Where a credential comes from, without its value.
fn origin(credential: &Credential) -> String {
    match credential {
        Credential::Secret(reference) => reference.to_string(),
        Credential::Plain(_) => "the values given".to_owned(),
    }
}
