//! The names of the two steps that stand around everything in a database that is migrated: they
//! are made by the agent, so no step of the bundle may have them.

use std::collections::BTreeMap;

use super::mistakes::{Found, Mistake};
use super::needs::flat;
use super::{Action, Body, Node};

/// The step that looks whether others have changed a database.
#[must_use]
pub fn first_look(database: &str) -> String {
    format!("drift-{database}")
}

/// The step that takes note of what a database is like.
#[must_use]
pub fn last_look(database: &str) -> String {
    format!("fingerprint-{database}")
}

/// Finds the steps whose names are taken. Only those directly in a phase can meet one of ours.
pub(super) fn check(phases: &[Node], found: &Found) {
    let ours: BTreeMap<String, &str> = flat(phases)
        .filter_map(watched)
        .flat_map(|database| {
            [first_look(database), last_look(database)].map(|name| (name, database))
        })
        .collect();
    for node in flat(phases) {
        let name = node.id.split_once('/').map(|(_, name)| name);
        let Some((name, database)) = name.and_then(|name| ours.get_key_value(name)) else {
            continue;
        };
        let what = format!(
            "`{name}` is the name of a step that looks whether others have changed database \
             {database}"
        );
        let mistake = Mistake::new((&node.location).into(), what);
        found.add(mistake.hint("give it another `name`"));
    }
}

/// The database that a step migrates and has watched.
fn watched(node: &Node) -> Option<&str> {
    match &node.body {
        Body::Step(step) => match &step.action {
            Action::Migrations(migrations) if migrations.drift.is_some() => {
                Some(&migrations.database)
            }
            _ => None,
        },
        Body::Group(_) => None,
    }
}
