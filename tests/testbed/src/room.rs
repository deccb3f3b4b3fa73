//! What the bringing-up of one server has to work with.

use crate::error::InFile;
use crate::eventually::chain;
use crate::launch::Launch;
use crate::place;
use crate::progress::Progress;
use crate::{Attempt, Error, eventually, ports};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// The place of one server: its files, its ports, and the way to start it.
#[derive(Debug, Clone)]
pub(crate) struct Room<'a> {
    pub(crate) name: String,
    state: &'a Path,
    lock: &'a File,
    progress: &'a Progress,
}

impl<'a> Room<'a> {
    pub(crate) fn new(name: &str, state: &'a Path, lock: &'a File, progress: &'a Progress) -> Self {
        Self {
            name: name.to_owned(),
            state,
            lock,
            progress,
        }
    }

    /// The same for another server, on whose ports this one depends, or for something that it is made of.
    pub(crate) fn of(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn state(&self) -> &'a Path {
        self.state
    }

    /// Its log, records and small files; root's when root runs the test bed.
    pub(crate) fn folder(&self) -> PathBuf {
        place::folder(self.state, &self.name)
    }

    /// An empty data folder that belongs to whom the server runs as.
    pub(crate) fn fresh_data(&self) -> Result<PathBuf, Error> {
        let data = place::make_data(self.state)?.join(&self.name);
        if data.exists() {
            fs::remove_dir_all(&data).file("remove", &data)?;
        }
        fs::create_dir(&data).file("make", &data)?;
        give_away(&data)?;
        Ok(data)
    }

    /// A port of this server, the same until `down`: another server may have been told it.
    pub(crate) fn port(&self, what: &str) -> Result<u16, Error> {
        let folder = self.folder();
        let path = folder.join(format!("port-{what}"));
        if let Some(port) = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.parse().ok())
        {
            return Ok(port);
        }
        let port = ports::free()?;
        fs::create_dir_all(&folder).file("make", &folder)?;
        crate::env::replace(&path, &port.to_string())?;
        Ok(port)
    }

    /// Begins a new log; the one before is kept, for it may say why there is a new start.
    pub(crate) fn new_log(&self) -> Result<(), Error> {
        let log = self.folder().join("log");
        if log.exists() {
            fs::rename(&log, log.with_extension("before")).file("rename", &log)?;
        }
        Ok(())
    }

    pub(crate) fn say(&self, text: &str) {
        self.progress.line(&self.name, text);
    }

    /// Writes a small file of the server and tells where it is.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let folder = self.folder();
        fs::create_dir_all(&folder).file("make", &folder)?;
        let path = folder.join(name);
        fs::write(&path, text).file("write", &path)?;
        Ok(path)
    }

    /// Runs a process to its end, on record, and fails when it does.
    pub(crate) async fn run(&self, launch: &Launch, within: Duration) -> Result<(), Error> {
        let mut child = launch.start(&self.folder(), self.lock)?;
        let what = format!("the end of {}", launch.program().display());
        let ended = eventually(&what, within, async || match child.try_wait() {
            Ok(Some(status)) if status.success() => Attempt::Done(()),
            Ok(Some(status)) => Attempt::Never(format!("it ended with {}", say(status))),
            Ok(None) => Attempt::NotYet("it still runs".to_owned()),
            Err(error) => Attempt::never(&error),
        });
        ended.await.map_err(|error| self.failed(&error))
    }

    /// Starts a server on record.
    pub(crate) fn start(&self, launch: &Launch) -> Result<Child, Error> {
        launch.start(&self.folder(), self.lock)
    }

    /// Asks a server that was just started until it is ready; its early end ends the wait.
    pub(crate) async fn ready<F>(
        &self,
        mut child: Child,
        within: Duration,
        mut ask: F,
    ) -> Result<(), Error>
    where
        F: AsyncFnMut() -> Attempt<()>,
    {
        let what = format!("{} to be ready", self.name);
        let ready = eventually(&what, within, async || match child.try_wait() {
            Ok(Some(status)) => Attempt::Never(format!("it ended with {}", say(status))),
            Ok(None) => ask().await,
            Err(error) => Attempt::never(&error),
        });
        ready.await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &Error) -> Error {
        failed(&self.name, &self.folder().join("log"), error)
    }
}

/// Adds a log's path and its end to an error.
pub(crate) fn failed(server: &str, log: &Path, error: &Error) -> Error {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    Error::Start {
        server: server.to_owned(),
        log: log.to_path_buf(),
        tail: lines[lines.len().saturating_sub(20)..].join("\n  "),
        because: chain(error),
    }
}

fn say(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Gives a file or folder to the user that servers run as.
pub(crate) fn give_away(path: &Path) -> Result<(), Error> {
    match place::nobody() {
        Some(nobody) => std::os::unix::fs::chown(path, Some(nobody.uid), Some(nobody.gid))
            .file("give to nobody", path),
        None => Ok(()),
    }
}
