//! What stands between us and the server: a pooler that keeps a session for its client does no
//! harm, one that lends it to others between transactions is refused before it can.

use firstlight::engine::{Class, Plan, Resource};
use firstlight::providers::postgres::Gate;
use testbed::{PgBouncer, PoolMode, Postgres};

use super::migrations::{applied_once, counting, migrations};
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
        let Ok(Plan::Change(mut changes)) = run.plan(&Vec::new()) else {
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
}

#[tokio::test]
async fn a_gate_looks_at_the_server_itself() {
    let bed = Bed::shared();
    let gate = Gate {
        server: bed.server(),
    };
    let observed = gate.observe().await.expect("two sessions, two processes");
    assert!(!observed.in_recovery);
}
