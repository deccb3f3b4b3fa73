//! What the server says of a migration: with its code, at its place, and what to do.

use firstlight::engine::{Failure, Plan, Resource};
use firstlight::providers::postgres::{Error, File, Migrations, Placeholders};

use super::Bed;

const SCHEMA: &str = "
    CREATE TABLE nodes (id int PRIMARY KEY, name varchar(5) NOT NULL, n int CHECK (n > 0),
                        during int4range, EXCLUDE USING gist (during WITH &&));
    INSERT INTO nodes VALUES (1, 'a', 1, '[1,9]');
    CREATE TABLE pods (node int REFERENCES nodes DEFERRABLE INITIALLY DEFERRED);
    CREATE SCHEMA app; CREATE TYPE color AS ENUM ('red'); CREATE SEQUENCE counter;
    CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1';";

/// The code, the statements, and the place of the error: line and column.
const CODES: [(&str, &str, &str); 43] = [
    (
        "0A000",
        "SELECT 1;\nCREATE EXTENSION nothing_like_that;",
        "2:1",
    ),
    ("21000", "SELECT (SELECT generate_series(1, 2));", "1:1"),
    ("22001", "INSERT INTO nodes VALUES (2, 'too long');", "1:1"),
    ("22003", "SELECT\n\t'3000000000'::int;", "2:2"),
    ("22007", "SELECT 'ä', 'one day'::date;", "1:13"),
    ("22012", "SELECT 1; SELECT 1/0;", "1:11"),
    ("22P02", "SELECT 'a'::int;", "1:8"),
    ("23502", "INSERT INTO nodes (id) VALUES (2);", "1:1"),
    (
        "23503",
        "SET CONSTRAINTS ALL IMMEDIATE;\nINSERT INTO pods VALUES (9);",
        "2:1",
    ),
    ("23505", "INSERT INTO nodes VALUES (1, 'b');", "1:1"),
    ("23514", "INSERT INTO nodes VALUES (2, 'b', 0);", "1:1"),
    (
        "23P01",
        "INSERT INTO nodes VALUES (2, 'b', 1, '[5,6]');",
        "1:1",
    ),
    (
        "25001",
        "-- now\n\nDO $$ BEGIN EXECUTE 'VACUUM'; END $$;",
        "3:7",
    ),
    (
        "25006",
        "SET TRANSACTION READ ONLY; CREATE TABLE x ();",
        "1:28",
    ),
    ("2BP01", "DROP TABLE nodes;", "1:1"),
    ("2D000", "DO $$\nBEGIN\n  COMMIT;\nEND $$;", "3:3"),
    ("3F000", "CREATE TABLE nowhere.x ();", "1:14"),
    (
        "42501",
        "SET ROLE pg_monitor; CREATE TABLE public.x ();",
        "1:35",
    ),
    ("42601", "SELECT 1;\r\nSELECT 2,, 3;", "2:10"),
    ("42701", "ALTER TABLE nodes ADD COLUMN id int;", "1:1"),
    ("42702", "SELECT id FROM nodes a, nodes b;", "1:8"),
    ("42703", "SELECT nam FROM nodes;", "1:8"),
    ("42704", "DROP TYPE nothing;", "1:1"),
    ("42710", "CREATE ROLE postgres;", "1:1"),
    (
        "42723",
        "CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 2';",
        "1:1",
    ),
    ("42804", "ALTER TABLE nodes ALTER name TYPE int;", "1:1"),
    (
        "42830",
        "CREATE TABLE x (n int REFERENCES nodes (n));",
        "1:1",
    ),
    ("42846", "SELECT 1::date;", "1:9"),
    ("42883", "SELECT no_such(1);", "1:8"),
    ("42939", "CREATE SCHEMA pg_mine;", "1:1"),
    ("42P01", "\u{feff}SELECT * FROM nodez;", "1:15"),
    ("42P06", "CREATE SCHEMA app;", "1:1"),
    ("42P07", "CREATE TABLE nodes ();", "1:1"),
    (
        "42P10",
        "INSERT INTO nodes VALUES (1, 'a') ON CONFLICT (n) DO NOTHING;",
        "1:1",
    ),
    ("42P16", "ALTER TABLE nodes ADD PRIMARY KEY (n);", "1:1"),
    ("42P17", "CREATE INDEX ON nodes (random());", "1:1"),
    ("54001", "@deep", "1:1"),
    ("55000", "SELECT currval('counter');", "1:1"),
    (
        "55006",
        "INSERT INTO pods VALUES (1); ALTER TABLE pods ADD COLUMN x int;",
        "1:30",
    ),
    (
        "55P04",
        "ALTER TYPE color ADD VALUE 'blue'; SELECT 'blue'::color;",
        "1:43",
    ),
    (
        "57014",
        "SET LOCAL statement_timeout = 20;\nSELECT pg_sleep(600);",
        "2:1",
    ),
    ("P0001", "DO $$ BEGIN RAISE 'not today'; END $$;", "1:7"),
    (
        "25001",
        "DO $$ BEGIN EXECUTE 'ALTER SYSTEM RESET work_mem'; END $$;",
        "1:7",
    ),
];

/// Runs the text as a migration, which fails.
async fn fails(bed: &Bed, database: &str, sql: &str) -> Error {
    let run = Migrations::new(
        bed.server(),
        database.to_owned(),
        vec![File::new(
            1,
            "test",
            "sql/V0001__test.sql",
            sql,
            &Placeholders::new(),
        )],
    );
    let observed = run.observe().await.expect("the server answers");
    let changes = match run.plan(&observed) {
        Ok(Plan::Change(changes)) => changes,
        Err(error) => return error,
        Ok(other) => panic!("{other:?}"),
    };
    let change = changes.into_iter().next().expect("one file");
    run.apply(change).await.expect_err(sql)
}

#[tokio::test]
async fn the_common_codes_are_shown_at_their_place_with_advice() {
    let bed = Bed::shared();
    let database = bed.database("codes").await;
    bed.execute(&database, SCHEMA).await;
    let deep = format!("SELECT {}1", "1 + ".repeat(50_000));
    let mut wrong = Vec::new();
    for (code, sql, place) in CODES {
        let sql = if sql == "@deep" { &deep } else { sql };
        let error = fails(&bed, &database, sql).await;
        let Error::Text { excerpt, fault } = &error else {
            wrong.push(format!("{code}: {error:?}"));
            continue;
        };
        let found = format!("{}:{}", excerpt.line, excerpt.column);
        if fault.code != code || found != place || error.hints().is_empty() {
            let said = error.to_string();
            wrong.push(format!("{code} {place}: {said:.200} {:?}", error.hints()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn shown(bed: &Bed, database: &str, sql: &str) -> String {
    let error = fails(bed, database, sql).await;
    format!("{error}\n{}", error.excerpt().unwrap_or_default())
}

#[tokio::test]
async fn an_error_inside_a_function_is_shown_in_the_function() {
    let bed = Bed::shared();
    let database = bed.database("inside").await;
    bed.execute(&database, SCHEMA).await;
    // Of two equal queries it is the one in the line that the server names.
    let sql = "DO $$\nBEGIN\n  IF false THEN\n    PERFORM nam FROM nodes;\n  END IF;\n\tPERFORM nam FROM nodes;\nEND\n$$;";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:6:10: column "nam" does not exist (42703)
    6 | 	PERFORM nam FROM nodes;
      | 	        ^
    in PL/pgSQL function inline_code_block line 6 at PERFORM
    "#);
    // A function and its caller in one file.
    let sql = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $body$\nDECLARE\n  b int;\nBEGIN\n  b := a / 0;\n  RETURN b;\nEND\n$body$;\n\nSELECT 'größe', f(1);";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:5:3: division by zero (22012)
    5 |   b := a / 0;
      |   ^
    in PL/pgSQL function f(integer) line 5 at assignment
    in the statement at sql/V0001__test.sql:10:1
    "#);
    // A trigger function that meets a missing table.
    let sql = "CREATE FUNCTION app.audit() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  INSERT INTO audit_log\n  VALUES (NEW.id);\n  RETURN NEW;\nEND $$;\nCREATE TRIGGER audit BEFORE INSERT ON nodes FOR EACH ROW EXECUTE FUNCTION app.audit();\nINSERT INTO nodes VALUES (7, 'g');";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:3:15: relation "audit_log" does not exist (42P01)
    3 |   INSERT INTO audit_log
      |               ^
    in PL/pgSQL function app.audit() line 3 at SQL statement
    in the statement at sql/V0001__test.sql:8:1
    "#);
    // The server checks the body of a function when it is made.
    let sql =
        "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1 +;\nEND $$;";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:3:13: syntax error at end of input (42601)
    3 |   RETURN 1 +;
      |             ^
    "#);
    let sql = "CREATE FUNCTION h() RETURNS int LANGUAGE sql AS $$\n  SELECT 1;\n  SELECT nam FROM nodes $$;";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:3:10: column "nam" does not exist (42703)
    3 |   SELECT nam FROM nodes $$;
      |          ^
    "#);
    // A function in SQL says which of its statements it was.
    let sql = "CREATE FUNCTION k(a int) RETURNS int LANGUAGE sql AS $$\n  SELECT 1;\n  INSERT INTO nodes VALUES (1, 'a') RETURNING id $$;\nSELECT k(0);";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:3:3: duplicate key value violates unique constraint "nodes_pkey" (23505)
    3 |   INSERT INTO nodes VALUES (1, '…') RETURNING id $$;
      |   ^
    of table public.nodes, constraint nodes_pkey
    in SQL function "k" statement 2
    in the statement at sql/V0001__test.sql:4:1
    "#);
    // A function that the file does not have: the statement that called it.
    bed.execute(
        &database,
        "CREATE FUNCTION old() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1/0; END'",
    )
    .await;
    insta::assert_snapshot!(shown(&bed, &database, "SELECT 1;\nSELECT old();").await, @r#"
    sql/V0001__test.sql:2:1: division by zero (22012)
    2 | SELECT old();
      | ^
    in SQL expression "1/0"
    in PL/pgSQL function old() line 1 at RETURN
    "#);
    // A query that is put together as the function runs.
    let sql = "DO $$\nBEGIN\n  EXECUTE format('SELECT %I FROM nodes', 'nam');\nEND $$;";
    insta::assert_snapshot!(shown(&bed, &database, sql).await, @r#"
    sql/V0001__test.sql:3:3: column "nam" does not exist (42703)
    3 |   EXECUTE format('…', '…');
      |   ^
    in PL/pgSQL function inline_code_block line 3 at EXECUTE
    "#);
}
