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
use tokio_postgres::{Config, NoTls};

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
    let child = room.start(&cluster.postgres(&programs, server.port))?;
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

async fn question(server: &PostgresServer) -> Result<(), tokio_postgres::Error> {
    let mut config = Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .user(&server.user)
        .password(&server.password)
        .dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    let connection = tokio::spawn(connection);
    let asked = client.simple_query("SELECT 1").await;
    connection.abort();
    asked.map(|_| ())
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
        let password = place::secret()?;
        let password_file = data.join("password");
        fs::write(&password_file, &password).file("write", &password_file)?;
        fs::set_permissions(&password_file, Permissions::from_mode(0o600))
            .file("protect", &password_file)?;
        give_away(&password_file)?;
        Ok(Self {
            pgdata: data.join("pgdata"),
            password_file,
            password,
            tls: tls::certify(data)?,
        })
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
        let entries: String = ["hostssl", "hostnossl"]
            .map(|kind| format!("{kind} all all 127.0.0.1/32 scram-sha-256\n"))
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

    pub(crate) fn postgres(&self, programs: &Path, port: u16) -> Launch {
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
        settings.into_iter().fold(
            Launch::new(programs.join("postgres"))
                .argument("-D")
                .argument(&self.pgdata)
                .unprivileged(),
            |launch, setting| launch.argument("-c").argument(setting),
        )
    }
}
