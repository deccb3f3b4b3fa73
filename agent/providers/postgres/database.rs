//! A database.

use std::collections::BTreeMap;

use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};

use super::client::{Row, Server};
use super::conflict::Conflict;
use super::error::Error;
use super::parameters::{self, Parameter};
use super::quote;
use super::turn::Edit;

/// A database, and how sessions in it begin. What is in it is not its business.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is.
    pub server: Server,
    /// Its name.
    pub name: String,
    /// The role that owns it; none leaves that as it is.
    pub owner: Option<String>,
    /// What it is made with.
    pub making: Making,
    /// How many sessions it may have at once; none leaves that as it is.
    pub connection_limit: Option<u32>,
    /// The parameters that sessions in it begin with.
    pub settings: BTreeMap<String, String>,
    /// Role → the parameters that its sessions in this database begin with.
    pub role_settings: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a database is made with and keeps; what is not said is as in the template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Making {
    /// The database that it is copied from.
    pub template: Option<String>,
    /// `UTF8`
    pub encoding: Option<String>,
    /// The locale for the order of texts: `C.UTF-8`.
    pub collate: Option<String>,
    /// The locale for the classes of characters.
    pub ctype: Option<String>,
}

/// A database as the catalog has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    owner: String,
    half_dropped: bool,
    connection_limit: i32,
    encoding: String,
    /// Whether that is the wanted one, under whatever name.
    same_encoding: bool,
    collate: String,
    ctype: String,
    /// Role, empty for all of them, → what is set: `name=value`.
    settings: BTreeMap<String, Vec<String>>,
}

// An interrupted DROP DATABASE leaves the limit at -2, and nobody can connect any more.
const LOOK: &str = "\
SELECT pg_get_userbyid(datdba)::text, datconnlimit = -2, datconnlimit, \
       pg_encoding_to_char(encoding)::text, \
       coalesce(encoding = pg_char_to_encoding(nullif($2, '')), true), \
       datcollate::text, datctype::text, \
       coalesce(settings.roles, '{}'), coalesce(settings.pairs, '{}') \
FROM pg_database \
LEFT JOIN LATERAL ( \
    SELECT array_agg(CASE setrole WHEN 0 THEN '' ELSE pg_get_userbyid(setrole)::text END \
                     ORDER BY setrole, pair) AS roles, \
           array_agg(pair ORDER BY setrole, pair) AS pairs \
    FROM pg_db_role_setting, unnest(setconfig) AS pair WHERE setdatabase = pg_database.oid \
) AS settings ON true \
WHERE datname = $1";

impl Resource for Database {
    type Observed = Option<Found>;
    type Change = Edit;
    type Error = Error;

    async fn observe(&self) -> Result<Option<Found>, Error> {
        let mut session = self.server.session(self.server.maintenance()).await?;
        let encoding = self.making.encoding.as_deref().unwrap_or_default();
        let rows = session
            .query("SELECT pg_database", LOOK, &[&self.name, encoding])
            .await?;
        rows.first().map(Found::read).transpose()
    }

    fn plan(&self, observed: &Option<Found>) -> Result<Plan<Edit>, Error> {
        quote::check("database", &self.name)?;
        let mut edits = Vec::new();
        match observed {
            None => edits.push(self.create()),
            Some(found) if found.half_dropped => {
                let name = self.name.clone();
                return Err(Error::HalfDropped { name });
            }
            Some(found) => {
                self.check_making(found)?;
                edits.extend(self.give(found));
                edits.extend(self.limit(found));
            }
        }
        edits.extend(self.set(observed.as_ref()));
        if edits.is_empty() {
            return Ok(Plan::Current);
        }
        Ok(Plan::Change(edits))
    }

    async fn apply(&self, change: Edit) -> Result<(), Error> {
        if change.summary != CREATE {
            return change.make_in_server(&self.server).await;
        }
        // The one statement that cannot be in a transaction; of two at once one fails.
        let mut session = self.server.session(self.server.maintenance()).await?;
        let created = session.batch(CREATE, &change.sql).await;
        created.map_err(|error| error.or_faster().needing(change.needs))
    }
}

const CREATE: &str = "CREATE DATABASE";

impl Found {
    fn read(row: &Row) -> Result<Self, Error> {
        let (roles, pairs): (Vec<String>, Vec<String>) = (row.get(7)?, row.get(8)?);
        let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (role, pair) in roles.into_iter().zip(pairs) {
            settings.entry(role).or_default().push(pair);
        }
        Ok(Self {
            owner: row.get(0)?,
            half_dropped: row.get(1)?,
            connection_limit: row.get(2)?,
            encoding: row.get(3)?,
            same_encoding: row.get(4)?,
            collate: row.get(5)?,
            ctype: row.get(6)?,
            settings,
        })
    }
}

impl Database {
    /// A database of which only the name is said.
    #[must_use]
    pub fn new(server: Server, name: impl Into<String>) -> Self {
        Self {
            server,
            name: name.into(),
            owner: None,
            making: Making::default(),
            connection_limit: None,
            settings: BTreeMap::new(),
            role_settings: BTreeMap::new(),
        }
    }

    fn create(&self) -> Edit {
        let Making {
            template,
            encoding,
            collate,
            ctype,
        } = &self.making;
        // Any other template has data in its own encoding and order.
        let own = encoding.is_some() || collate.is_some() || ctype.is_some();
        let template = template.clone().or(own.then(|| "template0".to_owned()));
        let limit = self.connection_limit.map(|limit| limit.to_string());
        let name = |name: &String| quote::identifier(name);
        let text = |text: &String| quote::literal(text);
        let parts = [
            ("owner", "OWNER", &self.owner, self.owner.as_ref().map(name)),
            (
                "template",
                "TEMPLATE",
                &template,
                template.as_ref().map(name),
            ),
            (
                "encoding",
                "ENCODING",
                encoding,
                encoding.as_ref().map(text),
            ),
            ("collate", "LC_COLLATE", collate, collate.as_ref().map(text)),
            ("ctype", "LC_CTYPE", ctype, ctype.as_ref().map(text)),
            ("connectionLimit", "CONNECTION LIMIT", &limit, limit.clone()),
        ];
        let said = parts
            .iter()
            .filter_map(|(_, word, _, sql)| Some(format!(" {word} {}", sql.as_ref()?)));
        let sql = format!("{CREATE} {}{}", name(&self.name), said.collect::<String>());
        let fields = parts
            .iter()
            .filter_map(|(path, _, value, _)| Some(field(path, None, value.as_ref()?)));
        Edit {
            summary: CREATE,
            sql,
            needs: right(self.owner.as_deref()),
            difference: self.difference(Verb::Create, fields.collect()),
        }
    }

    /// What a database keeps from its making must be as the bundle says.
    fn check_making(&self, found: &Found) -> Result<(), Conflict> {
        let differs = |what, has: &str, wanted: &Option<String>| {
            Err(Conflict::Made {
                database: self.name.clone(),
                what,
                has: has.to_owned(),
                wanted: wanted.clone().unwrap_or_default(),
            })
        };
        let Making {
            encoding,
            collate,
            ctype,
            ..
        } = &self.making;
        if !found.same_encoding {
            return differs("encoding", &found.encoding, encoding);
        }
        let same = |has: &str, wanted: &Option<String>| {
            let wanted = wanted.as_deref();
            wanted.is_none_or(|wanted| locale(wanted) == locale(has))
        };
        if !same(&found.collate, collate) {
            return differs("collation", &found.collate, collate);
        }
        if !same(&found.ctype, ctype) {
            return differs("character type", &found.ctype, ctype);
        }
        Ok(())
    }

    fn give(&self, found: &Found) -> Option<Edit> {
        let owner = self.owner.as_ref().filter(|owner| **owner != found.owner)?;
        let fields = vec![field("owner", Some(&found.owner), owner)];
        let sql = format!(
            "ALTER DATABASE {} OWNER TO {}",
            quote::identifier(&self.name),
            quote::identifier(owner)
        );
        Some(self.alter(sql, right(Some(owner)), fields))
    }

    fn limit(&self, found: &Found) -> Option<Edit> {
        let wanted = self.connection_limit?;
        if found.connection_limit == wanted.cast_signed() {
            return None;
        }
        let before = Some(found.connection_limit).filter(|limit| *limit >= 0);
        let before = before.map(|limit| limit.to_string());
        let fields = vec![field(
            "connectionLimit",
            before.as_ref(),
            &wanted.to_string(),
        )];
        let name = quote::identifier(&self.name);
        let sql = format!("ALTER DATABASE {name} CONNECTION LIMIT {wanted}");
        Some(self.alter(sql, "to own the database".to_owned(), fields))
    }

    /// What sessions in it begin with, of everybody and of single roles, as one change.
    fn set(&self, found: Option<&Found>) -> Option<Edit> {
        let database = quote::identifier(&self.name);
        let stored = |role: &str| {
            let settings = found.and_then(|found| found.settings.get(role));
            settings.map(Vec::as_slice).unwrap_or_default()
        };
        let (mut sql, mut fields) = (Vec::new(), Vec::new());
        let mut add = |parameters: Vec<Parameter>, subject: &str, path: &str| {
            sql.extend(parameters.iter().map(|it| it.sql(subject)));
            fields.extend(parameters.iter().map(|it| it.field(path)));
        };
        let own = parameters::differing(&self.settings, stored(""));
        add(own, &format!("ALTER DATABASE {database}"), "settings");
        for (role, settings) in &self.role_settings {
            let subject = format!(
                "ALTER ROLE {} IN DATABASE {database}",
                quote::identifier(role)
            );
            let parameters = parameters::differing(settings, stored(role));
            add(parameters, &subject, &format!("roleSettings.{role}"));
        }
        let needs = "to own the database, CREATEROLE for settings of roles".to_owned();
        (!sql.is_empty()).then(|| self.alter(sql.join("; "), needs, fields))
    }

    fn alter(&self, sql: String, needs: String, fields: Vec<FieldChange>) -> Edit {
        Edit {
            summary: "ALTER DATABASE",
            sql,
            needs,
            difference: self.difference(Verb::Update, fields),
        }
    }

    fn difference(&self, verb: Verb, fields: Vec<FieldChange>) -> Difference {
        Difference {
            verb,
            target: format!("database {}", self.name),
            fields,
        }
    }
}

/// The name of a locale as far as it tells two of them apart: `C.UTF-8` is `C.utf8`.
fn locale(name: &str) -> String {
    match name.split_once('.') {
        Some((place, encoding)) => {
            let encoding = encoding.replace('-', "").to_lowercase();
            format!("{place}.{encoding}")
        }
        None => name.to_owned(),
    }
}

fn field(path: &str, before: Option<&String>, after: &str) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        before: before.cloned(),
        after: Some(after.to_owned()),
        sensitive: false,
    }
}

fn right(owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("CREATEDB, and membership in role {owner}"),
        None => "CREATEDB".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Database, Found, Making};
    use crate::engine::{Class, Failure, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;

    fn found(owner: &str) -> Found {
        Found {
            owner: owner.to_owned(),
            connection_limit: -1,
            encoding: "UTF8".to_owned(),
            same_encoding: true,
            collate: "C.UTF-8".to_owned(),
            ctype: "C.UTF-8".to_owned(),
            ..Found::default()
        }
    }

    fn database(owner: Option<&str>) -> Database {
        Database {
            owner: owner.map(str::to_owned),
            ..Database::new(nowhere(), "lens")
        }
    }

    fn sql(database: &Database, observed: Option<&Found>) -> Vec<String> {
        match database.plan(&observed.cloned()).expect("a plan") {
            Plan::Change(edits) => edits.into_iter().map(|edit| edit.sql).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_plan_is_to_make_it_or_to_give_it_away() {
        for (wanted, observed, expected) in [
            (
                Some("lens"),
                None,
                &[r#"CREATE DATABASE "lens" OWNER "lens""#][..],
            ),
            (None, None, &[r#"CREATE DATABASE "lens""#]),
            (Some("lens"), Some(found("lens")), &[]),
            (None, Some(found("postgres")), &[]),
            (
                Some("lens"),
                Some(found("postgres")),
                &[r#"ALTER DATABASE "lens" OWNER TO "lens""#],
            ),
        ] {
            assert_eq!(
                sql(&database(wanted), observed.as_ref()),
                expected,
                "{wanted:?}"
            );
        }
    }

    #[test]
    fn what_it_is_made_with_is_said_once_and_compared_after() {
        let made = Database {
            making: Making {
                encoding: Some("utf-8".to_owned()),
                collate: Some("C.utf8".to_owned()),
                ..Making::default()
            },
            connection_limit: Some(20),
            ..database(None)
        };
        assert_eq!(
            sql(&made, None),
            [
                "CREATE DATABASE \"lens\" TEMPLATE \"template0\" ENCODING 'utf-8' \
                 LC_COLLATE 'C.utf8' CONNECTION LIMIT 20"
            ]
        );
        assert_eq!(
            sql(&made, Some(&found("x"))),
            [r#"ALTER DATABASE "lens" CONNECTION LIMIT 20"#]
        );
        let refused = |found: Found| {
            let error = made.plan(&Some(found)).expect_err("it is made otherwise");
            assert_eq!(error.class(), Class::Diverged);
            error.to_string()
        };
        let ascii = Found {
            encoding: "SQL_ASCII".to_owned(),
            same_encoding: false,
            ..found("x")
        };
        assert_eq!(
            refused(ascii),
            "database lens has the encoding SQL_ASCII, and the bundle says utf-8"
        );
        let german = Found {
            collate: "de_DE.UTF-8".to_owned(),
            ..found("x")
        };
        assert_eq!(
            refused(german),
            "database lens has the collation de_DE.UTF-8, and the bundle says C.utf8"
        );
    }

    #[test]
    fn sessions_begin_as_the_bundle_says() {
        let set = |value: &str| BTreeMap::from([("work_mem".to_owned(), value.to_owned())]);
        let with = Database {
            settings: set("8MB"),
            role_settings: BTreeMap::from([("api".to_owned(), set("4MB"))]),
            ..database(None)
        };
        let all = ["ALTER DATABASE \"lens\" SET \"work_mem\" = '8MB'; \
             ALTER ROLE \"api\" IN DATABASE \"lens\" SET \"work_mem\" = '4MB'"];
        assert_eq!(sql(&with, Some(&found("x"))), all);
        let stored = |role: &str, pair: &str| (role.to_owned(), vec![pair.to_owned()]);
        let set = Found {
            settings: BTreeMap::from([stored("", "work_mem=8MB"), stored("api", "work_mem=4MB")]),
            ..found("x")
        };
        assert!(sql(&with, Some(&set)).is_empty());
        assert_eq!(sql(&with, None).len(), 2);
    }

    #[test]
    fn the_remains_of_a_database_are_not_taken_for_one() {
        let observed = Some(Found {
            half_dropped: true,
            ..found("lens")
        });
        let error = database(None).plan(&observed).expect_err("diverged");
        assert_eq!(error.class(), Class::Diverged);
    }
}
