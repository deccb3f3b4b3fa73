//! What stands between us and the server: a pooler that keeps a session for its client does no
//! harm, one that lends it to others between transactions is refused before it can.

use std::time::Duration;

use firstlight::engine::{Class, Plan, Resource};
use firstlight::providers::postgres::{Gate, Migrations, MigrationsObserved};
use testbed::{Attempt, PgBouncer, PoolMode, Postgres, eventually};

use super::migrations::{applied_once, counting, file, migrations};
use super::{Bed, connect, settings};
use crate::law;

/// A server of the test's own, and a pooler before it.
async fn pooled(mode: PoolMode) -> (Postgres, Bed, PgBouncer) {
    let postgres = Postgres::start().await.expect("a Postgres of its own");
    let pooler = postgres.pooled(mode).await.expect("a PgBouncer");
    let bed = Bed::new(postgres.server().clone());
    (postgres, bed, pooler)
}

#[tokio::test]
async fn a_transaction_pooler_is_refused_and_nothing_is_left_in_its_sessions() {
    let (_postgres, bed, pooler) = pooled(PoolMode::Transaction).await;
    let server = || connect(settings(pooler.server()));
    let refused = format!(
        "{} is a transaction pooler: our session is not ours alone there",
        server().address()
    );
    // Lent last in, first out, and in turns.
    for turns in ["0", "1"] {
        let console = Bed::new(pooler.server().clone());
        let console = console.client("pgbouncer").await;
        let set = format!("SET server_round_robin = {turns}");
        console.simple_query(&set).await.expect("its console");
        let (class, what, hints) = law::fails(Gate { server: server() }).await;
        assert_eq!((class, what.as_str()), (Class::Invalid, refused.as_str()));
        assert!(hints[0].contains("CLUSTER-primary"), "{hints:?}");
        // Without a gate before it, too.
        let run = migrations(server(), "postgres", counting(1));
        let Ok(Plan::Change(mut changes)) = run.plan(&MigrationsObserved::default()) else {
            panic!("it is pending");
        };
        let error = run.apply(changes.remove(0)).await.expect_err("refused");
        assert_eq!(error.to_string(), refused);
    }
    let locks = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(bed.value("postgres", locks).await, "0");
    let tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(bed.value("postgres", tables).await, "0");
}

#[tokio::test]
async fn a_session_pooler_does_no_harm() {
    let (_postgres, bed, pooler) = pooled(PoolMode::Session).await;
    let database = bed.database("pooled").await;
    let server = || connect(settings(pooler.server()));
    law::unchanged(Gate { server: server() }).await;
    law::two_at_once(|| migrations(server(), &database, counting(20))).await;
    law::unchanged(migrations(server(), &database, counting(20))).await;
    applied_once(&bed, &database, 20).await;
    let sleep = vec![file(1, "SELECT pg_sleep(600);")];
    let database = bed.database("asleep").await;
    ends_with_us(&bed, migrations(server(), &database, sleep)).await;
}

/// A statement of somebody who is gone is stopped through the pooler too.
async fn ends_with_us(bed: &Bed, run: Migrations) {
    let Ok(Plan::Change(mut changes)) = run.plan(&MigrationsObserved::default()) else {
        panic!("it is pending");
    };
    let change = changes.remove(0);
    let sleeping = "SELECT count(*)::text FROM pg_stat_activity \
                    WHERE state = 'active' AND query LIKE '%pg_sleep(600)%' \
                      AND pid <> pg_backend_pid()";
    let count = async |expected: &str| match bed.value("postgres", sleeping).await {
        found if found == expected => Attempt::Done(()),
        found => Attempt::NotYet(format!("{found} sessions sleep")),
    };
    let minute = Duration::from_mins(1);
    let begun = eventually("the statement to begin", minute, async || count("1").await);
    tokio::select! {
        ended = run.apply(change) => panic!("it sleeps ten minutes: {ended:?}"),
        begun = begun => begun.expect("it begins"),
    }
    let ended = eventually("the server to notice", minute, async || count("0").await);
    ended.await.expect("it ends");
}
