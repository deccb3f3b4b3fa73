//! What a role may do by itself, whatever it is granted.

use std::collections::BTreeMap;

use crate::engine::FieldChange;

use super::super::client::Row;
use super::super::conflict::Conflict;
use super::super::error::Error;
use super::super::quote;

/// A right of a role that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// May log in.
    Login,
    /// May do everything.
    Superuser,
    /// May create databases.
    CreateDb,
    /// May create roles.
    CreateRole,
    /// Has the rights of the roles that it is a member of without asking for them.
    Inherit,
    /// May replicate.
    Replication,
    /// Policies of rows do not bind it.
    BypassRls,
}

impl Flag {
    /// All of them, in the order in which the catalog is asked for them.
    pub const ALL: [Self; 7] = [
        Self::Login,
        Self::Superuser,
        Self::CreateDb,
        Self::CreateRole,
        Self::Inherit,
        Self::Replication,
        Self::BypassRls,
    ];

    /// The key in a bundle.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Superuser => "superuser",
            Self::CreateDb => "createDb",
            Self::CreateRole => "createRole",
            Self::Inherit => "inherit",
            Self::Replication => "replication",
            Self::BypassRls => "bypassRls",
        }
    }

    /// The word in SQL; with `NO` before it, the right is taken away.
    fn word(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Superuser => "SUPERUSER",
            Self::CreateDb => "CREATEDB",
            Self::CreateRole => "CREATEROLE",
            Self::Inherit => "INHERIT",
            Self::Replication => "REPLICATION",
            Self::BypassRls => "BYPASSRLS",
        }
    }

    fn clause(self, is_set: bool) -> String {
        let no = if is_set { "" } else { "NO" };
        format!("{no}{}", self.word())
    }
}

/// What a role is to be like. What is not said is left alone; a new role has Postgres' defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Its rights.
    pub flags: BTreeMap<Flag, bool>,
    /// How many sessions it may have at once.
    pub connection_limit: Option<u32>,
    /// The moment after which its password does not count, as Postgres reads it; `infinity`.
    pub valid_until: Option<String>,
}

/// The columns of `pg_roles` that [`Found::read`] takes; `$2` is the wanted `valid_until` or empty.
pub(super) const COLUMNS: &str = "\
ARRAY[rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolinherit, rolreplication, rolbypassrls], \
rolconnlimit, \
rolvaliduntil::text, \
rolvaliduntil IS NOT DISTINCT FROM nullif($2, '')::timestamptz";

/// What a role is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) flags: BTreeMap<Flag, bool>,
    pub(super) connection_limit: i32,
    pub(super) valid_until: Option<String>,
    /// Whether that is the wanted moment, however it is written.
    pub(super) same_moment: bool,
}

impl Found {
    pub(super) fn read(row: &Row, first: usize) -> Result<Self, Error> {
        let flags: Vec<bool> = row.get(first)?;
        Ok(Self {
            flags: Flag::ALL.into_iter().zip(flags).collect(),
            connection_limit: row.get(first + 1)?,
            valid_until: row.get(first + 2)?,
            same_moment: row.get(first + 3)?,
        })
    }
}

/// One attribute that has to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    /// The key in a bundle.
    pub(super) key: &'static str,
    before: Option<String>,
    after: String,
    /// `NOLOGIN`, `CONNECTION LIMIT 3`
    pub(super) sql: String,
}

impl Clause {
    pub(super) fn field(&self) -> FieldChange {
        FieldChange {
            path: self.key.to_owned(),
            before: self.before.clone(),
            after: Some(self.after.clone()),
            sensitive: false,
        }
    }
}

impl Attributes {
    /// What has to be set; none is found of a role that is not there.
    pub(super) fn differences(
        &self,
        role: &str,
        found: Option<&Found>,
    ) -> Result<Vec<Clause>, Conflict> {
        let has = |flag| found.and_then(|found| found.flags.get(&flag)).copied();
        if has(Flag::Superuser) == Some(true) && !self.flags.contains_key(&Flag::Superuser) {
            let role = role.to_owned();
            return Err(Conflict::Superuser { role });
        }
        let mut clauses: Vec<_> = self
            .flags
            .iter()
            .filter(|(flag, wanted)| has(**flag) != Some(**wanted))
            .map(|(&flag, &wanted)| Clause {
                key: flag.key(),
                before: has(flag).map(|has| has.to_string()),
                after: wanted.to_string(),
                sql: flag.clause(wanted),
            })
            .collect();
        clauses.extend(self.limit(found));
        clauses.extend(self.moment(found));
        Ok(clauses)
    }

    fn limit(&self, found: Option<&Found>) -> Option<Clause> {
        let wanted = self.connection_limit?;
        let has = found.map(|found| found.connection_limit);
        (has != Some(wanted.cast_signed())).then(|| Clause {
            key: "connectionLimit",
            before: has.filter(|has| *has >= 0).map(|has| has.to_string()),
            after: wanted.to_string(),
            sql: format!("CONNECTION LIMIT {wanted}"),
        })
    }

    fn moment(&self, found: Option<&Found>) -> Option<Clause> {
        let wanted = self.valid_until.as_ref()?;
        let same = found.is_some_and(|found| found.same_moment);
        (!same).then(|| Clause {
            key: "validUntil",
            before: found.and_then(|found| found.valid_until.clone()),
            after: wanted.clone(),
            sql: format!("VALID UNTIL {}", quote::literal(wanted)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Attributes, Conflict, Flag, Found};

    fn found(set: &[Flag]) -> Found {
        let flags = Flag::ALL.map(|flag| (flag, set.contains(&flag)));
        Found {
            flags: flags.into(),
            connection_limit: -1,
            valid_until: None,
            same_moment: false,
        }
    }

    fn sql(wanted: &Attributes, found: Option<&Found>) -> String {
        let clauses = wanted.differences("r", found).expect("no conflict");
        let clauses: Vec<_> = clauses.into_iter().map(|clause| clause.sql).collect();
        clauses.join(" ")
    }

    #[test]
    fn what_is_not_said_is_left_alone() {
        let wanted = Attributes {
            flags: BTreeMap::from([(Flag::Login, true), (Flag::Inherit, false)]),
            connection_limit: Some(5),
            valid_until: Some("2030-01-01 00:00Z".to_owned()),
        };
        let all = "LOGIN NOINHERIT CONNECTION LIMIT 5 VALID UNTIL '2030-01-01 00:00Z'";
        assert_eq!(sql(&wanted, None), all);
        let has = Found {
            connection_limit: 5,
            same_moment: true,
            ..found(&[Flag::Login, Flag::CreateDb])
        };
        assert_eq!(sql(&wanted, Some(&has)), "");
        let has = Found {
            connection_limit: 5,
            same_moment: true,
            ..found(&[Flag::Inherit])
        };
        assert_eq!(sql(&wanted, Some(&has)), "LOGIN NOINHERIT");
    }

    #[test]
    fn nobody_becomes_or_stays_a_superuser_by_silence() {
        let silent = Attributes::default();
        let all = found(&[Flag::Superuser]);
        let conflict = silent.differences("r", Some(&all));
        let role = "r".to_owned();
        assert_eq!(conflict, Err(Conflict::Superuser { role }));
        assert_eq!(sql(&silent, None), "");
        let said = |is_set| Attributes {
            flags: BTreeMap::from([(Flag::Superuser, is_set)]),
            ..Attributes::default()
        };
        assert_eq!(sql(&said(true), Some(&all)), "");
        assert_eq!(sql(&said(false), Some(&all)), "NOSUPERUSER");
        assert_eq!(sql(&said(true), None), "SUPERUSER");
    }
}
