//! From what differs to statements, and to what people are shown of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Difference, FieldChange, Plan, Verb};

use super::super::quote;
use super::super::turn::Edit;
use super::look::Thing;
use super::{Grantee, Kind, Later, Place};

/// More things than these are counted instead of named.
const NAMED: usize = 5;

/// What differs in the same way on several things of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) missing: BTreeSet<String>,
    /// What is too much, with who has granted it.
    pub(super) extra: BTreeSet<(String, String)>,
    pub(super) held: BTreeSet<String>,
}

/// The statements of one change, and what they change.
pub(super) struct Statements<'a> {
    grantee: &'a Grantee,
    sql: Vec<String>,
    fields: Vec<FieldChange>,
    needs: BTreeSet<String>,
}

impl<'a> Statements<'a> {
    pub(super) fn new(grantee: &'a Grantee) -> Self {
        Self {
            grantee,
            sql: Vec::new(),
            fields: Vec::new(),
            needs: BTreeSet::new(),
        }
    }

    /// One statement for all things of a group, and one more for each who has granted too much.
    pub(super) fn group(&mut self, group: &Group, things: &[&Thing]) {
        let kind = group.kind.sql();
        let names: Vec<_> = things.iter().map(|thing| thing.sql.as_str()).collect();
        let objects = names.join(", ");
        let grantee = self.grantee.sql();
        if !group.missing.is_empty() {
            let missing = list(&group.missing);
            self.sql
                .push(format!("GRANT {missing} ON {kind} {objects} TO {grantee}"));
        }
        let mut extra: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (grantor, privilege) in &group.extra {
            extra.entry(grantor).or_default().push(privilege);
        }
        for (grantor, privileges) in extra {
            let privileges = privileges.join(", ");
            let revoke = format!("REVOKE {privileges} ON {kind} {objects} FROM {grantee}");
            // A privilege is taken away only by who has granted it; the owner is who we are taken
            // for anyway.
            if things.iter().all(|thing| thing.owner == grantor) {
                self.sql.push(revoke);
            } else {
                let role = quote::identifier(grantor);
                self.sql
                    .push(format!("SET LOCAL ROLE {role}; {revoke}; RESET ROLE"));
                self.needs.insert(format!("membership in role {grantor}"));
            }
        }
        for thing in things {
            self.needs
                .insert(format!("membership in role {}", thing.owner));
        }
        let extra = group.extra.iter().map(|(_, privilege)| privilege);
        let extra: BTreeSet<_> = extra.collect();
        let after = group.held.union(&group.missing);
        let after: BTreeSet<_> = after.filter(|it| !extra.contains(it)).cloned().collect();
        self.field(path(group.kind, &names), &group.held, &after);
    }

    /// Something that is not there yet, so that the server shall say so: what makes it may come
    /// before this in the same run, and then the next look finds it.
    pub(super) fn absent(&mut self, place: &Place) {
        let schema = place.schema.as_deref().unwrap_or_default();
        let whole = quote::identifier(schema);
        let (name, cast) = match (&place.object, place.kind) {
            (_, Kind::Database) => (String::new(), ""),
            (None, _) => (whole, "regnamespace"),
            (Some(name), Kind::Function) if name.contains('(') => {
                let (name, arguments) = name.split_once('(').unwrap_or((name, ""));
                let name = quote::identifier(name);
                (format!("{whole}.{name}({arguments}"), "regprocedure")
            }
            (Some(name), Kind::Function) => (qualified(&whole, name), "regproc"),
            (Some(name), Kind::Type) => (qualified(&whole, name), "regtype"),
            (Some(name), _) => (qualified(&whole, name), "regclass"),
        };
        if !cast.is_empty() {
            let name = quote::literal(&name);
            self.sql.push(format!("SELECT {name}::pg_catalog.{cast}"));
        }
        let path = match (&place.object, place.kind) {
            (Some(object), kind) => format!("{} {schema}.{object}", kind.word()),
            (None, Kind::Database) => "database".to_owned(),
            (None, Kind::Schema) => format!("schema {schema}"),
            (None, kind) => format!("all {}s in {schema}", kind.word()),
        };
        self.field(path, &BTreeSet::new(), &place.privileges);
    }

    /// The default privileges of an owner.
    pub(super) fn later(&mut self, later: &Later, held: &BTreeSet<String>, exact: bool) {
        let missing: BTreeSet<_> = later.privileges.difference(held).cloned().collect();
        let extra: BTreeSet<_> = held.difference(&later.privileges).cloned().collect();
        let extra = if exact { extra } else { BTreeSet::new() };
        let owner = quote::identifier(&later.owner);
        let place = later.schema.as_ref().map(|schema| {
            let schema = quote::identifier(schema);
            format!(" IN SCHEMA {schema}")
        });
        let subject = format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner}{}",
            place.unwrap_or_default()
        );
        let (kinds, grantee) = (format!("{}S", later.kind.sql()), self.grantee.sql());
        let before = self.sql.len();
        if !missing.is_empty() {
            let missing = list(&missing);
            self.sql
                .push(format!("{subject} GRANT {missing} ON {kinds} TO {grantee}"));
        }
        if !extra.is_empty() {
            let extra = list(&extra);
            self.sql.push(format!(
                "{subject} REVOKE {extra} ON {kinds} FROM {grantee}"
            ));
        }
        if self.sql.len() == before {
            return;
        }
        self.needs
            .insert(format!("membership in role {}", later.owner));
        let schema = later.schema.as_ref();
        let place = schema.map(|schema| format!(" in {schema}"));
        let path = format!(
            "{}s that {} makes{}",
            later.kind.word(),
            later.owner,
            place.unwrap_or_default()
        );
        let after = held.union(&missing).filter(|it| !extra.contains(*it));
        let after: BTreeSet<_> = after.cloned().collect();
        self.field(path, held, &after);
    }

    fn field(&mut self, path: String, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let said =
            |privileges: &BTreeSet<String>| (!privileges.is_empty()).then(|| list(privileges));
        self.fields.push(FieldChange {
            path,
            before: said(before),
            after: said(after),
            sensitive: false,
        });
    }

    /// All of it is one change, in one transaction.
    pub(super) fn plan(self, database: &str) -> Plan<Edit> {
        if self.fields.is_empty() {
            return Plan::Current;
        }
        let needs: Vec<_> = self.needs.into_iter().collect();
        Plan::Change(vec![Edit {
            summary: "GRANT",
            sql: self.sql.join("; "),
            needs: needs.join(", "),
            difference: Difference {
                verb: Verb::Update,
                target: format!("grants of {} in {database}", self.grantee.name()),
                fields: self.fields,
            },
        }])
    }
}

fn list(privileges: &BTreeSet<String>) -> String {
    let privileges: Vec<_> = privileges.iter().map(String::as_str).collect();
    privileges.join(", ")
}

fn qualified(schema: &str, name: &str) -> String {
    format!("{schema}.{}", quote::identifier(name))
}

/// `tables lens.a, lens.b and 3 more`
fn path(kind: Kind, names: &[&str]) -> String {
    let word = kind.word();
    match names {
        [name] => format!("{word} {name}"),
        names => {
            let shown = names[..names.len().min(NAMED)].join(", ");
            let more = names.len().saturating_sub(NAMED);
            let more = (more > 0).then(|| format!(" and {more} more"));
            format!("{word}s {shown}{}", more.unwrap_or_default())
        }
    }
}
