//! What a role may do with the things in a database, privilege by privilege.
//!
//! The catalog says who may do what (`aclexplode`), so a grant is compared before it is given, and
//! a second run writes nothing. Things that are there are granted one by one; what its owner makes
//! later gets its rights from the default privileges of that owner.

mod change;
mod look;
mod place;

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Plan, Resource};

pub use place::{Grantee, Kind, Later, Place};

use super::client::Server;
use super::error::Error;
use super::quote;
use super::turn::Edit;
use change::{Group, Statements};
use look::Thing;

/// The rights of one role in one database.
#[derive(Debug, Clone)]
pub struct Grants {
    /// Where it is.
    pub server: Server,
    /// In which database.
    pub database: String,
    /// Whose rights.
    pub grantee: Grantee,
    /// Whether what it has beyond these rights, in the places that are named, is taken away.
    pub exact: bool,
    /// Its rights on what is there.
    pub on: Vec<Place>,
    /// Its rights on what is made later.
    pub later: Vec<Later>,
}

/// What is known of the database and the role in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Whether the database is there.
    database: bool,
    /// Who we are.
    user: String,
    things: Vec<Thing>,
    /// Owner, schema (empty for all) and kind → what the default gives the role.
    defaults: BTreeMap<(String, String, Kind), BTreeSet<String>>,
}

impl Resource for Grants {
    type Observed = Observed;
    type Change = Edit;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let Some(mut session) = self.server.session_if_any(&self.database).await? else {
            return Ok(Observed::default());
        };
        let schemas: BTreeSet<_> = self.on.iter().filter_map(|it| it.schema.as_ref()).collect();
        let found = look::look(&mut session, &self.grantee, &schemas).await?;
        Ok(found)
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Edit>, Error> {
        self.check()?;
        let mut statements = Statements::new(&self.grantee);
        let mut groups: BTreeMap<Group, Vec<&Thing>> = BTreeMap::new();
        for place in &self.on {
            let mut any = false;
            for thing in self.in_place(place, &observed.things) {
                any = true;
                if let Some(group) = self.group(place, thing) {
                    thing.check_ours(&observed.user)?;
                    groups.entry(group).or_default().push(thing);
                }
            }
            if !any && is_missed(place, observed) {
                statements.absent(place);
            }
        }
        for (group, things) in &groups {
            statements.group(group, things);
        }
        for later in &self.later {
            let held = observed.held_later(&self.grantee, later);
            statements.later(later, &held, self.exact);
        }
        Ok(statements.plan(&self.database))
    }

    async fn apply(&self, change: Edit) -> Result<(), Error> {
        change.make_in(&self.server, &self.database).await
    }
}

impl Grants {
    fn check(&self) -> Result<(), Error> {
        if let Grantee::Role(role) = &self.grantee {
            quote::check("role", role)?;
        }
        let places = self.on.iter().map(|it| (it.kind, &it.privileges));
        let later = self.later.iter().map(|it| (it.kind, &it.privileges));
        for (kind, privileges) in places.chain(later) {
            kind.check(privileges)?;
        }
        Ok(())
    }

    /// What is meant by a place. Of everything in a schema those are left out that have a place of
    /// their own, and those that belong to an extension.
    fn in_place<'a>(
        &'a self,
        place: &'a Place,
        things: &'a [Thing],
    ) -> impl Iterator<Item = &'a Thing> {
        things.iter().filter(move |thing| {
            place.kind == thing.kind
                && place.schema == thing.schema
                && match &place.object {
                    Some(name) => thing.is_called(name),
                    None => !thing.is_member && !self.has_own_place(thing),
                }
        })
    }

    fn has_own_place(&self, thing: &Thing) -> bool {
        self.on.iter().any(|place| {
            let names = place.object.as_ref();
            place.kind == thing.kind
                && place.schema == thing.schema
                && names.is_some_and(|name| thing.is_called(name))
        })
    }

    /// What is missing and what is too much on a thing; none if nothing is.
    fn group(&self, place: &Place, thing: &Thing) -> Option<Group> {
        let wanted = |privilege: &String| place.privileges.contains(privilege);
        let missing = place.privileges.iter();
        let missing = missing.filter(|privilege| !thing.held.contains_key(*privilege));
        let exact = self.exact && !thing.is_own;
        let extra = thing
            .held
            .iter()
            .filter(|(privilege, _)| exact && !wanted(privilege));
        let extra = extra.flat_map(|(privilege, grantors)| {
            grantors
                .iter()
                .map(|grantor| (grantor.clone(), privilege.clone()))
        });
        let group = Group {
            kind: place.kind,
            missing: missing.cloned().collect(),
            extra: extra.collect(),
            held: thing.held.keys().cloned().collect(),
        };
        (!group.missing.is_empty() || !group.extra.is_empty()).then_some(group)
    }
}

/// Whether a place in which nothing was found means that something is missing: not the tables of
/// a schema that has none yet.
fn is_missed(place: &Place, observed: &Observed) -> bool {
    let is_there = |schema: &String| {
        let of_schema =
            |thing: &Thing| thing.kind == Kind::Schema && thing.schema.as_ref() == Some(schema);
        observed.things.iter().any(of_schema)
    };
    let empty = place.object.is_none() && place.schema.as_ref().is_some_and(is_there);
    !place.privileges.is_empty() && (!observed.database || !empty)
}

impl Observed {
    /// What the default privileges of an owner give. Where none are on record, everybody may
    /// execute new functions and use new types.
    fn held_later(&self, grantee: &Grantee, later: &Later) -> BTreeSet<String> {
        let schema = later.schema.clone().unwrap_or_default();
        let key = (later.owner.clone(), schema, later.kind);
        if let Some(held) = self.defaults.get(&key) {
            return held.clone();
        }
        let everywhere = later.schema.is_none() && *grantee == Grantee::Public;
        let built_in = match later.kind {
            Kind::Function if everywhere => &["EXECUTE"][..],
            Kind::Type if everywhere => &["USAGE"],
            _ => &[],
        };
        built_in
            .iter()
            .map(|&privilege| privilege.to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests;
