//! Needs that nobody has to write, because they follow from what the steps of a phase are: a
//! database comes after its owner, a role after its Secret, a migration after its database.

use std::collections::HashMap;

use super::needs::flat;
use super::{Action, Body, Node, Role};
use crate::secret::Credential;

/// What a step makes or asks for.
#[derive(PartialEq, Eq, Hash)]
enum Thing<'a> {
    Secret(&'a str),
    Role(&'a str),
    Database(&'a str),
}

/// The implied needs, by the id of the step of a phase.
pub(super) fn needs(phases: &[Node]) -> HashMap<String, Vec<String>> {
    phases.iter().flat_map(in_phase).collect()
}

fn in_phase(phase: &Node) -> Vec<(String, Vec<String>)> {
    let Body::Group(steps) = &phase.body else {
        return Vec::new();
    };
    let mut makers = HashMap::new();
    for step in steps {
        for action in actions(step) {
            makers.extend(made(action).map(|thing| (thing, step.id.as_str())));
        }
    }
    let wants = |step: &Node| {
        let wanted = actions(step).flat_map(wanted);
        let makers = wanted.filter_map(|thing| makers.get(&thing).copied());
        let others = makers.filter(|maker| *maker != step.id);
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
        _ => None,
    }
}

fn wanted(action: &Action) -> Vec<Thing<'_>> {
    match action {
        Action::Role(Role {
            password,
            member_of,
            ..
        }) => {
            let secret = match password {
                Some(Credential::Secret(reference)) => Some(Thing::Secret(&reference.secret)),
                Some(Credential::Plain(_)) | None => None,
            };
            let groups = member_of.iter().map(|role| Thing::Role(role));
            groups.chain(secret).collect()
        }
        Action::Database(database) => {
            let owner = database.owner.iter();
            owner.map(|owner| Thing::Role(owner)).collect()
        }
        Action::Extension(extension) => vec![Thing::Database(&extension.database)],
        Action::Migrations(migrations) => vec![Thing::Database(&migrations.database)],
        _ => Vec::new(),
    }
}
