//! The laws on Postgres: roles, databases and extensions here; migrations, and what can go wrong,
//! in files of their own.

mod adoption;
mod codes;
mod connecting;
mod contention;
mod drift;
mod errors;
mod extensions;
mod failover;
mod fuzz;
mod grammar;
mod grants;
mod hard;
mod kill_matrix;
mod locks;
mod migrations;
mod pipeline;
mod poolers;
mod roles;
mod schema;
mod stepwise;
mod syntax;
mod wire;

use std::time::Duration;

use firstlight::engine::Resource;
use firstlight::providers::postgres::{
    Database, Expect, Extension, Flag, Gate, Membership, Role, Server, Settings, SqlCheck, Tls,
};
use testbed::{Attempt, Env, Postgres, PostgresServer, Proxy, eventually, unique};
use tokio_postgres::{Client, Config, NoTls};

use crate::law;

/// A real server, as the provider reaches it and as the test does behind its back.
struct Bed {
    at: PostgresServer,
    server: Server,
}

impl Bed {
    /// The one that all tests share.
    fn shared() -> Self {
        let env = Env::load().expect("the test bed is up");
        Self::new(env.postgres().expect("Postgres is up"))
    }

    fn new(at: PostgresServer) -> Self {
        let server = connect(settings(&at));
        Self { at, server }
    }

    fn server(&self) -> Server {
        self.server.clone()
    }

    /// A session behind the provider's back.
    async fn client(&self, database: &str) -> Client {
        let mut config = Config::new();
        config
            .host(&self.at.host)
            .port(self.at.port)
            .user(&self.at.user)
            .password(&self.at.password)
            .dbname(database);
        let (client, socket) = config.connect(NoTls).await.expect("the server lets us in");
        tokio::spawn(socket);
        client
    }

    /// Does something behind the provider's back.
    async fn execute(&self, database: &str, sql: &str) {
        let client = self.client(database).await;
        client.batch_execute(sql).await.expect("the test's own SQL");
    }

    /// Asks for one value behind the provider's back.
    async fn value(&self, database: &str, sql: &str) -> String {
        let client = self.client(database).await;
        let row = client.query_one(sql, &[]).await;
        row.expect("the test's own question").get(0)
    }

    /// Does something behind the provider's back that may well fail.
    async fn attempt(&self, database: &str, sql: &str) {
        let _ = self.client(database).await.batch_execute(sql).await;
    }

    /// Waits until a value is what it should be.
    async fn until(&self, database: &str, sql: &str, expected: &str) {
        let reached = eventually(sql, Duration::from_mins(1), async || {
            match self.value(database, sql).await {
                found if found == expected => Attempt::Done(()),
                found => Attempt::NotYet(found),
            }
        });
        reached.await.expect("it comes to that");
    }

    /// A new database.
    async fn database(&self, what: &str) -> String {
        let name = unique(what);
        self.execute("postgres", &format!("CREATE DATABASE {name}"))
            .await;
        name
    }

    fn role(&self, name: &str, password: &str) -> Role {
        let mut role = Role {
            password: Some(law::plain(password)),
            member_of: vec![Membership {
                role: "pg_monitor".to_owned(),
                ..Membership::default()
            }],
            ..Role::new(self.server(), name)
        };
        role.attributes.flags.insert(Flag::Login, true);
        role
    }

    fn database_of(&self, name: &str, owner: &str) -> Database {
        Database {
            owner: Some(owner.to_owned()),
            ..Database::new(self.server(), name)
        }
    }

    fn extension(&self, database: &str, name: &str) -> Extension {
        Extension {
            server: self.server(),
            database: database.to_owned(),
            name: name.to_owned(),
            version: None,
            schema: None,
        }
    }

    fn check(&self, database: &str, query: &str, expect: Expect) -> SqlCheck {
        SqlCheck {
            server: self.server(),
            database: database.to_owned(),
            query: query.to_owned(),
            expect,
        }
    }
}

/// As the agent reaches a server: with TLS, and the name in the certificate compared.
fn settings(at: &PostgresServer) -> Settings {
    let pem = std::fs::read_to_string(&at.ca_file).expect("the authority is readable");
    Settings {
        host: at.host.clone().into(),
        port: at.port.into(),
        user: law::plain(&at.user),
        password: law::plain(&at.password),
        database: "postgres".to_owned(),
        tls: Tls::VerifyFull {
            ca: Some(law::plain(&pem)),
            server_name: None,
        },
        statement_timeout: None,
    }
}

fn connect(settings: Settings) -> Server {
    Server::new(settings, law::no_secrets())
}

#[tokio::test]
async fn a_role_obeys_the_laws() {
    let bed = Bed::shared();
    let name = unique("role");
    let role = || bed.role(&name, "it's a \\ pässword");
    law::fresh(role()).await;
    assert_eq!(law::changes(role()).await, [format!("create role {name}")]);
    law::unchanged(role()).await;
    for drift in [
        format!("ALTER ROLE {name} NOLOGIN"),
        format!("ALTER ROLE {name} PASSWORD 'another'"),
        format!("ALTER ROLE {name} PASSWORD NULL"),
        format!("REVOKE pg_monitor FROM {name}"),
    ] {
        bed.execute("postgres", &drift).await;
        assert_eq!(law::changes(role()).await, [format!("update role {name}")]);
        law::unchanged(role()).await;
    }
    let settings = Settings {
        user: law::plain(&name),
        password: law::plain("it's a \\ pässword"),
        ..settings(&bed.at)
    };
    law::unchanged(Gate {
        server: connect(settings),
    })
    .await;
}

#[tokio::test]
async fn a_role_is_finished_later_and_made_once() {
    let bed = Bed::shared();
    let name = unique("role");
    law::cut_short(|polls| bed.role(&format!("{name}_{polls}"), "password")).await;
    law::two_at_once(|| bed.role(&name, "password")).await;
}

#[tokio::test]
async fn a_database_obeys_the_laws() {
    let bed = Bed::shared();
    let (name, owner) = (unique("database"), unique("owner"));
    let database = || bed.database_of(&name, &owner);
    law::settles(bed.role(&owner, "password")).await;
    law::fresh(database()).await;
    let created = [format!("create database {name}")];
    assert_eq!(law::changes(database()).await, created);
    law::unchanged(database()).await;
    bed.execute(
        "postgres",
        &format!("ALTER DATABASE {name} OWNER TO postgres"),
    )
    .await;
    let updated = [format!("update database {name}")];
    assert_eq!(law::changes(database()).await, updated);
    law::unchanged(database()).await;
}

#[tokio::test]
async fn a_database_is_finished_later_and_made_once() {
    let bed = Bed::shared();
    let name = unique("database");
    law::cut_short(|polls| bed.database_of(&format!("{name}_{polls}"), "postgres")).await;
    law::two_at_once(|| bed.database_of(&name, "postgres")).await;
}

#[tokio::test]
async fn an_extension_obeys_the_laws() {
    let bed = Bed::shared();
    let name = unique("extended");
    let extension = || bed.extension(&name, "pg_trgm");
    // Where there is no database there is no extension either, and a preview can say so.
    law::fresh(extension()).await;
    law::settles(bed.database_of(&name, "postgres")).await;
    law::fresh(extension()).await;
    let created = [format!("create extension pg_trgm in {name}")];
    assert_eq!(law::changes(extension()).await, created);
    law::unchanged(extension()).await;
    bed.execute(&name, "DROP EXTENSION pg_trgm").await;
    assert_eq!(law::changes(extension()).await, created);
    bed.execute(&name, "DROP EXTENSION pg_trgm").await;
    law::two_at_once(extension).await;
}

#[tokio::test]
async fn an_extension_is_finished_later() {
    let bed = Bed::shared();
    let database = bed.database("extended").await;
    let names = [
        "pg_trgm", "pgcrypto", "hstore", "citext", "ltree", "cube", "isn", "intarray",
    ];
    let names = names
        .into_iter()
        .chain(["seg", "tcn", "lo", "fuzzystrmatch", "unaccent"]);
    let names: Vec<_> = names.collect();
    law::cut_short(|polls| bed.extension(&database, names[polls - 1])).await;
}

/// Law 3, on a server without other clients: neither a row nor the log is touched.
#[tokio::test]
async fn a_second_look_writes_nothing() {
    let postgres = Postgres::start().await.expect("a Postgres of its own");
    let bed = Bed::new(postgres.server().clone());
    let role = || bed.role("lens", "password");
    let database = || bed.database_of("lens", "lens");
    let extension = || bed.extension("lens", "pg_trgm");
    let migrations = || migrations::lens(bed.server(), "lens");
    let check = || {
        let query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        bed.check("lens", query, Expect::AtLeast(11))
    };
    law::settles(role()).await;
    law::settles(database()).await;
    law::settles(extension()).await;
    law::settles(migrations()).await;
    let grants = || grants::everybody(bed.server(), "lens");
    let drift = || drift::of(bed.server(), "lens");
    let taken = || drift::fingerprint_of(bed.server(), "lens");
    law::settles(grants()).await;
    law::settles(taken()).await;
    // What is dirty is written out, what is dead is removed: from here on nothing is left to do.
    bed.execute("postgres", "VACUUM").await;
    bed.execute("lens", "VACUUM").await;
    bed.execute("postgres", "CHECKPOINT").await;
    // The server itself notes at times which transactions run: the proof is a quiet moment, which
    // never comes when a resource writes.
    let quiet = eventually(
        "a look without a write",
        Duration::from_mins(1),
        async || {
            let before = fingerprint(&bed).await;
            law::unchanged(Gate {
                server: bed.server(),
            })
            .await;
            law::unchanged(role()).await;
            law::unchanged(database()).await;
            law::unchanged(extension()).await;
            law::unchanged(drift()).await;
            law::unchanged(migrations()).await;
            law::unchanged(grants()).await;
            law::unchanged(taken()).await;
            law::unchanged(check()).await;
            match fingerprint(&bed).await {
                after if after == before => Attempt::Done(()),
                after => Attempt::NotYet(format!("{before:?} became {after:?}")),
            }
        },
    );
    quiet.await.expect("nothing is written");
}

/// The end of the log, and the transaction that wrote each row that the resources own.
async fn fingerprint(bed: &Bed) -> Vec<String> {
    let rows = "SELECT string_agg(xmin::text, ' ' ORDER BY version) FROM firstlight.schema_history";
    vec![
        bed.value("lens", rows).await,
        bed.value(
            "lens",
            "SELECT xmin::text FROM pg_extension WHERE extname = 'pg_trgm'",
        )
        .await,
        bed.value(
            "lens",
            "SELECT xmin::text FROM pg_authid WHERE rolname = 'lens'",
        )
        .await,
        bed.value(
            "lens",
            "SELECT xmin::text FROM pg_database WHERE datname = 'lens'",
        )
        .await,
        bed.value("lens", "SELECT pg_current_wal_lsn()::text").await,
    ]
}

#[tokio::test]
async fn many_resources_share_few_sessions() {
    let bed = Bed::shared();
    let backend = format!("{}:{}", bed.at.host, bed.at.port);
    let proxy = Proxy::start(backend).await.expect("a proxy");
    let server = connect(Settings {
        port: proxy.address().port().into(),
        ..settings(&bed.at)
    });
    let gates = (0..20).map(|_| Gate {
        server: server.clone(),
    });
    let looks = gates.map(|gate| tokio::spawn(async move { gate.observe().await }));
    for look in looks.collect::<Vec<_>>() {
        let observed = look.await.expect("no panic").expect("the server answers");
        assert!(observed.version.starts_with("15."), "{}", observed.version);
    }
    assert!(proxy.accepted() <= 4, "{} sessions", proxy.accepted());
}
