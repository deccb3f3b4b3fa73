//! A Postgres that belongs to one test.

use crate::address::PostgresServer;
use crate::error::InFile;
use crate::owned::{Disk, Owned};
use crate::pgbouncer::{PgBouncer, PoolMode};
use crate::record::Process;
use crate::tls::{Authority, Signed};
use crate::{Attempt, Error, place, ports, postgres, unique};
use rustix::process::{Pid, Signal};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY: Duration = Duration::from_mins(1);

/// How a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Rolls back what is under way, says goodbye to its clients and writes everything out.
    Fast,
    /// Drops everything, as `pg_ctl stop -m immediate`: the next start is a recovery from a crash.
    Immediate,
}

/// What a Postgres of a test is to be like.
#[derive(Debug, Clone, Default)]
pub struct PostgresBuilder {
    settings: Vec<String>,
    certificate: Option<(String, Signed)>,
    small_disk: Option<u32>,
}

impl PostgresBuilder {
    /// Without TLS.
    #[must_use]
    pub fn plaintext(self) -> Self {
        self.setting("ssl", "off")
    }

    /// With a certificate that the test has made; [`PostgresServer::ca_file`] is its authority.
    #[must_use]
    pub fn certificate(mut self, authority: &Authority, signed: &Signed) -> Self {
        self.certificate = Some((authority.pem(), signed.clone()));
        self
    }

    /// With a setting of `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    /// With a file system of this size at [`Postgres::small_disk`], which the server alone sees;
    /// what is on it is lost when the server is stopped. Needs root.
    #[must_use]
    pub fn small_disk(mut self, mebibytes: u32) -> Self {
        self.small_disk = Some(mebibytes);
        self
    }

    /// Makes and starts it; about two seconds.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] without the programs; [`Error::Start`] with the end of the log
    /// when it does not start; [`Error::NeedsRoot`] for a small disk.
    pub async fn start(self) -> Result<Postgres, Error> {
        let place = Place::new()?;
        let files = postgres::Files::prepare(&place.data)?;
        if let Some((ca, signed)) = &self.certificate {
            crate::tls::write(&place.data, ca, signed)?;
        }
        let mut initdb = place.run("initdb", &files.initdb(&place.programs))?;
        initdb.succeed(READY).await?;
        Postgres::open(place, files, self).await
    }
}

/// The folder of one server, which goes with it, and the programs that it is made of.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    pub(crate) programs: PathBuf,
}

impl Place {
    fn new() -> Result<Self, Error> {
        let name = unique("postgres");
        let programs = postgres::programs(&name)?;
        let data = folder(&name)?;
        Ok(Self { data, programs })
    }

    fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    fn run(&self, name: &'static str, launch: &crate::launch::Launch) -> Result<Owned, Error> {
        Owned::start(name, launch, "TERM", &self.log(), None)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// A new folder for the data of a server of a test.
pub(crate) fn folder(name: &str) -> Result<PathBuf, Error> {
    let data = place::make_data(&place::state())?.join(name);
    fs::create_dir(&data).file("make", &data)?;
    crate::room::give_away(&data)?;
    Ok(data)
}

/// A Postgres for a test that must be alone with it: one that reads WAL positions, or stops it.
///
/// It ends, and its data with it, when this is dropped or this process ends; of a process that
/// was killed, the data is left until `down`.
#[derive(Debug)]
pub struct Postgres {
    server: PostgresServer,
    files: postgres::Files,
    wanted: PostgresBuilder,
    disk: Option<Disk>,
    // The fields are dropped in this order: a server ends before its folder goes.
    process: Option<Owned>,
    place: Place,
}

impl Postgres {
    /// Makes and starts one as the shared one is; about two seconds.
    ///
    /// # Errors
    /// See [`PostgresBuilder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// One that differs.
    #[must_use]
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    async fn open(
        place: Place,
        files: postgres::Files,
        wanted: PostgresBuilder,
    ) -> Result<Self, Error> {
        let disk = match wanted.small_disk {
            Some(mebibytes) => Some(Disk {
                folder: folder_in(&place.data, "small-disk")?,
                mebibytes,
            }),
            None => None,
        };
        let mut postgres = Self {
            server: files.finish(ports::free()?)?,
            files,
            wanted,
            disk,
            process: None,
            place,
        };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// Where it is and who may enter.
    #[must_use]
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }

    /// Where a tablespace of the small disk that was asked for can be made.
    ///
    /// # Panics
    /// When none was asked for.
    #[must_use]
    pub fn small_disk(&self) -> &Path {
        let disk = self.disk.as_ref();
        &disk.expect("`small_disk` was asked of the builder").folder
    }

    /// Ends it; its port refuses until [`Postgres::start_again`].
    ///
    /// # Errors
    /// [`Error::Start`] with the end of its log when it does not end.
    pub async fn stop(&mut self, how: Shutdown) -> Result<(), Error> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let signal = match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        let told = rustix::process::kill_process(self.postmaster()?, signal);
        told.map_err(std::io::Error::from)
            .file("signal the server of", &self.place.data)?;
        process.ended(READY).await
    }

    /// Starts it with the data and on the port that it had.
    ///
    /// # Errors
    /// [`Error::Start`] with the end of its log when it does not start.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        let launch = self.files.postgres(
            &self.place.programs,
            self.server.port,
            &self.wanted.settings,
        );
        // Nobody needs its data when it ends with its test, so it need not write anything out.
        let log = self.place.log();
        let mut process = Owned::start("postgres", &launch, "QUIT", &log, self.disk.as_ref())?;
        let server = &self.server;
        process
            .ready(READY, async || postgres::ask(server).await)
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Shows another certificate to whom connects from now on.
    ///
    /// # Errors
    /// When it cannot be written, or the server does not take it.
    pub async fn present(&self, authority: &Authority, signed: &Signed) -> Result<(), Error> {
        crate::tls::write(&self.place.data, &authority.pem(), signed)?;
        let before = postgres::loaded(&self.server).await;
        postgres::execute(&self.server, "SELECT pg_reload_conf()").await?;
        // The process that accepts connections reads it; it does so before it notes the time.
        crate::eventually("the server to load its files", READY, async || {
            match (&before, postgres::loaded(&self.server).await) {
                (Ok(before), Ok(now)) if *before != now => Attempt::Done(()),
                (_, Ok(now)) => Attempt::NotYet(format!("loaded at {now}")),
                (_, Err(error)) => Attempt::not_yet(&error),
            }
        })
        .await
    }

    /// A second server that follows this one and refuses to write, until [`Postgres::promote`].
    /// It has the same users, passwords and certificate.
    ///
    /// # Errors
    /// [`Error::Start`] with the end of a log when it cannot be made.
    pub async fn standby(&self) -> Result<Self, Error> {
        let place = Place::new()?;
        let files = self.files.copy(&place.data)?;
        let copy = files.basebackup(&place.programs, &self.server);
        place.run("pg_basebackup", &copy)?.succeed(READY).await?;
        let wanted = PostgresBuilder {
            small_disk: None,
            ..self.wanted.clone()
        };
        Self::open(place, files, wanted).await
    }

    /// Makes a standby a server of its own that takes writes.
    ///
    /// # Errors
    /// [`Error::Question`] when it refuses.
    pub async fn promote(&self) -> Result<(), Error> {
        postgres::execute(&self.server, "SELECT pg_promote(true, 60)").await
    }

    /// A connection pooler before this server.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] without `PgBouncer`; [`Error::Start`] when it does not start.
    pub async fn pooled(&self, mode: PoolMode) -> Result<PgBouncer, Error> {
        PgBouncer::start(&self.server, &self.files, mode).await
    }

    /// Kills one of its backends, by what `pg_backend_pid()` said there. The server takes that for
    /// a crash: it ends all other backends too, recovers and goes on.
    ///
    /// # Errors
    /// [`Error::NoBackend`] when this server has no such process.
    pub fn kill_backend(&self, pid: i32) -> Result<(), Error> {
        let postmaster = self.postmaster()?.as_raw_nonzero().get();
        match Process::read(pid) {
            Some(process) if process.parent == postmaster => {
                process.signal(Signal::KILL);
                Ok(())
            }
            _ => Err(Error::NoBackend { pid }),
        }
    }

    fn postmaster(&self) -> Result<Pid, Error> {
        let path = self.files.pid_file();
        let text = fs::read_to_string(&path).file("read", &path)?;
        let pid = text.lines().next().and_then(|line| line.parse().ok());
        pid.and_then(Pid::from_raw)
            .ok_or(Error::Proc { path, text })
    }
}

fn folder_in(data: &Path, name: &str) -> Result<PathBuf, Error> {
    let folder = data.join(name);
    fs::create_dir(&folder).file("make", &folder)?;
    crate::room::give_away(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::{Postgres, Shutdown};
    use crate::{Attempt, PoolMode, eventually, postgres};
    use std::time::Duration;

    #[tokio::test]
    async fn it_lives_as_long_as_its_owner() {
        let owned = Postgres::start().await.expect("a Postgres");
        let (server, data) = (owned.server().clone(), owned.place.data.clone());
        assert!(matches!(postgres::ask(&server).await, Attempt::Done(())));
        drop(owned);
        let gone = tokio::net::TcpStream::connect((server.host.as_str(), server.port)).await;
        assert!(gone.is_err(), "its port is still open");
        assert!(!data.exists(), "its data is still there");
    }

    #[tokio::test]
    async fn a_standby_takes_over_what_was_written() {
        let mut first = Postgres::start().await.expect("a Postgres");
        let execute = async |at: &Postgres, sql| postgres::execute(at.server(), sql).await;
        execute(&first, "CREATE TABLE kept ()")
            .await
            .expect("it writes");
        first
            .stop(Shutdown::Immediate)
            .await
            .expect("it stops at once");
        first.start_again().await.expect("it recovers");
        let second = first.standby().await.expect("a standby");
        assert!(execute(&second, "CREATE TABLE refused ()").await.is_err());
        first.stop(Shutdown::Fast).await.expect("it stops");
        second.promote().await.expect("it takes over");
        execute(&second, "DROP TABLE kept")
            .await
            .expect("it has the table");
    }

    #[tokio::test]
    async fn a_killed_backend_is_a_crash() {
        let owned = Postgres::start().await.expect("a Postgres");
        let mut config = postgres::config(owned.server());
        let (client, socket) = config
            .application_name("victim")
            .connect(tokio_postgres::NoTls)
            .await
            .expect("a session");
        let socket = tokio::spawn(socket);
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let pid = row.expect("its pid").get(0);
        owned.kill_backend(pid).expect("it is killed");
        assert!(socket.await.expect("no panic").is_err());
        assert!(owned.kill_backend(1).is_err(), "that is no backend of it");
        let back = eventually("recovery", Duration::from_mins(1), async || {
            postgres::ask(owned.server()).await
        });
        back.await.expect("it goes on");
    }

    #[tokio::test]
    async fn a_small_disk_fills() {
        let owned = Postgres::builder().small_disk(4).start().await;
        let owned = owned.expect("a Postgres");
        let execute = async |sql: &str| postgres::execute(owned.server(), sql).await;
        let folder = owned.small_disk().display();
        execute(&format!("CREATE TABLESPACE small LOCATION '{folder}'"))
            .await
            .expect("an empty disk");
        let full = execute(
            "CREATE TABLE big TABLESPACE small AS \
             SELECT repeat('x', 1000) FROM generate_series(1, 10000)",
        )
        .await;
        let said = crate::eventually::chain(&full.expect_err("10 MB do not fit"));
        assert!(said.contains("No space left"), "{said}");
    }

    #[tokio::test]
    async fn a_pooler_lends_its_connections() {
        let owned = Postgres::start().await.expect("a Postgres");
        for (mode, shared) in [(PoolMode::Transaction, true), (PoolMode::Session, false)] {
            let pooler = owned.pooled(mode).await.expect("a PgBouncer");
            let session = async || {
                let config = postgres::config(pooler.server());
                let (client, socket) = config
                    .connect(tokio_postgres::NoTls)
                    .await
                    .expect("a session");
                tokio::spawn(socket);
                client
            };
            let both = [session().await, session().await];
            let mut pids: Vec<i32> = Vec::new();
            for client in &both {
                let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
                pids.push(row.expect("a pid").get(0));
            }
            assert_eq!(pids[0] == pids[1], shared, "{mode:?}: {pids:?}");
        }
    }
}
