//! Migrating a database, and doing so again when nothing is pending: each tool as a process, with
//! TLS and the server's name compared.
//!
//! Firstlight is measured twice: its step of migrations alone, which does what the others do, and
//! all of a run, so also what that keeps in Kubernetes: its Lease, the Secret that it reads, and
//! the record of the run.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testbed::{Cluster, Env, PostgresServer, unique};

use crate::Failure;
use crate::migrations::Migrations;
use crate::results::Case;

/// So many files in all rounds of a case together; small cases have more rounds.
const IN_ALL: usize = 500;
/// But no more rounds than these, and no fewer.
const ROUNDS: std::ops::RangeInclusive<usize> = 3..=9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Alone,
    Run,
    GolangMigrate,
    Psql,
}

const TOOLS: [Tool; 4] = [Tool::Alone, Tool::Run, Tool::GolangMigrate, Tool::Psql];

/// How long a tool took for an empty database, and then for nothing. `psql` keeps no history.
struct Round {
    tool: Tool,
    fresh: Duration,
    again: Option<Duration>,
}

struct Bench {
    server: PostgresServer,
    cluster: Cluster,
    firstlight: PathBuf,
    golang_migrate: PathBuf,
    /// Dropped when all is measured. For minutes after thousands of files were removed ext4 looks
    /// through their inodes whenever it makes a new one, so that each tool would pay for the tool
    /// before it: at a thousand migrations that was half of the server's time.
    databases: RefCell<Vec<String>>,
}

/// Measures all sizes, the tools taking turns.
pub(crate) fn measure(program: &Path, sizes: &[usize]) -> Result<Vec<Case>, Failure> {
    let env = Env::load()?;
    let bench = Bench {
        server: env.postgres()?,
        cluster: env.api_server()?,
        firstlight: std::path::absolute(program)?,
        golang_migrate: testbed::program("migrate")?,
        databases: RefCell::default(),
    };
    let namespace = bench.namespace()?;
    let mut cases = Vec::new();
    for size in sizes {
        let migrations = Migrations::new(*size)?;
        let mut rounds = Vec::new();
        for _ in 0..(IN_ALL / size).clamp(*ROUNDS.start(), *ROUNDS.end()) {
            for tool in TOOLS {
                let round = bench.round(tool, &migrations, &namespace)?;
                eprintln!(
                    "{size} {tool:?}: {:?}, again {:?}",
                    round.fresh, round.again
                );
                rounds.push(round);
            }
        }
        cases.extend(cases_of(*size, &rounds));
    }
    bench.kubectl(&["delete", "namespace", "--wait=false", &namespace])?;
    for database in bench.databases.take() {
        bench.psql("postgres", &["-c", &format!("DROP DATABASE {database}")])?;
    }
    Ok(cases)
}

/// Firstlight beside each other tool, by the median of its rounds.
fn cases_of(size: usize, rounds: &[Round]) -> Vec<Case> {
    let of = |tool: Tool, part: fn(&Round) -> Option<Duration>| {
        let rounds = rounds.iter().filter(|round| round.tool == tool);
        let mut times: Vec<_> = rounds.filter_map(part).collect();
        times.sort();
        times.get(times.len() / 2).copied()
    };
    let files = if size == 1 { "file" } else { "files" };
    let mut cases = Vec::new();
    for (tool, how) in [(Tool::Alone, ""), (Tool::Run, ", a whole run")] {
        for (what, part) in [
            (
                "all pending",
                (|round| Some(round.fresh)) as fn(&Round) -> _,
            ),
            ("again, nothing pending", |round| round.again),
        ] {
            for (peer, name) in [
                (Tool::GolangMigrate, "golang-migrate"),
                (Tool::Psql, "psql, a process for each file"),
            ] {
                if let (Some(ours), Some(theirs)) = (of(tool, part), of(peer, part)) {
                    let what = format!("{what}, {size} {files}{how}");
                    cases.push(Case::timed(what, ours, name, theirs));
                }
            }
        }
    }
    cases
}

impl Bench {
    /// A namespace with the Secret that the bundle names.
    fn namespace(&self) -> Result<String, Failure> {
        let namespace = unique("bench");
        self.kubectl(&["create", "namespace", &namespace])?;
        let password = format!("--from-literal=password={}", self.server.password);
        let ca = format!("--from-file=ca.crt={}", self.server.ca_file.display());
        let secret = [
            "create", "secret", "generic", "bench", "-n", &namespace, &password, &ca,
        ];
        self.kubectl(&secret)?;
        Ok(namespace)
    }

    fn round(
        &self,
        tool: Tool,
        migrations: &Migrations,
        namespace: &str,
    ) -> Result<Round, Failure> {
        let database = unique("bench");
        self.psql("postgres", &["-c", &format!("CREATE DATABASE {database}")])?;
        self.databases.borrow_mut().push(database.clone());
        migrations.aim(&self.server, &database)?;
        let fresh = self.timed(tool, migrations, namespace, &database)?;
        let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'items%'";
        let tables = self.psql(&database, &["-Atc", tables])?;
        if tables.trim() != std::fs::read_dir(migrations.plain())?.count().to_string() {
            return Err(format!("{tool:?} made {tables} tables").into());
        }
        let again = match tool {
            Tool::Psql => None,
            _ => Some(self.timed(tool, migrations, namespace, &database)?),
        };
        Ok(Round { tool, fresh, again })
    }

    /// Lets a tool migrate, as its users do.
    fn timed(
        &self,
        tool: Tool,
        migrations: &Migrations,
        namespace: &str,
        database: &str,
    ) -> Result<Duration, Failure> {
        let commands = self.commands(tool, migrations, namespace, database)?;
        let began = Instant::now();
        for mut command in commands {
            finish(&mut command)?;
        }
        Ok(began.elapsed())
    }

    fn commands(
        &self,
        tool: Tool,
        migrations: &Migrations,
        namespace: &str,
        database: &str,
    ) -> Result<Vec<Command>, Failure> {
        Ok(match tool {
            Tool::Alone => {
                let mut alone = Command::new(std::env::current_exe()?);
                alone
                    .arg("alone")
                    .arg(migrations.bundle().join("sql"))
                    .arg(database);
                vec![alone]
            }
            Tool::Run => {
                let mut run = Command::new(&self.firstlight);
                run.arg("run")
                    .env("KUBECONFIG", &self.cluster.kubeconfig)
                    .env("FIRSTLIGHT_BUNDLE", migrations.bundle())
                    .env("FIRSTLIGHT_NAMESPACE", namespace)
                    .env(
                        "FIRSTLIGHT_TERMINATION_LOG",
                        migrations.bundle().join("termination"),
                    );
                vec![run]
            }
            Tool::GolangMigrate => {
                let PostgresServer {
                    host,
                    port,
                    user,
                    password,
                    ca_file,
                } = &self.server;
                let mut up = Command::new(&self.golang_migrate);
                up.arg("-path")
                    .arg(migrations.golang_migrate())
                    .args(["-database", &format!(
                        "postgres://{user}:{password}@{host}:{port}/{database}?sslmode=verify-full&sslrootcert={}",
                        ca_file.display()
                    )])
                    .arg("up");
                vec![up]
            }
            Tool::Psql => {
                let mut files: Vec<_> = std::fs::read_dir(migrations.plain())?
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<Result<_, _>>()?;
                files.sort();
                let one = |file: PathBuf| {
                    let mut psql = self.client(database);
                    psql.arg("--single-transaction").arg("--file").arg(file);
                    psql
                };
                files.into_iter().map(one).collect()
            }
        })
    }

    fn client(&self, database: &str) -> Command {
        let PostgresServer {
            host,
            port,
            user,
            password,
            ca_file,
        } = &self.server;
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
            .env("PGHOST", host)
            .env("PGPORT", port.to_string())
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PGDATABASE", database)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", ca_file);
        psql
    }

    fn psql(&self, database: &str, arguments: &[&str]) -> Result<String, Failure> {
        finish(self.client(database).args(arguments))
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String, Failure> {
        finish(self.cluster.kubectl()?.args(arguments))
    }
}

/// What it printed.
fn finish(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program().to_string_lossy();
    Err(format!("{program} failed: {said}").into())
}
