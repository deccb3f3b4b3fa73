//! The run is ended at every boundary, in every way, and the next one finishes it.
//!
//! At each of its requests a run is held. Then the agent is killed, or its session is terminated,
//! or the process of its session is killed, or the server is stopped as in a crash. Afterwards
//! the schema must be that of a run that nobody disturbed, and each statement must have been
//! done once.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firstlight::providers::postgres::{
    File, Migrations, Order, Placeholders, Server, Settings, Tls,
};
use testbed::{Env, Postgres, PostgresServer, Shutdown, unique};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::{Face, Wire};
use super::{Bed, connect, settings};
use crate::law;

/// Twelve files; with what each is called in the bundle.
const FILES: [(&str, &str); 12] = [
    (
        "V0001__log.sql",
        "CREATE TABLE done (what text NOT NULL);
         CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO public.done SELECT command_tag || ' ' || object_identity
             FROM pg_event_trigger_ddl_commands() WHERE schema_name = 'public';
         END $$;
         CREATE FUNCTION note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO public.done SELECT 'DROP ' || object_identity
             FROM pg_event_trigger_dropped_objects() WHERE original AND schema_name = 'public';
         END $$;
         CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note();
         CREATE EVENT TRIGGER note_drop ON sql_drop EXECUTE FUNCTION note_drop();",
    ),
    (
        "V0002__nodes.sql",
        "CREATE TABLE nodes (id int PRIMARY KEY, name text);
         INSERT INTO nodes SELECT n, 'node ' || n FROM generate_series(1, 20) AS n;",
    ),
    (
        "V0003__indexes.sql",
        "-- firstlight: transaction=none statement_timeout=1min
         CREATE INDEX CONCURRENTLY by_name ON nodes (name);
         INSERT INTO done VALUES ('V0003');
         SET search_path = public;
         CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_both ON nodes (name, id);",
    ),
    (
        "V0004__wrapped.sql",
        "BEGIN;
         ALTER TABLE nodes ADD COLUMN gpus int NOT NULL DEFAULT 0;
         INSERT INTO done VALUES ('V0004');
         COMMIT;",
    ),
    (
        "V0005__mood.sql",
        "-- firstlight: transaction=none
         CREATE TYPE mood AS ENUM ('sad');
         ALTER TYPE mood ADD VALUE 'happy';
         ALTER TABLE nodes ADD COLUMN mood mood NOT NULL DEFAULT 'happy';",
    ),
    (
        "V0006__unneeded.sql",
        "-- firstlight: transaction=none
         DROP INDEX CONCURRENTLY by_name;",
    ),
    (
        "V0007__check.sql",
        "ALTER TABLE nodes ADD CONSTRAINT positive CHECK (id > 0) NOT VALID;",
    ),
    (
        "V0008__valid.sql",
        "-- firstlight: transaction=none
         ALTER TABLE nodes VALIDATE CONSTRAINT positive;
         VACUUM nodes;
         REINDEX INDEX CONCURRENTLY by_both;",
    ),
    (
        "V0009__parts.sql",
        "CREATE TABLE parts (id int) PARTITION BY LIST (id);
         CREATE TABLE part_one PARTITION OF parts FOR VALUES IN (1);
         INSERT INTO parts VALUES (1);",
    ),
    (
        "V0010__detach.sql",
        "-- firstlight: transaction=none
         ALTER TABLE parts DETACH PARTITION part_one CONCURRENTLY;",
    ),
    (
        "V0011__count.sql",
        "INSERT INTO done VALUES ('V0011');
         CREATE FUNCTION happy() RETURNS bigint LANGUAGE sql
             BEGIN ATOMIC SELECT count(*) FROM nodes WHERE mood = 'happy'; END;
         -- firstlight: verify
         SELECT happy() = 20;",
    ),
    (
        "R__views.sql",
        "CREATE OR REPLACE VIEW names AS SELECT name FROM nodes;
         INSERT INTO done VALUES ('R');",
    ),
];

/// All that a run leaves: what there is, and how often each statement was done.
const FINGERPRINT: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
    SELECT format('column %s.%s %s %s', attrelid::regclass, attname,
                  format_type(atttypid, atttypmod), attnotnull) AS line
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('index %s %s', pg_get_indexdef(indexrelid), indisvalid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('constraint %s %s %s', conrelid::regclass, pg_get_constraintdef(oid), convalidated)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('function %s %s', oid::regprocedure, md5(pg_get_functiondef(oid)))
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('label %s %s', enumtypid::regtype, enumlabel) FROM pg_enum
    UNION ALL
    SELECT format('part %s of %s', inhrelid::regclass, inhparent::regclass) FROM pg_inherits
    UNION ALL
    SELECT format('done %s: %s times', what, count(*)) FROM public.done GROUP BY what
    UNION ALL
    SELECT format('rows %s, %s', (SELECT count(*) FROM public.nodes),
                  (SELECT count(*) FROM public.part_one))
    UNION ALL
    SELECT format('history %s %s %s %s', version, file, checksum, statements)
    FROM firstlight.schema_history
    UNION ALL
    SELECT format('unfinished %s %s', file, number) FROM firstlight.schema_statements
) AS lines";

/// How a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// SIGKILL of the agent.
    Agent,
    /// `pg_terminate_backend` of its sessions.
    Session,
    /// SIGKILL of a process of the server, which then starts anew by itself.
    Process,
    /// `pg_ctl stop -m immediate`, and a start.
    Server,
}

/// One place where a run is ended.
#[derive(Debug, Clone)]
struct Point {
    request: usize,
    face: Face,
    file: usize,
    label: String,
}

fn files() -> Vec<File> {
    let file = |(name, sql): (&str, &str)| {
        let order = match name[1..].split_once("__").expect("a name").0 {
            "" => Order::Repeatable,
            version => Order::Version(version.parse().expect("a number")),
        };
        File::new(
            order,
            "test",
            format!("sql/{name}"),
            sql,
            &Placeholders::new(),
        )
    };
    FILES.into_iter().map(file).collect()
}

/// The server as the agent reaches it through a line.
fn through(wire: &Wire, at: &PostgresServer) -> Server {
    connect(Settings {
        port: wire.address.port().into(),
        tls: Tls::Disable,
        ..settings(at)
    })
}

fn backend(at: &PostgresServer) -> String {
    format!("{}:{}", at.host, at.port)
}

/// A server of its own that asks for no password: to prove one takes longer than all the rest.
async fn server() -> (Postgres, Bed) {
    let postgres = Postgres::start().await.expect("a Postgres of its own");
    let mut bed = Bed::new(postgres.server().clone());
    let trust = "DO $$ BEGIN EXECUTE format( \
                 'COPY (SELECT ''host all all 127.0.0.1/32 trust'') TO %L', \
                 current_setting('hba_file')); END $$";
    bed.execute("postgres", trust).await;
    bed.execute("postgres", "SELECT pg_reload_conf()").await;
    bed.server = connect(Settings {
        tls: Tls::Disable,
        ..settings(&bed.at)
    });
    (postgres, bed)
}

/// An undisturbed run: what it leaves, and where it can be ended.
async fn undisturbed(bed: &Bed) -> (String, Vec<Point>) {
    let database = bed.database("undisturbed").await;
    let wire = Wire::start(backend(&bed.at), None).await;
    let run = Migrations::new(through(&wire, &bed.at), &database, files());
    let changes = law::changes(run).await;
    assert_eq!(changes.len(), FILES.len());
    (
        bed.value(&database, FINGERPRINT).await,
        points(&wire.requests()),
    )
}

/// Each request that changes something is one boundary. That its answer is lost is for the server the
/// same as that the next request is, and the agent forgets all but one thing: that it has sent a
/// COMMIT. Where several statements were sent before the first was answered, the run is ended with
/// no answer told, and with half of them.
fn points(requests: &[String]) -> Vec<Point> {
    let mut points = Vec::new();
    let (mut file, mut last, mut begun) = (0, false, 0);
    for (request, sql) in requests.iter().enumerate() {
        let label: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let label: String = label.chars().take(60).collect();
        let reads = ["SELECT", "SET search", "SET lock"];
        let reads = reads.iter().any(|word| label.starts_with(word))
            || label.starts_with("RESET") && !sql.contains("INSERT");
        let ends = sql == "COMMIT";
        let mut add_at = |request, face| {
            points.push(Point {
                request,
                face,
                file,
                label: label.clone(),
            });
        };
        if label.starts_with("BEGIN") {
            begun = request;
        }
        let all = request.saturating_sub(begun + 1);
        if ends && all >= SEVERAL {
            for told in [0, all / 2] {
                add_at(begun + 1, Face::Sent { all, told });
            }
        }
        let mut add = |face| add_at(request, face);
        if !reads || label.contains("pg_try_advisory_lock") {
            add(Face::Before);
        }
        if ends {
            add(Face::After);
        }
        last |= sql.contains("INSERT INTO firstlight.schema_history");
        if ends {
            file += usize::from(std::mem::take(&mut last));
        }
    }
    points
}

/// So many statements and their note are worth ending in the midst of.
const SEVERAL: usize = 3;

/// A run of this process that is held.
struct Held {
    database: String,
    point: Point,
    wire: Wire,
    run: JoinHandle<()>,
}

const PATIENCE: Duration = Duration::from_mins(1);

async fn hold(bed: Arc<Bed>, point: Point) -> Held {
    let database = bed.database("held").await;
    let wire = Wire::start(backend(&bed.at), Some((point.request, point.face))).await;
    let run = Migrations::new(through(&wire, &bed.at), &database, files());
    let run = tokio::spawn(law::settles(run));
    let held = timeout(PATIENCE, wire.held()).await;
    assert!(held.is_ok(), "{point:?} was not reached");
    Held {
        database,
        point,
        wire,
        run,
    }
}

/// Whether the next run finds everything done, once.
async fn converged(bed: &Bed, database: &str, expected: &str, point: &Point, kind: Kind) -> bool {
    law::settles(Migrations::new(bed.server(), database, files())).await;
    law::unchanged(Migrations::new(bed.server(), database, files())).await;
    let found = bed.value(database, FINGERPRINT).await;
    if found != expected {
        let other = |a: &str, b: &str| {
            let lines: Vec<_> = a
                .lines()
                .filter(|line| !b.lines().any(|l| l == *line))
                .collect();
            lines.join("\n  ")
        };
        println!(
            "{kind:?} at request {} ({}), {:?}:\n  missing {}\n  too much {}",
            point.request,
            point.label,
            point.face,
            other(expected, &found),
            other(&found, expected)
        );
    }
    found == expected
}

impl Held {
    /// Lets the run go on to its end, and looks at what it leaves.
    async fn end(self, bed: &Bed, expected: &str, kind: Kind) -> (Point, bool) {
        let ended = timeout(PATIENCE, self.run).await;
        let good = matches!(ended, Ok(Ok(())));
        assert!(
            good,
            "{kind:?} at {:?}: the run does not end well",
            self.point
        );
        let good = converged(bed, &self.database, expected, &self.point, kind).await;
        (self.point, good)
    }
}

/// How many points there are of each file, and how many of them converged, for each kind.
type Matrix = BTreeMap<(usize, Kind), (usize, usize)>;

fn note(matrix: &mut Matrix, point: &Point, kind: Kind, good: bool) {
    let cell = matrix.entry((point.file, kind)).or_default();
    cell.0 += 1;
    cell.1 += usize::from(good);
}

/// Ends many runs at once, each at its own point: what ends the server ends them all.
async fn strike(kind: Kind, matrix: &mut Matrix) {
    let (mut postgres, bed) = server().await;
    let bed = Arc::new(bed);
    let (expected, points) = undisturbed(&bed).await;
    for some in points.chunks(40) {
        let runs = some
            .iter()
            .map(|point| hold(Arc::clone(&bed), point.clone()));
        let held = futures::future::join_all(runs).await;
        match kind {
            Kind::Session => {
                let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                           WHERE application_name = 'firstlight' AND datname LIKE 'theld%'";
                bed.execute("postgres", sql).await;
            }
            Kind::Process => {
                let sql = "SELECT min(pid)::text FROM pg_stat_activity \
                           WHERE application_name = 'firstlight' AND datname LIKE 'theld%'";
                let pid = bed.value("postgres", sql).await;
                postgres
                    .kill_backend(pid.parse().expect("a process"))
                    .expect("killed");
            }
            Kind::Server | Kind::Agent => {
                postgres.stop(Shutdown::Immediate).await.expect("it stops");
                postgres.start_again().await.expect("it starts");
            }
        }
        for run in &held {
            run.wire.go_on();
        }
        let ends = held.into_iter().map(|run| run.end(&bed, &expected, kind));
        for (point, good) in futures::future::join_all(ends).await {
            note(matrix, &point, kind, good);
        }
    }
}

/// Kills the program itself. Its next run is that of this process.
async fn kill_agents(matrix: &mut Matrix) {
    let (_postgres, bed) = server().await;
    let bed = Arc::new(bed);
    let (expected, mut points) = undisturbed(&bed).await;
    // What a COMMIT was sent for dies with the agent, so an answer that it does not get is the next
    // request that it does not send; but for the last one, which has no next.
    let last = points.pop();
    points.retain(|point| point.face != Face::After);
    points.extend(last);
    let namespace = Arc::new(Namespace::new(&bed.at));
    let places = Arc::new(Semaphore::new(4));
    let runs = points.into_iter().map(|point| {
        let (bed, namespace, places) = (bed.clone(), namespace.clone(), places.clone());
        let expected = expected.clone();
        tokio::spawn(async move {
            let _place = places.acquire().await.expect("places are left");
            let database = bed.database("killed").await;
            let stop = Some((point.request, point.face));
            let wire = Wire::start(backend(&bed.at), stop).await;
            let mut agent = namespace.agent(&database, &wire);
            let held = timeout(PATIENCE, wire.held()).await;
            agent.kill().await.expect("it is killed");
            wire.go_on();
            assert!(held.is_ok(), "{point:?} was not reached");
            let good = converged(&bed, &database, &expected, &point, Kind::Agent).await;
            (point, good)
        })
    });
    for run in runs.collect::<Vec<_>>() {
        let (point, good) = run.await.expect("no panic");
        note(matrix, &point, Kind::Agent, good);
    }
}

/// Where the program finds its password.
struct Namespace {
    name: String,
    kubeconfig: std::path::PathBuf,
    at: PostgresServer,
    bundles: tempfile::TempDir,
}

impl Namespace {
    fn new(at: &PostgresServer) -> Self {
        let cluster = Env::load()
            .and_then(|env| env.api_server())
            .expect("an API server");
        let name = unique("kill");
        let secret = format!("--from-literal=password={}", at.password);
        for arguments in [
            vec!["create", "namespace", &name],
            vec![
                "-n", &name, "create", "secret", "generic", "database", &secret,
            ],
        ] {
            let made = cluster.kubectl().expect("kubectl").args(arguments).output();
            assert!(made.expect("kubectl runs").status.success(), "no namespace");
        }
        Self {
            name,
            kubeconfig: cluster.kubeconfig.clone(),
            at: at.clone(),
            bundles: tempfile::tempdir().expect("a folder"),
        }
    }

    fn agent(&self, database: &str, wire: &Wire) -> tokio::process::Child {
        let root = self.bundles.path().join(database);
        let text = format!(
            "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: {{ name: {} }}
servers:
  postgres:
    host: {}
    port: {}
    user: {}
    password: {{ secret: database, key: password }}
    tls: {{ mode: disable }}
phases:
  - name: schema
    steps:
      - migrate: {{ path: sql, database: {database} }}
",
            database.replace('_', "-"),
            self.at.host,
            wire.address.port(),
            self.at.user
        );
        for (path, text) in FILES
            .iter()
            .map(|(name, sql)| (format!("sql/{name}"), *sql))
            .chain([("manifests/bundle.yaml".to_owned(), text.as_str())])
        {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        tokio::process::Command::new(env!("CARGO_BIN_EXE_firstlight"))
            .arg("run")
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", &root)
            .env("FIRSTLIGHT_NAMESPACE", &self.name)
            .env("FIRSTLIGHT_TERMINATION_LOG", root.join("termination"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program runs")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_ended_anywhere_is_finished_once() {
    let began = Instant::now();
    let mut matrix = Matrix::new();
    for kind in [Kind::Session, Kind::Process, Kind::Server] {
        strike(kind, &mut matrix).await;
        println!("{kind:?} after {:?}", began.elapsed());
    }
    kill_agents(&mut matrix).await;
    println!("all after {:?}", began.elapsed());
    print(&matrix);
    let bad: Vec<_> = matrix
        .iter()
        .filter(|(_, (all, good))| all != good)
        .collect();
    assert_eq!(bad, [], "of so many points, so many converged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_five_runs_at_once_do_each_statement_once() {
    let bed = Bed::shared();
    let (expected, _) = undisturbed(&bed).await;
    for count in [2, 5] {
        let database = bed.database("together").await;
        let run = || Migrations::new(connect(settings(&bed.at)), &database, files());
        let runs = (0..count).map(|_| tokio::spawn(law::settles(run())));
        for run in runs.collect::<Vec<_>>() {
            run.await.expect("it ends well");
        }
        assert_eq!(
            bed.value(&database, FINGERPRINT).await,
            expected,
            "{count} runs"
        );
    }
}

fn print(matrix: &Matrix) {
    println!("| file | agent | session | process | server |\n| --- | --- | --- | --- | --- |");
    let kinds = [Kind::Agent, Kind::Session, Kind::Process, Kind::Server];
    for (index, (name, _)) in FILES.iter().enumerate() {
        let cells = kinds.map(|kind| {
            let (all, good) = matrix.get(&(index, kind)).copied().unwrap_or_default();
            format!("{good} of {all}")
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
}
