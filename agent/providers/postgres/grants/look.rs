//! Reads from the catalog what a role may do in a database.

use std::collections::{BTreeMap, BTreeSet};

use super::super::client::{Row, Session};
use super::super::conflict::Conflict;
use super::super::error::Error;
use super::{Grantee, Kind, Observed};

/// Something that rights can be granted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    /// None for the database. For a schema its own name.
    pub(super) schema: Option<String>,
    /// Its name; that of a function with the types of its arguments.
    pub(super) name: String,
    /// Its name in a statement.
    pub(super) sql: String,
    pub(super) owner: String,
    /// Whether it belongs to an extension.
    pub(super) is_member: bool,
    /// Whether the role owns it, and so has every right.
    pub(super) is_own: bool,
    /// Whether we can grant anything on it.
    pub(super) may_grant: bool,
    /// The privileges of the role, each with those who have granted it.
    pub(super) held: BTreeMap<String, BTreeSet<String>>,
}

impl Thing {
    /// A function is also called by its name alone.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let short = || self.name.split_once('(').map(|(short, _)| short);
        let spaceless = |text: &str| text.replace(' ', "");
        self.name == name
            || (self.kind == Kind::Function
                && (short() == Some(name) || spaceless(&self.name) == spaceless(name)))
    }

    pub(super) fn check_ours(&self, user: &str) -> Result<(), Conflict> {
        if self.may_grant {
            return Ok(());
        }
        Err(Conflict::NotOurs {
            what: format!("{} {}", self.kind.word(), self.sql),
            owner: self.owner.clone(),
            user: user.to_owned(),
        })
    }
}

/// `$1` is the role, `$2` the schemas as a list. A null list of rights is the built-in default.
///
/// Partitions are left out: they are reached through their parents, and their rights do not matter.
const THINGS: &str = "\
WITH who AS ( \
    SELECT CASE WHEN $1 = '' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = $1) END AS oid \
), place AS ( \
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace \
    WHERE nspname IN (SELECT jsonb_array_elements_text($2::jsonb)) \
), member AS MATERIALIZED ( \
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e' \
), thing AS ( \
    SELECT 'database' AS kind, NULL AS schema, datname AS name, quote_ident(datname) AS sql, \
           datdba AS owner, coalesce(datacl, acldefault('d', datdba)) AS acl, \
           0::oid AS class, oid \
    FROM pg_database WHERE datname = current_database() \
    UNION ALL \
    SELECT 'schema', nspname, nspname, quote_ident(nspname), nspowner, \
           coalesce(nspacl, acldefault('n', nspowner)), 'pg_namespace'::regclass, oid \
    FROM place \
    UNION ALL \
    SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, nspname, relname, \
           format('%I.%I', nspname, relname), relowner, \
           coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", \
                                       relowner)), \
           'pg_class'::regclass, pg_class.oid \
    FROM pg_class JOIN place ON place.oid = relnamespace \
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relispartition \
    UNION ALL \
    SELECT 'function', nspname, format('%s(%s)', proname, oidvectortypes(proargtypes)), \
           format('%I.%I(%s)', nspname, proname, oidvectortypes(proargtypes)), proowner, \
           coalesce(proacl, acldefault('f', proowner)), 'pg_proc'::regclass, pg_proc.oid \
    FROM pg_proc JOIN place ON place.oid = pronamespace \
    UNION ALL \
    SELECT 'type', nspname, typname, format('%I.%I', nspname, typname), typowner, \
           coalesce(typacl, acldefault('T', typowner)), 'pg_type'::regclass, pg_type.oid \
    FROM pg_type JOIN place ON place.oid = typnamespace \
    WHERE typtype IN ('b', 'c', 'd', 'e', 'r') \
      AND (typrelid = 0 OR EXISTS (SELECT FROM pg_class \
                                   WHERE pg_class.oid = typrelid AND relkind = 'c')) \
      AND NOT EXISTS (SELECT FROM pg_type AS element WHERE element.typarray = pg_type.oid) \
) \
SELECT kind, schema::text, name::text, sql, pg_get_userbyid(owner)::text, \
       EXISTS (SELECT FROM member WHERE member.classid = class AND member.objid = thing.oid), \
       coalesce(owner = who.oid, false), \
       pg_has_role(owner, 'USAGE') OR EXISTS ( \
           SELECT FROM aclexplode(acl) AS item \
           WHERE item.is_grantable AND item.grantee <> 0 AND pg_has_role(item.grantee, 'USAGE')), \
       current_user::text, \
       ARRAY(SELECT item.privilege_type || ' ' || pg_get_userbyid(item.grantor) \
             FROM aclexplode(acl) AS item WHERE item.grantee = who.oid) \
FROM thing, who ORDER BY 1, 2, 3";

/// Also those that give the role nothing: they replace the built-in default.
const DEFAULTS: &str = "\
WITH who AS ( \
    SELECT CASE WHEN $1 = '' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = $1) END AS oid \
) \
SELECT pg_get_userbyid(defaclrole)::text, coalesce(nspname::text, ''), \
       CASE defaclobjtype WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'function' \
                          WHEN 'T' THEN 'type' WHEN 'n' THEN 'schema' ELSE '' END, \
       ARRAY(SELECT item.privilege_type FROM aclexplode(defaclacl) AS item \
             WHERE item.grantee = who.oid) \
FROM who, pg_default_acl LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace";

pub(super) async fn look(
    session: &mut Session,
    grantee: &Grantee,
    schemas: &BTreeSet<&String>,
) -> Result<Observed, Error> {
    let role = match grantee {
        Grantee::Role(name) => name.as_str(),
        Grantee::Public => "",
    };
    let schemas = serde_json::json!(schemas).to_string();
    // Types of arguments are written with their schema, unless it is the server's own.
    session
        .begin("BEGIN READ ONLY; SET LOCAL search_path = ''")
        .await?;
    let things = session
        .query("SELECT acl", THINGS, &[role, &schemas])
        .await?;
    let defaults = session
        .query("SELECT pg_default_acl", DEFAULTS, &[role])
        .await?;
    session.end("ROLLBACK").await?;
    let mut observed = Observed {
        database: true,
        ..Observed::default()
    };
    for row in &things {
        observed.user = row.get(8)?;
        observed.things.extend(thing(row)?);
    }
    for row in &defaults {
        let kind: String = row.get(2)?;
        let held: Vec<String> = row.get(3)?;
        if let Some(kind) = Kind::named(&kind) {
            let key = (row.get(0)?, row.get(1)?, kind);
            observed.defaults.insert(key, held.into_iter().collect());
        }
    }
    Ok(observed)
}

fn thing(row: &Row) -> Result<Option<Thing>, Error> {
    let kind: String = row.get(0)?;
    let Some(kind) = Kind::named(&kind) else {
        return Ok(None);
    };
    let items: Vec<String> = row.get(9)?;
    let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in items {
        let (privilege, grantor) = item.split_once(' ').unwrap_or((&item, ""));
        let grantors = held.entry(privilege.to_owned()).or_default();
        grantors.insert(grantor.to_owned());
    }
    Ok(Some(Thing {
        kind,
        schema: row.get(1)?,
        name: row.get(2)?,
        sql: row.get(3)?,
        owner: row.get(4)?,
        is_member: row.get(5)?,
        is_own: row.get(6)?,
        may_grant: row.get(7)?,
        held,
    }))
}
