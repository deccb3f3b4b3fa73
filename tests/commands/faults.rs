//! Five faults that users meet, and the sentence that each ends with.

use testbed::Env;

use crate::agent::{Agent, migrating, postgres};

#[test]
fn a_wrong_password_names_the_secret_that_holds_it() {
    let (server, servers) = postgres("database");
    let phases = "  - name: secrets
    steps:
      - secret: { name: database, values: { password: wrong } }
  - name: schema
    steps:
      - role: { name: nobody }
";
    let agent = Agent::new("wrongpassword", &servers, phases);
    let ended = agent.run(&["run"]);
    assert_eq!(ended.code, 78, "{ended}");
    let sentence = ended.sentence();
    assert!(
        sentence.starts_with("schema/postgres-server failed: "),
        "{sentence}"
    );
    assert!(sentence.contains(&server.user), "{sentence}");
    assert!(
        sentence.contains("key password of Secret database"),
        "{sentence}"
    );
    assert!(!ended.to_string().contains("wrong\""), "{ended}");
    assert_eq!(agent.termination(), sentence);
}

#[test]
fn a_missing_secret_is_waited_for_and_named() {
    let (_, servers) = postgres("nowhere");
    let phases = "  - name: schema
    timeout: 2s
    steps:
      - role: { name: nobody }
";
    let agent = Agent::new("missingsecret", &servers, phases);
    let ended = agent.run(&["run"]);
    assert_eq!(ended.code, 69, "{ended}");
    let sentence = ended.sentence();
    assert!(sentence.contains("waited 2."), "{sentence}");
    assert!(
        sentence.contains("Secret nowhere does not exist"),
        "{sentence}"
    );
}

#[test]
fn a_bad_image_is_named_with_the_pod_that_wants_it() {
    let cluster = Env::load()
        .and_then(|env| env.cluster())
        .expect("a cluster");
    let phases = "  - name: workloads
    timeout: 20s
    steps:
      - apply: { path: manifests/web.yaml }
";
    let agent = Agent::on(&cluster, "badimage", "", phases);
    agent.write(
        "manifests/web.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers: [{ name: web, image: \"localhost/nothing:1\", imagePullPolicy: IfNotPresent }]
",
    );
    let ended = agent.run(&["run"]);
    assert_eq!(ended.code, 69, "{ended}");
    let sentence = ended.sentence();
    assert!(sentence.contains("Deployment"), "{sentence}");
    assert!(sentence.contains("localhost/nothing:1"), "{sentence}");
    assert!(sentence.contains("ImagePull"), "{sentence}");
}

#[test]
fn an_sql_error_points_at_the_character() {
    let agent = migrating("sqlerror");
    agent.write("sql/V0001__good.sql", "create table good (id int);\n");
    agent.write(
        "sql/V0002__bad.sql",
        "-- a comment\ncreate table bad (id int);\ninsert into nowhere values (1);\n",
    );
    let ended = agent.run(&["run"]);
    assert_eq!(ended.code, 78, "{ended}");
    let sentence = ended.sentence();
    assert!(sentence.contains("sql/V0002__bad.sql:3:13"), "{sentence}");
    assert!(
        sentence.contains("relation \"nowhere\" does not exist"),
        "{sentence}"
    );
    assert!(
        ended.stdout.contains("insert into nowhere values (1);"),
        "{ended}"
    );
    assert!(ended.stdout.contains("            ^"), "{ended}");
    let plan = agent.run(&["plan"]);
    assert!(
        plan.stdout.contains("run sql/V0002__bad.sql"),
        "the good one stays: {plan}"
    );
    assert!(!plan.stdout.contains("V0001"), "{plan}");
}

#[test]
fn an_absent_collector_neither_fails_nor_slows_the_run() {
    let phases = "  - name: secrets
    steps:
      - secret: { name: one, generate: { password: 16 } }
";
    let agent = Agent::new("nocollector", "", phases);
    let began = std::time::Instant::now();
    let mut command = agent.command(&["run"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let ended = crate::agent::ended(&mut command);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.sentence().contains("1 changed"), "{ended}");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
