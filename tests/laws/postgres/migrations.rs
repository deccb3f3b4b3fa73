//! The laws for migrations, and what they must survive.

use std::path::Path;
use std::time::Duration;

use firstlight::engine::{Class, Failure, Plan, Resource};
use firstlight::providers::postgres::{
    File, Migrations, MigrationsObserved, Order, Placeholders, Server, Settings,
};
use testbed::{Attempt, eventually};

use super::{Bed, connect, settings};
use crate::law;

pub(super) fn migrations(server: Server, database: &str, files: Vec<File>) -> Migrations {
    let mut migrations = Migrations::new(server, database, files);
    migrations.trace_id = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
    migrations
}

pub(super) fn file(version: u64, sql: &str) -> File {
    let path = format!("sql/V{version:04}__test.sql");
    File::new(version, "test", path, sql, &Placeholders::new())
}

/// Files that count how often each was applied.
pub(super) fn counting(count: u64) -> Vec<File> {
    let first = "CREATE TABLE applied (version bigint NOT NULL);\n";
    (1..=count)
        .map(|version| {
            let first = if version == 1 { first } else { "" };
            let sql = format!("{first}INSERT INTO applied VALUES ({version});\n");
            file(version, &sql)
        })
        .collect()
}

/// Each file was applied exactly once, and the history says so.
pub(super) async fn applied_once(bed: &Bed, database: &str, count: u64) {
    let sql = "SELECT format('%s files, %s versions, %s rows of history', \
                             count(*), count(DISTINCT version), \
                             (SELECT count(*) FROM firstlight.schema_history)) FROM applied";
    let expected = format!("{count} files, {count} versions, {count} rows of history");
    assert_eq!(bed.value(database, sql).await, expected);
}

/// The schema that this repository carries.
pub(super) fn lens(server: Server, database: &str) -> Migrations {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let names = std::fs::read_dir(folder).expect("the folder is there");
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let (version, description) = name.split_once("__").expect("V…__name.sql");
        let order = match version.strip_prefix('V') {
            Some(version) => Order::Version(version.parse().expect("a number")),
            None => Order::Repeatable,
        };
        let sql = std::fs::read_to_string(&path).expect("it is text");
        let path = format!("sql/{name}");
        File::new(order, description, path, &sql, &Placeholders::new())
    };
    migrations(server, database, names.map(file).collect())
}

#[tokio::test]
async fn the_schema_of_lens_obeys_the_laws() {
    let bed = Bed::shared();
    let database = bed.database("lens").await;
    let owner = format!("{database}_owner");
    law::settles(bed.role(&owner, "password")).await;
    law::settles(bed.database_of(&database, &owner)).await;
    let lens = || {
        let mut lens = lens(bed.server(), &database);
        lens.owner = Some(owner.clone());
        lens
    };
    law::fresh(lens()).await;
    let changes = law::changes(lens()).await;
    assert!(changes.len() >= 6, "{changes:?}");
    assert_eq!(changes[0], "run sql/V0001__clusters.sql");
    law::unchanged(lens()).await;
    let tables = "SELECT string_agg(DISTINCT tableowner, ' ') FROM pg_tables \
                  WHERE schemaname = 'public'";
    assert_eq!(bed.value(&database, tables).await, owner);
    let seed = "SELECT string_agg(name, ' ') FROM clusters";
    assert_eq!(bed.value(&database, seed).await, "local");
    // A foreign key without an index makes every delete on the other side read the whole table.
    let unindexed = "SELECT coalesce(string_agg(conrelid::regclass || '.' || conname, ' '), '') \
        FROM pg_constraint AS fk WHERE contype = 'f' AND connamespace = 'public'::regnamespace \
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = conrelid AND indpred IS NULL \
                        AND indkey[0] = conkey[1])";
    assert_eq!(bed.value(&database, unindexed).await, "");
    let uncommented = "SELECT coalesce(string_agg(relname, ' '), '') FROM pg_class \
        WHERE relkind IN ('r', 'p') AND NOT relispartition \
        AND relnamespace = 'public'::regnamespace AND obj_description(oid, 'pg_class') IS NULL";
    assert_eq!(bed.value(&database, uncommented).await, "");
}

#[tokio::test]
async fn where_there_is_no_database_everything_is_pending() {
    let bed = Bed::shared();
    law::fresh(lens(bed.server(), &testbed::unique("nowhere"))).await;
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_finished_later() {
    let bed = Bed::shared();
    let database = bed.database("cut").await;
    let one_more = |polls: usize| {
        let files = counting(polls.try_into().expect("a small number"));
        migrations(bed.server(), &database, files)
    };
    law::cut_short(one_more).await;
    let count = bed
        .value(&database, "SELECT max(version)::text FROM applied")
        .await;
    applied_once(&bed, &database, count.parse().expect("a number")).await;
}

#[tokio::test]
async fn a_run_that_is_killed_after_any_file_is_finished_by_the_next() {
    const FILES: u64 = 6;
    let bed = Bed::shared();
    for killed_after in 0..=FILES {
        let database = bed.database("killed").await;
        // Each run is a process of its own, so each has a server of its own.
        let run = || migrations(connect(settings(&bed.at)), &database, counting(FILES));
        let first = run();
        let observed = first.observe().await.expect("the server answers");
        let Ok(Plan::Change(changes)) = first.plan(&observed) else {
            panic!("everything is pending");
        };
        let mut changes = changes.into_iter();
        for change in changes
            .by_ref()
            .take(killed_after.try_into().expect("small"))
        {
            first.apply(change).await.expect("it is applied");
        }
        drop((first, changes));
        law::settles(run()).await;
        applied_once(&bed, &database, FILES).await;
    }
}

#[tokio::test]
async fn two_runs_at_once_apply_each_of_fifty_files_once() {
    let bed = Bed::shared();
    let database = bed.database("twice").await;
    law::two_at_once(|| migrations(connect(settings(&bed.at)), &database, counting(50))).await;
    applied_once(&bed, &database, 50).await;
}

#[tokio::test]
async fn who_holds_the_lock_is_named() {
    let bed = Bed::shared();
    let database = bed.database("locked").await;
    let first = migrations(bed.server(), &database, counting(2));
    let Ok(Plan::Change(mut changes)) = first.plan(&MigrationsObserved::default()) else {
        panic!("everything is pending");
    };
    let last = changes.pop();
    first.apply(changes.remove(0)).await.expect("it is applied");
    let second = || migrations(connect(settings(&bed.at)), &database, counting(2));
    let (class, what) = law::waits_for(second()).await;
    assert_eq!(class, Class::Busy);
    let expected = format!("another run migrates database {database}: firstlight, process ");
    assert!(what.starts_with(&expected), "{what}");
    // The last change of the plan holds the lock; with it, it goes.
    drop(last);
    law::settles(second()).await;
    applied_once(&bed, &database, 2).await;
}

#[tokio::test]
async fn the_server_stops_what_nobody_waits_for() {
    let bed = Bed::shared();
    let database = bed.database("slow").await;
    let files = vec![file(1, "CREATE TABLE slow (); SELECT pg_sleep(600);")];
    let slow = migrations(bed.server(), &database, files);
    let Ok(Plan::Change(mut changes)) = slow.plan(&MigrationsObserved::default()) else {
        panic!("it is pending");
    };
    let sleeping = "SELECT count(*)::text FROM pg_stat_activity \
                    WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' \
                      AND pid <> pg_backend_pid()";
    let count = async |expected: &str| match bed.value(&database, sleeping).await {
        found if found == expected => Attempt::Done(()),
        found => Attempt::NotYet(format!("{found} sessions sleep")),
    };
    let minute = Duration::from_mins(1);
    let begun = eventually("the file to begin", minute, async || count("1").await);
    let change = changes.remove(0);
    tokio::select! {
        ended = slow.apply(change) => panic!("it sleeps ten minutes: {ended:?}"),
        begun = begun => begun.expect("it begins"),
    }
    let ended = eventually("the server to notice", minute, async || count("0").await);
    ended.await.expect("it ends");
    law::settles(migrations(bed.server(), &database, counting(3))).await;
    applied_once(&bed, &database, 3).await;
}

#[tokio::test]
async fn an_error_in_a_file_is_shown_where_it_is() {
    let bed = Bed::shared();
    let database = bed.database("wrong").await;
    let good = "CREATE TABLE nodes (id int PRIMARY KEY);\nINSERT INTO nodes VALUES (1);\n";
    let fails = async |sql: &str| {
        let files = vec![file(1, good), file(2, sql)];
        let run = migrations(bed.server(), &database, files);
        let observed = run.observe().await.expect("the server answers");
        let Ok(Plan::Change(changes)) = run.plan(&observed) else {
            panic!("the second is pending");
        };
        let mut error = None;
        for change in changes {
            error = run.apply(change).await.err();
        }
        let error = error.expect("the second fails");
        assert_eq!(error.class(), Class::Invalid);
        let hints = error.hints().join("\n");
        format!("{error}\n{}\n{hints}", error.excerpt().unwrap_or_default())
    };
    // Found by the parser, in the middle of a line with characters of several bytes.
    insta::assert_snapshot!(
        fails("SELECT 1;\n\tSELECT 'größer', id FROM nodez;\n").await,
        @r#"
        sql/V0002__test.sql:2:27: relation "nodez" does not exist (42P01)
        2 | 	SELECT '…', id FROM nodez;
          | 	                    ^
        create it in an earlier migration, or write its schema before it: schema.name
        "#
    );
    // Found while it runs: the server names no place, the statement is told by counting.
    insta::assert_snapshot!(
        fails("-- one\nSELECT 1;\n\n-- two; three\nINSERT INTO nodes VALUES (1);\nSELECT 2;\n").await,
        @r#"
        sql/V0002__test.sql:5:1: duplicate key value violates unique constraint "nodes_pkey" (23505)
        5 | INSERT INTO nodes VALUES (1);
          | ^
        of table public.nodes, constraint nodes_pkey
        the row is there already: say ON CONFLICT DO NOTHING, or remove the doubles before the index is made
        the log of the server names the row: its values are not shown here
        "#
    );
    insta::assert_snapshot!(
        fails("SELECT 1;\nDO $$\nBEGIN\n  PERFORM 1/0;\nEND\n$$;\n").await,
        @r#"
        sql/V0002__test.sql:4:3: division by zero (22012)
        4 |   PERFORM 1/0;
          |   ^
        in SQL statement "SELECT 1/0"
        in PL/pgSQL function inline_code_block line 3 at PERFORM
        guard the divisor: nullif(divisor, 0)
        "#
    );
    // Put off to the end.
    insta::assert_snapshot!(
        fails(
            "CREATE TABLE a (id int REFERENCES nodes DEFERRABLE INITIALLY DEFERRED);\n\
             INSERT INTO a VALUES (2);\n"
        )
        .await,
        @r#"
        sql/V0002__test.sql:2:26: insert or update on table "a" violates foreign key constraint "a_id_fkey" (23503)
        2 | INSERT INTO a VALUES (2);
          |                          ^
        of table public.a, constraint a_id_fkey
        the other table has no such row, or this one is still referred to: insert parents first, delete children first
        the log of the server names the row: its values are not shown here
        "#
    );
    let tables = "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(bed.value(&database, tables).await, "nodes");
}

#[tokio::test]
async fn a_file_that_goes_back_to_a_savepoint_fails_all_the_same() {
    let bed = Bed::shared();
    let database = bed.database("savepoint").await;
    let sql =
        "CREATE TABLE a (); SAVEPOINT s; CREATE TABLE b ();\nROLLBACK TO s; CREATE TABLE c ();";
    law::changes(migrations(bed.server(), &database, vec![file(1, sql)])).await;
    let tables = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables \
                  WHERE schemaname = 'public'";
    assert_eq!(bed.value(&database, tables).await, "a c");
    let wrong = "SAVEPOINT s; CREATE TABLE d ();\nSELECT 1/0;\nROLLBACK TO s; CREATE TABLE e ();";
    let files = vec![file(1, sql), file(2, wrong)];
    let (_, what, _) = law::fails(migrations(bed.server(), &database, files)).await;
    assert!(
        what.starts_with("sql/V0002__test.sql:2:1: division by zero (22012)"),
        "{what}"
    );
    assert_eq!(bed.value(&database, tables).await, "a c");
}

#[tokio::test]
async fn of_thousands_of_statements_the_first_that_fails_is_named_and_nothing_stays() {
    let bed = Bed::shared();
    let database = bed.database("thousands").await;
    let rows = (1..=1500).map(|id| format!("INSERT INTO rows VALUES ({id});\n"));
    let good = rows.collect::<Vec<_>>().concat();
    let sql = format!("CREATE TABLE rows (id int CHECK (id < 1501));\n{good}");
    let wrong = format!("{sql}INSERT INTO rows VALUES (1501);\n{good}");
    let run = |sql: &str| migrations(bed.server(), &database, vec![file(1, sql)]);
    let (_, what, _) = law::fails(run(&wrong)).await;
    assert!(
        what.starts_with("sql/V0001__test.sql:1502:1: new row for relation \"rows\""),
        "{what}"
    );
    law::changes(run(&sql)).await;
    assert_eq!(
        bed.value(&database, "SELECT count(*)::text FROM rows")
            .await,
        "1500"
    );
}

#[tokio::test]
async fn what_one_file_sets_the_next_does_not_see() {
    let bed = Bed::shared();
    let database = bed.database("settings").await;
    let files = vec![
        file(
            1,
            "CREATE SCHEMA other; SET search_path = other; SET ROLE pg_monitor;",
        ),
        file(
            2,
            "CREATE TEMP TABLE scratch (); SET statement_timeout = '1s';",
        ),
        file(3, "CREATE TABLE scratch (); SELECT pg_sleep(1.2);"),
        // Only what comes first in a transaction may say this.
        file(4, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1;"),
        file(
            5,
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; COMMIT;",
        ),
    ];
    law::changes(migrations(bed.server(), &database, files)).await;
    let table = "SELECT schemaname || '.' || tablename || ' of ' || tableowner \
                 FROM pg_tables WHERE tablename = 'scratch'";
    assert_eq!(
        bed.value(&database, table).await,
        "public.scratch of postgres"
    );
    let row = "SELECT format('%s %s %s', version, file, trace_id) \
               FROM firstlight.schema_history WHERE version = 1";
    assert_eq!(
        bed.value(&database, row).await,
        "1 V0001__test.sql 0af7651916cd43dd8448eb211c80319c"
    );
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends() {
    let bed = Bed::shared();
    let database = bed.database("timeout").await;
    let server = connect(Settings {
        statement_timeout: Some(Duration::from_millis(50)),
        ..settings(&bed.at)
    });
    let files = vec![file(1, "SELECT 1;\nSELECT pg_sleep(600);\n")];
    let (class, what, hints) = law::fails(migrations(server, &database, files)).await;
    assert_eq!(class, Class::Invalid);
    let sentence = "sql/V0001__test.sql:2:1: canceling statement due to statement timeout (57014)";
    assert_eq!(what, sentence);
    assert!(hints[0].starts_with("it took longer"), "{hints:?}");
}

#[tokio::test]
async fn what_one_file_leaves_in_the_session_the_next_does_not_meet() {
    let bed = Bed::shared();
    let database = bed.database("leaves").await;
    let leaves = "PREPARE p AS SELECT 1;\nDECLARE c CURSOR WITH HOLD FOR SELECT 1;\n\
                  CREATE TEMP TABLE t ();\nSET search_path = nowhere;";
    let files = [1, 2].map(|version| file(version, leaves));
    let changes = law::changes(migrations(bed.server(), &database, files.to_vec())).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
}

#[tokio::test]
async fn a_question_of_many_rows_is_judged_by_each() {
    let bed = Bed::shared();
    let database = bed.database("rows").await;
    let asking = |rows: &str| {
        let sql = format!(
            "SELECT repeat('x', 1000) FROM generate_series(1, 100000);\n\
             -- firstlight: verify\nSELECT {rows} AS n FROM generate_series(1, 100000) AS n;"
        );
        migrations(bed.server(), &database, vec![file(1, &sql)])
    };
    for (rows, answer) in [
        ("n <> 99999", "is false"),
        ("nullif(n <> 99999, false)", "is null"),
        ("n", "is neither true nor false"),
    ] {
        let (class, said, _) = law::fails(asking(rows)).await;
        assert_eq!(class, Class::Invalid);
        assert!(said.ends_with(answer), "{said}");
    }
    law::settles(asking("n > 0")).await;
}

#[tokio::test]
async fn a_database_that_a_file_names_is_not_waited_for() {
    let bed = Bed::shared();
    let database = bed.database("names").await;
    for sql in [
        "GRANT CONNECT ON DATABASE no_such_database TO PUBLIC;",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'no_such_library', 'f';",
    ] {
        let run = migrations(bed.server(), &database, vec![file(1, sql)]);
        let (class, said, _) = law::fails(run).await;
        assert_eq!(class, Class::Invalid, "{said}");
    }
}
