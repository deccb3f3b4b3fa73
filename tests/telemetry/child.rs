//! The driver as a process of its own, and what it says.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::driver;

/// No run of the driver takes longer on the busiest machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Mounts a file system of this size at this folder, and becomes what follows.
const WITH_A_DISK: &str = r#"mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@""#;

/// A driver that runs. It is ended with the test.
pub(crate) struct Driver {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

/// What an ended driver has said.
pub(crate) struct Said {
    pub(crate) lines: Vec<String>,
    /// How long the run took.
    pub(crate) run: Duration,
    /// How long the end of the telemetry took.
    pub(crate) finish: Duration,
    /// What became of the telemetry.
    pub(crate) delivery: String,
}

impl Driver {
    /// Starts it with these variables and no others of OpenTelemetry or Firstlight.
    pub(crate) fn start(profile: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(program()), profile, variables)
    }

    /// Starts it where a folder is a disk of this size, as `1m`, which only it sees.
    pub(crate) fn start_with_disk(
        (folder, size): (&Path, &str),
        profile: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "/bin/sh", "-c", WITH_A_DISK, "sh", size])
            .arg(folder)
            .arg(program());
        let path = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let variables: Vec<_> = variables.iter().copied().chain([path]).collect();
        Self::spawn(command, profile, &variables)
    }

    fn spawn(mut command: Command, profile: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .args([driver::NAME, "--exact", "--ignored", "--nocapture"])
            .env_clear()
            .env("FIRSTLIGHT_PROFILE", profile)
            .env("FIRSTLIGHT_LOG", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the driver starts");
        let output = child.stdout.take().expect("its output is a pipe");
        Self {
            child,
            output: BufReader::new(output).lines(),
            said: Vec::new(),
        }
    }

    /// Reads on to the line that begins so; what follows the beginning.
    pub(crate) async fn until(&mut self, beginning: &str) -> String {
        let found = async {
            while let Some(line) = self.output.next_line().await.expect("its output is text") {
                self.said.push(line.clone());
                if let Some(rest) = line.strip_prefix(beginning) {
                    return rest.to_owned();
                }
            }
            panic!(
                "the driver ended without {beginning:?}:\n{}",
                self.said.join("\n")
            );
        };
        timeout(PATIENCE, found).await.expect("the driver goes on")
    }

    /// Reads on until a line holds these words, unless one did already.
    pub(crate) async fn says(&mut self, words: &str) {
        let mut is_said = self.said.iter().any(|line| line.contains(words));
        while !is_said {
            is_said = self.until("").await.contains(words);
        }
    }

    /// Lets a held driver go on.
    pub(crate) async fn go_on(&mut self) {
        let input = self.child.stdin.as_mut().expect("its input is a pipe");
        input.write_all(b"\n").await.expect("it listens");
    }

    /// Reads on until the steered run has lasted so long.
    pub(crate) async fn lasts(&mut self, at_least: Duration) {
        while millis(&self.until("looked after: ").await) < at_least {}
    }

    /// Kills it as a node that runs out of memory does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it runs");
    }

    /// The most memory that it has held, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number
            .and_then(|it| it.parse().ok())
            .expect("a number of KiB")
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Said {
        let run = match self
            .said
            .iter()
            .find_map(|line| line.strip_prefix("run ended: "))
        {
            Some(run) => run.to_owned(),
            None => self.until("run ended: ").await,
        };
        let finish = self.until("finished: ").await;
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .expect("it ran");
        assert!(status.success(), "{status}:\n{}", self.said.join("\n"));
        Said {
            run: millis(&run),
            finish: millis(&finish),
            delivery: finish
                .split_once(", ")
                .expect("time, delivery")
                .1
                .to_owned(),
            lines: self.said,
        }
    }
}

fn program() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// A port where nobody listens.
pub(crate) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// What a line tells of time.
pub(crate) fn millis(text: &str) -> Duration {
    let (millis, _) = text.split_once(" ms").expect("milliseconds");
    Duration::from_millis(millis.parse().expect("a number"))
}

impl Said {
    /// How many spans were delivered, and how many made.
    pub(crate) fn spans(&self) -> (usize, usize) {
        let counts = self.delivery.strip_prefix("telemetry: ").and_then(|rest| {
            let (delivered, rest) = rest.split_once(" of ")?;
            let (made, _) = rest.split_once(" spans delivered")?;
            Some((delivered.parse().ok()?, made.parse().ok()?))
        });
        counts.unwrap_or_else(|| panic!("no counts in {}", self.delivery))
    }

    /// How many spans were made, all of which were delivered, as the driver knows.
    pub(crate) fn all_spans(&self) -> usize {
        let (delivered, made) = self.spans();
        assert_eq!(delivered, made, "{}", self.delivery);
        made
    }

    /// The things that were looked at, each with the id of the span of the look.
    pub(crate) fn looks(&self) -> impl Iterator<Item = (&str, &str)> {
        let looks = self.lines.iter();
        let looks = looks.filter_map(|line| line.strip_prefix("looked in: "));
        looks.map(|look| {
            let (thing, at) = look.split_once(' ').expect("a thing and its place");
            (thing, at.split('-').nth(2).expect("an id"))
        })
    }

    /// The log lines.
    pub(crate) fn log(&self) -> Vec<Value> {
        let json = self.lines.iter().filter(|line| line.starts_with('{'));
        json.map(|line| serde_json::from_str(line).expect("a log line is JSON"))
            .collect()
    }

    /// The log lines of this level.
    pub(crate) fn at(&self, level: &str) -> Vec<Value> {
        let mut log = self.log();
        log.retain(|line| line["level"] == level);
        log
    }
}
