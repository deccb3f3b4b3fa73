//! A PgBouncer that belongs to one test, before a Postgres that does.

use crate::address::PostgresServer;
use crate::error::InFile;
use crate::launch::Launch;
use crate::owned::Owned;
use crate::owned_postgres::folder;
use crate::{Error, ports, postgres, unique};
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY: Duration = Duration::from_secs(20);

/// For how long a pooler lends a server's connection to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// As long as the client is connected.
    Session,
    /// For one transaction at a time.
    Transaction,
}

impl fmt::Display for PoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
        })
    }
}

/// A pooler with the server's certificate, which lets in the server's superuser.
///
/// It ends when this is dropped or this process ends.
#[derive(Debug)]
pub struct PgBouncer {
    server: PostgresServer,
    // A server ends before its folder goes.
    _process: Owned,
    _folder: Folder,
}

#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl PgBouncer {
    pub(crate) async fn start(
        before: &PostgresServer,
        files: &postgres::Files,
        mode: PoolMode,
    ) -> Result<Self, Error> {
        let program = program()?;
        let data = Folder(folder(&unique("pgbouncer"))?);
        let server = PostgresServer {
            port: ports::free()?,
            ..before.clone()
        };
        let users = format!("\"{}\" \"{}\"\n", server.user, server.password);
        let users = private(&data.0.join("users.txt"), &users)?;
        let settings = settings(before, &server, &users, files, mode);
        let settings = private(&data.0.join("pgbouncer.ini"), &settings)?;
        let launch = Launch::new(program).argument(settings).unprivileged();
        let log = data.0.join("log");
        let mut process = Owned::start("pgbouncer", &launch, "TERM", &log, None)?;
        process
            .ready(READY, async || postgres::ask(&server).await)
            .await?;
        Ok(Self {
            server,
            _process: process,
            _folder: data,
        })
    }

    /// Where it is and who may enter: the superuser of the server behind it.
    #[must_use]
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }
}

fn settings(
    before: &PostgresServer,
    server: &PostgresServer,
    users: &Path,
    files: &postgres::Files,
    mode: PoolMode,
) -> String {
    let (certificate, key) = files.certificate();
    format!(
        "[databases]\n* = host={} port={}\n\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\nadmin_users = {}\n\
         pool_mode = {mode}\nclient_tls_sslmode = allow\n\
         client_tls_cert_file = {}\nclient_tls_key_file = {}\n",
        before.host,
        before.port,
        server.host,
        server.port,
        users.display(),
        server.user,
        certificate.display(),
        key.display(),
    )
}

/// A file that only the pooler may read.
fn private(path: &Path, text: &str) -> Result<PathBuf, Error> {
    fs::write(path, text).file("write", path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).file("protect", path)?;
    crate::room::give_away(path)?;
    Ok(path.to_path_buf())
}

/// Debian keeps it where only root's path leads.
fn program() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
        .ok_or_else(|| Error::NotInstalled {
            server: "a connection pooler".to_owned(),
            program: PathBuf::from("PgBouncer"),
            install: "tests/testbed/install.sh".to_owned(),
        })
}
