//! A schema in a database.

use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};

use super::client::Server;
use super::error::Error;
use super::quote;
use super::turn::Edit;

/// A schema and who owns it. Since Postgres 15 not everybody may make things in `public`, so a
/// database's own role needs one that it owns.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Where it is.
    pub server: Server,
    /// In which database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// The role that owns it; none leaves that as it is.
    pub owner: Option<String>,
}

impl Resource for Schema {
    /// Its owner; none where it, or its database, is not there.
    type Observed = Option<String>;
    type Change = Edit;
    type Error = Error;

    async fn observe(&self) -> Result<Option<String>, Error> {
        let Some(mut session) = self.server.session_if_any(&self.database).await? else {
            return Ok(None);
        };
        let rows = session
            .query(
                "SELECT pg_namespace",
                "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = $1",
                &[&self.name],
            )
            .await?;
        rows.first().map(|row| row.get(0)).transpose()
    }

    fn plan(&self, observed: &Option<String>) -> Result<Plan<Edit>, Error> {
        quote::check("schema", &self.name)?;
        let name = quote::identifier(&self.name);
        let owner = self.owner.as_deref();
        let quoted = owner.map(quote::identifier);
        let (verb, sql) = match (observed, quoted) {
            (None, None) => (Verb::Create, format!("CREATE SCHEMA {name}")),
            (None, Some(quoted)) => (
                Verb::Create,
                format!("CREATE SCHEMA {name} AUTHORIZATION {quoted}"),
            ),
            (Some(has), Some(quoted)) if Some(has.as_str()) != owner => (
                Verb::Update,
                format!("ALTER SCHEMA {name} OWNER TO {quoted}"),
            ),
            (Some(_), _) => return Ok(Plan::Current),
        };
        Ok(Plan::Change(vec![self.edit(verb, sql, observed.clone())]))
    }

    async fn apply(&self, change: Edit) -> Result<(), Error> {
        change.make_in(&self.server, &self.database).await
    }
}

impl Schema {
    fn edit(&self, verb: Verb, sql: String, before: Option<String>) -> Edit {
        let owner = self.owner.clone().map(|owner| FieldChange {
            path: "owner".to_owned(),
            before,
            after: Some(owner),
            sensitive: false,
        });
        let membership = self.owner.as_ref();
        let membership = membership.map(|owner| format!(", and membership in role {owner}"));
        let needs = format!(
            "CREATE on database {}{}",
            self.database,
            membership.unwrap_or_default()
        );
        Edit {
            summary: match verb {
                Verb::Create => "CREATE SCHEMA",
                _ => "ALTER SCHEMA",
            },
            sql,
            needs,
            difference: Difference {
                verb,
                target: format!("schema {} in {}", self.name, self.database),
                fields: owner.into_iter().collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schema;
    use crate::engine::{Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;

    #[test]
    fn the_plan_is_to_make_it_or_to_give_it_away() {
        for (owner, observed, expected) in [
            (None, None, r#"CREATE SCHEMA "app""#),
            (
                Some("lens"),
                None,
                r#"CREATE SCHEMA "app" AUTHORIZATION "lens""#,
            ),
            (None, Some("x"), ""),
            (Some("lens"), Some("lens"), ""),
            (
                Some("lens"),
                Some("x"),
                r#"ALTER SCHEMA "app" OWNER TO "lens""#,
            ),
        ] {
            let schema = Schema {
                server: nowhere(),
                database: "lens".to_owned(),
                name: "app".to_owned(),
                owner: owner.map(str::to_owned),
            };
            let sql = match schema.plan(&observed.map(str::to_owned)) {
                Ok(Plan::Change(edits)) => edits[0].sql.clone(),
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            };
            assert_eq!(sql, expected, "{owner:?} {observed:?}");
        }
    }
}
