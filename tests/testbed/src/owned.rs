//! A process that belongs to one test, and ends with it however it ends.

use crate::error::InFile;
use crate::launch::Launch;
use crate::{Attempt, Error, eventually, place};
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts the program of its later arguments and sends it the signal of the first one as soon as
/// its own stdin closes, which happens also when the process that holds the other end is killed.
const UNTIL_STDIN_CLOSES: &str = r#"
signal=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _ <&3; kill -"$signal" $server; } 2>/dev/null & reader=$!
exec 3<&-
wait $server; status=$?
kill $reader 2>/dev/null
exit $status
"#;

/// Mounts a file system of this size for this user at this folder, and becomes what follows.
const WITH_A_DISK: &str = r#"
mount -t tmpfs -o "size=$1m,mode=0700,uid=$2,gid=$3" tmpfs "$4" && shift 4 && exec "$@"
"#;

/// A small file system that only one server sees: it goes with the last process of the server.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) folder: PathBuf,
    pub(crate) mebibytes: u32,
}

/// A child process that is asked to end when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Owned {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Owned {
    /// Starts it; `signal` is the name of the one that ends it. What it says goes to the end of `log`.
    pub(crate) fn start(
        name: &'static str,
        launch: &Launch,
        signal: &str,
        log: &Path,
        disk: Option<&Disk>,
    ) -> Result<Self, Error> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .file("open", log)?;
        let mut command = match disk {
            None => watched(launch, signal),
            Some(disk) => with_disk(launch, signal, disk)?,
        };
        let child = command
            .envs(
                launch
                    .command()
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(output.try_clone().file("open", log)?)
            .stderr(output)
            .spawn()
            .map_err(|source| Error::Program {
                program: launch.program().to_path_buf(),
                source,
            })?;
        Ok(Self {
            name,
            child,
            log: log.to_path_buf(),
        })
    }

    /// Waits for its end, which must be a success.
    pub(crate) async fn succeed(&mut self, within: Duration) -> Result<(), Error> {
        let child = &mut self.child;
        let what = format!("the end of {}", self.name);
        let ended = eventually(&what, within, async || match child.try_wait() {
            Ok(Some(status)) if status.success() => Attempt::Done(()),
            Ok(Some(status)) => Attempt::Never(format!("it ended with {status}")),
            Ok(None) => Attempt::NotYet("it still runs".to_owned()),
            Err(error) => Attempt::never(&error),
        });
        ended.await.map_err(|error| self.failed(&error))
    }

    /// Waits for its end, however it comes.
    pub(crate) async fn ended(&mut self, within: Duration) -> Result<(), Error> {
        let child = &mut self.child;
        let what = format!("the end of {}", self.name);
        let ended = eventually(&what, within, async || match child.try_wait() {
            Ok(Some(_)) => Attempt::Done(()),
            Ok(None) => Attempt::NotYet("it still runs".to_owned()),
            Err(error) => Attempt::never(&error),
        });
        ended.await.map_err(|error| self.failed(&error))
    }

    /// Asks it until it is ready; its early end ends the wait.
    pub(crate) async fn ready(
        &mut self,
        within: Duration,
        mut ask: impl AsyncFnMut() -> Attempt<()>,
    ) -> Result<(), Error> {
        let child = &mut self.child;
        let what = format!("{} to be ready", self.name);
        let ready = eventually(&what, within, async || match child.try_wait() {
            Ok(Some(status)) => Attempt::Never(format!("it ended with {status}")),
            Ok(None) => ask().await,
            Err(error) => Attempt::never(&error),
        });
        ready.await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &Error) -> Error {
        crate::room::failed(self.name, &self.log, error)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Closing its stdin is what asks it to end.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn watched(launch: &Launch, signal: &str) -> Command {
    let mut words = words(launch, signal).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    launch.drop_rights(&mut command);
    command
}

/// In a mount namespace of its own, so that nothing is left of the mount, whoever is killed.
fn with_disk(launch: &Launch, signal: &str, disk: &Disk) -> Result<Command, Error> {
    let nobody = place::nobody().ok_or_else(|| Error::NeedsRoot {
        what: format!("a file system of {} MiB", disk.mebibytes),
    })?;
    let (uid, gid) = (nobody.uid.to_string(), nobody.gid.to_string());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "/bin/sh", "-c", WITH_A_DISK, "sh"])
        .args([&disk.mebibytes.to_string(), &uid, &gid])
        .arg(&disk.folder)
        .args(["setpriv", "--reuid", &uid, "--regid", &gid])
        .arg("--clear-groups")
        .args(words(launch, signal));
    Ok(command)
}

fn words(launch: &Launch, signal: &str) -> Vec<OsString> {
    let inner = launch.command();
    ["/bin/sh", "-c", UNTIL_STDIN_CLOSES, "sh", signal]
        .into_iter()
        .map(OsStr::new)
        .chain([inner.get_program()])
        .chain(inner.get_args())
        .map(OsStr::to_os_string)
        .collect()
}
