//! The locks that a plan names are those that the server takes.

use std::collections::BTreeMap;

use firstlight::engine::{Difference, Plan, Resource};
use firstlight::providers::postgres::{File, Migrations, Placeholders, split};
use tokio_postgres::Client;

use super::Bed;

const SCHEMA: &str = "
    CREATE TABLE nodes (id int PRIMARY KEY, name text, rack int);
    CREATE TABLE racks (id int PRIMARY KEY, name text UNIQUE);
    CREATE TABLE pods (id int, node int REFERENCES nodes, at date NOT NULL);
    ALTER TABLE nodes ADD CHECK (id > 0) NOT VALID;
    CREATE INDEX pods_node ON pods (node);
    CREATE TABLE samples (at date NOT NULL, value int) PARTITION BY RANGE (at);
    CREATE TABLE samples_1 PARTITION OF samples FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE samples_2 (at date NOT NULL, value int);
    CREATE VIEW names AS SELECT name FROM nodes;
    CREATE MATERIALIZED VIEW copies AS SELECT name FROM nodes;
    CREATE SEQUENCE counter;
    CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER noticed BEFORE INSERT ON pods FOR EACH ROW EXECUTE FUNCTION noticed();
    CREATE POLICY all_of_it ON racks;
    CREATE RULE nothing AS ON DELETE TO racks DO INSTEAD NOTHING;";

/// A statement, and what the server locks that its text does not name.
const STATEMENTS: [(&str, &[&str]); 68] = [
    ("INSERT INTO racks VALUES (1)", &[]),
    ("UPDATE nodes SET name = 'a'", &[]),
    ("DELETE FROM samples_2", &[]),
    ("TRUNCATE samples_2", &[]),
    ("LOCK TABLE nodes", &[]),
    ("LOCK TABLE nodes IN SHARE MODE", &[]),
    ("LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE", &[]),
    ("LOCK TABLE nodes IN EXCLUSIVE MODE", &[]),
    ("LOCK TABLE nodes IN SHARE UPDATE EXCLUSIVE MODE", &[]),
    ("LOCK TABLE nodes IN ROW EXCLUSIVE MODE", &[]),
    ("CREATE TABLE plain (id int)", &[]),
    (
        "CREATE TABLE plain (id int, rack int REFERENCES racks (id))",
        &[],
    ),
    (
        "CREATE TABLE plain (id int, FOREIGN KEY (id) REFERENCES racks)",
        &[],
    ),
    (
        "CREATE TABLE samples_3 PARTITION OF samples FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
        &[],
    ),
    ("CREATE TABLE heirs (extra int) INHERITS (nodes)", &[]),
    ("CREATE TABLE alike (LIKE nodes)", &[]),
    ("CREATE TABLE taken AS SELECT * FROM nodes", &[]),
    ("CREATE INDEX ON nodes (name)", &[]),
    ("CREATE UNIQUE INDEX i ON nodes (rack)", &[]),
    ("DROP INDEX pods_node", &["pods"]),
    ("REINDEX TABLE nodes", &[]),
    ("REINDEX INDEX pods_node", &["pods"]),
    ("ALTER INDEX pods_node RENAME TO other", &[]),
    ("ALTER INDEX pods_node SET (fillfactor = 70)", &[]),
    (
        "CREATE TRIGGER t BEFORE UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION noticed()",
        &[],
    ),
    ("DROP TRIGGER noticed ON pods", &[]),
    ("ALTER TRIGGER noticed ON pods RENAME TO other", &[]),
    ("CREATE POLICY p ON nodes", &[]),
    ("DROP POLICY all_of_it ON racks", &[]),
    (
        "CREATE RULE r AS ON UPDATE TO racks DO INSTEAD NOTHING",
        &[],
    ),
    ("DROP RULE nothing ON racks", &[]),
    ("CREATE STATISTICS s ON id, name FROM nodes", &[]),
    ("ANALYZE nodes", &[]),
    ("CLUSTER nodes USING nodes_pkey", &[]),
    ("REFRESH MATERIALIZED VIEW copies", &[]),
    ("COMMENT ON TABLE nodes IS 'a'", &[]),
    ("COMMENT ON COLUMN nodes.name IS 'a'", &[]),
    ("DROP TABLE samples_2", &[]),
    ("DROP VIEW names", &[]),
    ("DROP MATERIALIZED VIEW copies", &[]),
    (
        "CREATE OR REPLACE VIEW names AS SELECT name FROM nodes",
        &[],
    ),
    ("CREATE VIEW more AS SELECT name FROM nodes", &[]),
    ("ALTER VIEW names RENAME TO other", &[]),
    ("ALTER SEQUENCE counter INCREMENT BY 2", &[]),
    ("DROP SEQUENCE counter", &[]),
    ("ALTER TABLE nodes ADD COLUMN a int", &[]),
    ("ALTER TABLE nodes ADD a int REFERENCES racks (id)", &[]),
    (
        "ALTER TABLE nodes ADD COLUMN a serial, DROP COLUMN rack",
        &[],
    ),
    (
        "ALTER TABLE nodes ADD CONSTRAINT c CHECK (rack > 0) NOT VALID",
        &[],
    ),
    (
        "ALTER TABLE nodes ADD FOREIGN KEY (rack) REFERENCES racks",
        &[],
    ),
    ("ALTER TABLE nodes ADD UNIQUE (name)", &[]),
    ("ALTER TABLE nodes VALIDATE CONSTRAINT nodes_id_check", &[]),
    ("ALTER TABLE nodes ALTER COLUMN name SET NOT NULL", &[]),
    ("ALTER TABLE pods ALTER node TYPE bigint", &["nodes"]),
    ("ALTER TABLE nodes ALTER COLUMN name SET STATISTICS 7", &[]),
    ("ALTER TABLE nodes ALTER name SET (n_distinct = 5)", &[]),
    (
        "ALTER TABLE nodes ALTER COLUMN name SET DEFAULT 'a', ALTER name SET STATISTICS 7",
        &[],
    ),
    ("ALTER TABLE nodes SET (fillfactor = 70)", &[]),
    ("ALTER TABLE nodes RESET (fillfactor)", &[]),
    ("ALTER TABLE nodes CLUSTER ON nodes_pkey", &[]),
    ("ALTER TABLE nodes SET WITHOUT CLUSTER", &[]),
    ("ALTER TABLE samples_2 SET UNLOGGED", &[]),
    ("ALTER TABLE pods DISABLE TRIGGER noticed", &[]),
    ("ALTER TABLE nodes ENABLE ROW LEVEL SECURITY", &[]),
    ("ALTER TABLE nodes RENAME COLUMN rack TO place", &[]),
    ("ALTER TABLE nodes OWNER TO postgres", &[]),
    (
        "ALTER TABLE samples ATTACH PARTITION samples_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
        &[],
    ),
    ("ALTER TABLE samples DETACH PARTITION samples_1", &[]),
];

type Locks = BTreeMap<String, &'static str>;

#[tokio::test]
async fn the_locks_of_a_plan_are_those_of_the_server() {
    let bed = Bed::shared();
    let database = bed.database("locks").await;
    bed.execute(&database, SCHEMA).await;
    let client = bed.client(&database).await;
    let mut wrong = Vec::new();
    for (sql, unseen) in STATEMENTS {
        let mut theirs = match taken(&client, sql).await {
            Ok(theirs) => theirs,
            Err(error) => {
                wrong.push(format!("{sql}: {error:?}"));
                continue;
            }
        };
        for name in unseen {
            if theirs.remove(*name).is_none() {
                wrong.push(format!("{sql}: {name} is not locked"));
            }
        }
        let ours: Locks = split(sql)[0]
            .locks()
            .into_iter()
            .map(|lock| (lock.on, lock.mode.name()))
            .collect();
        // Indexes are locked with their tables; only who names one means the index.
        theirs.retain(|name, _| match name.strip_prefix("index ") {
            Some(index) => ours.contains_key(index),
            None => true,
        });
        let theirs: Locks = theirs
            .into_iter()
            .map(|(name, mode)| (name.replace("index ", ""), mode))
            .collect();
        if ours != theirs {
            wrong.push(format!("{sql}\n   we: {ours:?}\n they: {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a statement really locks of what was there before, and how at most.
async fn taken(client: &Client, sql: &str) -> Result<Locks, tokio_postgres::Error> {
    client.batch_execute("BEGIN").await.expect("a transaction");
    let before = "SELECT oid, CASE relkind WHEN 'i' THEN 'index ' ELSE '' END || relname \
                  FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    let rows = client.query(before, &[]).await.expect("the catalog");
    let names: BTreeMap<u32, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let done = client.batch_execute(sql).await;
    let held = "SELECT relation, mode FROM pg_locks \
                WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted";
    let rows = match done {
        Ok(()) => client.query(held, &[]).await,
        Err(error) => Err(error),
    };
    client.batch_execute("ROLLBACK").await.expect("the end");
    let rows = rows?;
    let modes = [
        ("RowExclusiveLock", "ROW EXCLUSIVE"),
        ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
        ("ShareLock", "SHARE"),
        ("ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"),
        ("ExclusiveLock", "EXCLUSIVE"),
        ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
    ];
    let mut found = Locks::new();
    for (theirs, ours) in modes {
        for row in &rows {
            let (relation, mode): (u32, &str) = (row.get(0), row.get(1));
            if let Some(name) = names.get(&relation).filter(|_| mode == theirs) {
                found.insert(name.clone(), ours);
            }
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_plan_shows_statements_and_locks() {
    let bed = Bed::shared();
    let database = bed.database("plan").await;
    let sql = "CREATE TABLE racks (id int PRIMARY KEY);\nCREATE INDEX i ON nodes (id);\n";
    let mut migrations = Migrations::new(
        bed.server(),
        database,
        vec![File::new(
            1,
            "racks",
            "sql/V0001__racks.sql",
            sql,
            &Placeholders::new(),
        )],
    );
    let observed = migrations.observe().await.expect("the server answers");
    let difference = |migrations: &Migrations| match migrations.plan(&observed) {
        Ok(Plan::Change(changes)) => Difference::from(changes[0].clone()),
        _ => panic!("it is pending"),
    };
    // Nobody reads it in a run, and to take a thousand files apart takes its time.
    assert_eq!(difference(&migrations).fields, []);
    migrations.preview = true;
    let difference = difference(&migrations);
    let paths: Vec<_> = difference
        .fields
        .iter()
        .map(|field| field.path.as_str())
        .collect();
    assert_eq!(paths[..2], ["CREATE TABLE racks", "CREATE INDEX i"]);
    assert_eq!(paths.len(), 3);
    assert_eq!(difference.fields[0].after, None);
    let after = difference.fields[1].after.as_deref();
    assert!(
        after.is_some_and(|after| after.contains("locks nodes (SHARE) until COMMIT")),
        "{after:?}"
    );
}
