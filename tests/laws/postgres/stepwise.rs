//! Migrations that run outside a transaction, and everything that one of them may leave behind.

use firstlight::engine::{Class, Plan, Resource};
use firstlight::providers::postgres::{File, Migrations, Order, Placeholder, Placeholders};

use super::Bed;
use crate::law;

/// A file outside a transaction.
pub(super) fn outside(version: u64, sql: &str) -> File {
    let sql = format!("-- firstlight: transaction=none\n{sql}");
    let path = format!("sql/V{version:04}__test.sql");
    File::new(version, "test", path, &sql, &Placeholders::new())
}

fn run(bed: &Bed, database: &str, files: &[File]) -> Migrations {
    Migrations::new(bed.server(), database, files.to_vec())
}

/// What the companion table says of unfinished files.
async fn begun(bed: &Bed, database: &str) -> String {
    let sql = "SELECT coalesce(string_agg(format('%s %s %s', file, number, state), ', ' \
               ORDER BY file, number), 'nothing') FROM firstlight.schema_statements";
    bed.value(database, sql).await
}

/// How a run ends that cannot: its class and its sentence.
async fn ends(bed: &Bed, database: &str, files: &[File]) -> (Class, String) {
    let (class, what, _) = law::fails(run(bed, database, files)).await;
    (class, what)
}

const TABLE: &str =
    "CREATE TABLE t (id int, name text);\nINSERT INTO t VALUES (1, 'a'), (1, 'b');\n";

#[tokio::test]
async fn each_statement_is_run_once_and_then_forgotten() {
    let bed = Bed::shared();
    let database = bed.database("stepwise").await;
    let files = [outside(
        1,
        &format!(
            "{TABLE}SET search_path = public;\nCREATE INDEX CONCURRENTLY i ON t (id);\n\
             ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0) NOT VALID;\n\
             ALTER TABLE t VALIDATE CONSTRAINT c;\nVACUUM t;\nREINDEX INDEX CONCURRENTLY i;\n\
             CREATE INDEX CONCURRENTLY gone ON t (name);\nDROP INDEX CONCURRENTLY gone;\n\
             CREATE TYPE mood AS ENUM ('sad');\nALTER TYPE mood ADD VALUE 'happy';\n\
             CREATE TABLE moods (mood mood);\nINSERT INTO moods VALUES ('happy');\n\
             -- firstlight: verify\nSELECT count(*) = 2 FROM t;"
        ),
    )];
    law::fresh(run(&bed, &database, &files)).await;
    law::changes(run(&bed, &database, &files)).await;
    law::unchanged(run(&bed, &database, &files)).await;
    assert_eq!(begun(&bed, &database).await, "nothing");
    let row = "SELECT format('%s statements, %s', statements, duration_ms >= 0) \
               FROM firstlight.schema_history";
    assert_eq!(bed.value(&database, row).await, "14 statements, t");
}

#[tokio::test]
async fn a_file_goes_on_where_it_failed_even_when_that_was_mended() {
    let bed = Bed::shared();
    let database = bed.database("mended").await;
    let unique = "CREATE UNIQUE INDEX CONCURRENTLY u ON t (id);\n";
    let broken = [outside(
        1,
        &format!("{TABLE}SET my.own = '7';\n{unique}SELECT 1;"),
    )];
    let (class, what) = ends(&bed, &database, &broken).await;
    assert_eq!(class, Class::Invalid);
    let said = "sql/V0001__test.sql:5:1: could not create unique index \"u\" (23505)";
    assert!(what.starts_with(said), "{what}");
    let file = "V0001__test.sql";
    assert_eq!(
        begun(&bed, &database).await,
        format!("{file} 1 done, {file} 2 done, {file} 3 done, {file} 4 failed")
    );
    // What was run may not change.
    let edited = [outside(
        1,
        &format!("{}SET my.own = '7';\n{unique}", TABLE.replace("'b'", "'c'")),
    )];
    let (class, what) = ends(&bed, &database, &edited).await;
    assert_eq!(class, Class::Diverged);
    assert_eq!(
        what,
        "sql/V0001__test.sql:3:1: the statement was changed after it had been run"
    );
    let gone = ends(&bed, &database, &[]).await;
    assert_eq!(gone.0, Class::Diverged);
    // What has failed may; and what was set before is set again.
    let rest = "CREATE INDEX CONCURRENTLY IF NOT EXISTS u ON t (id);\n\
                INSERT INTO t VALUES (current_setting('my.own')::int, 'set again');";
    let mended = [outside(1, &format!("{TABLE}SET my.own = '7';\n{rest}"))];
    law::settles(run(&bed, &database, &mended)).await;
    let state = "SELECT format('%s, %s rows, %s', indisvalid, \
                               (SELECT count(*) FROM t), (SELECT max(id) FROM t)) \
                 FROM pg_index WHERE indexrelid = 'u'::regclass";
    assert_eq!(bed.value(&database, state).await, "t, 3 rows, 7");
    assert_eq!(begun(&bed, &database).await, "nothing");
}

/// Marks a statement as one whose end nobody saw.
async fn interrupt(bed: &Bed, database: &str, version: u64, sql: &str) {
    let digest = format!(
        "INSERT INTO firstlight.schema_statements \
         VALUES ('V{version:04}__test.sql', 1, \
                 'sha256:v1:' || encode(sha256(convert_to($${sql}$$, 'UTF8')), 'hex'), 'started', \
                 now(), NULL, '0.1.0', NULL)"
    );
    bed.execute(database, &digest).await;
}

#[tokio::test]
async fn a_statement_in_doubt_is_looked_up_in_the_catalog() {
    let bed = Bed::shared();
    let database = bed.database("doubt").await;
    let first = "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1); \
                 CREATE TABLE p (id int) PARTITION BY LIST (id); \
                 CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); \
                 CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); \
                 CREATE PROCEDURE call() LANGUAGE sql AS 'INSERT INTO t VALUES (9)';";
    let mut files = vec![File::new(
        1,
        "test",
        "sql/V0001__test.sql",
        first,
        &Placeholders::new(),
    )];
    law::settles(run(&bed, &database, &files)).await;
    let spoilt = "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)";
    for (index, (before, statement, after, expected)) in [
        // It never began.
        (
            "SELECT 1",
            "CREATE INDEX CONCURRENTLY i ON t (id)",
            "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'i'::regclass",
            "true",
        ),
        // It was done.
        (
            "SELECT 1",
            "CREATE INDEX CONCURRENTLY i ON public.t (id)",
            "SELECT count(*)::text FROM pg_index WHERE indrelid = 't'::regclass",
            "1",
        ),
        (
            "DROP INDEX i",
            "DROP INDEX CONCURRENTLY i",
            "SELECT to_regclass('i')::text",
            "",
        ),
        // It left an index of no use.
        (
            spoilt,
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id)",
            "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'i'::regclass",
            "true",
        ),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY i_ccnew ON t (id)",
            "REINDEX TABLE CONCURRENTLY t",
            "SELECT count(*)::text FROM pg_index WHERE indrelid = 't'::regclass",
            "1",
        ),
        (
            "ALTER TABLE p DETACH PARTITION p1",
            "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
            "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'p'::regclass",
            "1",
        ),
        // A first transaction said that it leaves, and the second did not come.
        (
            "UPDATE pg_inherits SET inhdetachpending = true WHERE inhparent = 'p'::regclass",
            "ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY",
            "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'p'::regclass",
            "0",
        ),
        ("SELECT 1", "VACUUM t", "SELECT 'done'", "done"),
    ]
    .into_iter()
    .enumerate()
    {
        let version = u64::try_from(index).expect("small") + 2;
        // It fails on purpose where it leaves something behind.
        bed.attempt(&database, before).await;
        interrupt(&bed, &database, version, statement).await;
        files.push(outside(version, statement));
        law::settles(run(&bed, &database, &files)).await;
        let found = bed
            .value(&database, &format!("SELECT coalesce(({after}), '')"))
            .await;
        assert_eq!(found, expected, "{statement}");
    }
    // Nobody can tell what a procedure has done.
    interrupt(&bed, &database, 20, "CALL call()").await;
    files.push(outside(20, "CALL call()"));
    let (class, what, hints) = law::fails(run(&bed, &database, &files)).await;
    assert_eq!(class, Class::Diverged);
    assert_eq!(
        what,
        "sql/V0020__test.sql:2:1: a run was interrupted at this statement, and what it has done \
         cannot be told"
    );
    let way_on = hints[1]
        .strip_prefix("if it has not: ")
        .expect("a statement");
    bed.execute(&database, way_on).await;
    law::settles(run(&bed, &database, &files)).await;
    let called = "SELECT count(*)::text FROM t WHERE id = 9";
    assert_eq!(bed.value(&database, called).await, "1");
}

#[tokio::test]
async fn an_index_that_somebody_else_builds_is_left_to_them() {
    let bed = Bed::shared();
    let database = bed.database("building").await;
    bed.execute(&database, "CREATE TABLE t (id int)").await;
    // It waits for whoever has an older snapshot, and so stays where it is.
    let old = bed.client(&database).await;
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT count(*) FROM t")
        .await
        .expect("a snapshot");
    let builder = bed.client(&database).await;
    let building = tokio::spawn(async move {
        let sql = "SET application_name = 'a colleague'; ";
        builder.batch_execute(sql).await.expect("a name");
        builder
            .batch_execute("CREATE INDEX CONCURRENTLY i ON t (id)")
            .await
    });
    let begun = "SELECT count(*)::text FROM pg_stat_progress_create_index \
                 WHERE index_relid <> 0 AND datname = current_database()";
    bed.until(&database, begun, "1").await;
    let files = [outside(
        1,
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);",
    )];
    let (class, what) = law::waits_for(run(&bed, &database, &files)).await;
    assert_eq!(class, Class::Busy);
    assert!(
        what.starts_with("sql/V0001__test.sql:2:1: the index is being built by process ")
            && what.ends_with(" (a colleague)"),
        "{what}"
    );
    old.batch_execute("COMMIT").await.expect("it ends");
    building.await.expect("no panic").expect("it is built");
    law::settles(run(&bed, &database, &files)).await;
}

#[tokio::test]
async fn what_is_made_outside_belongs_to_the_owner_too() {
    let bed = Bed::shared();
    let database = bed.database("owned").await;
    let owner = format!("{database}_owner");
    law::settles(bed.role(&owner, "password")).await;
    law::settles(bed.database_of(&database, &owner)).await;
    let sql = "CREATE SCHEMA own; SET search_path = own; CREATE TABLE t (id int); \
               CREATE INDEX CONCURRENTLY i ON t (id);";
    let mut migrations = run(&bed, &database, &[outside(1, sql)]);
    migrations.owner = Some(owner.clone());
    law::changes(migrations).await;
    let owners = "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class \
                  WHERE relnamespace = 'own'::regnamespace";
    assert_eq!(bed.value(&database, owners).await, owner);
}

#[tokio::test]
async fn a_repeatable_file_runs_when_it_has_changed() {
    let bed = Bed::shared();
    let database = bed.database("repeatable").await;
    let view = |name: &str, sql: &str| {
        let known = Placeholders::from([
            (
                "reader".to_owned(),
                Placeholder::Identifier("pg_monitor".to_owned()),
            ),
            ("word".to_owned(), Placeholder::Literal("it's".to_owned())),
        ]);
        File::new(
            Order::Repeatable,
            name,
            format!("sql/R__{name}.sql"),
            sql,
            &known,
        )
    };
    let table = File::new(
        1,
        "t",
        "sql/V1__t.sql",
        "CREATE TABLE t (id int)",
        &Placeholders::new(),
    );
    let second = view("b", "CREATE OR REPLACE VIEW b AS SELECT * FROM a");
    let first = "CREATE OR REPLACE VIEW a AS SELECT id, ${word} AS word FROM t;\n\
                 GRANT SELECT ON a TO ${reader};";
    let files = [second.clone(), view("a", first), table.clone()];
    let changes = law::changes(run(&bed, &database, &files)).await;
    assert_eq!(
        changes,
        ["run sql/V1__t.sql", "run sql/R__a.sql", "run sql/R__b.sql"]
    );
    law::unchanged(run(&bed, &database, &files)).await;
    let edited = [
        second.clone(),
        view("a", &format!("{first}\n-- again")),
        table.clone(),
    ];
    let changes = law::changes(run(&bed, &database, &edited)).await;
    assert_eq!(changes, ["run sql/R__a.sql"]);
    law::unchanged(run(&bed, &database, &edited)).await;
    let rows = "SELECT string_agg(file, ' ' ORDER BY id) FROM firstlight.schema_history";
    assert_eq!(
        bed.value(&database, rows).await,
        "V1__t.sql R__a.sql R__b.sql R__a.sql"
    );
    // One outside a transaction that was changed half way begins anew.
    let half = |id: u32, last: &str| {
        let sql = format!("-- firstlight: transaction=none\nINSERT INTO t VALUES ({id});\n{last}");
        let none = Placeholders::new();
        let half = File::new(Order::Repeatable, "c", "sql/R__c.sql", &sql, &none);
        [&edited[..], &[half]].concat()
    };
    law::fails(run(&bed, &database, &half(1, "SELECT 1/0"))).await;
    law::settles(run(&bed, &database, &half(2, "SELECT 1"))).await;
    let sum = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM t";
    assert_eq!(bed.value(&database, sum).await, "1 2");
}

#[tokio::test]
async fn a_file_whose_question_is_answered_with_no_does_not_count() {
    let bed = Bed::shared();
    let database = bed.database("verify").await;
    let file = |header: &str, rows: u32| {
        let sql = format!(
            "{header}CREATE TABLE t (id int);\nINSERT INTO t VALUES (1);\n\
             -- firstlight: verify\nSELECT true, true;\nSELECT count(*) = {rows} FROM t;\n"
        );
        let none = Placeholders::new();
        [File::new(1, "t", "sql/V1__t.sql", &sql, &none)]
    };
    let (class, what) = ends(&bed, &database, &file("", 2)).await;
    assert_eq!(class, Class::Invalid);
    let sentence = "sql/V1__t.sql:5:1: this must be true for the file to count, and is false";
    assert_eq!(what, sentence);
    let table = "SELECT coalesce(to_regclass('t')::text, 'nothing')";
    assert_eq!(bed.value(&database, table).await, "nothing");
    // Outside a transaction what was done stays, and only the question is asked again.
    let header = "-- firstlight: transaction=none\n";
    ends(&bed, &database, &file(header, 2)).await;
    assert_eq!(bed.value(&database, table).await, "t");
    law::settles(run(&bed, &database, &file(header, 1))).await;
    let rows = "SELECT count(*)::text FROM t";
    assert_eq!(bed.value(&database, rows).await, "1");
}

#[tokio::test]
async fn an_older_agents_tables_are_taken_over() {
    let bed = Bed::shared();
    let database = bed.database("older").await;
    // As the first agents made it.
    bed.execute(
        &database,
        "CREATE SCHEMA firstlight;
         CREATE TABLE firstlight.schema_history (
             version        bigint      PRIMARY KEY CHECK (version >= 0),
             description    text        NOT NULL,
             file           text        NOT NULL,
             checksum       text        NOT NULL,
             applied_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
             applied_by     text        NOT NULL DEFAULT session_user,
             duration_ms    bigint      NOT NULL,
             agent_version  text        NOT NULL,
             trace_id       text,
             transaction_id xid8        NOT NULL DEFAULT pg_current_xact_id()
         );
         CREATE TABLE t (id int);
         INSERT INTO firstlight.schema_history
             (version, description, file, checksum, duration_ms, agent_version)
         SELECT 1, 't', 'V1__t.sql',
                'sha256:v1:' || encode(sha256('CREATE TABLE t (id int)'), 'hex'), 3, '0.0.9'",
    )
    .await;
    let none = Placeholders::new();
    let first = File::new(1, "t", "sql/V1__t.sql", "CREATE TABLE t (id int)", &none);
    // Nothing is pending, so nothing is touched.
    law::unchanged(run(&bed, &database, std::slice::from_ref(&first))).await;
    let view = File::new(Order::Repeatable, "v", "sql/R__v.sql", "SELECT 1", &none);
    let files = [
        first,
        outside(2, "CREATE INDEX CONCURRENTLY i ON t (id)"),
        view,
    ];
    let changes = law::changes(run(&bed, &database, &files)).await;
    assert_eq!(changes, ["run sql/V0002__test.sql", "run sql/R__v.sql"]);
    law::unchanged(run(&bed, &database, &files)).await;
    // It is the table that a new database has.
    let columns = "SELECT string_agg(format('%s %s %s', attname, atttypid::regtype, attnotnull), ', ' \
                                     ORDER BY attnum) \
                   FROM pg_attribute WHERE attnum > 0 \
                     AND attrelid = 'firstlight.schema_history'::regclass";
    let fresh = bed.database("fresh").await;
    law::settles(run(&bed, &fresh, &files)).await;
    assert_eq!(
        bed.value(&database, columns).await,
        bed.value(&fresh, columns).await
    );
    let plan = run(&bed, &fresh, &files[..2]);
    let observed = plan.observe().await.expect("the server answers");
    assert!(
        matches!(plan.plan(&observed), Ok(Plan::Current)),
        "a view that has left"
    );
}
