//! What can go wrong with Postgres: each in a sentence that says what, where, why, and what to do.

use firstlight::engine::{Class, Failure, Resource};
use firstlight::providers::postgres::{Expect, Extension, Gate, Server, Settings, Tls};
use firstlight::secret::{Credential, SecretRef};
use testbed::{Proxy, unique};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Bed, connect, settings};
use crate::law;

fn gate(settings: Settings) -> Gate {
    Gate {
        server: connect(settings),
    }
}

#[tokio::test]
async fn an_absent_server_is_waited_for() {
    let bed = Bed::shared();
    let backend = format!("{}:{}", bed.at.host, bed.at.port);
    let mut proxy = Proxy::start(backend).await.expect("a proxy");
    let port = proxy.address().port();
    let server = connect(Settings {
        port: port.into(),
        ..settings(&bed.at)
    });
    let gate = || Gate {
        server: server.clone(),
    };
    law::unchanged(gate()).await;
    proxy.refuse().await;
    proxy.cut().await;
    law::waits(gate()).await;
    let (class, what) = law::waits_for(gate()).await;
    assert_eq!(class, Class::Unavailable);
    let expected = format!("failed to connect to 127.0.0.1:{port}: ");
    assert!(what.starts_with(&expected), "{what}");
    proxy.allow().await.expect("its port is its own");
    law::settles(gate()).await;
}

#[tokio::test]
async fn a_wrong_password_is_not_waited_for() {
    let bed = Bed::shared();
    let (class, what, hints) = law::fails(gate(Settings {
        password: law::plain("wrong"),
        ..settings(&bed.at)
    }))
    .await;
    assert_eq!(class, Class::Invalid);
    let server = bed.server.address();
    let sentence = format!("failed to log in to database postgres of {server} as postgres");
    assert_eq!(what, sentence);
    let hint = "the password comes from the values given: make it the one of role postgres";
    assert_eq!(hints, [hint]);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_waited_for() {
    let bed = Bed::shared();
    let (class, what) = law::waits_for(gate(Settings {
        password: Credential::Secret(SecretRef {
            secret: "lens-postgres".to_owned(),
            key: "password".to_owned(),
        }),
        ..settings(&bed.at)
    }))
    .await;
    assert_eq!(class, Class::Unavailable);
    let server = bed.server.address();
    let sentence =
        format!("failed to read the credentials for {server}: Secret lens-postgres does not exist");
    assert_eq!(what, sentence);
}

#[tokio::test]
async fn the_name_in_the_certificate_counts_only_with_verify_full() {
    let bed = Bed::shared();
    let pem = std::fs::read_to_string(&bed.at.ca_file).expect("the authority is readable");
    let ca = law::plain(&pem);
    // The same server, by an address that its certificate does not have.
    let elsewhere = |tls| Settings {
        host: "0.0.0.0".to_owned().into(),
        tls,
        ..settings(&bed.at)
    };
    law::unchanged(gate(elsewhere(Tls::VerifyCa { ca: ca.clone() }))).await;
    law::unchanged(gate(elsewhere(Tls::VerifyFull {
        ca: Some(ca.clone()),
        server_name: Some("localhost".to_owned()),
    })))
    .await;
    let wanted = elsewhere(Tls::VerifyFull {
        ca: Some(ca),
        server_name: None,
    });
    let sentence = format!("TLS with 0.0.0.0:{} failed", bed.at.port);
    let (class, what, hints) = law::fails(gate(wanted)).await;
    assert_eq!((class, what), (Class::Invalid, sentence));
    assert!(hints[0].starts_with("name the host"), "{hints:?}");
}

#[tokio::test]
async fn an_authority_counts_also_where_names_do_not() {
    let bed = Bed::shared();
    let other = testbed::Authority::new().expect("an authority");
    let ca = law::plain(&other.pem());
    let (class, _, hints) = law::fails(gate(Settings {
        tls: Tls::VerifyCa { ca },
        ..settings(&bed.at)
    }))
    .await;
    assert_eq!(class, Class::Invalid);
    assert!(hints[0].contains("`tls.ca`"), "{hints:?}");
}

#[tokio::test]
async fn what_is_no_authority_is_named() {
    let bed = Bed::shared();
    let (class, what, _) = law::fails(gate(Settings {
        tls: Tls::VerifyCa {
            ca: law::plain("no PEM"),
        },
        ..settings(&bed.at)
    }))
    .await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(what, "the values given holds no certificate authority");
}

#[tokio::test]
async fn a_server_without_tls_gets_no_password() {
    let bed = Bed::shared();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    // All of the protocol that comes before the password: "TLS?", "no".
    let heard = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let mut heard = [0; 8];
        socket.read_exact(&mut heard).await.expect("a question");
        socket.write_all(b"N").await.expect("an answer");
        let mut more = Vec::new();
        socket.read_to_end(&mut more).await.expect("a goodbye");
        more
    });
    let (class, what, hints) = law::fails(gate(Settings {
        port: port.into(),
        ..settings(&bed.at)
    }))
    .await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(what, format!("127.0.0.1:{port} does not offer TLS"));
    assert!(hints[0].contains("mode: disable"), "{hints:?}");
    assert!(heard.await.expect("no panic").is_empty());
}

/// A role of its own, which may do nothing special.
async fn ordinary(bed: &Bed) -> (String, Server) {
    let name = unique("ordinary");
    law::settles(bed.role(&name, "password")).await;
    let server = log_in(bed, &name);
    (name, server)
}

fn log_in(bed: &Bed, name: &str) -> Server {
    connect(Settings {
        user: law::plain(name),
        password: law::plain("password"),
        ..settings(&bed.at)
    })
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_waited_for() {
    let bed = Bed::shared();
    let (name, server) = ordinary(&bed).await;
    law::unchanged(Gate { server }).await;
    let sql = format!("ALTER ROLE {name} SET default_transaction_read_only = on");
    bed.execute("postgres", &sql).await;
    // A role's settings are taken at login.
    let server = log_in(&bed, &name);
    let (class, what) = law::waits_for(Gate { server }).await;
    assert_eq!(class, Class::Unavailable);
    assert!(what.contains(" takes no writes: "), "{what}");
}

#[tokio::test]
async fn the_right_that_is_missing_is_named() {
    let bed = Bed::shared();
    let (name, server) = ordinary(&bed).await;
    let mut role = bed.role(&unique("role"), "password");
    role.server = server.clone();
    let mut database = bed.database_of(&unique("database"), &name);
    database.server = server;
    for (failed, right) in [
        (law::fails(role).await, "CREATEROLE".to_owned()),
        (
            law::fails(database).await,
            format!("CREATEDB, and membership in role {name}"),
        ),
    ] {
        let (class, what, hints) = failed;
        assert_eq!(class, Class::Forbidden, "{what}");
        assert!(what.starts_with("the server refuses CREATE "), "{what}");
        assert_eq!(hints[0], format!("this needs {right}"));
    }
}

#[tokio::test]
async fn three_reasons_against_an_extension_are_told_apart() {
    let bed = Bed::shared();
    let (user, server) = ordinary(&bed).await;
    let database = bed.database("extended").await;
    let extension = |name: &str| Extension {
        server: server.clone(),
        ..bed.extension(&database, name)
    };
    for (name, class, sentence) in [
        (
            "no_such_thing",
            Class::Invalid,
            "extension no_such_thing is not installed on the server".to_owned(),
        ),
        (
            "pg_stat_statements",
            Class::Forbidden,
            format!(
                "extension pg_stat_statements is not trusted: only a superuser may create it, \
                 and {user} is none"
            ),
        ),
        (
            "pg_trgm",
            Class::Forbidden,
            format!("{user} may not create extension pg_trgm in database {database}"),
        ),
    ] {
        let (found, what, hints) = law::fails(extension(name)).await;
        assert_eq!((found, what), (class, sentence));
        assert_eq!(hints.len(), 1, "{hints:?}");
    }
}

#[tokio::test]
async fn a_check_says_what_it_got() {
    let bed = Bed::shared();
    let query = "SELECT count(*) FROM pg_database WHERE datname = 'no such'";
    let check = |query: &str, expect| bed.check("postgres", query, expect);
    law::unchanged(check("SELECT true", Expect::Value("t".to_owned()))).await;
    law::unchanged(check(query, Expect::AtLeast(0))).await;
    let (class, what) = law::waits_for(check(query, Expect::AtLeast(1))).await;
    assert_eq!(class, Class::Unmet);
    assert!(what.ends_with("said 0, expected at least 1"), "{what}");
    let nowhere = unique("nowhere");
    let (class, what) = law::waits_for(bed.check(&nowhere, "SELECT 1", Expect::AtLeast(1))).await;
    assert_eq!(class, Class::Unavailable);
    assert_eq!(what, format!("database {nowhere} does not exist"));
}

#[tokio::test]
async fn a_check_only_reads() {
    let bed = Bed::shared();
    let database = bed.database("checked").await;
    for (query, sentence) in [
        (
            "CREATE TABLE written ()",
            "query:1:1: a check may only read",
        ),
        (
            "SELECT 1; COMMIT; CREATE TABLE written ()",
            "query:1:11: a check is one statement that reads",
        ),
        (
            "SELECT nothing FROM nowhere",
            "query:1:21: relation \"nowhere\" does not exist (42P01)",
        ),
    ] {
        let check = bed.check(&database, query, Expect::AtLeast(1));
        let error = check.observe().await.expect_err("it is refused");
        assert_eq!(error.to_string(), sentence);
        assert_eq!(error.class(), Class::Invalid);
        assert!(error.excerpt().is_some(), "{error}");
    }
    let tables = "SELECT count(*)::text FROM pg_tables WHERE tablename = 'written'";
    assert_eq!(bed.value(&database, tables).await, "0");
}
