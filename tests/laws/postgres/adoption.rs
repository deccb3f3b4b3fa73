//! Databases that had a life before us: histories as other tools write them, baselines, files of
//! any name, and a history that is set right by hand.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use firstlight::engine::{Class, Failure, Plan, Resource};
use firstlight::providers::postgres::{
    Adoption, File, Mend, Mended, Migrations, Order, Placeholders, Tool, Which,
};
use sha2::{Digest as _, Sha384};
use testbed::unique;

use super::{Bed, connect, settings};
use crate::law;

const PEOPLE: &str = "CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);\n";
const EMAIL: &str = "\u{feff}-- größer\r\nALTER TABLE people ADD COLUMN email text;\r\n";
const TOWNS: &str =
    "CREATE TABLE towns (name text PRIMARY KEY);\nINSERT INTO towns VALUES ('Ulm');";
const NAMES: &str = "CREATE OR REPLACE VIEW names AS SELECT name FROM people;\n";
const MORE: &str = "CREATE TABLE more (id int);\n";

/// A file as the bundle gives it where names are the order.
fn named(name: &str, sql: &str) -> File {
    let order = if name.starts_with("R__") {
        Order::Repeatable
    } else {
        Order::Name
    };
    File::new(
        order,
        "words",
        format!("sql/{name}"),
        sql,
        &Placeholders::new(),
    )
}

fn version(number: u64, sql: &str) -> File {
    let path = format!("sql/V{number}__words.sql");
    File::new(number, "words", path, sql, &Placeholders::new())
}

/// Each run is a process of its own, so each has a server of its own.
fn migrations(bed: &Bed, database: &str, files: &[File], adoption: Option<Adoption>) -> Migrations {
    let server = connect(settings(&bed.at));
    let mut migrations = Migrations::new(server, database, files.to_vec());
    migrations.adoption = adoption;
    migrations
}

/// What the history says, a line each.
async fn history(bed: &Bed, database: &str) -> String {
    let sql = "SELECT string_agg(format('%s %s %s', coalesce(version::text, '-'), file, \
                                        coalesce(adopted_from, 'run')), E'\\n' ORDER BY id) \
               FROM firstlight.schema_history";
    bed.value(database, sql).await
}

async fn diverged(resource: Migrations) -> String {
    let (class, what, hints) = law::fails(resource).await;
    assert_eq!(class, Class::Diverged, "{what}");
    format!("{what}\n{}", hints.join("\n"))
}

/// The real golang-migrate with files in a folder of its own.
struct GolangMigrate {
    program: PathBuf,
    folder: tempfile::TempDir,
    url: String,
}

impl GolangMigrate {
    fn new(bed: &Bed, database: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let script = root.join("tests/testbed/build/migrate/build.sh");
        let ended = Command::new(script).output().expect("a script");
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        let at = &bed.at;
        Self {
            program: testbed::program("migrate").expect("it is built"),
            folder: tempfile::tempdir().expect("a folder"),
            url: format!(
                "postgres://{}:{}@{}:{}/{database}?sslmode=verify-full&sslrootcert={}",
                at.user,
                at.password,
                at.host,
                at.port,
                at.ca_file.display()
            ),
        }
    }

    fn write(&self, name: &str, sql: &str) {
        std::fs::write(self.folder.path().join(name), sql).expect("it is written");
    }

    /// Whether it went well.
    fn up(&self) -> bool {
        let mut up = Command::new(&self.program);
        up.arg("-path")
            .arg(self.folder.path())
            .args(["-database", &self.url, "up"]);
        up.output().expect("it runs").status.success()
    }
}

#[tokio::test]
async fn golang_migrates_history_is_taken_over() {
    let bed = Bed::shared();
    let database = bed.database("golang").await;
    let tool = GolangMigrate::new(&bed, &database);
    tool.write("000001_people.up.sql", PEOPLE);
    tool.write("000001_people.down.sql", "DROP TABLE people;");
    tool.write("000002_towns.up.sql", TOWNS);
    tool.write("000002_towns.down.sql", "DROP TABLE towns;");
    assert!(tool.up());
    let files = [
        named("000001_people.up.sql", PEOPLE),
        named("000002_towns.up.sql", TOWNS),
        named("000010_more.up.sql", MORE),
        named("R__names.sql", NAMES),
    ];
    let import = || {
        let import = Some(Adoption::Import(Tool::GolangMigrate));
        migrations(&bed, &database, &files, import)
    };
    law::fresh(import()).await;
    let changes = [
        "create history from schema_migrations",
        "run sql/000010_more.up.sql",
        "run sql/R__names.sql",
    ];
    assert_eq!(law::changes(import()).await, changes);
    law::unchanged(import()).await;
    // The key may go, and stays harmless if it does not.
    law::unchanged(migrations(&bed, &database, &files, None)).await;
    insta::assert_snapshot!(history(&bed, &database).await, @r"
    - 000001_people.up.sql golang-migrate
    - 000002_towns.up.sql golang-migrate
    - 000010_more.up.sql run
    - R__names.sql run
    ");
}

#[tokio::test]
async fn where_golang_migrate_has_failed_a_person_decides() {
    let bed = Bed::shared();
    let database = bed.database("dirty").await;
    let tool = GolangMigrate::new(&bed, &database);
    tool.write("1_people.up.sql", PEOPLE);
    tool.write(
        "2_towns.up.sql",
        "CREATE TABLE towns (name text PRIMARY KEY); SELECT 1/0;",
    );
    assert!(!tool.up(), "it divides by zero");
    let files = [version(1, PEOPLE), version(2, TOWNS)];
    let import = || {
        let import = Some(Adoption::Import(Tool::GolangMigrate));
        migrations(&bed, &database, &files, import)
    };
    let said = diverged(import()).await.replace(&database, "DATABASE");
    insta::assert_snapshot!(said, @r"
    golang-migrate failed at version 2 in database DATABASE, as its table schema_migrations says
    look what of that file is there, finish or undo it by hand, and tell the tool where it stands: `migrate force VERSION`
    ");
    // What a person would do: nothing of the second file is there.
    let mut force = Command::new(&tool.program);
    force
        .arg("-path")
        .arg(tool.folder.path())
        .args(["-database", &tool.url, "force", "1"]);
    assert!(force.output().expect("it runs").status.success());
    let changes = [
        "create history from schema_migrations",
        "run sql/V2__words.sql",
    ];
    assert_eq!(law::changes(import()).await, changes);
    law::unchanged(import()).await;
}

/// What Flyway 11.8.2 has written for these four files.
const FLYWAY: &str = "
CREATE TABLE flyway_schema_history (
    installed_rank integer NOT NULL,
    version character varying(50),
    description character varying(200) NOT NULL,
    type character varying(20) NOT NULL,
    script character varying(1000) NOT NULL,
    checksum integer,
    installed_by character varying(100) NOT NULL,
    installed_on timestamp without time zone DEFAULT now() NOT NULL,
    execution_time integer NOT NULL,
    success boolean NOT NULL
);
INSERT INTO flyway_schema_history VALUES
(1, '1', 'people', 'SQL', 'V1__people.sql', -1205272825, 'postgres', '2026-11-21 18:04:23.280675', 33, true),
(2, '2', 'email', 'SQL', 'V2__email.sql', 2124391812, 'postgres', '2026-11-21 18:04:23.407809', 25, true),
(3, '2.1', 'towns', 'SQL', 'V2.1__towns.sql', -1411519323, 'postgres', '2026-11-21 18:04:23.464623', 36, true),
(4, NULL, 'names', 'SQL', 'R__names.sql', 466991143, 'postgres', '2026-11-21 18:04:23.52594', 32, true);
ALTER TABLE ONLY flyway_schema_history ADD CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank);
CREATE INDEX flyway_schema_history_s_idx ON flyway_schema_history USING btree (success);
";

#[tokio::test]
async fn flyways_history_is_taken_over() {
    let bed = Bed::shared();
    let database = bed.database("flyway").await;
    for sql in [
        PEOPLE,
        EMAIL.trim_start_matches('\u{feff}'),
        TOWNS,
        NAMES,
        FLYWAY,
    ] {
        bed.execute(&database, sql).await;
    }
    let files = [
        named("V1__people.sql", PEOPLE),
        named("V2__email.sql", EMAIL),
        named("V2.1__towns.sql", TOWNS),
        named("R__names.sql", NAMES),
        named("V3__more.sql", MORE),
    ];
    let import = |files: &[File]| {
        let import = Some(Adoption::Import(Tool::Flyway));
        migrations(&bed, &database, files, import)
    };
    let mut edited = files.clone();
    edited[2] = named("V2.1__towns.sql", "CREATE TABLE towns ();");
    insta::assert_snapshot!(diverged(import(&edited)).await, @r"
    sql/V2.1__towns.sql is not what flyway has run as version 2.1 (V2.1__towns.sql): the checksum is another one
    restore the file as it was run, and put the change into a new migration
    ");
    insta::assert_snapshot!(diverged(import(&files[..2])).await.replace(&database, "DATABASE"), @r"
    flyway has run version 2.1 (V2.1__towns.sql) in database DATABASE, and the bundle has no such file
    put the file into the folder as it was run: it will be noted, not run again
    ");
    law::two_at_once(|| import(&files)).await;
    law::unchanged(import(&files)).await;
    insta::assert_snapshot!(history(&bed, &database).await, @r"
    - V1__people.sql flyway
    - V2__email.sql flyway
    - V2.1__towns.sql flyway
    - R__names.sql flyway
    - V3__more.sql run
    ");
}

#[tokio::test]
async fn sqlxs_history_is_taken_over() {
    let bed = Bed::shared();
    let database = bed.database("sqlx").await;
    let sums = [PEOPLE, EMAIL].map(|sql| {
        let digest = Sha384::digest(sql.as_bytes());
        let hex: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.concat()
    });
    bed.execute(&database, PEOPLE).await;
    bed.execute(&database, EMAIL.trim_start_matches('\u{feff}'))
        .await;
    // As sqlx 0.9 makes it, by its source.
    let past = format!(
        "CREATE TABLE _sqlx_migrations ( \
             version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
             installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
             checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL); \
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (20240501120000, 'people', true, '\\x{}', 1), \
                (20240501120100, 'email', true, '\\x{}', -1)",
        sums[0], sums[1]
    );
    bed.execute(&database, &past).await;
    let files = [
        named("20240501120000_people.sql", PEOPLE),
        named("20240501120100_email.up.sql", EMAIL),
        named("20240501120200_more.sql", MORE),
    ];
    let import = |files: &[File]| {
        let import = Some(Adoption::Import(Tool::Sqlx));
        migrations(&bed, &database, files, import)
    };
    let mut edited = files.clone();
    edited[0] = named("20240501120000_people.sql", "CREATE TABLE people ();");
    insta::assert_snapshot!(diverged(import(&edited)).await, @r"
    sql/20240501120000_people.sql is not what sqlx has run as version 20240501120000 (people): the checksum is another one
    restore the file as it was run, and put the change into a new migration
    ");
    let changes = [
        "create history from _sqlx_migrations",
        "run sql/20240501120200_more.sql",
    ];
    assert_eq!(law::changes(import(&files)).await, changes);
    law::unchanged(import(&files)).await;
}

#[tokio::test]
async fn a_schema_made_by_hand_has_a_baseline() {
    let bed = Bed::shared();
    let files = [version(1, PEOPLE), version(2, EMAIL), version(3, TOWNS)];
    let baseline = |database: &str| {
        let baseline = Some(Adoption::Baseline("V2__words.sql".to_owned()));
        migrations(&bed, database, &files, baseline)
    };
    let by_hand = bed.database("by_hand").await;
    bed.execute(&by_hand, PEOPLE).await;
    let changes = [
        "create history up to V2__words.sql, as the bundle says",
        "run sql/V3__words.sql",
    ];
    assert_eq!(law::changes(baseline(&by_hand)).await, changes);
    law::unchanged(baseline(&by_hand)).await;
    insta::assert_snapshot!(history(&bed, &by_hand).await, @r"
    1 V1__words.sql baseline
    2 V2__words.sql baseline
    3 V3__words.sql run
    ");
    // The same bundle makes a new database from nothing.
    let empty = bed.database("empty").await;
    assert_eq!(law::changes(baseline(&empty)).await.len(), 3);
    law::unchanged(baseline(&empty)).await;
    insta::assert_snapshot!(history(&bed, &empty).await, @r"
    1 V1__words.sql run
    2 V2__words.sql run
    3 V3__words.sql run
    ");
}

/// A first history is made once in the life of a database, so each cut is in one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn taking_over_that_is_cut_short_is_done_later() {
    let bed = Bed::shared();
    let name = unique("cut");
    let files = [version(1, PEOPLE), version(2, TOWNS)];
    let made = RefCell::new(BTreeSet::new());
    law::cut_short(|polls| {
        let database = format!("{name}_{polls}");
        if made.borrow_mut().insert(database.clone()) {
            let create = async {
                bed.execute("postgres", &format!("CREATE DATABASE {database}"))
                    .await;
                bed.execute(&database, PEOPLE).await;
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(create));
        }
        let baseline = Some(Adoption::Baseline("V1__words.sql".to_owned()));
        migrations(&bed, &database, &files, baseline)
    })
    .await;
    for database in &made.into_inner() {
        let expected = "1 V1__words.sql baseline\n2 V2__words.sql run";
        assert_eq!(history(&bed, database).await, expected);
    }
}

#[tokio::test]
async fn names_are_an_order() {
    let bed = Bed::shared();
    let database = bed.database("names").await;
    let run = |names: &[&str]| {
        let sql = |name: &&str| format!("CREATE TABLE \"{name}\" ();");
        let files: Vec<_> = names.iter().map(|name| named(name, &sql(name))).collect();
        migrations(&bed, &database, &files, None)
    };
    let names = ["patch100-z.sql", "patch9-x.sql", "patch042-y.sql"];
    let changes = [
        "run sql/patch9-x.sql",
        "run sql/patch042-y.sql",
        "run sql/patch100-z.sql",
    ];
    assert_eq!(law::changes(run(&names)).await, changes);
    law::unchanged(run(&names)).await;
    let said = diverged(run(&[&names[..], &["patch010-late.sql"]].concat())).await;
    assert!(said.contains("sql/patch010-late.sql (checksum "), "{said}");
    assert!(
        said.contains("is not applied, and patch100-z.sql"),
        "{said}"
    );
    let said = diverged(run(&names[1..])).await;
    assert!(said.contains("has migration patch100-z.sql"), "{said}");
    assert!(said.contains("newer than the bundle"), "{said}");
}

#[tokio::test]
async fn a_history_is_set_right_by_name() {
    let bed = Bed::shared();
    let database = bed.database("repair").await;
    let before = [version(1, PEOPLE), version(3, TOWNS), version(4, MORE)];
    law::settles(migrations(&bed, &database, &before, None)).await;
    // One was edited, one came late, one has gone.
    let after = [
        version(
            1,
            "CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL); -- people\n",
        ),
        version(2, EMAIL),
        version(3, TOWNS),
    ];
    let now = || migrations(&bed, &database, &after, None);
    let said = diverged(now()).await;
    assert!(
        said.starts_with("sql/V1__words.sql was changed after it was applied"),
        "{said}"
    );
    let wrong = async |mend: Mend| {
        let error = now().repair(&[mend]).await.expect_err("it makes no sense");
        assert_eq!(error.class(), Class::Invalid);
        format!("{error}; {}", error.hints().join("; ")).replace(&database, "DATABASE")
    };
    let wrongs = [
        wrong(Mend::Checksum(Which::Version(4))).await,
        wrong(Mend::Checksum(Which::Version(2))).await,
        wrong(Mend::Accept(Which::Version(3))).await,
        wrong(Mend::Remove(Which::Version(3))).await,
        wrong(Mend::Remove(Which::File("V9__words.sql".to_owned()))).await,
    ];
    insta::assert_snapshot!(wrongs.join("\n"), @r"
    the bundle has no migration 4; to forget what the bundle has no more, say --remove
    database DATABASE has not had migration 2; to note a file as applied without running it, say --accept
    database DATABASE has had V3__words.sql already; if the file was edited since, say --version or --file to take its checksum
    the bundle has sql/V3__words.sql: forgotten, it would be run again; remove the file from the bundle first
    database DATABASE has not had migration V9__words.sql; to note a file as applied without running it, say --accept
    ");
    let mends = [
        Mend::Checksum(Which::Version(1)),
        Mend::Accept(Which::File("V2__words.sql".to_owned())),
        Mend::Remove(Which::Version(4)),
    ];
    let done = now().repair(&mends).await.expect("it is set right");
    let lines = done
        .iter()
        .map(|Mended { file, what }| format!("{file}: {what}"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    V1__words.sql: its checksum was 03eb7f777bab and is db65c0e58589
    V2__words.sql: it is noted and was not run
    V4__words.sql: it is forgotten; its checksum was a99dbb5ccfec
    ");
    law::unchanged(now()).await;
    let again = now()
        .repair(&mends[..1])
        .await
        .expect("there is nothing to do");
    assert_eq!(again, []);
    insta::assert_snapshot!(history(&bed, &database).await, @r"
    1 V1__words.sql run
    3 V3__words.sql run
    2 V2__words.sql repair
    ");
}

#[tokio::test]
async fn a_history_that_sessions_do_not_see_is_not_taken_for_none() {
    let bed = Bed::shared();
    let database = bed.database("elsewhere").await;
    let past =
        "CREATE SCHEMA app; CREATE TABLE app.schema_migrations (version bigint, dirty boolean);
        INSERT INTO app.schema_migrations VALUES (1, false);
        CREATE SCHEMA rails; CREATE TABLE rails.schema_migrations (version text);";
    bed.execute(&database, past).await;
    let files = [version(1, PEOPLE)];
    let import = || Some(Adoption::Import(Tool::GolangMigrate));
    let said = diverged(migrations(&bed, &database, &files, import())).await;
    insta::assert_snapshot!(said, @r"
    app.schema_migrations is not on the search_path: whether it is about these files cannot be told
    if it is, put app on the search_path of the role that connects (`roleSettings` of the database); if it is of another application, leave `import` out
    ");
    let path = format!("ALTER DATABASE {database} SET search_path = app, public");
    bed.execute(&database, &path).await;
    // Settings of a database are those of sessions that begin now.
    let anew = Bed::new(bed.at.clone());
    let changes = law::changes(migrations(&anew, &database, &files, import())).await;
    assert_eq!(changes, ["create history from schema_migrations"]);
}

#[tokio::test]
async fn what_is_half_done_can_be_forgotten_or_accepted() {
    let bed = Bed::shared();
    let database = bed.database("half").await;
    let half = |number| {
        let sql = "-- firstlight: transaction=none\nSELECT 1;\nSELECT 1 / 0;";
        version(number, sql)
    };
    let run = |files: &[File]| migrations(&bed, &database, files, None);
    let begun = "SELECT count(*)::text FROM firstlight.schema_statements";
    for number in [1, 2] {
        law::fails(run(&[half(number)])).await;
        assert_eq!(bed.value(&database, begun).await, "1");
        let name = Which::File(format!("V{number}__words.sql"));
        let remove = Mend::Remove(name.clone());
        if number == 1 {
            let error = run(&[half(1)]).repair(std::slice::from_ref(&remove)).await;
            let error = error.expect_err("the bundle has it");
            assert!(
                error.to_string().contains("it would be run again"),
                "{error}"
            );
            let gone = [version(2, PEOPLE)];
            let said = diverged(run(&gone)).await;
            assert!(
                said.contains("firstlight repair --remove V1__words.sql"),
                "{said}"
            );
            let done = run(&gone).repair(&[remove.clone(), remove]).await;
            let done = done.expect("it is forgotten");
            assert_eq!(done.len(), 1, "{done:?}");
        } else {
            let accept = Mend::Accept(name);
            let done = run(&[half(2)]).repair(&[accept.clone(), accept]).await;
            assert_eq!(done.expect("it is noted").len(), 1);
            law::unchanged(run(&[half(2)])).await;
        }
        assert_eq!(bed.value(&database, begun).await, "0");
    }
}

#[tokio::test]
async fn nothing_is_set_right_while_another_run_is_at_work() {
    let bed = Bed::shared();
    let database = bed.database("busy").await;
    let files = [version(1, PEOPLE), version(2, TOWNS)];
    let first = migrations(&bed, &database, &files, None);
    let observed = first.observe().await.expect("the server answers");
    let Ok(Plan::Change(mut changes)) = first.plan(&observed) else {
        panic!("everything is pending");
    };
    first.apply(changes.remove(0)).await.expect("it is applied");
    let second = migrations(&bed, &database, &files, None);
    let error = second.repair(&[Mend::Accept(Which::Version(2))]).await;
    let error = error.expect_err("the other one holds the lock");
    assert_eq!(error.class(), Class::Busy, "{error}");
}
