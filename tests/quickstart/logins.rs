//! What those who log in to the database may do there.

use tokio_postgres::{Client, NoTls};

use crate::cluster::Bed;

/// What each login is let do, and what it is refused.
const MAY: [(&str, &str, &str, bool); 7] = [
    (
        "lens_grafana",
        "postgres-lens-grafana",
        "SELECT count(*) FROM device_overview",
        true,
    ),
    (
        "lens_grafana",
        "postgres-lens-grafana",
        "SELECT count(*) FROM firstlight.schema_history",
        true,
    ),
    (
        "lens_grafana",
        "postgres-lens-grafana",
        "SELECT count(*) FROM api_tokens",
        false,
    ),
    (
        "lens_grafana",
        "postgres-lens-grafana",
        "DELETE FROM clusters WHERE name = 'nobody'",
        false,
    ),
    (
        "lens_api",
        "postgres-lens-api",
        "SELECT count(*) FROM api_tokens",
        true,
    ),
    (
        "lens_api",
        "postgres-lens-api",
        "UPDATE clusters SET name = name WHERE name = 'nobody'",
        true,
    ),
    (
        "lens_api",
        "postgres-lens-api",
        "DELETE FROM audit_log WHERE false",
        false,
    ),
];

/// Tries all of it, with the passwords of the installation.
pub(crate) async fn try_all(bed: &Bed) {
    let port = bed.forward("postgres", 5432);
    for (user, secret, statement, may) in MAY {
        let client = login(port, user, &bed.secret(secret, "password")).await;
        match client.execute(statement, &[]).await {
            Ok(_) => assert!(may, "{user} may {statement}"),
            Err(error) => {
                let code = error.code().map(tokio_postgres::error::SqlState::code);
                assert_eq!(
                    (may, code),
                    (false, Some("42501")),
                    "{user}: {statement}: {error}"
                );
            }
        }
    }
}

async fn login(port: u16, user: &str, password: &str) -> Client {
    let settings =
        format!("host=127.0.0.1 port={port} user={user} dbname=lens password='{password}'");
    let (client, connection) = tokio_postgres::connect(&settings, NoTls)
        .await
        .expect("Postgres lets it in");
    // It ends with its client.
    tokio::spawn(connection);
    client
}
