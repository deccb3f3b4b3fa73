//! The laws for what can be said of an extension beside its name.

use firstlight::engine::Class;
use firstlight::providers::postgres::{Extension, Flag, Role, Settings};
use testbed::unique;

use super::{Bed, connect, settings};
use crate::law;

#[tokio::test]
async fn version_and_schema_of_an_extension_obey_the_laws() {
    let bed = Bed::shared();
    let database = bed.database("extended").await;
    bed.execute(&database, "CREATE SCHEMA ext; CREATE SCHEMA other")
        .await;
    let in_version = |version: &str, schema: &str| Extension {
        version: Some(version.to_owned()),
        schema: Some(schema.to_owned()),
        ..bed.extension(&database, "pg_trgm")
    };
    let created = [format!("create extension pg_trgm in {database}")];
    assert_eq!(law::changes(in_version("1.5", "ext")).await, created);
    law::unchanged(in_version("1.5", "ext")).await;
    law::unchanged(bed.extension(&database, "pg_trgm")).await;
    let updated = format!("update extension pg_trgm in {database}");
    let changes = law::changes(in_version("1.6", "other")).await;
    assert_eq!(changes, [updated.clone(), updated.clone()]);
    law::unchanged(in_version("1.6", "other")).await;
    bed.execute(&database, "ALTER EXTENSION pg_trgm SET SCHEMA ext")
        .await;
    assert_eq!(law::changes(in_version("1.6", "other")).await, [updated]);
    let (class, what, _) = law::fails(in_version("1.5", "other")).await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(what, "extension pg_trgm has no way from version 1.6 to 1.5");
    let (class, what, _) = law::fails(in_version("9.9", "other")).await;
    assert_eq!(class, Class::Invalid);
    assert!(
        what.starts_with("extension pg_trgm is not installed on the server in version 9.9; what"),
        "{what}"
    );
    bed.execute(&database, "DROP EXTENSION pg_trgm").await;
    law::two_at_once(|| in_version("1.6", "ext")).await;
}

#[tokio::test]
async fn an_extension_that_stays_where_it_is_says_so() {
    let bed = Bed::shared();
    let database = bed.database("extended").await;
    bed.execute(&database, "CREATE SCHEMA ext").await;
    let moved = Extension {
        schema: Some("ext".to_owned()),
        ..bed.extension(&database, "plpgsql")
    };
    let (class, what, hints) = law::fails(moved).await;
    assert_eq!(class, Class::Diverged);
    assert_eq!(
        what,
        "extension plpgsql is in schema pg_catalog and cannot be moved to ext"
    );
    assert!(
        hints[0].starts_with("say `schema: pg_catalog`"),
        "{hints:?}"
    );
}

#[tokio::test]
async fn an_extension_waits_for_those_that_it_needs() {
    let bed = Bed::shared();
    let database = bed.database("extended").await;
    let distance = || bed.extension(&database, "earthdistance");
    let (class, what) = law::waits_for(distance()).await;
    assert_eq!(class, Class::Unavailable);
    assert_eq!(
        what,
        format!(
            "extension earthdistance needs cube, which database {database} does not have yet: \
             list it too"
        )
    );
    tokio::join!(
        law::settles(distance()),
        law::settles(bed.extension(&database, "cube"))
    );
}

#[tokio::test]
async fn an_ordinary_role_may_create_what_is_trusted() {
    let bed = Bed::shared();
    let (database, name) = (bed.database("extended").await, unique("ordinary"));
    let mut role = Role {
        password: Some(law::plain("password")),
        ..Role::new(bed.server(), &name)
    };
    role.attributes.flags.insert(Flag::Login, true);
    law::settles(role).await;
    let server = connect(Settings {
        user: law::plain(&name),
        password: law::plain("password"),
        ..settings(&bed.at)
    });
    let extension = || Extension {
        server: server.clone(),
        ..bed.extension(&database, "pg_trgm")
    };
    let (class, _, hints) = law::fails(extension()).await;
    assert_eq!(class, Class::Forbidden);
    bed.execute(&database, &hints[0]).await;
    law::changes(extension()).await;
    law::unchanged(extension()).await;
}
