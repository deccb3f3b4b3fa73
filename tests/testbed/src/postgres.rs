//! Postgres: TLS by an authority made here, scram passwords, and WAL that a test can read.

use crate::address::PostgresServer;
use crate::error::InFile;
use crate::launch::Launch;
use crate::room::{Room, give_away};
use crate::{Attempt, Error, place, tls};
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

const INITDB: Duration = Duration::from_mins(1);
const READY: Duration = Duration::from_mins(1);
const SUPERUSER: &str = "postgres";

/// A new server in its room.
pub(crate) async fn start(room: &Room<'_>) -> Result<PostgresServer, Error> {
    let programs = programs(&room.name)?;
    let data = room.fresh_data()?;
    let cluster = Files::prepare(&data)?;
    room.run(&cluster.initdb(&programs), INITDB).await?;
    let server = cluster.finish(room.port("postgres")?)?;
    let child = room.start(&cluster.postgres(&programs, server.port, &[]))?;
    room.ready(child, READY, async || ask(&server).await)
        .await?;
    Ok(server)
}

/// Whether it lets the superuser in and answers.
pub(crate) async fn ask(server: &PostgresServer) -> Attempt<()> {
    match question(server).await {
        Ok(()) => Attempt::Done(()),
        Err(error) => Attempt::not_yet(&error),
    }
}

/// Carries out a statement as the superuser.
pub(crate) async fn execute(server: &PostgresServer, sql: &str) -> Result<(), Error> {
    let done = simple(server, sql).await;
    done.map(|_| ()).map_err(|source| Error::Question {
        what: sql.to_owned(),
        source: Box::new(source),
    })
}

/// When the server last read its settings and certificate.
pub(crate) async fn loaded(server: &PostgresServer) -> Result<String, tokio_postgres::Error> {
    let answers = simple(server, "SELECT pg_conf_load_time()").await?;
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.unwrap_or_default().to_owned())
}

async fn question(server: &PostgresServer) -> Result<(), tokio_postgres::Error> {
    simple(server, "SELECT 1").await.map(|_| ())
}

async fn simple(
    server: &PostgresServer,
    sql: &str,
) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
    let (client, connection) = config(server).connect(NoTls).await?;
    let connection = tokio::spawn(connection);
    let asked = client.simple_query(sql).await;
    connection.abort();
    asked
}

/// How the superuser connects.
pub(crate) fn config(server: &PostgresServer) -> Config {
    let mut config = Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .user(&server.user)
        .password(&server.password)
        .dbname("postgres");
    config
}

/// The folder with the server's programs, which Debian keeps off the path.
pub(crate) fn programs(server: &str) -> Result<PathBuf, Error> {
    let version = place::version("POSTGRES_VERSION")?;
    let debian = PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(debian)
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .ok_or_else(|| Error::NotInstalled {
            server: server.to_owned(),
            program: PathBuf::from(format!("Postgres {version} (initdb, postgres)")),
            install: "tests/testbed/install.sh".to_owned(),
        })
}

/// The files of one server below its data folder.
#[derive(Debug)]
pub(crate) struct Files {
    pgdata: PathBuf,
    password_file: PathBuf,
    password: String,
    tls: tls::Certificate,
}

impl Files {
    pub(crate) fn prepare(data: &Path) -> Result<Self, Error> {
        Self::with_password(data, place::secret()?, tls::certify(data)?)
    }

    /// The files of a server with the same users and certificate.
    pub(crate) fn copy(&self, data: &Path) -> Result<Self, Error> {
        let tls = tls::Certificate {
            ca: data.join("ca.crt"),
            certificate: data.join("server.crt"),
            key: data.join("server.key"),
        };
        for (from, to) in [
            (&self.tls.ca, &tls.ca),
            (&self.tls.certificate, &tls.certificate),
            (&self.tls.key, &tls.key),
        ] {
            // The mode goes along.
            fs::copy(from, to).file("write", to)?;
            give_away(to)?;
        }
        Self::with_password(data, self.password.clone(), tls)
    }

    fn with_password(data: &Path, password: String, tls: tls::Certificate) -> Result<Self, Error> {
        let password_file = data.join("password");
        fs::write(&password_file, &password).file("write", &password_file)?;
        fs::set_permissions(&password_file, Permissions::from_mode(0o600))
            .file("protect", &password_file)?;
        give_away(&password_file)?;
        Ok(Self {
            pgdata: data.join("pgdata"),
            password_file,
            password,
            tls,
        })
    }

    /// The server's certificate and its key.
    pub(crate) fn certificate(&self) -> (&Path, &Path) {
        (&self.tls.certificate, &self.tls.key)
    }

    /// Where a running server notes its process.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.pgdata.join("postmaster.pid")
    }

    /// Copies the data of a running server, so that what starts from it follows that server.
    pub(crate) fn basebackup(&self, programs: &Path, from: &PostgresServer) -> Launch {
        Launch::new(programs.join("pg_basebackup"))
            .argument("--pgdata")
            .argument(&self.pgdata)
            .argument(format!("--host={}", from.host))
            .argument(format!("--port={}", from.port))
            .argument(format!("--username={}", from.user))
            .arguments(["--wal-method=stream", "--checkpoint=fast"])
            .arguments(["--write-recovery-conf", "--no-sync"])
            .variable("PGPASSWORD", &self.password)
            .unprivileged()
    }

    pub(crate) fn initdb(&self, programs: &Path) -> Launch {
        Launch::new(programs.join("initdb"))
            .argument("-D")
            .argument(&self.pgdata)
            .argument("--pwfile")
            .argument(&self.password_file)
            .arguments(["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8"])
            .arguments(["--auth=scram-sha-256", "--no-sync", "--no-instructions"])
            .unprivileged()
    }

    /// What is written into the new cluster: who may enter, with TLS and without.
    pub(crate) fn finish(&self, port: u16) -> Result<PostgresServer, Error> {
        let entries: String = [
            ("hostssl", "all"),
            ("hostnossl", "all"),
            ("host", "replication"),
        ]
        .map(|(kind, what)| format!("{kind} {what} all 127.0.0.1/32 scram-sha-256\n"))
        .concat();
        let hba = self.pgdata.join("pg_hba.conf");
        fs::write(&hba, entries).file("write", &hba)?;
        Ok(PostgresServer {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            user: SUPERUSER.to_owned(),
            password: self.password.clone(),
            ca_file: self.tls.ca.clone(),
        })
    }

    pub(crate) fn postgres(&self, programs: &Path, port: u16, more: &[String]) -> Launch {
        let settings = [
            format!("port={port}"),
            format!("ssl_cert_file={}", self.tls.certificate.display()),
            format!("ssl_key_file={}", self.tls.key.display()),
            "ssl=on".to_owned(),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            // What a crash of this machine would lose is of no worth.
            "fsync=off".to_owned(),
            // Autovacuum writes WAL of its own, which a test that counts writes would see.
            "autovacuum=off".to_owned(),
        ];
        // Of two values of one setting the later counts.
        settings.iter().chain(more).fold(
            Launch::new(programs.join("postgres"))
                .argument("-D")
                .argument(&self.pgdata)
                .unprivileged(),
            |launch, setting| launch.argument("-c").argument(setting),
        )
    }
}
