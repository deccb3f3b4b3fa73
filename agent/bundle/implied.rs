//! Needs that nobody has to write, because they follow from what the steps of a phase are: a
//! database comes after its owner, a role after its Secret, a migration after its database, rights
//! after the tables.

use std::collections::HashMap;

use super::needs::flat;
use super::{Action, Body, Node};
use crate::secret::Credential;

/// What a step makes or asks for.
#[derive(PartialEq, Eq, Hash)]
enum Thing<'a> {
    Secret(&'a str),
    Role(&'a str),
    Database(&'a str),
    /// What is in a database.
    Tables(&'a str),
}

/// The implied needs, by the id of the step of a phase.
pub(super) fn needs(phases: &[Node]) -> HashMap<String, Vec<String>> {
    phases.iter().flat_map(in_phase).collect()
}

fn in_phase(phase: &Node) -> Vec<(String, Vec<String>)> {
    let Body::Group(steps) = &phase.body else {
        return Vec::new();
    };
    let mut makers: HashMap<_, Vec<_>> = HashMap::new();
    for step in steps {
        for action in actions(step) {
            if let Some(thing) = made(action) {
                makers.entry(thing).or_default().push(step.id.as_str());
            }
        }
    }
    let wants = |step: &Node| {
        let wanted = actions(step).flat_map(wanted);
        let makers = wanted.filter_map(|thing| makers.get(&thing));
        let others = makers.flatten().filter(|maker| **maker != step.id);
        let others = others.copied();
        let mut ids: Vec<String> = others.map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        (step.id.clone(), ids)
    };
    steps.iter().map(wants).collect()
}

fn actions(step: &Node) -> impl Iterator<Item = &Action> {
    flat(std::slice::from_ref(step)).filter_map(|node| match &node.body {
        Body::Step(step) => Some(&step.action),
        Body::Group(_) => None,
    })
}

fn made(action: &Action) -> Option<Thing<'_>> {
    match action {
        Action::Secret(secret) => Some(Thing::Secret(&secret.name)),
        Action::Role(role) => Some(Thing::Role(&role.name)),
        Action::Database(database) => Some(Thing::Database(&database.name)),
        Action::Migrations(migrations) => Some(Thing::Tables(&migrations.database)),
        _ => None,
    }
}

fn wanted(action: &Action) -> Vec<Thing<'_>> {
    match action {
        Action::Role(role) => {
            let secret = match &role.password {
                Some(Credential::Secret(reference)) => Some(Thing::Secret(&reference.secret)),
                Some(Credential::Plain(_)) | None => None,
            };
            let groups = role.member_of.iter().map(|group| Thing::Role(&group.role));
            groups.chain(secret).collect()
        }
        Action::Database(database) => {
            let roles = database.owner.iter().chain(database.role_settings.keys());
            roles.map(|role| Thing::Role(role)).collect()
        }
        Action::Schema(schema) => {
            let owner = schema.owner.iter().map(|owner| Thing::Role(owner));
            owner.chain([Thing::Database(&schema.database)]).collect()
        }
        Action::Extension(extension) => vec![Thing::Database(&extension.database)],
        Action::Migrations(migrations) => {
            let owner = migrations.owner.iter().map(|owner| Thing::Role(owner));
            let database = Thing::Database(&migrations.database);
            owner.chain([database]).collect()
        }
        Action::Grants(grants) => {
            let database = &grants.database;
            let owners = grants.default.iter().map(|default| &default.owner);
            let roles = grants.role.iter().chain(owners);
            let roles = roles.map(|role| Thing::Role(role));
            let places = [Thing::Database(database), Thing::Tables(database)];
            roles.chain(places).collect()
        }
        _ => Vec::new(),
    }
}
