//! A role: who may log in, with which password, and what it inherits.

use std::collections::BTreeSet;

use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};
use crate::secret::{Credential, Sensitive};

use super::client::{Server, Session};
use super::error::Error;
use super::quote;
use super::scram::Verifier;

/// A role. What it has beyond this (attributes, other memberships) is left alone.
#[derive(Debug, Clone)]
pub struct Role {
    /// Where it is.
    pub server: Server,
    /// Its name.
    pub name: String,
    /// Whether it may log in.
    pub login: bool,
    /// Its password; none leaves that as it is.
    pub password: Option<Credential>,
    /// The roles that it is at least a member of.
    pub member_of: Vec<String>,
}

/// A role as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    login: bool,
    password: Password,
    member_of: BTreeSet<String>,
}

/// What can be said of a password without knowing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Password {
    /// None is asked for, or only a superuser could compare it.
    Unknown,
    /// The server has the wanted one.
    Same,
    /// The server has another one, or none.
    Other,
}

/// One step towards the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    role: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Create {
        login: bool,
        password: bool,
        member_of: Vec<String>,
    },
    Alter {
        login: Option<bool>,
        password: bool,
    },
    Grant {
        group: String,
    },
}

impl Resource for Role {
    type Observed = Option<Found>;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Option<Found>, Error> {
        let mut session = self.server.session(self.server.maintenance()).await?;
        let rows = session
            .query(
                "SELECT pg_roles",
                "SELECT rolcanlogin, \
                        ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members \
                              WHERE member = pg_roles.oid), \
                        has_table_privilege('pg_authid', 'SELECT') \
                 FROM pg_roles WHERE rolname = $1",
                &[&self.name],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let groups: Vec<String> = row.get(1)?;
        let password = match &self.password {
            Some(wanted) if row.get(2)? => self.compare(&mut session, wanted).await?,
            _ => Password::Unknown,
        };
        Ok(Some(Found {
            login: row.get(0)?,
            password,
            member_of: groups.into_iter().collect(),
        }))
    }

    fn plan(&self, observed: &Option<Found>) -> Result<Plan<Change>, Error> {
        quote::check("role", &self.name)?;
        let changes = match observed {
            None => vec![What::Create {
                login: self.login,
                password: self.password.is_some(),
                member_of: self.member_of.clone(),
            }],
            Some(found) => self.differences(found),
        };
        if changes.is_empty() {
            return Ok(Plan::Current);
        }
        let change = |what| Change {
            role: self.name.clone(),
            what,
        };
        Ok(Plan::Change(changes.into_iter().map(change).collect()))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let (summary, sql, right) = self.statement(change).await?;
        let mut session = self.server.session(self.server.maintenance()).await?;
        let done = session.batch(summary, &sql).await;
        done.map_err(|error| error.or_faster().needing(right))
    }
}

impl Role {
    /// Only a superuser may see what the server keeps of a password.
    async fn compare(&self, session: &mut Session, wanted: &Credential) -> Result<Password, Error> {
        let wanted = self.server.resolve(wanted).await?;
        let rows = session
            .query(
                "SELECT pg_authid",
                "SELECT coalesce(rolpassword, '') FROM pg_authid WHERE rolname = $1",
                &[&self.name],
            )
            .await?;
        let stored = rows.first().map(|row| row.get::<String>(0)).transpose()?;
        let same = stored.is_some_and(|stored| Verifier::matches(&stored, wanted.expose()));
        Ok(if same {
            Password::Same
        } else {
            Password::Other
        })
    }

    fn differences(&self, found: &Found) -> Vec<What> {
        let login = (found.login != self.login).then_some(self.login);
        let password = found.password == Password::Other;
        let alter = (login.is_some() || password).then_some(What::Alter { login, password });
        let missing = self
            .member_of
            .iter()
            .filter(|group| !found.member_of.contains(*group))
            .map(|group| What::Grant {
                group: group.clone(),
            });
        alter.into_iter().chain(missing).collect()
    }

    /// The statement, its name, and the right that it needs.
    async fn statement(&self, change: Change) -> Result<(&'static str, String, String), Error> {
        let role = quote::identifier(&change.role);
        Ok(match change.what {
            What::Create {
                login,
                password,
                member_of,
            } => {
                let groups: Vec<_> = member_of
                    .iter()
                    .map(|name| quote::identifier(name))
                    .collect();
                let groups = if groups.is_empty() {
                    String::new()
                } else {
                    format!(" IN ROLE {}", groups.join(", "))
                };
                let password = self.password_clause(password).await?;
                let sql = format!("CREATE ROLE {role}{}{password}{groups}", login_word(login));
                ("CREATE ROLE", sql, "CREATEROLE".to_owned())
            }
            What::Alter { login, password } => {
                let login = login.map_or("", login_word);
                let password = self.password_clause(password).await?;
                let sql = format!("ALTER ROLE {role}{login}{password}");
                ("ALTER ROLE", sql, "CREATEROLE".to_owned())
            }
            What::Grant { group } => {
                let sql = format!("GRANT {} TO {role}", quote::identifier(&group));
                ("GRANT role", sql, format!("ADMIN OPTION on role {group}"))
            }
        })
    }

    /// What is sent is the verifier: the password itself never stands in a statement or a log.
    async fn password_clause(&self, wanted: bool) -> Result<String, Error> {
        match &self.password {
            Some(password) if wanted => {
                let password: Sensitive = self.server.resolve(password).await?;
                let verifier = Verifier::new(password.expose()).to_string();
                Ok(format!(" PASSWORD {}", quote::literal(&verifier)))
            }
            _ => Ok(String::new()),
        }
    }
}

fn login_word(login: bool) -> &'static str {
    if login { " LOGIN" } else { " NOLOGIN" }
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        let field = |path: &str, before: Option<String>, after: String| FieldChange {
            path: path.to_owned(),
            before,
            after: Some(after),
            sensitive: path == "password",
        };
        let hidden = || "(sensitive)".to_owned();
        let (verb, fields) = match change.what {
            What::Create {
                login,
                password,
                member_of,
            } => {
                let mut fields = vec![field("login", None, login.to_string())];
                fields.extend(password.then(|| field("password", None, hidden())));
                fields.extend(
                    member_of
                        .into_iter()
                        .map(|group| field("memberOf", None, group)),
                );
                (Verb::Create, fields)
            }
            What::Alter { login, password } => {
                let login = login.map(|to| field("login", Some((!to).to_string()), to.to_string()));
                let password = password.then(|| field("password", Some(hidden()), hidden()));
                (Verb::Update, login.into_iter().chain(password).collect())
            }
            What::Grant { group } => (Verb::Update, vec![field("memberOf", None, group)]),
        };
        Self {
            verb,
            target: format!("role {}", change.role),
            fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Password, Role};
    use crate::engine::{Difference, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;
    use crate::secret::{Credential, Sensitive};

    fn found(login: bool, password: Password, member_of: &[&str]) -> Found {
        Found {
            login,
            password,
            member_of: member_of.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    #[test]
    fn the_plan_is_what_differs() {
        let role = Role {
            server: nowhere(),
            name: "lens".to_owned(),
            login: true,
            password: Some(Credential::Plain(Sensitive::new("hidden word"))),
            member_of: vec!["pg_monitor".to_owned()],
        };
        for (observed, expected) in [
            (None, "create [login password memberOf]"),
            (
                Some(found(true, Password::Same, &["pg_monitor", "x"])),
                "current",
            ),
            (
                Some(found(true, Password::Unknown, &["pg_monitor"])),
                "current",
            ),
            (
                Some(found(false, Password::Same, &["pg_monitor"])),
                "update [login]",
            ),
            (
                Some(found(true, Password::Other, &["pg_monitor"])),
                "update [password]",
            ),
            (
                Some(found(false, Password::Other, &[])),
                "update [login password], update [memberOf]",
            ),
        ] {
            let plan = role.plan(&observed).expect("a plan");
            assert!(!format!("{plan:?}").contains("hidden word"));
            assert_eq!(said(plan), expected, "{observed:?}");
        }
    }

    fn said(plan: Plan<super::Change>) -> String {
        let Plan::Change(changes) = plan else {
            return "current".to_owned();
        };
        let said = changes.into_iter().map(Difference::from).map(|change| {
            let secret = |field: &&crate::engine::FieldChange| field.path == "password";
            assert!(
                change
                    .fields
                    .iter()
                    .filter(secret)
                    .all(|field| field.sensitive)
            );
            let fields: Vec<_> = change
                .fields
                .iter()
                .map(|field| field.path.as_str())
                .collect();
            format!("{} [{}]", change.verb, fields.join(" "))
        });
        said.collect::<Vec<_>>().join(", ")
    }
}
