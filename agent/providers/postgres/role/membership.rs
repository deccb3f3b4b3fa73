//! What a role is a member of, and how.

use std::collections::BTreeMap;

use crate::engine::FieldChange;

use super::super::client::Row;
use super::super::conflict::Conflict;
use super::super::error::Error;
use super::super::quote;

/// The first version of the server with `INHERIT` and `SET` for each membership.
pub(super) const WITH_OPTIONS: u32 = 16;

/// A role that another is a member of. An option that is not said is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// The role it is a member of.
    pub role: String,
    /// Whether it may give the membership to others.
    pub admin: Option<bool>,
    /// Whether it has the rights of the role without asking for them; from Postgres 16.
    pub inherit: Option<bool>,
    /// Whether it may become the role by `SET ROLE`; from Postgres 16.
    pub set: Option<bool>,
}

/// A membership as the catalog has it, whoever has granted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) admin: bool,
    /// None before Postgres 16.
    pub(super) inherit: Option<bool>,
    pub(super) set: Option<bool>,
}

/// Four lists in one order; a row of the catalog is read as a document, because older servers do
/// not have all of its columns.
pub(super) const COLUMNS: &str = "\
coalesce(membership.roles, '{}'), coalesce(membership.admin, '{}'), \
coalesce(membership.inherit, '{}'), coalesce(membership.set, '{}')";

pub(super) const JOIN: &str = "\
LEFT JOIN LATERAL ( \
    SELECT array_agg(held.role ORDER BY held.role) AS roles, \
           array_agg(held.admin ORDER BY held.role) AS admin, \
           array_agg(held.inherit ORDER BY held.role) AS inherit, \
           array_agg(held.set ORDER BY held.role) AS set \
    FROM (SELECT pg_get_userbyid(roleid)::text AS role, bool_or(admin_option) AS admin, \
                 bool_or((to_jsonb(one) ->> 'inherit_option')::boolean) AS inherit, \
                 bool_or((to_jsonb(one) ->> 'set_option')::boolean) AS set \
          FROM pg_auth_members AS one WHERE member = pg_roles.oid GROUP BY roleid) AS held \
) AS membership ON true";

pub(super) fn read(row: &Row, first: usize) -> Result<BTreeMap<String, Held>, Error> {
    let roles: Vec<String> = row.get(first)?;
    let admin: Vec<bool> = row.get(first + 1)?;
    let inherit: Vec<Option<bool>> = row.get(first + 2)?;
    let set: Vec<Option<bool>> = row.get(first + 3)?;
    let options = admin.into_iter().zip(inherit).zip(set);
    let held = options.map(|((admin, inherit), set)| Held {
        admin,
        inherit,
        set,
    });
    Ok(roles.into_iter().zip(held).collect())
}

/// A membership that has to be given, or given otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) group: String,
    /// `admin`, `inherit`, `set`, each as it is to be.
    options: Vec<(&'static str, bool)>,
    before: Option<Held>,
}

impl Membership {
    /// What has to be granted; `version` is the server's.
    pub(super) fn difference(
        &self,
        member: &str,
        held: Option<&Held>,
        version: u32,
    ) -> Result<Option<Grant>, Conflict> {
        let said = [
            ("admin", self.admin, held.map(|held| held.admin)),
            ("inherit", self.inherit, held.and_then(|held| held.inherit)),
            ("set", self.set, held.and_then(|held| held.set)),
        ];
        let too_new = said[1..].iter().find(|(_, wanted, _)| wanted.is_some());
        if let Some(&(option, ..)) = too_new.filter(|_| version < WITH_OPTIONS) {
            return Err(Conflict::NoSuchOption {
                role: member.to_owned(),
                group: self.role.clone(),
                option,
                has: version,
            });
        }
        let differing = said.into_iter().filter(|(_, wanted, has)| wanted != has);
        let options: Vec<_> = differing
            .filter_map(|(option, wanted, _)| Some((option, wanted?)))
            // A new membership may not be handed on, unless that is said.
            .filter(|option| held.is_some() || *option != ("admin", false))
            .collect();
        if held.is_some() && options.is_empty() {
            return Ok(None);
        }
        Ok(Some(Grant {
            group: self.role.clone(),
            options,
            before: held.copied(),
        }))
    }
}

impl Grant {
    pub(super) fn sql(&self, member: &str) -> String {
        let (group, member) = (quote::identifier(&self.group), quote::identifier(member));
        let mut statements = Vec::new();
        let said = |(option, is_set): &(&str, bool)| format!("{} {is_set}", option.to_uppercase());
        let takes_admin = self.options.contains(&("admin", false));
        if takes_admin {
            statements.push(format!("REVOKE ADMIN OPTION FOR {group} FROM {member}"));
        }
        let rest: Vec<_> = self
            .options
            .iter()
            .filter(|option| **option != ("admin", false))
            .collect();
        let with = match rest.as_slice() {
            [] => String::new(),
            // The one form that all versions know.
            [("admin", true)] => " WITH ADMIN OPTION".to_owned(),
            options => {
                let options: Vec<_> = options.iter().map(|option| said(option)).collect();
                format!(" WITH {}", options.join(", "))
            }
        };
        if !rest.is_empty() || !takes_admin {
            statements.push(format!("GRANT {group} TO {member}{with}"));
        }
        statements.join("; ")
    }

    /// One field for the membership, and one for each option.
    pub(super) fn fields(&self) -> Vec<FieldChange> {
        let before = |option: &str| match option {
            "admin" => self.before.map(|held| held.admin),
            "inherit" => self.before.and_then(|held| held.inherit),
            _ => self.before.and_then(|held| held.set),
        };
        let whole = self.before.is_none().then(|| FieldChange {
            path: "memberOf".to_owned(),
            before: None,
            after: Some(self.group.clone()),
            sensitive: false,
        });
        let options = self.options.iter().map(|(option, after)| FieldChange {
            path: format!("memberOf.{}.{option}", self.group),
            before: before(option).map(|before| before.to_string()),
            after: Some(after.to_string()),
            sensitive: false,
        });
        whole.into_iter().chain(options).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Conflict, Held, Membership};

    fn sql(wanted: &Membership, held: Option<Held>, version: u32) -> String {
        match wanted.difference("r", held.as_ref(), version) {
            Ok(Some(grant)) => grant.sql("r"),
            Ok(None) => "current".to_owned(),
            Err(conflict) => conflict.to_string(),
        }
    }

    #[test]
    fn a_membership_is_given_with_what_is_said_of_it() {
        let plain = Membership {
            role: "g".to_owned(),
            ..Membership::default()
        };
        let admin = |is_set| Membership {
            admin: Some(is_set),
            ..plain.clone()
        };
        let quiet = Membership {
            inherit: Some(false),
            set: Some(true),
            ..plain.clone()
        };
        let held = |admin| Held {
            admin,
            inherit: Some(true),
            set: Some(true),
        };
        for (wanted, has, version, expected) in [
            (&plain, None, 15, r#"GRANT "g" TO "r""#),
            (&plain, Some(held(true)), 16, "current"),
            (
                &admin(true),
                None,
                15,
                r#"GRANT "g" TO "r" WITH ADMIN OPTION"#,
            ),
            (&admin(true), Some(held(true)), 16, "current"),
            (&admin(false), None, 15, r#"GRANT "g" TO "r""#),
            (
                &admin(false),
                Some(held(true)),
                15,
                r#"REVOKE ADMIN OPTION FOR "g" FROM "r""#,
            ),
            (
                &quiet,
                None,
                17,
                r#"GRANT "g" TO "r" WITH INHERIT false, SET true"#,
            ),
            (
                &quiet,
                Some(held(false)),
                16,
                r#"GRANT "g" TO "r" WITH INHERIT false"#,
            ),
        ] {
            assert_eq!(sql(wanted, has, version), expected, "{wanted:?} {has:?}");
        }
        let conflict = quiet.difference("r", None, 15);
        assert!(
            matches!(conflict, Err(Conflict::NoSuchOption { option, .. }) if option == "inherit")
        );
    }
}
