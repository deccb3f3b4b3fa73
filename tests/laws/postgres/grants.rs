//! The laws for rights.

use std::collections::BTreeSet;

use firstlight::engine::{Class, Outcome};
use firstlight::providers::postgres::{
    Flag, Grantee, Grants, Kind, Later, Place, Role, Server, Settings,
};
use testbed::unique;

use super::{Bed, connect, settings};
use crate::law;

fn set(privileges: &str) -> BTreeSet<String> {
    privileges.split_whitespace().map(str::to_owned).collect()
}

fn place(kind: Kind, schema: &str, object: Option<&str>, privileges: &str) -> Place {
    Place {
        kind,
        schema: Some(schema.to_owned()).filter(|schema| !schema.is_empty()),
        object: object.map(str::to_owned),
        privileges: set(privileges),
    }
}

const SCHEMA: &str = "
CREATE SCHEMA app;
CREATE TABLE app.nodes (id bigserial PRIMARY KEY, name text);
CREATE TABLE app.audit (at timestamptz, what text) PARTITION BY RANGE (at);
CREATE TABLE app.audit_2026 PARTITION OF app.audit
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW app.names AS SELECT name FROM app.nodes;
CREATE TYPE app.mood AS ENUM ('good', 'bad');
CREATE DOMAIN app.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE FUNCTION app.f(app.mood, VARIADIC text[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.f(int, OUT a int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2';
CREATE PROCEDURE app.p(INOUT x int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TABLE app.\"Odd \"\"name\" ();
CREATE EXTENSION pg_trgm SCHEMA app;
";

/// Everybody may use the schema `public`, and nothing more.
pub(super) fn everybody(server: Server, database: &str) -> Grants {
    Grants {
        server,
        database: database.to_owned(),
        grantee: Grantee::Public,
        exact: true,
        on: vec![
            place(Kind::Database, "", None, "CONNECT"),
            place(Kind::Schema, "public", None, "USAGE"),
            place(Kind::Table, "public", None, ""),
        ],
        later: Vec::new(),
    }
}

/// A database with something of everything, its owner, and a role that shall use it.
struct Granted {
    bed: Bed,
    database: String,
    owner: String,
    role: String,
}

impl Granted {
    async fn new() -> Self {
        let bed = Bed::shared();
        let (database, owner, role) = (unique("granted"), unique("owner"), unique("api"));
        law::settles(Role::new(bed.server(), &owner)).await;
        law::settles(login(bed.server(), &role)).await;
        law::settles(bed.database_of(&database, &owner)).await;
        let sql = format!("SET ROLE {owner}; {SCHEMA}");
        bed.execute(&database, &sql).await;
        Self {
            bed,
            database,
            owner,
            role,
        }
    }

    fn grants(&self, server: Server, exact: bool) -> Grants {
        let all = |kind, privileges| place(kind, "app", None, privileges);
        let later = |kind, privileges| Later {
            owner: self.owner.clone(),
            schema: Some("app".to_owned()),
            kind,
            privileges: set(privileges),
        };
        Grants {
            server,
            database: self.database.clone(),
            grantee: Grantee::Role(self.role.clone()),
            exact,
            on: vec![
                place(Kind::Database, "", None, "CONNECT TEMPORARY"),
                all(Kind::Schema, "USAGE"),
                all(Kind::Table, "SELECT INSERT"),
                place(Kind::Table, "app", Some("audit"), "INSERT"),
                all(Kind::Sequence, "USAGE"),
                all(Kind::Function, "EXECUTE"),
                all(Kind::Type, "USAGE"),
            ],
            later: vec![later(Kind::Table, "SELECT"), later(Kind::Sequence, "USAGE")],
        }
    }

    async fn value(&self, sql: &str) -> String {
        self.bed.value(&self.database, sql).await
    }

    async fn execute(&self, sql: &str) {
        self.bed.execute(&self.database, sql).await;
    }

    /// What a write of ours would move: the transaction of every row that holds a right.
    async fn rows(&self) -> String {
        self.value(
            "SELECT md5(string_agg(row, ',' ORDER BY row)) FROM ( \
                 SELECT oid || ':' || xmin AS row FROM pg_class \
                 UNION ALL SELECT oid || ':' || xmin FROM pg_namespace \
                 UNION ALL SELECT oid || ':' || xmin FROM pg_proc \
                 UNION ALL SELECT oid || ':' || xmin FROM pg_type \
                 UNION ALL SELECT oid || ':' || xmin FROM pg_default_acl \
                 UNION ALL SELECT oid || ':' || xmin FROM pg_database WHERE datname = current_database() \
             ) AS rows",
        )
        .await
    }
}

fn login(server: Server, name: &str) -> Role {
    let mut role = Role {
        password: Some(law::plain("password")),
        ..Role::new(server, name)
    };
    role.attributes.flags.insert(Flag::Login, true);
    role
}

#[tokio::test]
async fn grants_obey_the_laws() {
    let at = Granted::new().await;
    let grants = || at.grants(at.bed.server(), false);
    law::fresh(grants()).await;
    let updated = [format!("update grants of {} in {}", at.role, at.database)];
    assert_eq!(law::changes(grants()).await, updated);
    let rows = at.rows().await;
    law::unchanged(grants()).await;
    law::unchanged(at.grants(at.bed.server(), true)).await;
    assert_eq!(at.rows().await, rows, "a second run writes nothing");
    for drift in [
        "REVOKE INSERT ON app.nodes FROM {}",
        "REVOKE ALL ON SCHEMA app FROM {}",
        "REVOKE ALL ON ALL SEQUENCES IN SCHEMA app FROM {}",
        "REVOKE EXECUTE ON PROCEDURE app.p(int) FROM {}",
        "REVOKE USAGE ON TYPE app.percent FROM {}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE [] IN SCHEMA app REVOKE ALL ON TABLES FROM {}",
        "SET ROLE []; CREATE TABLE app.later (); REVOKE ALL ON app.later FROM {}",
    ] {
        let drift = drift.replace("{}", &at.role).replace("[]", &at.owner);
        at.execute(&drift).await;
        assert_eq!(law::changes(grants()).await, updated, "{drift}");
        law::unchanged(grants()).await;
    }
    // As the role itself.
    let client = Settings {
        user: law::plain(&at.role),
        password: law::plain("password"),
        ..settings(&at.bed.at)
    };
    let server = connect(client);
    let check = |query: &str| firstlight::providers::postgres::SqlCheck {
        server: server.clone(),
        database: at.database.clone(),
        query: query.to_owned(),
        expect: firstlight::providers::postgres::Expect::Value("0".to_owned()),
    };
    law::unchanged(check("SELECT count(*) FROM app.nodes")).await;
    let (class, what, _) = law::fails(check("SELECT count(*) FROM app.audit")).await;
    assert_eq!(class, Class::Forbidden, "{what}");
}

#[tokio::test]
async fn what_is_too_much_is_taken_away_only_when_that_is_said() {
    let at = Granted::new().await;
    law::settles(at.grants(at.bed.server(), true)).await;
    let extra = "GRANT DELETE ON app.nodes TO {}; GRANT SELECT ON app.audit TO {}; \
                 GRANT UPDATE ON ALL SEQUENCES IN SCHEMA app TO {}; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE [] IN SCHEMA app GRANT DELETE ON TABLES TO {}"
        .replace("{}", &at.role)
        .replace("[]", &at.owner);
    at.execute(&extra).await;
    law::unchanged(at.grants(at.bed.server(), false)).await;
    let Outcome::Changed(changes) = law::preview(at.grants(at.bed.server(), true)).await else {
        panic!("there is too much");
    };
    let fields = changes[0].fields.iter().map(|field| {
        let side = |side: &Option<String>| side.clone().unwrap_or_default();
        format!(
            "{}: {} → {}",
            field.path,
            side(&field.before),
            side(&field.after)
        )
    });
    let fields: Vec<_> = fields.collect();
    assert_eq!(
        fields,
        [
            "table app.nodes: DELETE, INSERT, SELECT → INSERT, SELECT".to_owned(),
            "table app.audit: INSERT, SELECT → INSERT".to_owned(),
            "sequence app.nodes_id_seq: UPDATE, USAGE → USAGE".to_owned(),
            format!(
                "tables that {} makes in app: DELETE, SELECT → SELECT",
                at.owner
            ),
        ]
    );
    law::changes(at.grants(at.bed.server(), true)).await;
    law::unchanged(at.grants(at.bed.server(), true)).await;
}

#[tokio::test]
async fn what_another_role_has_granted_is_taken_away_too() {
    let at = Granted::new().await;
    law::settles(at.grants(at.bed.server(), true)).await;
    let boss = unique("boss");
    let sql = format!(
        "CREATE ROLE {boss}; GRANT USAGE ON SCHEMA app TO {boss}; \
         GRANT DELETE ON app.nodes TO {boss} WITH GRANT OPTION; SET ROLE {boss}; \
         GRANT DELETE ON app.nodes TO {}",
        at.role
    );
    at.execute(&sql).await;
    law::changes(at.grants(at.bed.server(), true)).await;
    law::unchanged(at.grants(at.bed.server(), true)).await;
    let left = format!(
        "SELECT has_table_privilege('{}', 'app.nodes', 'DELETE')::text",
        at.role
    );
    assert_eq!(at.value(&left).await, "false");
}

#[tokio::test]
async fn what_everybody_may_is_taken_away() {
    let at = Granted::new().await;
    let everybody = || Grants {
        server: at.bed.server(),
        database: at.database.clone(),
        grantee: Grantee::Public,
        exact: true,
        on: vec![
            place(Kind::Database, "", None, ""),
            place(Kind::Schema, "public", None, ""),
            place(Kind::Function, "app", None, ""),
            place(Kind::Type, "app", None, "USAGE"),
        ],
        later: vec![Later {
            owner: at.owner.clone(),
            schema: None,
            kind: Kind::Function,
            privileges: BTreeSet::new(),
        }],
    };
    law::fresh(everybody()).await;
    let updated = [format!("update grants of public in {}", at.database)];
    assert_eq!(law::changes(everybody()).await, updated);
    let rows = at.rows().await;
    law::unchanged(everybody()).await;
    assert_eq!(at.rows().await, rows, "a second run writes nothing");
    let connect = format!(
        "SELECT has_database_privilege('{}', current_database(), 'CONNECT')::text",
        at.role
    );
    assert_eq!(at.value(&connect).await, "false");
    let sql = format!(
        "SET ROLE {}; CREATE FUNCTION app.later() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        at.owner
    );
    at.execute(&sql).await;
    law::unchanged(everybody()).await;
    let may = format!(
        "SELECT has_function_privilege('{}', 'app.later()', 'EXECUTE')::text",
        at.role
    );
    assert_eq!(at.value(&may).await, "false");
    at.execute("GRANT EXECUTE ON FUNCTION app.later() TO PUBLIC")
        .await;
    assert_eq!(law::changes(everybody()).await, updated);
}

#[tokio::test]
async fn grants_are_finished_later() {
    let at = Granted::new().await;
    for round in 1..=30 {
        let role = format!("{}_{round}", at.role);
        law::settles(Role::new(at.bed.server(), &role)).await;
    }
    law::cut_short(|polls| Grants {
        grantee: Grantee::Role(format!("{}_{polls}", at.role)),
        ..at.grants(at.bed.server(), true)
    })
    .await;
}

/// Twenty roles get their rights on the same tables at once, from five servers that know nothing
/// of each other: every grant is a change of the same few rows of the catalog.
#[tokio::test]
async fn many_grants_at_once_do_not_meet() {
    let at = Granted::new().await;
    let servers: Vec<_> = (0..5).map(|_| connect(settings(&at.bed.at))).collect();
    let mut runs = Vec::new();
    for number in 0..20 {
        let role = format!("{}_{number}", at.role);
        law::settles(Role::new(at.bed.server(), &role)).await;
        for server in [number % 5, (number + 1) % 5] {
            runs.push(Grants {
                grantee: Grantee::Role(role.clone()),
                ..at.grants(servers[server].clone(), true)
            });
        }
    }
    let runs = runs
        .into_iter()
        .map(|grants| tokio::spawn(law::settles(grants)));
    for run in runs.collect::<Vec<_>>() {
        run.await.expect("it settles");
    }
    let granted = "SELECT count(DISTINCT grantee)::text FROM pg_class, aclexplode(relacl) \
                   WHERE oid = 'app.nodes'::regclass AND privilege_type = 'SELECT'";
    assert_eq!(at.value(granted).await, "21", "the owner and the twenty");
}

#[tokio::test]
async fn what_is_missing_or_not_ours_is_told() {
    let at = Granted::new().await;
    let named = |kind, name: &str, privileges: &str| Grants {
        on: vec![place(kind, "app", Some(name), privileges)],
        later: Vec::new(),
        ..at.grants(at.bed.server(), false)
    };
    for (kind, name, privileges) in [
        (Kind::Table, "nodez", "SELECT"),
        (Kind::Function, "g(int)", "EXECUTE"),
        (Kind::Function, "g", "EXECUTE"),
        (Kind::Type, "x", "USAGE"),
    ] {
        let (class, what, _) = law::fails(named(kind, name, privileges)).await;
        assert_eq!(class, Class::Invalid, "{name}");
        assert_eq!(what, "the server refuses GRANT");
    }
    let nowhere = Grants {
        on: vec![place(Kind::Table, "nowhere", None, "SELECT")],
        ..at.grants(at.bed.server(), false)
    };
    let (class, _, _) = law::fails(nowhere).await;
    assert_eq!(class, Class::Invalid);
    // An ordinary role may not give away what belongs to others.
    let name = unique("ordinary");
    law::settles(login(at.bed.server(), &name)).await;
    let server = connect(Settings {
        user: law::plain(&name),
        password: law::plain("password"),
        ..settings(&at.bed.at)
    });
    let (class, what, hints) = law::fails(at.grants(server, false)).await;
    assert_eq!(class, Class::Forbidden);
    let owner = &at.owner;
    assert_eq!(
        what,
        format!(
            "{name} may not grant rights on database {}: it belongs to {owner}",
            at.database
        )
    );
    assert!(hints[0].starts_with(&format!("GRANT {owner} TO {name}")));
    // Where there is no database, a preview can still say what would be granted.
    law::fresh(Grants {
        database: unique("nowhere"),
        ..at.grants(at.bed.server(), false)
    })
    .await;
}
