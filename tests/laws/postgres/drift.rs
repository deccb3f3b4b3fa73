//! What others change behind our back is named, and nothing else is.

use std::time::Instant;

use firstlight::engine::{Class, Outcome, Plan, Resource};
use firstlight::providers::postgres::{
    Drift, Fingerprint, Grantee, Grants, Kind, Mend, OnDrift, Place, Role, Server, Which,
};
use testbed::unique;

use super::{Bed, connect, migrations, settings};
use crate::law;

/// A look that ends the run if anything was changed.
pub(super) fn of(server: Server, database: &str) -> Drift {
    Drift::new(server, database, OnDrift::Fail, Vec::new(), false)
}

pub(super) fn fingerprint_of(server: Server, database: &str) -> Fingerprint {
    Fingerprint {
        server,
        database: database.to_owned(),
        ignored: Vec::new(),
        accept: false,
    }
}

/// A database, and the two looks around what a run does in it.
struct Watched {
    bed: Bed,
    database: String,
    ignored: Vec<String>,
}

impl Watched {
    async fn new() -> Self {
        let bed = Bed::shared();
        let database = bed.database("watched").await;
        Self {
            bed,
            database,
            ignored: Vec::new(),
        }
    }

    fn drift(&self, on: OnDrift) -> Drift {
        let server = self.bed.server();
        Drift::new(server, &self.database, on, self.ignored.clone(), false)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_by(self.bed.server())
    }

    fn fingerprint_by(&self, server: Server) -> Fingerprint {
        Fingerprint {
            ignored: self.ignored.clone(),
            ..fingerprint_of(server, &self.database)
        }
    }

    /// What a preview says of it: a wait that was answered with no, or nothing.
    async fn told(&self) -> String {
        let server = self.bed.server();
        let on = OnDrift::Warn;
        let drift = Drift::new(server, &self.database, on, self.ignored.clone(), true);
        match law::preview(drift).await {
            Outcome::Unchanged => String::new(),
            Outcome::Deferred { waiting, .. } => {
                assert_eq!(waiting.class, Class::Unmet);
                let head = format!("database {} was changed behind our back: ", self.database);
                let said = waiting.what.strip_prefix(&head);
                said.expect("it begins so").to_owned()
            }
            outcome => panic!("{outcome:?}"),
        }
    }

    async fn execute(&self, sql: &str) {
        self.bed.execute(&self.database, sql).await;
    }

    /// As a run that has something to do would begin.
    async fn touch(&self) {
        let table = unique("made");
        let grants = Grants {
            server: self.bed.server(),
            database: self.database.clone(),
            grantee: Grantee::Role(table.clone()),
            exact: false,
            on: vec![Place {
                kind: Kind::Schema,
                schema: Some("public".to_owned()),
                object: None,
                privileges: ["USAGE".to_owned()].into(),
            }],
            later: Vec::new(),
        };
        law::settles(Role::new(self.bed.server(), &table)).await;
        law::settles(grants).await;
    }

    async fn rows(&self) -> String {
        let rows = "SELECT string_agg(xmin::text, ' ' ORDER BY kind, name) FROM firstlight.catalog";
        self.bed.value(&self.database, rows).await
    }
}

/// Something of every kind that is watched.
const EVERYTHING: &str = "
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('good', 'bad');
CREATE DOMAIN app.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE app.pair AS (a int, b text);
CREATE TYPE app.span AS RANGE (subtype = int);
CREATE SEQUENCE app.numbers;
CREATE TABLE app.nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL DEFAULT 'x',
    mood app.mood,
    used app.percent,
    twice int GENERATED ALWAYS AS (used * 2) STORED,
    CONSTRAINT positive CHECK (used > 0)
);
CREATE INDEX nodes_name ON app.nodes (name);
CREATE TABLE app.metrics (at timestamptz NOT NULL, value float8, node bigint) PARTITION BY RANGE (at);
CREATE INDEX metrics_at ON app.metrics (at);
CREATE TABLE app.metrics_2026 PARTITION OF app.metrics FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW app.names AS SELECT name FROM app.nodes;
CREATE MATERIALIZED VIEW app.counts AS SELECT count(*) FROM app.nodes;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW;END';
CREATE PROCEDURE app.tidy() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TRIGGER touched BEFORE UPDATE ON app.nodes FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE RULE quiet AS ON DELETE TO app.names DO INSTEAD NOTHING;
CREATE STATISTICS app.together ON name, used FROM app.nodes;
ALTER TABLE app.nodes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.nodes USING (name = current_user);
GRANT SELECT ON app.nodes TO pg_monitor;
GRANT SELECT (at) ON app.metrics TO pg_monitor;
CREATE EXTENSION pg_trgm SCHEMA app;
";

/// What somebody does by hand, how it is undone, and how the sentence about it begins.
const CHANGES: [(&str, &str, &str); 21] = [
    (
        "ALTER TABLE app.nodes ADD extra int",
        "ALTER TABLE app.nodes DROP extra",
        "column app.nodes.extra is new",
    ),
    (
        "ALTER TABLE app.metrics ALTER value TYPE real",
        "ALTER TABLE app.metrics ALTER value TYPE float8",
        "column app.metrics.value was `double precision` and is `real`",
    ),
    (
        "ALTER TABLE app.nodes ALTER name SET DEFAULT 'y'",
        "ALTER TABLE app.nodes ALTER name SET DEFAULT 'x'",
        "column app.nodes.name was `text not null default 'x'::text` and is `text not null \
             default 'y'::text`",
    ),
    (
        "ALTER TABLE app.nodes DROP CONSTRAINT positive",
        "ALTER TABLE app.nodes ADD CONSTRAINT positive CHECK (used > 0)",
        "constraint app.nodes.positive is gone",
    ),
    (
        "DROP INDEX app.nodes_name",
        "CREATE INDEX nodes_name ON app.nodes (name)",
        "index app.nodes_name is gone",
    ),
    (
        "CREATE TABLE app.mine (id int PRIMARY KEY, name text UNIQUE)",
        "DROP TABLE app.mine",
        "table app.mine is new",
    ),
    (
        "CREATE OR REPLACE VIEW app.names AS SELECT name FROM app.nodes WHERE name <> ''",
        "CREATE OR REPLACE VIEW app.names AS SELECT name FROM app.nodes",
        "view app.names was ",
    ),
    (
        "CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RETURN OLD;END'",
        "CREATE OR REPLACE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RETURN NEW;END'",
        "function app.touch() was ",
    ),
    (
        "ALTER TABLE app.nodes DISABLE TRIGGER touched",
        "ALTER TABLE app.nodes ENABLE TRIGGER touched",
        "trigger app.nodes.touched was ",
    ),
    (
        "ALTER POLICY own ON app.nodes USING (true)",
        "ALTER POLICY own ON app.nodes USING (name = current_user)",
        "policy app.nodes.own was ",
    ),
    (
        "ALTER TABLE app.nodes DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE app.nodes ENABLE ROW LEVEL SECURITY",
        "table app.nodes was `owner postgres, row security` and is `owner postgres`",
    ),
    (
        "GRANT DELETE ON app.nodes TO pg_monitor",
        "REVOKE DELETE ON app.nodes FROM pg_monitor",
        "grants on table app.nodes to pg_monitor was `SELECT` and is `DELETE, SELECT`",
    ),
    (
        "GRANT CREATE ON SCHEMA app TO PUBLIC",
        "REVOKE CREATE ON SCHEMA app FROM PUBLIC",
        "grants on schema app to PUBLIC is new",
    ),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM PUBLIC",
        "default grants of postgres in app on tables to PUBLIC is new",
    ),
    (
        "ALTER SEQUENCE app.numbers INCREMENT BY 5",
        "ALTER SEQUENCE app.numbers INCREMENT BY 1",
        "sequence app.numbers was ",
    ),
    (
        "ALTER DOMAIN app.percent SET NOT NULL",
        "ALTER DOMAIN app.percent DROP NOT NULL",
        "type app.percent was ",
    ),
    (
        "ALTER TYPE app.pair ADD ATTRIBUTE c int",
        "ALTER TYPE app.pair DROP ATTRIBUTE c",
        "column app.pair.c is new",
    ),
    (
        "CREATE SCHEMA theirs; CREATE TABLE theirs.a (id int)",
        "DROP SCHEMA theirs CASCADE",
        "schema theirs is new",
    ),
    (
        "CREATE INDEX metrics_2026_node ON app.metrics_2026 (node)",
        "DROP INDEX app.metrics_2026_node",
        "index app.metrics_2026_node is new",
    ),
    (
        "DROP STATISTICS app.together",
        "CREATE STATISTICS app.together ON name, used FROM app.nodes",
        "statistics app.together is gone",
    ),
    (
        "ALTER EXTENSION pg_trgm SET SCHEMA public",
        "ALTER EXTENSION pg_trgm SET SCHEMA app",
        "extension pg_trgm was ",
    ),
];

#[tokio::test]
async fn every_kind_of_change_is_named() {
    let at = Watched::new().await;
    at.execute(EVERYTHING).await;
    law::changes(at.fingerprint()).await;
    assert_eq!(at.told().await, "");
    let mut silent = Vec::new();
    for (change, undo, expected) in CHANGES {
        at.execute(change).await;
        let told = at.told().await;
        if !told.starts_with(expected) || told.contains("; ") {
            silent.push(format!("{change}: {told:?}"));
        }
        at.execute(undo).await;
        let told = at.told().await;
        if !told.is_empty() {
            silent.push(format!("{undo}: {told:?}"));
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn what_comes_and_goes_by_itself_is_no_drift() {
    let at = Watched::new().await;
    at.execute(EVERYTHING).await;
    law::changes(at.fingerprint()).await;
    for quiet in [
        "INSERT INTO app.metrics VALUES ('2026-05-05', 1, 1); SELECT nextval('app.numbers')",
        "ANALYZE; VACUUM app.metrics",
        "CREATE TABLE app.metrics_2027 PARTITION OF app.metrics \
         FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        "CREATE TABLE app.metrics_2028 (LIKE app.metrics INCLUDING ALL); \
         ALTER TABLE app.metrics ATTACH PARTITION app.metrics_2028 \
         FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')",
        "GRANT SELECT ON app.metrics_2027 TO PUBLIC",
        "DROP TABLE app.metrics_2026",
        "CREATE TEMP TABLE mine (id int)",
        "REFRESH MATERIALIZED VIEW app.counts",
        "ALTER FUNCTION app.similarity(text, text) OWNER TO pg_monitor",
        "CREATE TABLE firstlight.theirs ()",
        "COMMENT ON TABLE app.nodes IS 'a word'",
    ] {
        // Not in one transaction, which VACUUM does not like.
        let client = at.bed.client(&at.database).await;
        for statement in quiet.split("; ") {
            let done = client.batch_execute(statement).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        assert_eq!(at.told().await, "", "{quiet}");
    }
    law::unchanged(at.drift(OnDrift::Fail)).await;
}

#[tokio::test]
async fn a_drift_is_noted_once_and_named_until_it_is_gone() {
    let at = Watched::new().await;
    at.execute("CREATE TABLE a (id int); CREATE TABLE b (id int)")
        .await;
    // Law 1 and 2: where nothing was taken note of there is nothing to compare.
    law::unchanged(at.drift(OnDrift::Fail)).await;
    law::fresh(at.fingerprint()).await;
    let taken = [format!("create fingerprint of database {}", at.database)];
    assert_eq!(law::changes(at.fingerprint()).await, taken);
    let rows = at.rows().await;
    law::unchanged(at.drift(OnDrift::Fail)).await;
    law::unchanged(at.fingerprint()).await;
    assert_eq!(at.rows().await, rows, "a second run writes nothing");
    // Law 4.
    at.execute("ALTER TABLE a ALTER id TYPE bigint; DROP TABLE b; CREATE TABLE c ()")
        .await;
    let said = "column public.a.id was `integer` and is `bigint`; table public.b is gone; \
                table public.c is new";
    assert_eq!(at.told().await, said);
    let (class, what, hints) = law::fails(at.drift(OnDrift::Fail)).await;
    assert_eq!(class, Class::Diverged);
    assert!(what.ends_with(said), "{what}");
    assert!(hints[0].contains("drift: accept"), "{hints:?}");
    let noted = [format!(
        "update note of what others changed in {}",
        at.database
    )];
    assert_eq!(law::changes(at.drift(OnDrift::Warn)).await, noted);
    let rows = at.rows().await;
    law::unchanged(at.drift(OnDrift::Warn)).await;
    law::unchanged(at.fingerprint()).await;
    assert_eq!(at.rows().await, rows, "a noted drift is noted once");
    assert_eq!(at.told().await, said);
    // However often something of ours changes, what others did stays named.
    at.touch().await;
    law::changes(at.fingerprint()).await;
    assert_eq!(at.told().await, said);
    // What is undone is forgotten, and what is done again is news.
    at.execute("ALTER TABLE a ALTER id TYPE int; DROP TABLE c; CREATE TABLE b (id int)")
        .await;
    law::changes(at.drift(OnDrift::Warn)).await;
    law::unchanged(at.drift(OnDrift::Fail)).await;
    let noted =
        "SELECT count(*)::text FROM firstlight.catalog WHERE drift IS NOT NULL OR hash = ''";
    assert_eq!(at.bed.value(&at.database, noted).await, "0");
}

#[tokio::test]
async fn a_drift_is_accepted_in_so_many_words() {
    let at = Watched::new().await;
    at.execute("CREATE TABLE a (id int)").await;
    law::changes(at.fingerprint()).await;
    at.execute("CREATE TABLE b (id int)").await;
    law::changes(at.drift(OnDrift::Warn)).await;
    law::unchanged(at.drift(OnDrift::Accept)).await;
    let accepting = || Fingerprint {
        accept: true,
        ..at.fingerprint()
    };
    law::changes(accepting()).await;
    law::unchanged(accepting()).await;
    law::unchanged(at.drift(OnDrift::Fail)).await;
}

#[tokio::test]
async fn what_a_run_did_before_it_was_killed_is_no_drift() {
    let at = Watched::new().await;
    law::changes(migrations::lens(at.bed.server(), &at.database)).await;
    law::changes(at.fingerprint()).await;
    at.execute("CREATE TABLE theirs ()").await;
    law::changes(at.drift(OnDrift::Warn)).await;
    // The run is killed after its change and before its last step.
    at.touch().await;
    law::unchanged(at.drift(OnDrift::Fail)).await;
    let taken = [format!("update fingerprint of database {}", at.database)];
    assert_eq!(law::changes(at.fingerprint()).await, taken);
    // What was noted before is named still; what the killed run did is not.
    assert_eq!(at.told().await, "table public.theirs is new");
}

#[tokio::test]
async fn setting_the_history_right_hides_no_drift() {
    let at = Watched::new().await;
    let lens = || migrations::lens(at.bed.server(), &at.database);
    law::changes(lens()).await;
    law::changes(at.fingerprint()).await;
    at.execute("CREATE TABLE theirs ()").await;
    let mend = Mend::Checksum(Which::Version(1));
    let done = lens().repair(&[mend]).await;
    assert_eq!(done.expect("there is nothing to do"), []);
    assert_eq!(at.told().await, "table public.theirs is new");
}

#[tokio::test]
async fn a_run_notes_its_changes_also_behind_another_runs_fingerprint() {
    let at = Watched::new().await;
    let files = migrations::counting(2);
    law::changes(migrations::migrations(
        at.bed.server(),
        &at.database,
        files[..1].to_vec(),
    ))
    .await;
    law::changes(at.fingerprint()).await;
    // The other run has nothing to do, and takes the fingerprint while this one holds the lock.
    let more = migrations::file(3, "CREATE TABLE late ();");
    let all = [files, vec![more]].concat();
    let run = migrations::migrations(at.bed.server(), &at.database, all);
    let observed = run.observe().await.expect("the server answers");
    let Ok(Plan::Change(changes)) = run.plan(&observed) else {
        panic!("two are pending");
    };
    for change in changes {
        run.apply(change).await.expect("it is applied");
        law::settles(at.fingerprint_by(at.bed.server())).await;
    }
    assert_eq!(at.told().await, "");
}

#[tokio::test]
async fn what_is_ignored_is_not_looked_at() {
    let mut at = Watched::new().await;
    at.ignored = vec!["public.metrics_*".to_owned(), "scratch".to_owned()];
    at.execute("CREATE SCHEMA scratch; CREATE TABLE a (); CREATE TABLE metrics_1 (id int)")
        .await;
    law::changes(at.fingerprint()).await;
    at.execute(
        "ALTER TABLE metrics_1 ADD other int; CREATE TABLE metrics_2 (id int PRIMARY KEY); \
         CREATE TABLE scratch.pad (id int PRIMARY KEY); DROP TABLE a",
    )
    .await;
    assert_eq!(at.told().await, "table public.a is gone");
}

#[tokio::test]
async fn a_fingerprint_is_finished_later_and_taken_once() {
    let bed = Bed::shared();
    let mut databases = Vec::new();
    for _ in 0..16 {
        databases.push(bed.database("watched").await);
    }
    law::cut_short(|polls| fingerprint_of(bed.server(), &databases[polls])).await;
    let at = Watched::new().await;
    at.execute(EVERYTHING).await;
    law::two_at_once(|| at.fingerprint_by(connect(settings(&at.bed.at)))).await;
    law::unchanged(at.fingerprint()).await;
    law::unchanged(at.drift(OnDrift::Fail)).await;
}

/// A thousand tables with what tables have. The times are printed, not bounded: a shared machine
/// has slow moments.
#[tokio::test]
async fn a_thousand_tables_are_one_question() {
    let at = Watched::new().await;
    at.execute(
        "DO $$ BEGIN FOR i IN 1..1000 LOOP \
             EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, name text NOT NULL, \
                 at timestamptz DEFAULT now(), kind int CHECK (kind > 0), parent bigint, \
                 body jsonb, size int, note text UNIQUE)', i); \
             EXECUTE format('CREATE INDEX ON t%s (name, at)', i); \
         END LOOP; END $$",
    )
    .await;
    let began = Instant::now();
    law::changes(at.fingerprint()).await;
    let took = began.elapsed();
    let began = Instant::now();
    law::unchanged(at.drift(OnDrift::Fail)).await;
    println!(
        "a thousand tables: taken in {took:?}, compared in {:?}",
        began.elapsed()
    );
    let rows = "SELECT count(*)::text FROM firstlight.catalog";
    let rows = at.bed.value(&at.database, rows).await;
    assert!(
        rows.parse::<u32>().is_ok_and(|rows| rows > 12_000),
        "{rows}"
    );
    at.execute("ALTER TABLE t500 ALTER size TYPE bigint").await;
    assert_eq!(
        at.told().await,
        "column public.t500.size was `integer` and is `bigint`"
    );
}
