//! A database.

use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};

use super::client::{Row, Server};
use super::error::Error;
use super::quote;

/// A database and who owns it. What is in it is not its business.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is.
    pub server: Server,
    /// Its name.
    pub name: String,
    /// The role that owns it; none leaves that as it is.
    pub owner: Option<String>,
}

/// A database as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    owner: String,
    half_dropped: bool,
}

/// One step towards the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes it.
    Create {
        /// Its name.
        name: String,
        /// Who is to own it.
        owner: Option<String>,
    },
    /// Gives it to another role.
    Owner {
        /// Its name.
        name: String,
        /// Who owns it.
        before: String,
        /// Who is to own it.
        after: String,
    },
}

impl Resource for Database {
    type Observed = Option<Found>;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Option<Found>, Error> {
        let mut session = self.server.session(self.server.maintenance()).await?;
        // An interrupted DROP DATABASE leaves the limit at -2, and nobody can connect any more.
        let rows = session
            .query(
                "SELECT pg_database",
                "SELECT pg_get_userbyid(datdba)::text, datconnlimit = -2 \
                 FROM pg_database WHERE datname = $1",
                &[&self.name],
            )
            .await?;
        let found = |row: &Row| {
            Ok(Found {
                owner: row.get(0)?,
                half_dropped: row.get(1)?,
            })
        };
        rows.first().map(found).transpose()
    }

    fn plan(&self, observed: &Option<Found>) -> Result<Plan<Change>, Error> {
        quote::check("database", &self.name)?;
        let name = self.name.clone();
        Ok(match (observed, &self.owner) {
            (None, owner) => Plan::Change(vec![Change::Create {
                name,
                owner: owner.clone(),
            }]),
            (Some(found), _) if found.half_dropped => return Err(Error::HalfDropped { name }),
            (Some(found), Some(owner)) if found.owner != *owner => {
                Plan::Change(vec![Change::Owner {
                    name,
                    before: found.owner.clone(),
                    after: owner.clone(),
                }])
            }
            (Some(_), _) => Plan::Current,
        })
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let mut session = self.server.session(self.server.maintenance()).await?;
        match change {
            Change::Create { name, owner } => {
                let owned = owner.as_deref().map_or_else(String::new, |owner| {
                    format!(" OWNER {}", quote::identifier(owner))
                });
                let sql = format!("CREATE DATABASE {}{owned}", quote::identifier(&name));
                let created = session.batch("CREATE DATABASE", &sql).await;
                created.map_err(|error| error.or_faster().needing(right(owner.as_deref())))
            }
            Change::Owner { name, after, .. } => {
                let (name, owner) = (quote::identifier(&name), quote::identifier(&after));
                let sql = format!("ALTER DATABASE {name} OWNER TO {owner}");
                let given = session.batch("ALTER DATABASE", &sql).await;
                given.map_err(|error| error.needing(right(Some(&after))))
            }
        }
    }
}

fn right(owner: Option<&str>) -> String {
    match owner {
        Some(owner) => format!("CREATEDB, and membership in role {owner}"),
        None => "CREATEDB".to_owned(),
    }
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        let owner = |before, after| FieldChange {
            path: "owner".to_owned(),
            before,
            after,
            sensitive: false,
        };
        let (verb, name, fields) = match change {
            Change::Create { name, owner: after } => {
                let fields = after.map(|after| owner(None, Some(after)));
                (Verb::Create, name, fields.into_iter().collect())
            }
            Change::Owner {
                name,
                before,
                after,
            } => (Verb::Update, name, vec![owner(Some(before), Some(after))]),
        };
        Self {
            verb,
            target: format!("database {name}"),
            fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, Found};
    use crate::engine::{Class, Failure, Plan, Resource, Verb};
    use crate::providers::postgres::client::tests::nowhere;

    #[test]
    fn the_plan_is_to_make_it_or_to_give_it_away() {
        let found = |owner: &str| {
            Some(Found {
                owner: owner.to_owned(),
                half_dropped: false,
            })
        };
        for (wanted, observed, expected) in [
            (Some("lens"), None, Some(Verb::Create)),
            (None, None, Some(Verb::Create)),
            (Some("lens"), found("lens"), None),
            (None, found("postgres"), None),
            (Some("lens"), found("postgres"), Some(Verb::Update)),
        ] {
            let plan = database(wanted).plan(&observed).expect("a plan");
            let verb = match plan {
                Plan::Change(mut changes) => changes
                    .pop()
                    .map(|c| crate::engine::Difference::from(c).verb),
                _ => None,
            };
            assert_eq!(verb, expected, "{wanted:?} {observed:?}");
        }
    }

    #[test]
    fn the_remains_of_a_database_are_not_taken_for_one() {
        let observed = Some(Found {
            owner: "lens".to_owned(),
            half_dropped: true,
        });
        let error = database(None).plan(&observed).expect_err("diverged");
        assert_eq!(error.class(), Class::Diverged);
    }

    fn database(owner: Option<&str>) -> Database {
        Database {
            server: nowhere(),
            name: "lens".to_owned(),
            owner: owner.map(str::to_owned),
        }
    }
}
