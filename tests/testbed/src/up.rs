//! `up`: what is not there yet is built, started and asked until it is ready, all at once.

use crate::builds::Builds;
use crate::launch::Launch;
use crate::progress::{Progress, mebibytes, say};
use crate::record::Record;
use crate::room::Room;
use crate::server::Server;
use crate::{Error, env, lock, place};
use futures::future::join_all;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Another `up` may be building.
const TURN: Duration = Duration::from_hours(1);
const INSTALL: Duration = Duration::from_mins(15);

/// Brings up these servers and those that they need; all when none is named.
pub(crate) async fn up(named: &[Server]) -> Result<(), Error> {
    let state = place::state();
    let progress = Progress::start();
    let lock = lock::take(&state, TURN).await?;
    let own = place::folder(&state, "up");
    std::fs::create_dir_all(&own).map_err(|source| Error::File {
        what: "make",
        path: own.clone(),
        source,
    })?;
    Record::of_myself(Path::new("testbed"))?.write(&own)?;
    let work = Work {
        state: &state,
        lock: &lock,
        progress: &progress,
    };
    let servers = with_needs(named);
    let done = tokio::select! {
        done = work.bring_up(&servers) => done,
        () = told_to_stop() => Err(Error::Interrupted),
    };
    work.end_unfinished().await?;
    done?;
    say(&format!("{}\n", env::file(&state).display()));
    Ok(())
}

fn with_needs(named: &[Server]) -> Vec<Server> {
    let wanted = |server: &Server| {
        named.is_empty()
            || named.contains(server)
            || named.iter().any(|other| other.needs().contains(server))
    };
    Server::ALL.into_iter().filter(wanted).collect()
}

async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

struct Work<'a> {
    state: &'a Path,
    lock: &'a File,
    progress: &'a Progress,
}

impl<'a> Work<'a> {
    fn room(&self, name: &str) -> Room<'a> {
        Room::new(name, self.state, self.lock, self.progress)
    }

    async fn bring_up(&self, servers: &[Server]) -> Result<(), Error> {
        let looks = servers.iter().map(async |server| {
            let well = server.is_well(&self.room(server.name())).await;
            (*server, well)
        });
        let mut absent = Vec::new();
        for (server, well) in join_all(looks).await {
            match well {
                Ok(()) => self.progress.line(server.name(), "up already"),
                Err(Error::NotUp { .. } | Error::Missing { .. }) => absent.push(server),
                Err(error) => {
                    self.progress
                        .line(server.name(), &format!("once more, for {error}"));
                    absent.push(server);
                }
            }
        }
        if absent.is_empty() {
            return Ok(());
        }
        let install = Launch::new(place::scripts().join("install.sh"));
        self.room("install").run(&install, INSTALL).await?;
        let builds = Builds::new();
        let started = absent.iter().map(|server| self.start(*server, &builds));
        let failures: Vec<Error> = join_all(started)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        Error::several(failures)
    }

    /// Ends what an earlier `up` has left half-done, then starts anew.
    async fn start(&self, server: Server, builds: &Builds) -> Result<(), Error> {
        let room = self.room(server.name());
        server.end(&room).await?;
        room.new_log()?;
        let since = Instant::now();
        server.start(&room, builds).await.inspect_err(|_| {
            room.say("failed, see below");
        })?;
        let resident = server.resident(self.state)?;
        room.say(&format!(
            "ready after {:.1} s, {}",
            since.elapsed().as_secs_f64(),
            mebibytes(resident)
        ));
        Ok(())
    }

    /// What did not become ready is of no use to anybody.
    async fn end_unfinished(&self) -> Result<(), Error> {
        crate::down::end(
            self.state,
            self.lock,
            self.progress,
            crate::down::What::Unfinished,
        )
        .await
    }
}
