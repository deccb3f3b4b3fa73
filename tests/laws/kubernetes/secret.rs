//! The laws of a generated Secret, and reading Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use firstlight::engine::Class;
use firstlight::providers::kubernetes::{Client, GeneratedSecret};
use firstlight::secret::{SecretRef, Secrets};
use serde_json::json;

use super::bed::Bed;
use crate::law;

fn login(client: &Client, name: &str, keys: &[&str]) -> GeneratedSecret {
    let generate = keys.iter().map(|key| ((*key).to_owned(), 24));
    let values = BTreeMap::from([("user".to_owned(), "lens".to_owned())]);
    GeneratedSecret::new(client.clone(), name, generate.collect(), values)
}

async fn read(secrets: &Arc<dyn Secrets>, secret: &str, key: &str) -> Result<String, String> {
    let reference = SecretRef {
        secret: secret.to_owned(),
        key: key.to_owned(),
    };
    let value = secrets.read(&reference).await;
    value
        .map(|value| value.expose().to_owned())
        .map_err(|error| format!("{:?}: {error}", error.class()))
}

#[tokio::test]
async fn a_generated_secret_keeps_the_laws() {
    let bed = Bed::new().await;
    let secrets: Arc<dyn Secrets> = Arc::new(bed.client.clone());
    let password_of = |secret: &'static str| read(&secrets, secret, "password");
    let make = |name: &str| login(&bed.client, name, &["password"]);
    law::fresh(make("login")).await;
    let created = law::changes(make("login")).await;
    assert_eq!(created, [format!("create Secret {}/login", bed.namespace)]);
    let first = password_of("login").await.expect("a password");
    assert_eq!(first.len(), 24);
    assert_eq!(read(&secrets, "login", "user").await.as_deref(), Ok("lens"));

    let before = bed.get(&bed.core("secrets", "login")).await;
    law::unchanged(login(&bed.reader().await, "login", &["password"])).await;
    assert_eq!(before, bed.get(&bed.core("secrets", "login")).await);

    // A key that is there stays, one that is missing is made.
    law::changes(login(&bed.client, "login", &["password", "more"])).await;
    assert_eq!(password_of("login").await, Ok(first.clone()));
    let gone = json!({ "data": { "password": null } });
    bed.patch(&bed.core("secrets", "login"), gone).await;
    law::changes(make("login")).await;
    assert_ne!(password_of("login").await, Ok(first));

    law::cut_short(|polls| make(&format!("cut-{polls}"))).await;
    law::two_at_once(|| make("two")).await;
    let kept = password_of("two").await;
    law::unchanged(make("two")).await;
    assert_eq!(password_of("two").await, kept);
}

#[tokio::test]
async fn two_that_add_different_keys_lose_nothing() {
    let bed = Bed::new().await;
    law::changes(login(&bed.client, "login", &["password"])).await;
    tokio::join!(
        law::settles(login(&bed.client, "login", &["one"])),
        law::settles(login(&bed.client, "login", &["other"])),
    );
    let secrets: Arc<dyn Secrets> = Arc::new(bed.client.clone());
    for key in ["password", "one", "other"] {
        assert!(read(&secrets, "login", key).await.is_ok(), "{key}");
    }
}

#[tokio::test]
async fn a_secret_may_be_missing_or_not_allowed() {
    let bed = Bed::new().await;
    law::changes(login(&bed.client, "login", &["password"])).await;
    let secrets: Arc<dyn Secrets> = Arc::new(bed.client.clone());
    let said = read(&secrets, "nope", "password").await;
    assert_eq!(
        said,
        Err("Unavailable: Secret nope does not exist".to_owned())
    );
    let said = read(&secrets, "login", "nope").await;
    assert_eq!(
        said,
        Err("Unavailable: Secret login has no key nope".to_owned())
    );
    let blind: Arc<dyn Secrets> = Arc::new(bed.user(&["create"]).await);
    let said = read(&blind, "login", "password").await;
    let expected = "Forbidden: failed to read key password of Secret login";
    assert_eq!(said, Err(expected.to_owned()));
    let (class, said, _) = law::fails(login(&bed.user(&["create"]).await, "x", &["a"])).await;
    assert_eq!(class, Class::Forbidden, "{said}");
}
