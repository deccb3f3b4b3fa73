//! `up` and `down` as a whole: nothing is left, whenever `up` was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use testbed::{Attempt, eventually, unique};

const LONG: Duration = Duration::from_mins(3);

/// A test bed beside the one that the other tests use.
struct Bed {
    state: PathBuf,
}

impl Bed {
    fn new() -> Self {
        Self {
            state: std::env::temp_dir().join(unique("bed")),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
        command.args(arguments).env("TESTBED_STATE", &self.state);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        output
    }

    fn up(&self) -> Child {
        self.command(&["up", "postgres"])
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs")
    }

    /// Where Postgres has its data, below the state folder or elsewhere.
    fn data(&self) -> Option<PathBuf> {
        let elsewhere = fs::read_dir("/var/tmp").into_iter().flatten();
        let folders = elsewhere.filter_map(|entry| Some(entry.ok()?.path()));
        let own = self.state.join("data");
        folders
            .filter(|folder| folder.to_string_lossy().contains("firstlight-testbed-"))
            .chain([own])
            .find(|folder| {
                let owner = fs::read_to_string(folder.join("state")).unwrap_or_default();
                Path::new(owner.trim_end()) == self.state
            })
    }

    /// The processes whose command line names the state folder or the data.
    fn processes(&self, data: Option<&Path>) -> Vec<String> {
        let names: Vec<String> = [Some(self.state.as_path()), data]
            .into_iter()
            .flatten()
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| names.iter().any(|name| line.contains(name)))
            .collect()
    }

    fn assert_nothing_is_left(&self, data: Option<&Path>) {
        assert_eq!(self.processes(data), Vec::<String>::new());
        assert!(!self.state.exists(), "{} is left", self.state.display());
        assert_eq!(self.data(), None);
        assert!(!data.is_some_and(Path::exists), "{data:?} is left");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Kills an `up` with SIGKILL as soon as `moment` has come, then brings the test bed down.
async fn killed_when(what: &str, moment: impl Fn(&Bed) -> bool) {
    let bed = Bed::new();
    kill_when(&bed, what, moment).await;
    let data = bed.data();
    bed.run(&["down"]);
    bed.assert_nothing_is_left(data.as_deref());
    bed.run(&["down"]);
}

async fn kill_when(bed: &Bed, what: &str, moment: impl Fn(&Bed) -> bool) {
    let mut up = bed.up();
    let came = eventually(what, LONG, async || {
        if moment(bed) {
            Attempt::Done(())
        } else if let Ok(Some(status)) = up.try_wait() {
            Attempt::Never(format!("`up` ended before with {status}"))
        } else {
            Attempt::NotYet("it has not come".to_owned())
        }
    });
    let came = came.await;
    up.kill().expect("it can be killed");
    up.wait().expect("it was our child");
    came.expect("the moment");
}

#[tokio::test]
async fn killed_at_once() {
    killed_when("the start", |_| true).await;
}

#[tokio::test]
async fn killed_when_it_has_made_its_folder() {
    killed_when("the state folder", |bed| bed.state.exists()).await;
}

#[tokio::test]
async fn killed_when_something_is_on_record() {
    killed_when("a record", |bed| {
        bed.state.join("servers/install/process.json").exists()
            || bed.state.join("servers/postgres/process.json").exists()
    })
    .await;
}

#[tokio::test]
async fn killed_while_the_server_makes_its_data() {
    killed_when("the data", |bed| {
        bed.data()
            .is_some_and(|data| data.join("postgres/pgdata").exists())
    })
    .await;
}

#[tokio::test]
async fn killed_when_the_server_runs() {
    killed_when("a running server", |bed| {
        bed.data()
            .is_some_and(|data| data.join("postgres/pgdata/postmaster.pid").exists())
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_up_has_left_half_done_is_done_anew() {
    let bed = Bed::new();
    kill_when(&bed, "the data", |bed| {
        bed.data()
            .is_some_and(|data| data.join("postgres/pgdata").exists())
    })
    .await;
    let second = bed.run(&["up", "postgres"]);
    assert!(said(&second).contains("ready after"), "{}", said(&second));
    bed.run(&["down"]);
}

#[test]
fn a_second_up_finds_all_and_an_ended_server_comes_back() {
    let bed = Bed::new();
    bed.run(&["up", "postgres"]);
    let first = bed.run(&["env"]);
    let second = bed.run(&["up", "postgres"]);
    assert!(said(&second).contains("up already"), "{}", said(&second));
    assert_eq!(said(&first), said(&bed.run(&["env"])));

    let pid = pid_of_postgres(&bed);
    let killed = Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let third = bed.run(&["up", "postgres"]);
    assert!(said(&third).contains("ready after"), "{}", said(&third));
    assert_ne!(pid, pid_of_postgres(&bed));

    let data = bed.data();
    bed.run(&["down"]);
    bed.assert_nothing_is_left(data.as_deref());
}

fn pid_of_postgres(bed: &Bed) -> String {
    let path = bed.state.join("servers/postgres/process.json");
    let record = fs::read_to_string(path).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    record["pid"].to_string()
}
