//! The laws for what a role and a database may be beside their names: attributes, memberships,
//! settings, owners, encodings.

use std::collections::BTreeMap;

use firstlight::engine::{Class, Outcome};
use firstlight::providers::postgres::{
    Database, Flag, Making, Membership, Role, Schema, Server, Settings,
};
use testbed::unique;

use super::{Bed, connect, settings};
use crate::law;

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A role of which everything is said.
fn whole(server: Server, name: &str, group: &str) -> Role {
    let mut role = Role {
        password: Some(law::plain("its password")),
        member_of: vec![Membership {
            role: group.to_owned(),
            admin: Some(true),
            ..Membership::default()
        }],
        settings: pairs(&[
            ("search_path", "\"$user\", Public"),
            ("statement_timeout", "30s"),
            ("app.it", "it's \\ a \"text\""),
        ]),
        ..Role::new(server, name)
    };
    for flag in Flag::ALL {
        role.attributes
            .flags
            .insert(flag, flag != Flag::Superuser && flag != Flag::Inherit);
    }
    role.attributes.connection_limit = Some(7);
    role.attributes.valid_until = Some("2040-02-03 04:05:06+02".to_owned());
    role
}

#[tokio::test]
async fn everything_that_is_said_of_a_role_obeys_the_laws() {
    let bed = Bed::shared();
    let (name, group) = (unique("role"), unique("group"));
    law::settles(Role::new(bed.server(), &group)).await;
    let role = || whole(bed.server(), &name, &group);
    law::fresh(role()).await;
    assert_eq!(law::changes(role()).await, [format!("create role {name}")]);
    law::unchanged(role()).await;
    for drift in [
        "ALTER ROLE {} INHERIT",
        "ALTER ROLE {} SUPERUSER",
        "ALTER ROLE {} NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
        "ALTER ROLE {} CONNECTION LIMIT -1",
        "ALTER ROLE {} VALID UNTIL 'infinity'",
        "ALTER ROLE {} RESET search_path",
        "ALTER ROLE {} SET statement_timeout = '31s'",
        "ALTER ROLE {} RESET ALL",
    ] {
        let drift = drift.replace("{}", &name);
        bed.execute("postgres", &drift).await;
        let updated = [format!("update role {name}")];
        assert_eq!(law::changes(role()).await, updated, "{drift}");
        law::unchanged(role()).await;
    }
    let drift = format!("REVOKE ADMIN OPTION FOR {group} FROM {name}");
    bed.execute("postgres", &drift).await;
    law::changes(role()).await;
    law::unchanged(role()).await;
    let begins = "SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting \
                  WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = '{}')";
    assert_eq!(
        bed.value("postgres", &begins.replace("{}", &name)).await,
        "app.it=it's \\ a \"text\" search_path=\"$user\", public statement_timeout=30s"
    );
}

#[tokio::test]
async fn what_is_not_said_of_a_role_is_left_alone() {
    let bed = Bed::shared();
    let name = unique("role");
    let sql = format!(
        "CREATE ROLE {name} LOGIN CREATEDB CONNECTION LIMIT 3; ALTER ROLE {name} SET work_mem = '8MB'"
    );
    bed.execute("postgres", &sql).await;
    law::unchanged(Role::new(bed.server(), &name)).await;
    bed.execute("postgres", &format!("ALTER ROLE {name} SUPERUSER"))
        .await;
    let (class, what, hints) = law::fails(Role::new(bed.server(), &name)).await;
    assert_eq!(class, Class::Diverged);
    assert_eq!(
        what,
        format!("role {name} is a superuser, and the bundle does not say so")
    );
    assert!(hints[0].starts_with(&format!("ALTER ROLE {name} NOSUPERUSER")));
}

#[tokio::test]
async fn the_role_of_others_is_waited_for_and_never_changed() {
    let bed = Bed::shared();
    let name = unique("role");
    let theirs = || Role {
        managed_by: Some("pgo".to_owned()),
        ..bed.role(&name, "another password")
    };
    let (class, what) = law::waits_for(theirs()).await;
    assert_eq!(class, Class::Unavailable);
    assert_eq!(
        what,
        format!("role {name} does not exist yet: pgo makes it")
    );
    bed.execute("postgres", &format!("CREATE ROLE {name} NOLOGIN"))
        .await;
    law::unchanged(theirs()).await;
}

#[tokio::test]
async fn a_role_with_everything_is_finished_later_and_made_once() {
    let bed = Bed::shared();
    let (name, group) = (unique("role"), unique("group"));
    law::settles(Role::new(bed.server(), &group)).await;
    law::cut_short(|polls| whole(bed.server(), &format!("{name}_{polls}"), &group)).await;
    law::two_at_once(|| whole(connect(settings(&bed.at)), &name, &group)).await;
}

/// In five servers that know nothing of each other: each role is made by one of them, and a group
/// that all of them are put into at once is one row that all of them want to change.
#[tokio::test]
async fn many_roles_are_made_by_many_at_once() {
    let bed = Bed::shared();
    let (name, group) = (unique("role"), unique("group"));
    law::settles(Role::new(bed.server(), &group)).await;
    let servers: Vec<_> = (0..5).map(|_| connect(settings(&bed.at))).collect();
    let runs = (0..40).map(|at| {
        let role = whole(
            servers[at % 5].clone(),
            &format!("{name}_{}", at / 5),
            &group,
        );
        tokio::spawn(law::settles(role))
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.expect("it settles");
    }
    let made =
        format!("SELECT count(*)::text FROM pg_auth_members WHERE roleid = '{group}'::regrole");
    assert_eq!(bed.value("postgres", &made).await, "8");
}

/// How a membership counts can be said from Postgres 16 on; before, saying it is a mistake.
#[tokio::test]
async fn the_options_of_a_membership_are_those_of_the_server() {
    let bed = Bed::shared();
    let (name, group) = (unique("role"), unique("group"));
    law::settles(Role::new(bed.server(), &group)).await;
    law::settles(Role::new(bed.server(), &name)).await;
    let role = || Role {
        member_of: vec![Membership {
            role: group.clone(),
            inherit: Some(false),
            set: Some(true),
            ..Membership::default()
        }],
        ..Role::new(bed.server(), &name)
    };
    let version = bed
        .value("postgres", "SELECT current_setting('server_version_num')")
        .await;
    if version.as_str() < "160000" {
        let (class, what, hints) = law::fails(role()).await;
        assert_eq!(class, Class::Invalid);
        let head = format!("role {name} cannot be a member of {group} with `inherit`: the server");
        assert!(what.starts_with(&head), "{what}");
        assert_eq!(hints, ["leave `inherit` out, or use a newer server"]);
        return;
    }
    law::changes(role()).await;
    law::unchanged(role()).await;
    let drift = format!("GRANT {group} TO {name} WITH INHERIT TRUE, SET FALSE");
    bed.execute("postgres", &drift).await;
    law::changes(role()).await;
    law::unchanged(role()).await;
}

/// An ordinary role that may create others, as an operator hands it out.
#[tokio::test]
async fn who_may_not_is_told_which_right_it_takes() {
    let bed = Bed::shared();
    let (name, other) = (unique("creator"), unique("role"));
    let mut creator = Role {
        password: Some(law::plain("password")),
        ..Role::new(bed.server(), &name)
    };
    creator.attributes.flags.insert(Flag::Login, true);
    law::settles(creator).await;
    let server = connect(Settings {
        user: law::plain(&name),
        password: law::plain("password"),
        ..settings(&bed.at)
    });
    let (class, what, hints) = law::fails(Role::new(server.clone(), &other)).await;
    assert_eq!(class, Class::Forbidden);
    assert_eq!(what, "the server refuses CREATE ROLE");
    assert_eq!(hints, ["this needs CREATEROLE"]);
    bed.execute("postgres", &format!("ALTER ROLE {name} CREATEROLE"))
        .await;
    // What it cannot see of a password it does not change; all else it can.
    let mut role = Role {
        password: Some(law::plain("password")),
        ..Role::new(server.clone(), &other)
    };
    role.attributes.flags.insert(Flag::Login, true);
    law::changes(role.clone()).await;
    law::unchanged(role.clone()).await;
    role.attributes.flags.insert(Flag::BypassRls, true);
    let (class, _, hints) = law::fails(role).await;
    assert_eq!(class, Class::Forbidden);
    assert!(hints[0].contains("bypassRls itself"), "{hints:?}");
}

fn whole_database(server: Server, name: &str, role: &str) -> Database {
    Database {
        making: Making {
            encoding: Some("UTF-8".to_owned()),
            collate: Some("C".to_owned()),
            ctype: Some("C.utf8".to_owned()),
            ..Making::default()
        },
        connection_limit: Some(9),
        settings: pairs(&[("search_path", "app, public"), ("work_mem", "8MB")]),
        role_settings: BTreeMap::from([(role.to_owned(), pairs(&[("work_mem", "2MB")]))]),
        ..Database::new(server, name)
    }
}

#[tokio::test]
async fn everything_that_is_said_of_a_database_obeys_the_laws() {
    let bed = Bed::shared();
    let (name, role) = (unique("database"), unique("role"));
    law::settles(Role::new(bed.server(), &role)).await;
    let database = || whole_database(bed.server(), &name, &role);
    law::fresh(database()).await;
    assert_eq!(
        law::changes(database()).await,
        [
            format!("create database {name}"),
            format!("update database {name}")
        ]
    );
    law::unchanged(database()).await;
    for drift in [
        format!("ALTER DATABASE {name} CONNECTION LIMIT -1"),
        format!("ALTER DATABASE {name} SET work_mem = '9MB'"),
        format!("ALTER ROLE {role} IN DATABASE {name} RESET work_mem"),
    ] {
        bed.execute("postgres", &drift).await;
        let updated = [format!("update database {name}")];
        assert_eq!(law::changes(database()).await, updated, "{drift}");
        law::unchanged(database()).await;
    }
    let made = format!(
        "SELECT concat_ws(' ', pg_encoding_to_char(encoding), datcollate, datctype) \
         FROM pg_database WHERE datname = '{name}'"
    );
    assert_eq!(bed.value("postgres", &made).await, "UTF8 C C.utf8");
    let otherwise = Database {
        making: Making {
            encoding: Some("LATIN1".to_owned()),
            ..Making::default()
        },
        ..database()
    };
    let (class, what, _) = law::fails(otherwise).await;
    assert_eq!(class, Class::Diverged);
    assert_eq!(
        what,
        format!("database {name} has the encoding UTF8, and the bundle says LATIN1")
    );
    law::cut_short(|polls| whole_database(bed.server(), &format!("{name}_{polls}"), &role)).await;
}

#[tokio::test]
async fn a_schema_obeys_the_laws() {
    let bed = Bed::shared();
    let (database, owner) = (unique("schemas"), unique("owner"));
    let named = |name: &str| Schema {
        server: bed.server(),
        database: database.clone(),
        name: name.to_owned(),
        owner: Some(owner.clone()),
    };
    let schema = || named("app");
    law::fresh(schema()).await;
    law::settles(Role::new(bed.server(), &owner)).await;
    law::settles(Database::new(bed.server(), &database)).await;
    law::fresh(schema()).await;
    let created = [format!("create schema app in {database}")];
    assert_eq!(law::changes(schema()).await, created);
    law::unchanged(schema()).await;
    bed.execute(&database, "ALTER SCHEMA app OWNER TO postgres")
        .await;
    let updated = [format!("update schema app in {database}")];
    assert_eq!(law::changes(schema()).await, updated);
    // Since Postgres 15 the owner of the database may not make anything in it.
    law::changes(named("public")).await;
    law::unchanged(named("public")).await;
    law::cut_short(|polls| named(&format!("app_{polls}"))).await;
    law::two_at_once(|| named("twice")).await;
    let outcome = law::preview(Schema {
        owner: None,
        ..named("public")
    });
    assert!(matches!(outcome.await, Outcome::Unchanged));
}
