//! A role: what it may do, with which password, what it is a member of, and how its sessions begin.

mod attributes;
mod membership;

use std::collections::BTreeMap;

use crate::engine::{Difference, FieldChange, Plan, Resource, Verb, Waiting};
use crate::secret::{Credential, Sensitive};

pub use attributes::{Attributes, Flag};
pub use membership::Membership;

use super::client::{Row, Server, Session};
use super::error::Error;
use super::parameters::{self, Parameter};
use super::quote;
use super::scram::Verifier;
use super::turn::in_turn;
use attributes::Clause;
use membership::{Grant, Held};

/// A role. What it has beyond this (attributes, other memberships, settings) is left alone.
#[derive(Debug, Clone)]
pub struct Role {
    /// Where it is.
    pub server: Server,
    /// Its name.
    pub name: String,
    /// Who makes it and keeps it, if that is not us; then it must only be there.
    pub managed_by: Option<String>,
    /// What it may do.
    pub attributes: Attributes,
    /// Its password; none leaves that as it is.
    pub password: Option<Credential>,
    /// The roles that it is at least a member of.
    pub member_of: Vec<Membership>,
    /// The parameters that its sessions begin with, in every database.
    pub settings: BTreeMap<String, String>,
}

/// What is known of the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The major version of the server.
    version: u32,
    found: Option<Found>,
}

/// A role as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    attributes: attributes::Found,
    password: Password,
    member_of: BTreeMap<String, Held>,
    settings: Vec<String>,
}

/// What can be said of a password without knowing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Password {
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
    /// The major version of the server.
    version: u32,
    is_new: bool,
    clauses: Vec<Clause>,
    password: bool,
    grants: Vec<Grant>,
    settings: Vec<Parameter>,
}

impl Resource for Role {
    type Observed = Observed;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let mut session = self.server.session(self.server.maintenance()).await?;
        let sql = format!(
            "SELECT current_setting('server_version_num')::int / 10000, pg_roles.oid IS NOT NULL, \
                    has_table_privilege('pg_authid', 'SELECT'), coalesce(settings.setconfig, '{{}}'), \
                    {attributes}, {memberships} \
             FROM (VALUES ($1)) AS wanted (name) \
             LEFT JOIN pg_roles ON rolname = wanted.name \
             LEFT JOIN pg_db_role_setting AS settings ON setrole = pg_roles.oid AND setdatabase = 0 \
             {join}",
            attributes = attributes::COLUMNS,
            memberships = membership::COLUMNS,
            join = membership::JOIN,
        );
        let moment = self.attributes.valid_until.as_deref().unwrap_or_default();
        let row = session
            .query_one("SELECT pg_roles", &sql, &[&self.name, moment])
            .await?;
        let version: i32 = row.get(0)?;
        let found = if row.get(1)? {
            Some(self.found(&mut session, &row).await?)
        } else {
            None
        };
        Ok(Observed {
            version: version.unsigned_abs(),
            found,
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Change>, Error> {
        quote::check("role", &self.name)?;
        if let Some(manager) = &self.managed_by {
            return Ok(match observed.found {
                Some(_) => Plan::Current,
                None => Plan::InProgress(Waiting::unavailable(format!(
                    "role {} does not exist yet: {manager} makes it",
                    self.name
                ))),
            });
        }
        let change = self.change(observed)?;
        if change.is_empty() {
            return Ok(Plan::Current);
        }
        Ok(Plan::Change(vec![change]))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let password = self.password_clause(change.password).await?;
        let sql = change.sql(password);
        let summary = change.summary();
        let done = in_turn(&self.server, self.server.maintenance(), summary, &sql).await;
        done.map_err(|error| error.or_faster().needing(change.right()))
    }
}

impl Role {
    /// A role of which only the name is said.
    #[must_use]
    pub fn new(server: Server, name: impl Into<String>) -> Self {
        Self {
            server,
            name: name.into(),
            managed_by: None,
            attributes: Attributes::default(),
            password: None,
            member_of: Vec::new(),
            settings: BTreeMap::new(),
        }
    }

    async fn found(&self, session: &mut Session, row: &Row) -> Result<Found, Error> {
        let password = match &self.password {
            Some(wanted) if row.get(2)? => self.compare(session, wanted).await?,
            _ => Password::Unknown,
        };
        Ok(Found {
            settings: row.get(3)?,
            attributes: attributes::Found::read(row, 4)?,
            member_of: membership::read(row, 8)?,
            password,
        })
    }

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

    fn change(&self, observed: &Observed) -> Result<Change, Error> {
        let found = observed.found.as_ref();
        let attributes = found.map(|found| &found.attributes);
        let mut grants = Vec::new();
        for membership in &self.member_of {
            let held = found.and_then(|found| found.member_of.get(&membership.role));
            grants.extend(membership.difference(&self.name, held, observed.version)?);
        }
        let stored = found.map_or(&[][..], |found| &found.settings);
        Ok(Change {
            role: self.name.clone(),
            version: observed.version,
            is_new: found.is_none(),
            clauses: self.attributes.differences(&self.name, attributes)?,
            password: match found {
                None => self.password.is_some(),
                Some(found) => found.password == Password::Other,
            },
            grants,
            settings: parameters::differing(&self.settings, stored),
        })
    }

    /// What is sent is the verifier: the password itself never stands in a statement or a log.
    async fn password_clause(&self, wanted: bool) -> Result<Option<String>, Error> {
        match &self.password {
            Some(password) if wanted => {
                let password: Sensitive = self.server.resolve(password).await?;
                let verifier = Verifier::new(password.expose()).to_string();
                Ok(Some(format!("PASSWORD {}", quote::literal(&verifier))))
            }
            _ => Ok(None),
        }
    }
}

impl Change {
    fn is_empty(&self) -> bool {
        let parts = [
            self.clauses.is_empty(),
            self.grants.is_empty(),
            self.settings.is_empty(),
        ];
        !self.is_new && !self.password && parts == [true; 3]
    }

    fn summary(&self) -> &'static str {
        if self.is_new {
            "CREATE ROLE"
        } else if self.clauses.is_empty() && !self.password && self.settings.is_empty() {
            "GRANT role"
        } else {
            "ALTER ROLE"
        }
    }

    /// All of it in one transaction. A role that another session makes at the same time is found
    /// by the next look: of two at once one has 42710, or 23505 from the catalog's own index.
    fn sql(&self, password: Option<String>) -> String {
        let role = quote::identifier(&self.role);
        let clauses = self.clauses.iter().map(|clause| clause.sql.clone());
        let clauses: Vec<_> = clauses.chain(password).collect();
        let attributes = clauses.join(" ");
        let mut statements = Vec::new();
        if self.is_new {
            let body = format!(
                "BEGIN CREATE ROLE {role} {attributes}; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END"
            );
            statements.push(format!("DO {}", quote::literal(&body)));
        } else if !clauses.is_empty() {
            statements.push(format!("ALTER ROLE {role} {attributes}"));
        }
        statements.extend(self.grants.iter().map(|grant| grant.sql(&self.role)));
        let subject = format!("ALTER ROLE {role}");
        statements.extend(self.settings.iter().map(|setting| setting.sql(&subject)));
        statements.join("; ")
    }

    /// The rights that all of it takes of somebody who is no superuser. Before Postgres 16 who may
    /// create roles may do as he likes with all of them but superusers.
    fn right(&self) -> String {
        let only_grants = self.summary() == "GRANT role";
        let mut rights = Vec::new();
        if !only_grants || self.version < membership::WITH_OPTIONS {
            rights.push("CREATEROLE".to_owned());
        }
        if self.version >= membership::WITH_OPTIONS {
            let own = (!self.is_new && !only_grants).then_some(self.role.as_str());
            let groups = self.grants.iter().map(|grant| grant.group.as_str());
            let roles: Vec<_> = own.into_iter().chain(groups).collect();
            if !roles.is_empty() {
                rights.push(format!("ADMIN OPTION on role {}", roles.join(", ")));
            }
        }
        let keys = self.clauses.iter().map(|clause| clause.key);
        let own: Vec<_> = keys
            .filter(|key| ["superuser", "replication", "bypassRls", "createDb"].contains(key))
            .collect();
        if !own.is_empty() {
            rights.push(format!("{} itself, or a superuser", own.join(", ")));
        }
        rights.join(", and ")
    }
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        let hidden = || Some("(sensitive)".to_owned());
        let mut fields: Vec<_> = change.clauses.iter().map(Clause::field).collect();
        fields.extend(change.password.then(|| FieldChange {
            path: "password".to_owned(),
            before: hidden().filter(|_| !change.is_new),
            after: hidden(),
            sensitive: true,
        }));
        fields.extend(change.grants.iter().flat_map(Grant::fields));
        fields.extend(change.settings.iter().map(|it| it.field("settings")));
        Self {
            verb: if change.is_new {
                Verb::Create
            } else {
                Verb::Update
            },
            target: format!("role {}", change.role),
            fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Attributes, Flag, Found, Held, Membership, Observed, Password, Role, attributes};
    use crate::engine::{Difference, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;
    use crate::secret::{Credential, Sensitive};

    fn found(login: bool, password: Password, member_of: &[&str]) -> Observed {
        let flags = Flag::ALL.map(|flag| (flag, login && flag == Flag::Login));
        let held = |group: &&str| ((*group).to_owned(), Held::default());
        Observed {
            version: 15,
            found: Some(Found {
                attributes: attributes::Found {
                    flags: flags.into(),
                    connection_limit: -1,
                    ..attributes::Found::default()
                },
                password,
                member_of: member_of.iter().map(held).collect(),
                settings: vec!["work_mem=4MB".to_owned()],
            }),
        }
    }

    fn role() -> Role {
        Role {
            attributes: Attributes {
                flags: BTreeMap::from([(Flag::Login, true)]),
                ..Attributes::default()
            },
            password: Some(Credential::Plain(Sensitive::new("hidden word"))),
            member_of: vec![Membership {
                role: "pg_monitor".to_owned(),
                ..Membership::default()
            }],
            settings: BTreeMap::from([("work_mem".to_owned(), "4MB".to_owned())]),
            ..Role::new(nowhere(), "lens")
        }
    }

    const ABSENT: Observed = Observed {
        version: 15,
        found: None,
    };

    #[test]
    fn the_plan_is_what_differs() {
        for (observed, expected) in [
            (ABSENT, "create [login password memberOf settings.work_mem]"),
            (found(true, Password::Same, &["pg_monitor", "x"]), "current"),
            (found(true, Password::Unknown, &["pg_monitor"]), "current"),
            (
                found(false, Password::Same, &["pg_monitor"]),
                "update [login]",
            ),
            (
                found(true, Password::Other, &["pg_monitor"]),
                "update [password]",
            ),
            (
                found(false, Password::Other, &[]),
                "update [login password memberOf]",
            ),
        ] {
            let plan = role().plan(&observed).expect("a plan");
            assert!(!format!("{plan:?}").contains("hidden word"));
            assert_eq!(said(plan), expected, "{observed:?}");
        }
    }

    #[test]
    fn the_role_of_others_must_only_be_there() {
        let theirs = Role {
            managed_by: Some("pgo".to_owned()),
            ..role()
        };
        let plan = theirs.plan(&found(false, Password::Other, &[]));
        assert_eq!(said(plan.expect("a plan")), "current");
        let Ok(Plan::InProgress(waiting)) = theirs.plan(&ABSENT) else {
            panic!("it is waited for");
        };
        assert_eq!(waiting.what, "role lens does not exist yet: pgo makes it");
    }

    #[test]
    fn the_rights_are_those_of_what_is_done() {
        let right = |version, observed| {
            let observed = Observed {
                version,
                ..observed
            };
            match role().plan(&observed).expect("a plan") {
                Plan::Change(changes) => changes[0].right(),
                _ => "none".to_owned(),
            }
        };
        let altered = || found(false, Password::Same, &["pg_monitor"]);
        let joined = || found(true, Password::Same, &[]);
        for (version, observed, expected) in [
            (15, ABSENT, "CREATEROLE"),
            (15, joined(), "CREATEROLE"),
            (
                16,
                ABSENT,
                "CREATEROLE, and ADMIN OPTION on role pg_monitor",
            ),
            (16, altered(), "CREATEROLE, and ADMIN OPTION on role lens"),
            (16, joined(), "ADMIN OPTION on role pg_monitor"),
        ] {
            assert_eq!(right(version, observed), expected);
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
