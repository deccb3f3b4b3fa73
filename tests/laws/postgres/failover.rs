//! A server that gives its place to another in the middle of a run.

use std::time::Duration;

use firstlight::engine::Class;
use firstlight::providers::postgres::{File, Gate, Settings};
use testbed::{Attempt, Postgres, PostgresServer, Proxy, Shutdown, eventually};

use super::migrations::{applied_once, file, migrations};
use super::{Bed, connect, settings};
use crate::law;

fn address(server: &PostgresServer) -> String {
    format!("{}:{}", server.host, server.port)
}

/// A server, one that follows it, and the name that leads to the first.
async fn pair() -> (Postgres, Postgres, Proxy) {
    let first = Postgres::start().await.expect("a Postgres of its own");
    let second = first.standby().await.expect("a standby");
    let name = Proxy::start(address(first.server())).await;
    (first, second, name.expect("a proxy"))
}

/// As a client that knows only the name.
fn by_name(name: &Proxy, at: &PostgresServer) -> Settings {
    Settings {
        port: name.address().port().into(),
        ..settings(at)
    }
}

#[tokio::test]
async fn a_standby_is_waited_for_until_it_is_promoted() {
    let (mut first, second, name) = pair().await;
    let server = connect(by_name(&name, first.server()));
    let gate = || Gate {
        server: server.clone(),
    };
    law::unchanged(gate()).await;
    first.stop(Shutdown::Immediate).await.expect("it crashes");
    law::waits(gate()).await;
    name.redirect(address(second.server()));
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    let sentence = format!(
        "{} takes no writes: it is a standby, or read-only by its settings",
        server.address()
    );
    assert_eq!(what, sentence);
    second.promote().await.expect("it takes over");
    law::settles(gate()).await;
}

#[tokio::test]
async fn a_run_goes_on_where_the_standby_takes_over() {
    const FILES: u64 = 30;
    let (mut first, second, name) = pair().await;
    let (bed, next) = (
        Bed::new(first.server().clone()),
        Bed::new(second.server().clone()),
    );
    // What was committed is on both, as where an operator is told to lose nothing.
    bed.execute(
        "postgres",
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
    )
    .await;
    bed.execute("postgres", "SELECT pg_reload_conf()").await;
    let run = migrations(
        connect(by_name(&name, first.server())),
        "postgres",
        slow(FILES),
    );
    let run = tokio::spawn(law::settles(run));
    let minute = Duration::from_mins(1);
    let some = eventually("some of the files", minute, async || {
        let count = "SELECT count(*)::text FROM pg_tables WHERE tablename = 'applied'";
        if bed.value("postgres", count).await == "0" {
            return Attempt::NotYet("not one file".to_owned());
        }
        match bed
            .value("postgres", "SELECT count(*)::text FROM applied")
            .await
        {
            count if count.parse().unwrap_or(0) >= 5 => Attempt::Done(()),
            count => Attempt::NotYet(format!("{count} files")),
        }
    });
    some.await.expect("it is at work");
    first.stop(Shutdown::Immediate).await.expect("it crashes");
    name.redirect(address(second.server()));
    second.promote().await.expect("it takes over");
    run.await.expect("the run ends well");
    applied_once(&next, "postgres", FILES).await;
}

fn slow(count: u64) -> Vec<File> {
    (1..=count)
        .map(|version| {
            let first = if version == 1 {
                "CREATE TABLE applied (version bigint NOT NULL);\n"
            } else {
                ""
            };
            let sql =
                format!("{first}INSERT INTO applied VALUES ({version});\nSELECT pg_sleep(0.05);\n");
            file(version, &sql)
        })
        .collect()
}
