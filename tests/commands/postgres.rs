//! What only the program itself can show of its work in Postgres: that the server stops what a run
//! that ended has begun, and what is told of statements on the way.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::{
    Attempt, Env, Otelcol, Postgres, PostgresServer, Proxy, Shutdown, eventually, unique,
};
use tokio_postgres::{Client, Config, NoTls};

use crate::agent::Agent;

/// A bundle that works in a database of its own, by TLS with the name compared.
struct Bed {
    server: PostgresServer,
    database: String,
    agent: Agent,
    collector: Otelcol,
}

impl Bed {
    /// With these steps after the database, whose name stands for `DATABASE`.
    fn new(name: &str, steps: &str) -> Self {
        let server = Env::load().and_then(|env| env.postgres());
        Self::on(server.expect("a Postgres"), name, steps)
    }

    /// The same on a server of the test's own.
    fn on(server: PostgresServer, name: &str, steps: &str) -> Self {
        let database = unique(name);
        let pem = std::fs::read_to_string(&server.ca_file).expect("the authority is readable");
        let pem = Value::from(pem);
        let PostgresServer {
            host,
            port,
            user,
            password,
            ..
        } = &server;
        let servers = format!(
            "servers:\n  postgres:\n    host: {host}\n    port: {port}\n    user: {user}\n    \
             password: {{ secret: keys, key: password }}\n    \
             tls: {{ mode: verify-full, ca: {{ secret: keys, key: ca.crt }} }}\n"
        );
        let steps = steps.replace("DATABASE", &database);
        let phases = format!(
            "  - name: secrets
    steps:
      - secret: {{ name: keys, values: {{ password: \"{password}\", ca.crt: {pem} }} }}
  - name: schema
    steps:
      - database: {{ name: {database} }}
{steps}"
        );
        let agent = Agent::new(name, &servers, &phases);
        let collector = Env::load()
            .and_then(|env| env.otelcol())
            .expect("a collector");
        Self {
            server,
            database,
            agent,
            collector,
        }
    }

    /// A session behind the run's back.
    async fn client(&self, database: &str) -> Client {
        let mut config = Config::new();
        config
            .host(&self.server.host)
            .port(self.server.port)
            .user(&self.server.user)
            .password(&self.server.password)
            .dbname(database);
        let (client, socket) = config.connect(NoTls).await.expect("the server lets us in");
        tokio::spawn(socket);
        client
    }

    fn start(&self) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.agent.command(&["run", "--log", "json"]);
        let mut run = command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector.otlp_http)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let stdout = run.stdout.take().expect("piped");
        (run, BufReader::new(stdout).lines())
    }
}

const SLEEPING: &str = "    - migrate: { path: sql, database: DATABASE }
        needs: [DATABASE]
";

/// A run in the middle of a minute's sleep.
async fn asleep(name: &str, sql: &str) -> (Bed, Child, Client) {
    let bed = Bed::new(name, &format!("  {SLEEPING}"));
    bed.agent.write("sql/V0001__sleep.sql", sql);
    let client = bed.client("postgres").await;
    let (run, lines) = bed.start();
    // Nobody reads what it says; it must not wait for a reader.
    std::thread::spawn(move || lines.map_while(Result::ok).count());
    let minute = Duration::from_mins(1);
    let begun = eventually("the statement to begin", minute, async || {
        sleepers(&client, &bed.database, 1).await
    });
    begun.await.expect("it begins");
    (bed, run, client)
}

async fn sleepers(client: &Client, database: &str, expected: i64) -> Attempt<()> {
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = $1 AND state = 'active' AND query LIKE '%pg_sleep(%'";
    match client.query_one(count, &[&database]).await {
        Ok(row) if row.get::<_, i64>(0) == expected => Attempt::Done(()),
        Ok(row) => Attempt::NotYet(format!("{} sessions sleep", row.get::<_, i64>(0))),
        Err(error) => Attempt::never(&error),
    }
}

fn signal(run: &Child, signal: &str) {
    let told = std::process::Command::new("kill")
        .args([signal, &run.id().to_string()])
        .status();
    assert!(told.expect("kill runs").success());
}

/// A few seconds, as it looks each second whether its client is still there.
const SOON: Duration = Duration::from_secs(5);

/// It does not look in this file, so it can only have been told. The next run does not sleep.
const DEAF: &str = "set local client_connection_check_interval = 0;
select pg_sleep(coalesce(current_setting('test.nap', true), '60')::float);
";

#[tokio::test]
async fn the_server_stops_what_a_run_that_was_told_to_stop_has_begun() {
    let (bed, mut run, client) = asleep("stopped", DEAF).await;
    signal(&run, "-TERM");
    let since = Instant::now();
    let ended = eventually(
        "the run to end",
        Duration::from_mins(1),
        async || match run.try_wait() {
            Ok(Some(status)) => Attempt::Done(status),
            Ok(None) => Attempt::NotYet("it runs".to_owned()),
            Err(error) => Attempt::never(&error),
        },
    );
    assert_eq!(ended.await.expect("it ends").code(), Some(75));
    // The change under way had its time to end, and no more.
    let took = since.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?}");
    let gone = eventually("the statement to end", SOON, async || {
        sleepers(&client, &bed.database, 0).await
    });
    gone.await.expect("the server stops it");
    let awake = format!("ALTER DATABASE {} SET test.nap = '0'", bed.database);
    client.batch_execute(&awake).await.expect("it is ours");
    let (mut next, lines) = bed.start();
    let said: Vec<String> = lines.map_while(Result::ok).collect();
    let code = next.wait().expect("it ends").code();
    assert_eq!(code, Some(0), "{said:#?}");
}

#[tokio::test]
async fn the_server_stops_what_a_run_that_was_killed_has_begun() {
    let (bed, mut run, client) = asleep("killed", "select pg_sleep(60);\n").await;
    run.kill().expect("it is killed");
    run.wait().expect("it ends");
    let gone = eventually("the statement to end", SOON, async || {
        sleepers(&client, &bed.database, 0).await
    });
    gone.await.expect("the server stops it");
}

/// The proxy works on while the test reads what the run says.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_follows_its_server_to_the_standby() {
    const FILES: usize = 12;
    let mut first = Postgres::start().await.expect("a Postgres of its own");
    let second = first.standby().await.expect("a standby");
    let address = |of: &Postgres| format!("{}:{}", of.server().host, of.server().port);
    let name = Proxy::start(address(&first)).await.expect("a proxy");
    let by_name = PostgresServer {
        port: name.address().port(),
        ..first.server().clone()
    };
    let bed = Bed::on(by_name, "followed", &format!("  {SLEEPING}"));
    for version in 1..=FILES {
        let sql = format!("create table t{version} ();\nselect pg_sleep(0.2);\n");
        bed.agent
            .write(&format!("sql/V{version:04}__t{version}.sql"), &sql);
    }
    let (mut run, mut lines) = bed.start();
    let fourth = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("V0004")));
    assert!(fourth.is_some(), "the fourth file is told");
    first.stop(Shutdown::Immediate).await.expect("it crashes");
    name.redirect(address(&second));
    second.promote().await.expect("it takes over");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let code = run.wait().expect("it ends").code();
    assert_eq!(code, Some(0), "{rest:#?}");
    let count = "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public'), \
                        (SELECT count(*) FROM firstlight.schema_history)";
    let row = bed.client(&bed.database).await.query_one(count, &[]).await;
    let row = row.expect("the tables and the history");
    let expected = i64::try_from(FILES).expect("a small number");
    assert_eq!((row.get(0), row.get(1)), (expected, expected));
}

const TOLD: &str = "      - migrate: { path: sql, database: DATABASE }
        needs: [DATABASE]
  - name: checks
    steps:
      - check: { name: read, sql: { database: DATABASE, query: \"select count(*) from nodes\", atLeast: 0 } }
";

/// Runs where a dump holds the table that is asked for, until the wait for it is told.
async fn told() -> (Bed, Vec<Value>) {
    let bed = Bed::new("told", TOLD);
    let admin = bed.client("postgres").await;
    let create = format!("CREATE DATABASE {}", bed.database);
    admin.batch_execute(&create).await.expect("it is new");
    let holder = bed.client(&bed.database).await;
    for sql in [
        "CREATE TABLE nodes ()",
        "SET application_name = 'nightly dump'",
        "BEGIN; LOCK TABLE nodes",
    ] {
        holder.batch_execute(sql).await.expect("the lock is free");
    }
    bed.agent.write(
        "sql/V0001__told.sql",
        "create table if not exists nodes ();\n\
         do $$ begin raise warning 'mind the gap'; raise notice 'as you were'; end $$;\n\
         select 1;\n\
         alter table if exists gone set (fillfactor = 50);\n",
    );
    let (mut run, lines) = bed.start();
    let mut told: Vec<Value> = Vec::new();
    for line in lines.map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let waits = line.to_string().contains("Postgres waits for");
        told.push(line);
        if waits {
            holder.batch_execute("COMMIT").await.expect("it lets go");
        }
    }
    let code = run.wait().expect("it ends").code();
    assert_eq!(code, Some(0), "{told:#?}");
    (bed, told)
}

#[tokio::test]
async fn statements_notices_and_waits_for_locks_are_told() {
    let (bed, told) = told().await;
    let mut trace = String::new();
    for (level, of, said) in [
        (
            "WARN",
            "CREATE TABLE nodes",
            "Postgres notes: relation \"nodes\" already exists, skipping",
        ),
        ("WARN", "DO", "Postgres warns: mind the gap"),
        ("INFO", "DO", "Postgres notes: as you were"),
        (
            "INFO",
            "ALTER TABLE gone",
            "Postgres notes: relation \"gone\" does not exist, skipping",
        ),
        (
            "WARN",
            "check",
            "Postgres waits for AccessShareLock on nodes, held by nightly dump, process",
        ),
    ] {
        let starts = |line: &&Value| {
            let message = line["message"].as_str();
            message.is_some_and(|message| message.starts_with(said))
        };
        let found = told.iter().find(starts);
        let found = found.unwrap_or_else(|| panic!("{said}: {told:#?}"));
        assert_eq!(found["level"], level, "{found}");
        assert_eq!(found["fields"]["db.query.summary"], of, "{found}");
        assert!(found["step"].is_string(), "{found}");
        trace = found["trace_id"].as_str().expect("a trace").to_owned();
    }
    let spans = spans_of(&trace, &bed.collector).await;
    let statements = spans.values().filter(|span| span["kind"] == CLIENT);
    let statements: Vec<_> = statements
        .filter(|span| attribute(span, "db.system.name") == "postgresql")
        .collect();
    for span in &statements {
        let parent = &spans[span["parentSpanId"].as_str().expect("a parent")];
        assert!(ended(span) <= ended(parent), "{span:#} outlives {parent:#}");
        assert!(!span.to_string().contains("count(*)"), "{span:#}");
    }
    let check = statements
        .iter()
        .find(|span| attribute(span, "db.query.summary") == "check")
        .expect("the check's statement");
    assert_eq!(attribute(check, "db.namespace"), bed.database);
    assert_eq!(attribute(check, "db.response.returned_rows"), "1");
    let waited = attribute(check, "firstlight.waits_for");
    assert_eq!(waited, "AccessShareLock on nodes");
}

#[tokio::test]
async fn a_file_that_fails_is_a_span_that_failed() {
    let bed = Bed::new("told", TOLD);
    let sql = "create table nodes ();\nselect 1 / 0;\n";
    bed.agent.write("sql/V0001__wrong.sql", sql);
    let (mut run, lines) = bed.start();
    let lines: Vec<String> = lines.map_while(Result::ok).collect();
    let code = run.wait().expect("it ends").code();
    assert_eq!(code, Some(78), "{lines:#?}");
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut traces = lines.filter_map(|line: Value| Some(line["trace_id"].as_str()?.to_owned()));
    let spans = spans_of(&traces.next().expect("a trace"), &bed.collector).await;
    let mut files = spans
        .values()
        .filter(|span| span["name"] == "V0001__wrong.sql");
    let file = files.next().unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!(file["status"]["code"], ERROR, "{file:#}");
    let why = file["status"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("division by zero"), "{file:#}");
    let mut above = spans
        .values()
        .filter(|span| file["parentSpanId"] == span["spanId"]);
    let attempt = above.next().expect("an attempt");
    let kind = attribute(file, "error.type");
    assert!(
        !kind.is_empty() && kind == attribute(attempt, "error.type"),
        "{file:#}"
    );
    assert_eq!(attribute(file, "firstlight.migration.place"), "1/1");
}

const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// The spans of a run, by their ids, when the collector has its root.
async fn spans_of(trace: &str, collector: &Otelcol) -> BTreeMap<String, Value> {
    let file = &collector.received_file;
    let what = format!("the spans of trace {trace} in {}", file.display());
    let found = eventually(&what, Duration::from_mins(1), async || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains(trace));
        let spans: BTreeMap<String, Value> = lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .flat_map(|line| spans_in(&line, trace))
            .collect();
        if spans.values().any(|span| span["name"] == "RUN told") {
            Attempt::Done(spans)
        } else {
            Attempt::NotYet(format!("{} spans, without the root", spans.len()))
        }
    });
    found.await.expect("the root comes last")
}

fn spans_in(line: &Value, trace: &str) -> Vec<(String, Value)> {
    let each = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for resource in each(line, "resourceSpans") {
        for scope in each(&resource, "scopeSpans") {
            let spans = each(&scope, "spans").into_iter();
            let own = spans.filter(|span| span["traceId"] == trace);
            found.extend(own.map(|span| {
                let id = span["spanId"].as_str().unwrap_or_default();
                (id.to_owned(), span.clone())
            }));
        }
    }
    found
}

fn attribute(span: &Value, key: &str) -> String {
    let attributes = span["attributes"].as_array().into_iter().flatten();
    let value = attributes
        .filter(|attribute| attribute["key"] == key)
        .find_map(|attribute| {
            let value = &attribute["value"];
            let text = value["stringValue"].as_str().or(value["intValue"].as_str());
            text.map(str::to_owned)
        });
    value.unwrap_or_default()
}

fn ended(span: &Value) -> u64 {
    let nanoseconds = span["endTimeUnixNano"].as_str();
    nanoseconds
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
