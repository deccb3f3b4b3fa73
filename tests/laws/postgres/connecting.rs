//! Letting us in: certificates and authorities that change, Secrets that come late or change, and
//! what is told of a statement on the way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use firstlight::engine::{Chain, Class, Failure, Plan, Resource};
use firstlight::providers::postgres::{
    Cancels, Error, Expect, Gate, MigrationsObserved, Server, Settings, Tls,
};
use firstlight::secret::{
    Credential, ReadSecret, SecretError, SecretRef, Secrets, Sensitive, Setting,
};
use testbed::{Attempt, Authority, Postgres, Proxy, Shutdown, eventually, unique};

use super::migrations::{file, migrations};
use super::{Bed, connect, settings};
use crate::law;

/// Secrets that a test changes, as an operator does.
#[derive(Default)]
struct Kept {
    values: Mutex<HashMap<SecretRef, String>>,
    /// What is read once, before the value that is there.
    stale: Mutex<HashMap<SecretRef, String>>,
    reads: AtomicUsize,
}

impl Kept {
    fn put(&self, reference: &SecretRef, value: &str) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.insert(reference.clone(), value.to_owned());
    }

    /// The next look comes too early to see what was put.
    fn is_late_with(&self, reference: &SecretRef, old: &str) {
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        stale.insert(reference.clone(), old.to_owned());
    }

    fn look(&self, reference: &SecretRef) -> Result<Sensitive, SecretError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let mut stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = stale.remove(reference) {
            return Ok(Sensitive::new(old));
        }
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        match values.get(reference) {
            Some(value) => Ok(Sensitive::new(value)),
            None if values.keys().any(|known| known.secret == reference.secret) => {
                Err(SecretError::MissingKey(reference.clone()))
            }
            None => Err(SecretError::Missing(reference.clone())),
        }
    }
}

impl Secrets for Kept {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a> {
        Box::pin(async { self.look(reference) })
    }
}

fn key(secret: &str, key: &str) -> SecretRef {
    SecretRef {
        secret: secret.to_owned(),
        key: key.to_owned(),
    }
}

fn gate(settings: Settings) -> Gate {
    Gate {
        server: connect(settings),
    }
}

/// Why the server does not let us in: class, all of the causes, and the first hint.
async fn refusal(gate: &Gate) -> (Class, String, String) {
    let error: Error = gate.observe().await.expect_err("we are not let in");
    let hint = error.hints().into_iter().next().unwrap_or_default();
    (error.class(), Chain(&error).to_string(), hint)
}

#[tokio::test]
async fn each_trouble_with_a_certificate_is_a_sentence_of_its_own() {
    let authority = Authority::new().expect("an authority");
    let here = authority
        .sign(&["localhost", "127.0.0.1"])
        .expect("a certificate");
    let postgres = Postgres::builder().certificate(&authority, &here);
    let postgres = postgres.start().await.expect("a Postgres of its own");
    let at = postgres.server();
    let failed = format!("TLS with {}:{} failed: its certificate", at.host, at.port);
    law::unchanged(gate(settings(at))).await;

    let expired = authority.sign_expired(&["127.0.0.1"]).expect("signed");
    postgres.present(&authority, &expired).await.expect("taken");
    let (class, what, hint) = refusal(&gate(settings(at))).await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(what, format!("{failed} expired on 2020-01-02 00:00 UTC"));
    assert!(hint.starts_with("renew the server's certificate"), "{hint}");

    // With names or without.
    let mut nameless = settings(at);
    if let Tls::VerifyFull { ca: Some(ca), .. } = nameless.tls {
        nameless.tls = Tls::VerifyCa { ca };
    }
    let (_, what, _) = refusal(&gate(nameless)).await;
    assert_eq!(what, format!("{failed} expired on 2020-01-02 00:00 UTC"));

    // As PGO does it: the Service of Patroni's leader is not in the certificate.
    let names = ["lens-primary.ns.svc", "lens-replicas.ns.svc"];
    let elsewhere = authority.sign(&names).expect("signed");
    postgres
        .present(&authority, &elsewhere)
        .await
        .expect("taken");
    let expecting = |name: &str| {
        let mut settings = settings(at);
        if let Tls::VerifyFull { server_name, .. } = &mut settings.tls {
            *server_name = Some(name.to_owned());
        }
        gate(settings)
    };
    let (class, what, hint) = refusal(&expecting("lens-ha.ns.svc")).await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(
        what,
        format!(
            "{failed} is for lens-primary.ns.svc, lens-replicas.ns.svc, not for lens-ha.ns.svc"
        )
    );
    assert!(hint.contains("CLUSTER-primary"), "{hint}");
    law::unchanged(expecting("lens-primary.ns.svc")).await;

    let before = settings(at);
    let other = Authority::new().expect("another authority");
    let signed = other.sign(&["127.0.0.1"]).expect("signed");
    postgres.present(&other, &signed).await.expect("taken");
    let (class, what, hint) = refusal(&gate(before)).await;
    assert_eq!(class, Class::Invalid);
    let sentence = format!("{failed} was not signed by the authority in the values given");
    assert_eq!(what, sentence);
    assert!(hint.contains("ca.crt"), "{hint}");
    law::unchanged(gate(settings(at))).await;
}

#[tokio::test]
async fn an_authority_comes_late_and_is_renewed() {
    let authority = Authority::new().expect("an authority");
    let names = ["localhost", "127.0.0.1"];
    let signed = authority.sign(&names).expect("signed");
    let builder = Postgres::builder().certificate(&authority, &signed);
    let mut postgres = builder.start().await.expect("a Postgres of its own");
    let at = postgres.server().clone();
    let (secrets, ca) = (
        Arc::new(Kept::default()),
        key("lens-cluster-cert", "ca.crt"),
    );
    let settings = Settings {
        tls: Tls::VerifyFull {
            ca: Some(Credential::Secret(ca.clone())),
            server_name: None,
        },
        ..settings(&at)
    };
    let server = Server::new(settings, Arc::clone(&secrets) as Arc<dyn Secrets>);
    let gate = || Gate {
        server: server.clone(),
    };
    let reading = format!("failed to read the authority for {}", server.address());
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    let sentence = format!("{reading}: Secret lens-cluster-cert does not exist");
    assert_eq!(what, sentence);
    secrets.put(&key("lens-cluster-cert", "tls.crt"), "");
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    let sentence = format!("{reading}: Secret lens-cluster-cert has no key ca.crt");
    assert_eq!(what, sentence);
    secrets.put(&ca, &authority.pem());
    law::unchanged(gate()).await;

    let renewed = Authority::new().expect("another authority");
    let signed = renewed.sign(&names).expect("signed");
    postgres.present(&renewed, &signed).await.expect("taken");
    secrets.put(&ca, &renewed.pem());
    // What is open goes on with the old one; who comes back meets the new one.
    postgres.stop(Shutdown::Fast).await.expect("it stops");
    law::waits(gate()).await;
    postgres.start_again().await.expect("it starts");
    law::settles(gate()).await;
}

#[tokio::test]
async fn a_password_is_read_again_when_it_is_wrong() {
    let bed = Bed::shared();
    let name = unique("rotated");
    law::settles(bed.role(&name, "first")).await;
    let (secrets, password) = (Arc::new(Kept::default()), key("lens-pguser", "password"));
    let settings = Settings {
        user: law::plain(&name),
        password: Credential::Secret(password.clone()),
        ..settings(&bed.at)
    };
    let server = Server::new(settings, Arc::clone(&secrets) as Arc<dyn Secrets>);
    let gate = || Gate {
        server: server.clone(),
    };
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    assert!(
        what.ends_with("Secret lens-pguser does not exist"),
        "{what}"
    );
    secrets.put(&password, "first");
    law::unchanged(gate()).await;

    // In the middle of a run: all sessions end, and the Secret is seen a moment too late.
    let ended = format!(
        "ALTER ROLE {name} PASSWORD 'second'; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    );
    bed.execute("postgres", &ended).await;
    secrets.put(&password, "second");
    secrets.is_late_with(&password, "first");
    law::settles(gate()).await;

    // A password that stays wrong is asked for twice, and not waited for.
    bed.execute("postgres", &ended.replace("second", "third"))
        .await;
    let found = eventually("the sessions to end", Duration::from_mins(1), async || {
        secrets.reads.store(0, Ordering::SeqCst);
        match gate().observe().await {
            Err(error) if error.kind() == "wrong_password" => Attempt::Done(error),
            other => Attempt::NotYet(format!("{other:?}")),
        }
    });
    let error = found.await.expect("we are not let in");
    assert_eq!(error.class(), Class::Invalid);
    let hint = format!(
        "the password comes from key password of Secret lens-pguser: make it the one of role {name}"
    );
    assert_eq!(error.hints(), [hint]);
    assert_eq!(secrets.reads.load(Ordering::SeqCst), 2);
}

/// As PGO does it: where the server is stands beside the password, and comes when it comes.
#[tokio::test]
async fn where_the_server_is_comes_late_and_changes() {
    let bed = Bed::shared();
    let backend = || format!("{}:{}", bed.at.host, bed.at.port);
    let mut first = Proxy::start(backend()).await.expect("a proxy");
    let second = Proxy::start(backend()).await.expect("another");
    let (host, port) = (key("lens-pguser", "host"), key("lens-pguser", "port"));
    let secrets = Arc::new(Kept::default());
    let settings = Settings {
        host: Setting::Secret(host.clone()),
        port: Setting::Secret(port.clone()),
        ..settings(&bed.at)
    };
    let server = Server::new(settings, Arc::clone(&secrets) as Arc<dyn Secrets>);
    let gate = || Gate {
        server: server.clone(),
    };
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    let sentence = "failed to read the host for Postgres: Secret lens-pguser does not exist";
    assert_eq!(what, sentence);
    secrets.put(&host, "127.0.0.1\n");
    let (_, what) = law::waits_for(gate()).await;
    let sentence = "failed to read the port for Postgres: Secret lens-pguser has no key port";
    assert_eq!(what, sentence);
    let at = |proxy: &Proxy| proxy.address().port().to_string();
    secrets.put(&port, &at(&first));
    law::unchanged(gate()).await;
    assert_eq!(server.address(), format!("127.0.0.1:{}", at(&first)));

    // What is open goes on; who comes back finds the other.
    secrets.put(&port, &at(&second));
    law::unchanged(gate()).await;
    assert_eq!(second.accepted(), 0);
    first.refuse().await;
    first.cut().await;
    law::settles(gate()).await;
    assert_eq!(server.address(), format!("127.0.0.1:{}", at(&second)));
    assert!(second.accepted() > 0);

    // It may be another key that was named, so its value is not told.
    secrets.put(&host, "it's a password");
    second.cut().await;
    let told = eventually(
        "the key to be read",
        Duration::from_mins(1),
        async || match gate().observe().await {
            Err(error) if error.kind() == "bad_place" => Attempt::Done(error),
            other => Attempt::NotYet(format!("{other:?}")),
        },
    );
    let error = told.await.expect("it is read");
    assert_eq!(error.class(), Class::Invalid);
    let sentence = "key host of Secret lens-pguser does not hold the name or the address of a host";
    assert_eq!(Chain(&error).to_string(), sentence);
    assert!(error.hints()[0].contains("CLUSTER-pguser-USER"));
}

/// Who no longer waits tells the server so: this statement does not end when its client is gone.
#[tokio::test]
async fn a_statement_that_was_given_up_ends_at_once() {
    let bed = Bed::shared();
    let database = bed.database("given_up").await;
    let file = file(
        1,
        "SET LOCAL client_connection_check_interval = 0;\nSELECT pg_sleep(600);",
    );
    let cancels = Cancels::default();
    let server = connect(settings(&bed.at)).counting(&cancels);
    let run = migrations(server, &database, vec![file]);
    let Ok(Plan::Change(mut changes)) = run.plan(&MigrationsObserved::default()) else {
        panic!("it is pending");
    };
    let asleep = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                  AND datname = current_database()";
    tokio::select! {
        ended = run.apply(changes.remove(0)) => panic!("it sleeps: {ended:?}"),
        () = bed.until(&database, asleep, "1") => {}
    }
    bed.until(&database, asleep, "0").await;
    cancels.told().await;
}

#[tokio::test]
async fn a_server_without_tls_and_one_that_is_full_are_told_from_one_that_is_down() {
    let few = Postgres::builder()
        .plaintext()
        .setting("max_connections", "8");
    let postgres = few.start().await.expect("a Postgres of its own");
    let at = postgres.server();
    let (class, what, hint) = refusal(&gate(settings(at))).await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(what, format!("{}:{} does not offer TLS", at.host, at.port));
    assert!(hint.contains("mode: disable"), "{hint}");
    let plain = || Settings {
        tls: Tls::Disable,
        ..settings(at)
    };
    law::unchanged(gate(plain())).await;
    let bed = Bed::new(at.clone());
    let others: Vec<_> = (0..8).map(|_| bed.client("postgres")).collect();
    let others = futures::future::join_all(others).await;
    let (class, what) = law::waits_for(gate(plain())).await;
    assert_eq!(class, Class::Unavailable);
    assert!(what.ends_with("too many clients already (53300)"), "{what}");
    drop(others);
    law::settles(gate(plain())).await;
}

/// The server must not go on with a statement, or keep a lock, for somebody who is gone.
#[tokio::test]
async fn the_server_is_told_to_look_after_us() {
    let bed = Bed::shared();
    let server = connect(Settings {
        statement_timeout: Some(Duration::from_secs(77)),
        ..settings(&bed.at)
    });
    for (setting, value) in [
        ("client_connection_check_interval", "1s"),
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "60000"),
        ("statement_timeout", "77s"),
        ("application_name", "firstlight"),
    ] {
        let query = format!("SELECT current_setting('{setting}')");
        let mut check = bed.check("postgres", &query, Expect::Value(value.to_owned()));
        check.server = server.clone();
        law::unchanged(check).await;
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let bed = Bed::shared();
    let database = unique("late");
    let server = connect(Settings {
        database: database.clone(),
        ..settings(&bed.at)
    });
    let gate = || Gate {
        server: server.clone(),
    };
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    let end = format!("database \"{database}\" does not exist (3D000)");
    assert!(what.ends_with(&end), "{what}");
    bed.execute("postgres", &format!("CREATE DATABASE {database}"))
        .await;
    law::settles(gate()).await;
}

/// What the server tells by itself is not enough: a timeout has no word of whom it waited for.
#[tokio::test]
async fn who_was_in_the_way_is_named() {
    let bed = Bed::shared();
    let database = bed.database("blocked").await;
    let sql = format!("CREATE TABLE nodes (); ALTER DATABASE {database} SET lock_timeout = '4s'");
    bed.execute(&database, &sql).await;
    let dump = bed.client(&database).await;
    for sql in [
        "SET application_name = 'nightly dump'",
        "BEGIN; LOCK TABLE nodes",
        "SELECT 'a secret' AS none_of_our_business",
    ] {
        dump.batch_execute(sql).await.expect("the lock is free");
    }
    let check = bed.check(&database, "SELECT count(*) FROM nodes", Expect::AtLeast(0));
    let error = check.observe().await.expect_err("it waits in vain");
    assert_eq!(error.class(), Class::Busy);
    let said = error.to_string();
    let parts = [
        "canceling statement due to lock timeout (55P03); AccessShareLock on nodes, held by \
         nightly dump, process ",
        " of postgres from 127.0.0.1, idle in transaction since ",
        " UTC: ",
        "SELECT '…' AS none_of_our_business",
    ];
    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
    let take = "SELECT pg_advisory_lock(7, 8)";
    dump.batch_execute(take).await.expect("it is free");
    let check = bed.check(&database, take, Expect::AtLeast(0));
    let error = check.observe().await.expect_err("it waits in vain");
    let said = error.to_string();
    let lock = "ExclusiveLock on advisory lock 7, 8, held by nightly dump, process ";
    assert!(said.contains(lock), "{said}");
}

#[tokio::test]
async fn a_full_disk_is_named_and_waited_for() {
    let postgres = Postgres::builder().small_disk(4).start().await;
    let postgres = postgres.expect("a Postgres of its own");
    let bed = Bed::new(postgres.server().clone());
    let folder = postgres.small_disk().display().to_string();
    let space = format!("CREATE TABLESPACE small LOCATION '{folder}'");
    bed.execute("postgres", &space).await;
    let big = "CREATE TABLE big (line text) TABLESPACE small;\n\
               INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 10000);\n";
    let full = migrations(bed.server(), "postgres", vec![file(1, big)]);
    let (class, what) = law::waits_for(full).await;
    assert_eq!(class, Class::Unavailable);
    assert!(what.starts_with("sql/V0001__test.sql:2:1: "), "{what}");
    assert!(what.contains("No space left on device (53100)"), "{what}");
}
