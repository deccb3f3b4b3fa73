//! Starting a process so that it is on record before it is itself.
//!
//! `up` can be killed at any moment, also between the start of a server and the note of its pid.
//! So the note is made by the process itself: `up` starts this program again as a launcher,
//! which becomes the leader of a session, writes its own record and only then becomes the server.
//! Until then it holds the lock of the state folder, so that `down` cannot miss it.

use crate::error::InFile;
use crate::record::Record;
use crate::{Error, place};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process to start: the program, its arguments and what it may see of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// Where a server stands must be a place that it may enter, and keeps no folder in use.
    stands_in: PathBuf,
    /// It refuses to run as root.
    unprivileged: bool,
}

impl Launch {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stands_in: PathBuf::from("/"),
            unprivileged: false,
        }
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn arguments<T: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = T>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn variable(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Runs it in a folder that means something to it.
    pub(crate) fn stands_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.stands_in = folder.into();
        self
    }

    /// Runs it as `nobody` when the test bed runs as root.
    pub(crate) fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The process itself, without a record: for one that ends with its owner.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.stands_in);
        self.drop_rights(&mut command);
        command
    }

    /// Makes a command run as the user that this launch asks for.
    pub(crate) fn drop_rights(&self, command: &mut Command) {
        if self.unprivileged
            && let Some(nobody) = place::nobody()
        {
            command.uid(nobody.uid).gid(nobody.gid);
        }
    }

    /// Starts it on record in `folder`, where its output goes to the file `log`.
    pub(crate) fn start(&self, folder: &Path, lock: &File) -> Result<Child, Error> {
        fs::create_dir_all(folder).file("make", folder)?;
        let log = folder.join("log");
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .file("open", &log)?;
        let myself = std::env::current_exe().file("find", "the test bed's own program")?;
        let mut launcher = Command::new(myself);
        launcher.arg("launch").arg("--folder").arg(folder);
        if self.unprivileged {
            launcher.arg("--unprivileged");
        }
        launcher
            .arg("--stands-in")
            .arg(&self.stands_in)
            .arg(&self.program)
            .arg("--")
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(lock.try_clone().file("open", folder)?)
            .stdout(output.try_clone().file("open", &log)?)
            .stderr(output)
            .spawn()
            .map_err(|source| Error::Program {
                program: self.program.clone(),
                source,
            })
    }
}

/// The launcher's own work: records this process in `folder` and becomes the program.
pub(crate) fn become_program(folder: &Path, launch: &Launch) -> Error {
    // Fails only where this is a leader already, which is as good.
    let _ = rustix::process::setsid();
    if let Err(error) = Record::of_myself(&launch.program).and_then(|own| own.write(folder)) {
        return error;
    }
    let source = launch.command().stdin(Stdio::null()).exec();
    Error::Program {
        program: launch.program.clone(),
        source,
    }
}
