use std::collections::{BTreeMap, BTreeSet};

use super::{Grantee, Grants, Kind, Later, Observed, Place, Thing};
use crate::engine::{Class, Difference, Failure, Plan, Resource};
use crate::providers::postgres::client::tests::nowhere;

fn set(privileges: &str) -> BTreeSet<String> {
    privileges.split_whitespace().map(str::to_owned).collect()
}

fn grants(on: Vec<Place>, exact: bool) -> Grants {
    Grants {
        server: nowhere(),
        database: "lens".to_owned(),
        grantee: Grantee::Role("api".to_owned()),
        exact,
        on,
        later: Vec::new(),
    }
}

fn place(kind: Kind, object: Option<&str>, privileges: &str) -> Place {
    Place {
        kind,
        schema: (kind != Kind::Database).then(|| "app".to_owned()),
        object: object.map(str::to_owned),
        privileges: set(privileges),
    }
}

fn thing(kind: Kind, name: &str, held: &str) -> Thing {
    let held = held.split_whitespace().map(|item| {
        let (privilege, grantor) = item.split_once(':').unwrap_or((item, "lens"));
        (privilege.to_owned(), BTreeSet::from([grantor.to_owned()]))
    });
    Thing {
        kind,
        schema: (kind != Kind::Database).then(|| "app".to_owned()),
        name: name.to_owned(),
        sql: match kind {
            Kind::Database | Kind::Schema => name.to_owned(),
            _ => format!("app.{name}"),
        },
        owner: "lens".to_owned(),
        is_member: false,
        is_own: false,
        may_grant: true,
        held: held.collect(),
    }
}

fn observed(things: Vec<Thing>) -> Observed {
    let mut all = vec![
        thing(Kind::Database, "lens", ""),
        thing(Kind::Schema, "app", ""),
    ];
    all.extend(things);
    Observed {
        database: true,
        user: "admin".to_owned(),
        things: all,
        defaults: BTreeMap::new(),
    }
}

fn sql(grants: &Grants, observed: &Observed) -> String {
    match grants.plan(observed).expect("a plan") {
        Plan::Change(edits) => edits[0].sql.clone(),
        _ => "current".to_owned(),
    }
}

#[test]
fn what_is_missing_is_granted_and_nothing_else() {
    let wanted = grants(
        vec![
            place(Kind::Database, None, "CONNECT"),
            place(Kind::Schema, None, "USAGE"),
            place(Kind::Table, None, "SELECT INSERT"),
            place(Kind::Function, None, "EXECUTE"),
        ],
        false,
    );
    let found = observed(vec![
        thing(Kind::Table, "a", ""),
        thing(Kind::Table, "b", ""),
        thing(Kind::Table, "c", "SELECT DELETE"),
        thing(Kind::Table, "d", "SELECT INSERT"),
        thing(Kind::Function, "f(integer)", ""),
    ]);
    assert_eq!(
        sql(&wanted, &found),
        "GRANT CONNECT ON DATABASE lens TO \"api\"; GRANT USAGE ON SCHEMA app TO \"api\"; \
         GRANT INSERT ON TABLE app.c TO \"api\"; \
         GRANT INSERT, SELECT ON TABLE app.a, app.b TO \"api\"; \
         GRANT EXECUTE ON ROUTINE app.f(integer) TO \"api\""
    );
}

#[test]
fn what_is_too_much_is_taken_away_only_when_that_is_said() {
    let all = |exact| grants(vec![place(Kind::Table, None, "SELECT")], exact);
    let found = observed(vec![
        thing(Kind::Table, "a", "SELECT DELETE"),
        thing(Kind::Table, "b", "SELECT DELETE:boss"),
        Thing {
            is_own: true,
            ..thing(Kind::Table, "c", "SELECT DELETE")
        },
    ]);
    assert_eq!(sql(&all(false), &found), "current");
    assert_eq!(
        sql(&all(true), &found),
        "SET LOCAL ROLE \"boss\"; REVOKE DELETE ON TABLE app.b FROM \"api\"; RESET ROLE; \
         REVOKE DELETE ON TABLE app.a FROM \"api\""
    );
}

#[test]
fn one_thing_can_have_rights_of_its_own() {
    let wanted = grants(
        vec![
            place(Kind::Table, None, "SELECT"),
            place(Kind::Table, Some("audit"), "INSERT"),
            place(Kind::Function, Some("prune"), "EXECUTE"),
        ],
        true,
    );
    let found = observed(vec![
        thing(Kind::Table, "audit", "SELECT"),
        thing(Kind::Table, "nodes", ""),
        thing(Kind::Function, "prune(interval)", ""),
        thing(Kind::Function, "prune(interval, text)", "EXECUTE"),
        thing(Kind::Function, "other()", "EXECUTE"),
        Thing {
            is_member: true,
            ..thing(Kind::Table, "of_an_extension", "")
        },
    ]);
    assert_eq!(
        sql(&wanted, &found),
        "GRANT INSERT ON TABLE app.audit TO \"api\"; \
         REVOKE SELECT ON TABLE app.audit FROM \"api\"; \
         GRANT SELECT ON TABLE app.nodes TO \"api\"; \
         GRANT EXECUTE ON ROUTINE app.prune(interval) TO \"api\""
    );
}

#[test]
fn what_is_not_there_yet_is_shown_and_asked_for() {
    let wanted = grants(
        vec![
            place(Kind::Table, None, "SELECT"),
            place(Kind::Table, Some("a"), "SELECT"),
            place(Kind::Function, Some("f(int)"), "EXECUTE"),
        ],
        false,
    );
    let Ok(Plan::Change(edits)) = wanted.plan(&Observed::default()) else {
        panic!("all is missing");
    };
    let difference = Difference::from(edits[0].clone());
    assert_eq!(difference.target, "grants of api in lens");
    let paths: Vec<_> = difference
        .fields
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["all tables in app", "table app.a", "function app.f(int)"]
    );
    // In a schema without tables there is nothing to grant; a table that is named is missed.
    assert_eq!(
        sql(&wanted, &observed(vec![])),
        "SELECT '\"app\".\"a\"'::pg_catalog.regclass; \
         SELECT '\"app\".\"f\"(int)'::pg_catalog.regprocedure"
    );
}

#[test]
fn what_is_made_later_gets_its_rights_from_its_owner() {
    let later = |schema: Option<&str>, kind, privileges| Later {
        owner: "lens".to_owned(),
        schema: schema.map(str::to_owned),
        kind,
        privileges: set(privileges),
    };
    let api = Grants {
        later: vec![later(Some("app"), Kind::Table, "SELECT")],
        ..grants(vec![], true)
    };
    let with = |privileges| {
        let key = ("lens".to_owned(), "app".to_owned(), Kind::Table);
        Observed {
            defaults: BTreeMap::from([(key, set(privileges))]),
            ..observed(vec![])
        }
    };
    let subject = "ALTER DEFAULT PRIVILEGES FOR ROLE \"lens\" IN SCHEMA \"app\"";
    assert_eq!(
        sql(&api, &observed(vec![])),
        format!("{subject} GRANT SELECT ON TABLES TO \"api\"")
    );
    assert_eq!(sql(&api, &with("SELECT")), "current");
    assert_eq!(
        sql(&api, &with("SELECT DELETE")),
        format!("{subject} REVOKE DELETE ON TABLES FROM \"api\"")
    );
    // Everybody may execute a new function until that is taken away.
    let everybody = Grants {
        grantee: Grantee::Public,
        later: vec![later(None, Kind::Function, "")],
        ..grants(vec![], true)
    };
    assert_eq!(
        sql(&everybody, &observed(vec![])),
        "ALTER DEFAULT PRIVILEGES FOR ROLE \"lens\" REVOKE EXECUTE ON ROUTINES FROM PUBLIC"
    );
}

#[test]
fn who_may_not_grant_is_told_before() {
    let wanted = grants(vec![place(Kind::Table, None, "SELECT")], false);
    let theirs = Thing {
        may_grant: false,
        ..thing(Kind::Table, "a", "")
    };
    let error = wanted.plan(&observed(vec![theirs])).expect_err("forbidden");
    assert_eq!(error.class(), Class::Forbidden);
    assert_eq!(
        error.to_string(),
        "admin may not grant rights on table app.a: it belongs to lens"
    );
    assert_eq!(
        error.hints(),
        ["GRANT lens TO admin, or let lens grant it (`servers.postgres.user`)"]
    );
    let wrong = grants(vec![place(Kind::Schema, None, "SELECT")], false);
    let error = wrong
        .plan(&observed(vec![]))
        .expect_err("no such privilege");
    assert_eq!(error.class(), Class::Invalid);
}
