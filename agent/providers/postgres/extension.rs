//! An extension in a database.

use crate::engine::{Difference, FieldChange, Plan, Resource, Verb, Waiting};

use super::client::Server;
use super::conflict::Conflict;
use super::error::Error;
use super::quote;
use super::turn::Edit;

/// An extension. What is not said of it is as the server likes it, and stays so.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Where it is.
    pub server: Server,
    /// In which database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its version; only one that is said is updated to.
    pub version: Option<String>,
    /// The schema that it is in.
    pub schema: Option<String>,
}

/// What is known of the extension in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// The database does not exist, so nobody can say.
    NoDatabase,
    /// It is there.
    Created(Created),
    /// It is not.
    Absent(Absent),
}

/// An extension that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    version: String,
    schema: String,
    /// Whether it may be in another schema.
    relocatable: bool,
    /// Whether there is a way from its version to the wanted one.
    update: bool,
    /// The versions that the server has files of.
    versions: Vec<String>,
}

/// What stands against creating it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Whether somebody who is no superuser may create it.
    trusted: bool,
    /// Whether we are a superuser.
    superuser: bool,
    /// Whether we may create things in the database.
    may_create: bool,
    /// Who we are.
    user: String,
    /// The versions that the server has files of; none if it is not installed.
    versions: Vec<String>,
    /// The extensions that it needs and that are not there.
    missing: Vec<String>,
}

const LOOK: &str = "\
SELECT extension.oid IS NOT NULL, \
       coalesce(version.trusted, false), \
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), \
       has_database_privilege(current_database(), 'CREATE'), \
       current_user::text, \
       ARRAY(SELECT one.version FROM pg_available_extension_versions AS one \
             WHERE one.name = $1 ORDER BY 1), \
       ARRAY(SELECT required::text FROM unnest(version.requires) AS required \
             WHERE required NOT IN (SELECT extname FROM pg_extension)), \
       coalesce(extension.extversion, ''), \
       coalesce((SELECT nspname::text FROM pg_namespace WHERE oid = extension.extnamespace), ''), \
       coalesce(extension.extrelocatable, false), \
       CASE WHEN extension.oid IS NULL OR available.name IS NULL THEN false \
            ELSE EXISTS (SELECT FROM pg_extension_update_paths(extension.extname) \
                         WHERE source = extension.extversion AND target = $2 \
                           AND path IS NOT NULL) END \
FROM (VALUES ($1)) AS wanted (name) \
LEFT JOIN pg_extension AS extension ON extension.extname = wanted.name \
LEFT JOIN pg_available_extensions AS available ON available.name = wanted.name \
LEFT JOIN pg_available_extension_versions AS version \
       ON version.name = available.name \
      AND version.version = coalesce(nullif($2, ''), available.default_version)";

impl Resource for Extension {
    type Observed = Observed;
    type Change = Edit;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let Some(mut session) = self.server.session_if_any(&self.database).await? else {
            return Ok(Observed::NoDatabase);
        };
        let version = self.version.as_deref().unwrap_or_default();
        let row = session
            .query_one("SELECT pg_extension", LOOK, &[&self.name, version])
            .await?;
        if row.get(0)? {
            return Ok(Observed::Created(Created {
                version: row.get(7)?,
                schema: row.get(8)?,
                relocatable: row.get(9)?,
                update: row.get(10)?,
                versions: row.get(5)?,
            }));
        }
        Ok(Observed::Absent(Absent {
            trusted: row.get(1)?,
            superuser: row.get(2)?,
            may_create: row.get(3)?,
            user: row.get(4)?,
            versions: row.get(5)?,
            missing: row.get(6)?,
        }))
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Edit>, Error> {
        quote::check("extension", &self.name)?;
        match observed {
            Observed::NoDatabase => {}
            Observed::Created(created) => return Ok(self.change(created)?),
            Observed::Absent(absent) => {
                self.check(absent)?;
                if !absent.missing.is_empty() {
                    return Ok(Plan::InProgress(self.waiting(&absent.missing)));
                }
            }
        }
        Ok(Plan::Change(vec![self.create()]))
    }

    async fn apply(&self, change: Edit) -> Result<(), Error> {
        change.make_in(&self.server, &self.database).await
    }
}

impl Extension {
    /// The reasons against creating it, each told apart.
    fn check(&self, absent: &Absent) -> Result<(), Error> {
        let name = self.name.clone();
        if absent.versions.is_empty() {
            return Err(Error::NotInstalled { name });
        }
        self.check_version(&absent.versions)?;
        let user = absent.user.clone();
        if !absent.trusted && !absent.superuser {
            return Err(Error::NotTrusted { name, user });
        }
        if !absent.may_create {
            let database = self.database.clone();
            return Err(Error::NoCreate {
                name,
                database,
                user,
            });
        }
        Ok(())
    }

    fn check_version(&self, versions: &[String]) -> Result<(), Conflict> {
        match &self.version {
            Some(wanted) if !versions.contains(wanted) => Err(Conflict::NoVersion {
                name: self.name.clone(),
                wanted: wanted.clone(),
                has: versions.join(", "),
            }),
            _ => Ok(()),
        }
    }

    /// Another step may be about to create them.
    fn waiting(&self, missing: &[String]) -> Waiting {
        Waiting::unavailable(format!(
            "extension {} needs {}, which database {} does not have yet: list it too",
            self.name,
            missing.join(" and "),
            self.database
        ))
    }

    fn change(&self, created: &Created) -> Result<Plan<Edit>, Conflict> {
        let edits: Vec<_> = [self.update(created)?, self.relocate(created)?]
            .into_iter()
            .flatten()
            .collect();
        if edits.is_empty() {
            return Ok(Plan::Current);
        }
        Ok(Plan::Change(edits))
    }

    fn update(&self, created: &Created) -> Result<Option<Edit>, Conflict> {
        let different = |wanted: &&String| **wanted != created.version;
        let Some(wanted) = self.version.as_ref().filter(different) else {
            return Ok(None);
        };
        self.check_version(&created.versions)?;
        if !created.update {
            return Err(Conflict::NoUpdate {
                name: self.name.clone(),
                has: created.version.clone(),
                wanted: wanted.clone(),
            });
        }
        let sql = format!("UPDATE TO {}", quote::literal(wanted));
        let field = field("version", Some(&created.version), wanted);
        Ok(Some(self.alter(&sql, field)))
    }

    fn relocate(&self, created: &Created) -> Result<Option<Edit>, Conflict> {
        let different = |wanted: &&String| **wanted != created.schema;
        let Some(wanted) = self.schema.as_ref().filter(different) else {
            return Ok(None);
        };
        if !created.relocatable {
            return Err(Conflict::FixedSchema {
                name: self.name.clone(),
                has: created.schema.clone(),
                wanted: wanted.clone(),
            });
        }
        let sql = format!("SET SCHEMA {}", quote::identifier(wanted));
        let field = field("schema", Some(&created.schema), wanted);
        Ok(Some(self.alter(&sql, field)))
    }

    fn create(&self) -> Edit {
        let schema = self.schema.as_ref();
        let version = self.version.as_ref();
        let clauses = [
            schema.map(|schema| format!(" SCHEMA {}", quote::identifier(schema))),
            version.map(|version| format!(" VERSION {}", quote::literal(version))),
        ];
        let clauses: String = clauses.into_iter().flatten().collect();
        let fields = [
            version.map(|version| field("version", None, version)),
            schema.map(|schema| field("schema", None, schema)),
        ];
        Edit {
            summary: "CREATE EXTENSION",
            sql: format!(
                "CREATE EXTENSION {}{clauses}",
                quote::identifier(&self.name)
            ),
            needs: format!("CREATE on database {}", self.database),
            difference: self.difference(Verb::Create, fields.into_iter().flatten().collect()),
        }
    }

    fn alter(&self, what: &str, field: FieldChange) -> Edit {
        Edit {
            summary: "ALTER EXTENSION",
            sql: format!("ALTER EXTENSION {} {what}", quote::identifier(&self.name)),
            needs: "to own the extension".to_owned(),
            difference: self.difference(Verb::Update, vec![field]),
        }
    }

    fn difference(&self, verb: Verb, fields: Vec<FieldChange>) -> Difference {
        Difference {
            verb,
            target: format!("extension {} in {}", self.name, self.database),
            fields,
        }
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

#[cfg(test)]
mod tests {
    use super::{Absent, Created, Extension, Observed};
    use crate::engine::{Failure, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;

    fn extension(version: Option<&str>, schema: Option<&str>) -> Extension {
        Extension {
            server: nowhere(),
            database: "lens".to_owned(),
            name: "pg_trgm".to_owned(),
            version: version.map(str::to_owned),
            schema: schema.map(str::to_owned),
        }
    }

    fn absent([installed, trusted, superuser, may_create]: [bool; 4]) -> Absent {
        Absent {
            trusted,
            superuser,
            may_create,
            user: "lens".to_owned(),
            versions: if installed {
                vec!["1.5".to_owned(), "1.6".to_owned()]
            } else {
                Vec::new()
            },
            missing: Vec::new(),
        }
    }

    fn planned(extension: &Extension, observed: &Observed) -> String {
        match extension.plan(observed) {
            Ok(Plan::Current) => "current".to_owned(),
            Ok(Plan::Change(edits)) => {
                let sql: Vec<_> = edits.into_iter().map(|edit| edit.sql).collect();
                sql.join("; ")
            }
            Ok(Plan::InProgress(waiting)) => waiting.what,
            Err(error) => error.kind().to_owned(),
        }
    }

    #[test]
    fn each_reason_against_it_is_told_apart() {
        let create = r#"CREATE EXTENSION "pg_trgm""#;
        let plain = extension(None, None);
        assert_eq!(planned(&plain, &Observed::NoDatabase), create);
        for (observed, expected) in [
            ([true, true, false, true], create),
            ([true, false, true, true], create),
            ([false, false, true, true], "extension_not_installed"),
            ([true, false, false, true], "extension_not_trusted"),
            ([true, true, false, false], "extension_no_create"),
        ] {
            let observed = Observed::Absent(absent(observed));
            assert_eq!(planned(&plain, &observed), expected, "{observed:?}");
        }
        let needy = Observed::Absent(Absent {
            missing: vec!["cube".to_owned()],
            ..absent([true; 4])
        });
        assert_eq!(
            planned(&plain, &needy),
            "extension pg_trgm needs cube, which database lens does not have yet: list it too"
        );
    }

    #[test]
    fn only_what_is_said_of_it_is_changed() {
        let created = |relocatable, update| {
            Observed::Created(Created {
                version: "1.5".to_owned(),
                schema: "public".to_owned(),
                relocatable,
                update,
                versions: vec!["1.5".to_owned(), "1.6".to_owned()],
            })
        };
        for (version, schema, observed, expected) in [
            (None, None, created(false, false), "current"),
            (
                Some("1.5"),
                Some("public"),
                created(false, false),
                "current",
            ),
            (
                Some("1.6"),
                Some("ext"),
                created(true, true),
                "ALTER EXTENSION \"pg_trgm\" UPDATE TO '1.6'; \
                 ALTER EXTENSION \"pg_trgm\" SET SCHEMA \"ext\"",
            ),
            (
                Some("1.6"),
                None,
                created(true, false),
                "extension_no_update",
            ),
            (
                Some("2.0"),
                None,
                created(true, true),
                "extension_no_version",
            ),
            (
                None,
                Some("ext"),
                created(false, true),
                "extension_fixed_schema",
            ),
            (
                Some("1.6"),
                Some("ext"),
                Observed::Absent(absent([true; 4])),
                "CREATE EXTENSION \"pg_trgm\" SCHEMA \"ext\" VERSION '1.6'",
            ),
            (
                Some("2.0"),
                None,
                Observed::Absent(absent([true; 4])),
                "extension_no_version",
            ),
        ] {
            let wanted = extension(version, schema);
            assert_eq!(planned(&wanted, &observed), expected, "{wanted:?}");
        }
    }
}
