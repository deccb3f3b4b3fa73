//! An extension in a database.

use crate::engine::{Difference, Plan, Resource, Verb};

use super::client::Server;
use super::error::Error;
use super::quote;

/// An extension, in whatever version the server installs.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Where it is.
    pub server: Server,
    /// In which database.
    pub database: String,
    /// Its name.
    pub name: String,
}

/// What is known of the extension in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// The database does not exist, so nobody can say.
    NoDatabase,
    /// It is there.
    Created,
    /// It is not.
    Absent {
        /// Whether the server has its files.
        installed: bool,
        /// Whether somebody who is no superuser may create it.
        trusted: bool,
        /// Whether we are a superuser.
        superuser: bool,
        /// Whether we may create things in the database.
        may_create: bool,
        /// Who we are.
        user: String,
    },
}

/// Creates the extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    name: String,
    database: String,
}

const LOOK: &str = "\
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = $1), \
       available.name IS NOT NULL, \
       coalesce(version.trusted, false), \
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), \
       has_database_privilege(current_database(), 'CREATE'), \
       current_user::text \
FROM (VALUES ($1)) AS wanted (name) \
LEFT JOIN pg_available_extensions AS available ON available.name = wanted.name \
LEFT JOIN pg_available_extension_versions AS version \
       ON version.name = available.name AND version.version = available.default_version";

impl Resource for Extension {
    type Observed = Observed;
    type Change = Create;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let mut session = match self.server.session(&self.database).await {
            Ok(session) => session,
            Err(error) if error.is_no_database() => return Ok(Observed::NoDatabase),
            Err(error) => return Err(error),
        };
        let row = session
            .query_one("SELECT pg_extension", LOOK, &[&self.name])
            .await?;
        if row.get(0)? {
            return Ok(Observed::Created);
        }
        Ok(Observed::Absent {
            installed: row.get(1)?,
            trusted: row.get(2)?,
            superuser: row.get(3)?,
            may_create: row.get(4)?,
            user: row.get(5)?,
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Create>, Error> {
        quote::check("extension", &self.name)?;
        let (name, database) = (self.name.clone(), self.database.clone());
        match observed {
            Observed::Created => Ok(Plan::Current),
            Observed::Absent {
                installed: false, ..
            } => Err(Error::NotInstalled { name }),
            Observed::Absent {
                trusted: false,
                superuser: false,
                user,
                ..
            } => Err(Error::NotTrusted {
                name,
                user: user.clone(),
            }),
            Observed::Absent {
                may_create: false,
                user,
                ..
            } => Err(Error::NoCreate {
                name,
                database,
                user: user.clone(),
            }),
            Observed::Absent { .. } | Observed::NoDatabase => {
                Ok(Plan::Change(vec![Create { name, database }]))
            }
        }
    }

    async fn apply(&self, change: Create) -> Result<(), Error> {
        let mut session = self.server.session(&change.database).await?;
        let sql = format!("CREATE EXTENSION {}", quote::identifier(&change.name));
        let created = session.batch("CREATE EXTENSION", &sql).await;
        created.map_err(Error::or_faster)
    }
}

impl From<Create> for Difference {
    fn from(change: Create) -> Self {
        Self {
            verb: Verb::Create,
            target: format!("extension {} in {}", change.name, change.database),
            fields: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Extension, Observed};
    use crate::engine::{Failure, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;

    fn absent([installed, trusted, superuser, may_create]: [bool; 4]) -> Observed {
        Observed::Absent {
            installed,
            trusted,
            superuser,
            may_create,
            user: "lens".to_owned(),
        }
    }

    #[test]
    fn each_reason_against_it_is_told_apart() {
        let extension = Extension {
            server: nowhere(),
            database: "lens".to_owned(),
            name: "pg_trgm".to_owned(),
        };
        for (observed, expected) in [
            (Observed::NoDatabase, "change"),
            (Observed::Created, "current"),
            (absent([true, true, false, true]), "change"),
            (absent([true, false, true, true]), "change"),
            (
                absent([false, false, true, true]),
                "extension_not_installed",
            ),
            (absent([true, false, false, true]), "extension_not_trusted"),
            (absent([true, true, false, false]), "extension_no_create"),
        ] {
            let planned = match extension.plan(&observed) {
                Ok(Plan::Current) => "current",
                Ok(Plan::Change(_)) => "change",
                Ok(Plan::InProgress(_)) => "in progress",
                Err(error) => error.kind(),
            };
            assert_eq!(planned, expected, "{observed:?}");
        }
    }
}
