//! A Postgres that belongs to one test.

use crate::address::PostgresServer;
use crate::error::InFile;
use crate::owned::{self, spawn};
use crate::{Attempt, Error, eventually, place, ports, postgres, unique};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

const READY: Duration = Duration::from_mins(1);

/// A Postgres for a test that must be alone with it: one that reads WAL positions, or stops it.
///
/// It ends, and its data with it, when this is dropped or this process ends; of a process that
/// was killed, the data is left until `down`.
#[derive(Debug)]
pub struct Postgres {
    server: PostgresServer,
    child: Child,
    data: PathBuf,
}

impl Postgres {
    /// Makes and starts one; about two seconds.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] without the programs; [`Error::Start`] with the end of the log
    /// when it does not start.
    pub async fn start() -> Result<Self, Error> {
        let name = unique("postgres");
        let programs = postgres::programs(&name)?;
        let data = place::make_data(&place::state())?.join(&name);
        fs::create_dir(&data).file("make", &data)?;
        crate::room::give_away(&data)?;
        let files = postgres::Files::prepare(&data)?;
        let log = data.join("log");
        let initdb = spawn(&files.initdb(&programs), &log)?;
        // From here on a drop ends what was started.
        let mut owned = Self {
            server: PostgresServer {
                host: String::new(),
                port: 0,
                user: String::new(),
                password: String::new(),
                ca_file: PathBuf::new(),
            },
            child: initdb,
            data,
        };
        owned.wait_for_initdb(&log).await?;
        owned.server = files.finish(ports::free()?)?;
        owned.child = spawn(&files.postgres(&programs, owned.server.port), &log)?;
        owned.wait_until_ready(&log).await?;
        Ok(owned)
    }

    /// Where it is and who may enter.
    #[must_use]
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }

    async fn wait_for_initdb(&mut self, log: &Path) -> Result<(), Error> {
        let child = &mut self.child;
        let ended = eventually("the end of initdb", READY, async || {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => Attempt::Done(()),
                Ok(Some(status)) => Attempt::Never(format!("it ended with {status}")),
                Ok(None) => Attempt::NotYet("it still runs".to_owned()),
                Err(error) => Attempt::never(&error),
            }
        });
        ended.await.map_err(|error| failed(log, &error))
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), Error> {
        let Self { child, server, .. } = self;
        let ready = eventually("postgres to be ready", READY, async || {
            match child.try_wait() {
                Ok(Some(status)) => Attempt::Never(format!("it ended with {status}")),
                Ok(None) => postgres::ask(server).await,
                Err(error) => Attempt::never(&error),
            }
        });
        ready.await.map_err(|error| failed(log, &error))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        owned::end(&mut self.child);
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn failed(log: &Path, error: &Error) -> Error {
    crate::room::failed("postgres", log, error)
}

#[cfg(test)]
mod tests {
    use super::Postgres;
    use crate::postgres;

    #[tokio::test]
    async fn it_lives_as_long_as_its_owner() {
        let owned = Postgres::start().await.expect("a Postgres");
        let (server, data) = (owned.server().clone(), owned.data.clone());
        assert!(matches!(
            postgres::ask(&server).await,
            crate::Attempt::Done(())
        ));
        drop(owned);
        let gone = tokio::net::TcpStream::connect((server.host.as_str(), server.port)).await;
        assert!(gone.is_err(), "its port is still open");
        assert!(!data.exists(), "its data is still there");
    }
}
