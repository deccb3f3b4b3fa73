//! Migrations among others: sessions that hold what they need, and other runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use firstlight::engine::{Outcome, Plan, Resource};
use firstlight::providers::postgres::{
    Cancels, File, Migrations, MigrationsObserved, Placeholders, Settings,
};
use testbed::{Attempt, Postgres, Proxy, eventually};

use super::stepwise::outside;
use super::{Bed, connect, settings};
use crate::law::{self, Waits};

fn file(sql: &str) -> File {
    File::new(1, "test", "sql/V0001__test.sql", sql, &Placeholders::new())
}

#[tokio::test]
async fn a_dump_that_holds_a_table_is_named_until_it_ends() {
    let bed = Bed::shared();
    let database = bed.database("dumped").await;
    bed.execute(&database, "CREATE TABLE nodes (id int)").await;
    let dump = bed.client(&database).await;
    dump.batch_execute(
        "SET application_name = 'pg_dump'; BEGIN; LOCK TABLE nodes IN ACCESS SHARE MODE",
    )
    .await
    .expect("it has the table");
    let dumping = tokio::spawn(async move {
        dump.batch_execute("SELECT pg_sleep(10)")
            .await
            .expect("it dumps");
        dump.batch_execute("COMMIT").await
    });
    let waits = Arc::new(Waits::default());
    let run = Migrations::new(
        bed.server(),
        &database,
        vec![file("ALTER TABLE nodes ADD COLUMN name text;")],
    );
    let began = Instant::now();
    let outcome = law::listened(run, Arc::clone(&waits)).await;
    let took = began.elapsed();
    assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
    // Three tries of three seconds fail, and the fourth is not long after the dump.
    let bounds = Duration::from_secs(9)..Duration::from_secs(20);
    assert!(bounds.contains(&took), "{took:?}");
    dumping.await.expect("no panic").expect("it ends");
    let said = waits.said();
    let first = &said[0];
    let expected = "sql/V0001__test.sql:1:1: canceling statement due to lock timeout (55P03)";
    assert!(first.starts_with(expected), "{first}");
    for part in ["pg_dump", "process ", "since ", "UTC"] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    // The same wait is not told again and again.
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn an_index_is_built_beside_others_however_long_they_take() {
    let bed = Bed::shared();
    let database = bed.database("patient").await;
    bed.execute(&database, "CREATE TABLE nodes (id int)").await;
    let old = bed.client(&database).await;
    let reading = tokio::spawn(async move {
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM nodes; SELECT pg_sleep(5); COMMIT";
        old.batch_execute(sql).await
    });
    let asleep = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                  AND datname = current_database()";
    bed.until(&database, asleep, "1").await;
    let waits = Arc::new(Waits::default());
    let files = vec![outside(1, "CREATE INDEX CONCURRENTLY i ON nodes (id);")];
    let run = Migrations::new(bed.server(), &database, files);
    let outcome = law::listened(run, Arc::clone(&waits)).await;
    assert!(matches!(outcome, Outcome::Changed(_)), "{outcome:?}");
    assert_eq!(waits.said(), [""; 0]);
    reading.await.expect("no panic").expect("it ends");
}

#[tokio::test]
async fn an_index_whose_builder_was_killed_is_made_anew() {
    let bed = Bed::shared();
    let database = bed.database("builder").await;
    bed.execute(&database, "CREATE TABLE nodes (id int)").await;
    let old = bed.client(&database).await;
    let hold = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM nodes";
    old.batch_execute(hold).await.expect("a snapshot");
    let files = || {
        vec![outside(
            1,
            "CREATE INDEX CONCURRENTLY i ON nodes (id);\nINSERT INTO nodes VALUES (1);",
        )]
    };
    let first = Migrations::new(connect(settings(&bed.at)), &database, files());
    let Ok(Plan::Change(mut changes)) = first.plan(&MigrationsObserved::default()) else {
        panic!("it is pending");
    };
    let waiting = "SELECT count(*)::text FROM pg_stat_progress_create_index \
                   WHERE phase LIKE 'waiting for %' AND index_relid <> 0 \
                     AND datname = current_database()";
    tokio::select! {
        ended = first.apply(changes.remove(0)) => panic!("it waits: {ended:?}"),
        () = bed.until(&database, waiting, "1") => {}
    }
    drop((first, changes));
    let gone = "SELECT count(*)::text FROM pg_stat_activity \
                WHERE application_name = 'firstlight' AND datname = current_database()";
    bed.until(&database, gone, "0").await;
    let valid = "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'i'::regclass";
    assert_eq!(bed.value(&database, valid).await, "false");
    old.batch_execute("COMMIT").await.expect("it ends");
    law::settles(Migrations::new(bed.server(), &database, files())).await;
    assert_eq!(bed.value(&database, valid).await, "true");
    assert_eq!(
        bed.value(&database, "SELECT count(*)::text FROM nodes")
            .await,
        "1"
    );
}

/// The row of the history is written in the transaction of the file, and not in its time.
#[tokio::test]
async fn the_limits_of_a_file_do_not_end_what_is_noted_of_it() {
    let bed = Bed::shared();
    let files = [
        "-- firstlight: statement_timeout=1s\nCREATE TABLE made ();",
        "SET statement_timeout = 1000; SET lock_timeout = 1000;\nCREATE TABLE made ();",
        "-- firstlight: transaction=none statement_timeout=1s lock_timeout=1s\nVACUUM pg_am;",
    ];
    for sql in files {
        let database = bed.database("limited").await;
        let [before, limited] = [(1, "SELECT 1;"), (2, sql)].map(|(version, sql)| {
            let path = format!("sql/V{version}__test.sql");
            File::new(version, "test", path, sql, &Placeholders::new())
        });
        law::changes(Migrations::new(
            bed.server(),
            &database,
            vec![before.clone()],
        ))
        .await;
        let dump = bed.client(&database).await;
        let lock = "BEGIN; LOCK TABLE firstlight.schema_history, firstlight.schema_statements \
                    IN SHARE MODE";
        dump.batch_execute(lock).await.expect("they are free");
        let run = Migrations::new(bed.server(), &database, vec![before, limited]);
        let run = tokio::spawn(law::changes(run));
        let late = "SELECT count(*)::text FROM pg_stat_activity \
                    WHERE wait_event_type = 'Lock' AND datname = current_database() \
                      AND now() - query_start > '1500ms'";
        bed.until(&database, late, "1").await;
        dump.batch_execute("COMMIT").await.expect("it ends");
        run.await.expect("it ends well");
    }
}

/// The answer to a COMMIT is lost while the server still works on it.
#[tokio::test]
async fn a_commit_in_doubt_is_waited_for_and_never_repeated() {
    let (_postgres, bed) = without_standby().await;
    let proxy = Proxy::start(format!("{}:{}", bed.at.host, bed.at.port))
        .await
        .expect("a proxy");
    let server = connect(Settings {
        port: proxy.address().port().into(),
        ..settings(&bed.at)
    });
    let waits = Arc::new(Waits::default());
    let run = Migrations::new(server, "postgres", vec![file(ONCE)]);
    let run = tokio::spawn(law::listened(run, Arc::clone(&waits)));
    bed.until("postgres", COMMITTING, "1").await;
    proxy.cut().await;
    let told = eventually("the doubt", Duration::from_secs(30), async || {
        let said = waits.said();
        let expected = "the connection was lost in the COMMIT of V0001__test.sql, and the server \
                        still works on it (transaction ";
        if said.iter().any(|said| said.starts_with(expected)) {
            Attempt::Done(())
        } else {
            Attempt::NotYet(format!("{said:?}"))
        }
    });
    told.await.expect("it is told");
    assert_eq!(bed.value("postgres", VISIBLE).await, "not yet");
    standby(&bed, "").await;
    let outcome = run.await.expect("no panic");
    assert!(outcome.is_settled(), "{outcome:?}");
    assert_eq!(
        bed.value("postgres", "SELECT count(*)::text FROM once")
            .await,
        "1"
    );
}

/// To leave it off would be to commit without the standby.
#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_not_cancelled() {
    let (_postgres, bed) = without_standby().await;
    let cancels = Cancels::default();
    let server = connect(settings(&bed.at)).counting(&cancels);
    let run = Migrations::new(server, "postgres", vec![file(ONCE)]);
    let Ok(Plan::Change(mut changes)) = run.plan(&MigrationsObserved::default()) else {
        panic!("it is pending");
    };
    tokio::select! {
        ended = run.apply(changes.remove(0)) => panic!("it waits: {ended:?}"),
        () = bed.until("postgres", COMMITTING, "1") => {}
    }
    cancels.told().await;
    assert_eq!(bed.value("postgres", VISIBLE).await, "not yet");
    assert_eq!(bed.value("postgres", COMMITTING).await, "1");
    standby(&bed, "").await;
    law::settles(run).await;
    let once = "SELECT count(*)::text FROM once";
    assert_eq!(bed.value("postgres", once).await, "1");
}

const ONCE: &str =
    "SET LOCAL synchronous_commit = on;\nCREATE TABLE once (id int);\nINSERT INTO once VALUES (1);";
const COMMITTING: &str = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
const VISIBLE: &str = "SELECT coalesce(to_regclass('once')::text, 'not yet')";

/// A server that lacks its standby; only a transaction that asks for it waits.
async fn without_standby() -> (Postgres, Bed) {
    let postgres = Postgres::builder().setting("synchronous_commit", "local");
    let postgres = postgres.start().await.expect("a Postgres of its own");
    let bed = Bed::new(postgres.server().clone());
    standby(&bed, "nobody").await;
    (postgres, bed)
}

async fn standby(bed: &Bed, name: &str) {
    let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
    bed.execute("postgres", &sql).await;
    bed.execute("postgres", "SELECT pg_reload_conf()").await;
    bed.until("postgres", "SHOW synchronous_standby_names", name)
        .await;
}
