//! Which process was started, so that only that one is ended.

use crate::Error;
use crate::error::InFile;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A process that the test bed has started: the leader of a session of its own.
///
/// A pid alone is soon another's; with the start time and the boot it names one process for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: i32,
    /// In clock ticks since the boot.
    pub(crate) started: u64,
    pub(crate) boot: String,
    /// The file that it runs.
    pub(crate) program: PathBuf,
}

/// What `/proc` says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    pub(crate) started: u64,
    pub(crate) zombie: bool,
}

impl Record {
    /// The record of the calling process, which is about to become `program`.
    pub(crate) fn of_myself(program: &Path) -> Result<Self, Error> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get(), program)
    }

    /// The record of a process that runs `program`.
    pub(crate) fn of(pid: i32, program: &Path) -> Result<Self, Error> {
        let stat = PathBuf::from(format!("/proc/{pid}/stat"));
        let text = fs::read_to_string(&stat).file("read", &stat)?;
        let process = Process::parse(&text).ok_or(Error::Proc { path: stat, text })?;
        Ok(Self {
            pid,
            started: process.started,
            boot: boot()?,
            program: program.to_path_buf(),
        })
    }

    /// The record in a server's folder; `None` when nothing was started there.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path(folder);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.file("read", &path)?,
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| Error::Malformed { path, source })
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::json!(self).to_string();
        crate::env::replace(&Self::path(folder), &text)
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("process.json")
    }

    /// Whether that very process still runs.
    pub(crate) fn is_running(&self) -> bool {
        Process::read(self.pid).is_some_and(|process| self.is(&process) && !process.zombie)
    }

    fn is(&self, process: &Process) -> bool {
        process.pid == self.pid
            && process.started == self.started
            && boot().is_ok_and(|boot| boot == self.boot)
    }

    /// Sends a signal to the process itself, only if it is still that one.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && self.is_running()
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// It and all that descends from it at this moment.
    pub(crate) fn family(&self) -> Vec<Process> {
        let all = Process::all();
        let mut family: Vec<Process> = all.iter().filter(|one| self.is(one)).cloned().collect();
        let mut seen = 0;
        while let Some(parent) = family.get(seen).map(|parent| parent.pid) {
            family.extend(all.iter().filter(|one| one.parent == parent).cloned());
            seen += 1;
        }
        family
    }

    /// What still runs of a family, and of the session that it led.
    pub(crate) fn remaining(&self, family: &[Process]) -> Vec<Process> {
        let all = Process::all();
        // The kernel gives a number anew only when no session has it: then none of it is left.
        let other = all
            .iter()
            .any(|one| one.pid == self.pid && one.started != self.started);
        let led = !other && boot().is_ok_and(|boot| boot == self.boot);
        all.into_iter()
            .filter(|one| !one.zombie)
            .filter(|one| {
                let in_session = led && one.session == self.pid && one.started >= self.started;
                in_session || family.iter().any(|member| member.same(one))
            })
            .collect()
    }

    /// The memory that it and its descendants have in use, in bytes; shared pages count in each.
    pub(crate) fn resident(&self) -> u64 {
        self.family().iter().filter_map(Process::resident).sum()
    }
}

impl Process {
    pub(crate) fn all() -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Self::read)
            .collect()
    }

    pub(crate) fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn same(&self, other: &Self) -> bool {
        self.pid == other.pid && self.started == other.started
    }

    /// Sends it a signal, if it is still that one.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && Self::read(self.pid).is_some_and(|now| now.same(self))
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Whether its environment holds this `KEY=VALUE`.
    pub(crate) fn has_variable(&self, line: &str) -> bool {
        fs::read(format!("/proc/{}/environ", self.pid)).is_ok_and(|text| {
            text.split(|byte| *byte == 0)
                .any(|one| one == line.as_bytes())
        })
    }

    pub(crate) fn resident(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
    }

    /// The name in the second field may hold spaces and brackets, so what follows the last one counts.
    fn parse(stat: &str) -> Option<Self> {
        let pid = stat.split(' ').next()?.parse().ok()?;
        let rest: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
        Some(Self {
            pid,
            zombie: matches!(*rest.first()?, "Z" | "X"),
            parent: rest.get(1)?.parse().ok()?,
            session: rest.get(3)?.parse().ok()?,
            started: rest.get(19)?.parse().ok()?,
        })
    }
}

fn boot() -> Result<String, Error> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path)
        .file("read", path)?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Process, Record};
    use std::path::Path;

    #[test]
    fn a_name_with_brackets_is_passed_over() {
        let stat = "42 (a) b (c) S 1 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 9 9";
        let process = Process::parse(stat).expect("a process");
        assert_eq!(
            (process.pid, process.session, process.started),
            (42, 41, 777)
        );
        assert!(!process.zombie);
    }

    #[test]
    fn a_record_names_one_process_only() {
        let record = Record::of_myself(Path::new("/bin/test")).expect("a record");
        assert!(record.is_running());
        let earlier = Record {
            started: record.started - 1,
            ..record.clone()
        };
        assert!(!earlier.is_running());
        let before_the_boot = Record {
            boot: "another".to_owned(),
            ..record
        };
        assert!(!before_the_boot.is_running());
    }
}
