//! What somebody else changes in a database is told by the next command.

use testbed::Env;
use tokio_postgres::NoTls;

use crate::agent::{Agent, migrating};

const BUNDLE: &str = "manifests/bundle.yaml";

/// A bundle that has run once, and the name of its database.
fn watched() -> (Agent, String) {
    let agent = migrating("drift");
    agent.write(
        "sql/V0001__nodes.sql",
        "create table nodes (id int primary key, name text);\n",
    );
    let run = agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    let bundle = agent.read(BUNDLE);
    let (_, name) = bundle.split_once("database: { name: ").expect("its name");
    let (name, _) = name.split_once(' ').expect("more");
    (agent, name.to_owned())
}

/// Does something behind the agent's back.
async fn execute(database: &str, sql: &str) {
    let server = Env::load().and_then(|env| env.postgres());
    let server = server.expect("a Postgres");
    let mut config = tokio_postgres::Config::new();
    config.host(&server.host).port(server.port).dbname(database);
    config.user(&server.user).password(&server.password);
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    client.batch_execute(sql).await.expect("the test's own SQL");
}

#[tokio::test]
async fn a_change_of_others_is_told_by_check_plan_and_run() {
    let (agent, database) = watched();
    let again = agent.run(&["run"]);
    assert!(again.sentence().contains(", 0 changed"), "{again}");
    assert_eq!(agent.run(&["check"]).code, 0);
    execute(&database, "alter table nodes alter name type varchar(10)").await;
    let said = "column public.nodes.name was `text` and is `character varying(10)`";
    let check = agent.run(&["check"]);
    assert_eq!(check.code, 1, "{check}");
    assert!(check.stdout.contains(said), "{check}");
    let plan = agent.run(&["plan"]);
    assert_eq!(plan.code, 0, "{plan}");
    assert!(plan.stdout.contains(said), "{plan}");
    for _ in 0..2 {
        let run = agent.run(&["run"]);
        assert_eq!(run.code, 0, "{run}");
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(
            text.contains(&format!("changed behind our back: {said}")),
            "{run}"
        );
    }
    // A migration of ours does not make it ours.
    agent.write("sql/V0002__more.sql", "alter table nodes add more int;\n");
    assert_eq!(agent.run(&["run"]).code, 0);
    let check = agent.run(&["check"]);
    assert_eq!(check.code, 1, "{check}");
    assert!(
        check.stdout.contains(said) && !check.stdout.contains("more"),
        "{check}"
    );
    execute(&database, "alter table nodes alter name type text").await;
    assert_eq!(agent.run(&["run"]).code, 0);
    assert_eq!(agent.run(&["check"]).code, 0);
}

#[tokio::test]
async fn a_run_may_end_for_a_drift_or_accept_it() {
    let (agent, database) = watched();
    let bundle = agent.read(BUNDLE);
    let with = |word: &str| {
        let text = bundle.replace("path: sql,", &format!("path: sql, drift: {word},"));
        agent.write(BUNDLE, &text);
    };
    execute(&database, "create index by_hand on nodes (name)").await;
    with("fail");
    agent.write("sql/V0002__more.sql", "alter table nodes add more int;\n");
    let run = agent.run(&["run"]);
    assert_eq!(run.code, 65, "{run}");
    assert!(
        run.sentence().contains("index public.by_hand is new"),
        "{run}"
    );
    with("accept");
    let run = agent.run(&["run"]);
    assert_eq!(run.code, 0, "{run}");
    with("fail");
    let run = agent.run(&["run"]);
    assert!(run.sentence().contains(", 0 changed"), "{run}");
}
