//! The two steps around everything that a bundle does in a database: has anybody changed it behind
//! our back, and what is it like now?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::servers::Server;
use super::{AssembleError, Assembly, below};
use crate::bundle::{Action, Bundle, Node, OnDrift, Step, first_look, last_look};
use crate::engine::{StepId, StepOptions};
use crate::providers::postgres;

/// A database that a bundle migrates, and the steps that work in it.
pub(super) struct Watched {
    database: String,
    drift: crate::bundle::Drift,
    /// The phase that begins before all others that work in it.
    first: String,
    /// The phase that ends after all others that work in it.
    last: String,
    timeout: Duration,
    optional: bool,
    /// The steps that have to wait for the first look.
    held: BTreeSet<String>,
    /// The steps that the last look waits for.
    awaited: Vec<String>,
}

impl Watched {
    /// The step before all others in the database.
    fn before(&self) -> StepId {
        StepId::new(&self.first).child(&first_look(&self.database))
    }

    fn after(&self) -> StepId {
        StepId::new(&self.last).child(&last_look(&self.database))
    }

    fn options(&self, kind: &'static str) -> StepOptions {
        StepOptions {
            kind,
            timeout: self.timeout,
            no_progress: None,
            optional: self.optional,
        }
    }
}

/// The databases of a bundle that are watched.
pub(super) fn watched(bundle: &Bundle) -> Vec<Watched> {
    let mut by_database: BTreeMap<&str, Vec<(&Node, &Step)>> = BTreeMap::new();
    for (node, step) in bundle.leaves() {
        if let Some(database) = database_of(&step.action) {
            by_database.entry(database).or_default().push((node, step));
        }
    }
    let order = Order::new(bundle);
    let watched = by_database
        .into_iter()
        .filter_map(|(database, steps)| watch(database, &steps, &order));
    watched.collect()
}

/// Where a step works, if it may change what is there.
fn database_of(action: &Action) -> Option<&str> {
    match action {
        Action::Database(database) => Some(&database.name),
        Action::Schema(schema) => Some(&schema.database),
        Action::Extension(extension) => Some(&extension.database),
        Action::Migrations(migrations) => Some(&migrations.database),
        Action::Grants(grants) => Some(&grants.database),
        _ => None,
    }
}

fn watch<'a>(database: &str, steps: &[(&'a Node, &'a Step)], order: &Order<'a>) -> Option<Watched> {
    let drift = steps.iter().find_map(|(_, step)| match &step.action {
        Action::Migrations(migrations) => migrations.drift.clone(),
        _ => None,
    })?;
    let ids: Vec<&str> = steps.iter().map(|(node, _)| node.id.as_str()).collect();
    let phase = |id: &&'a str| id.split('/').next().unwrap_or(id);
    let phases: Vec<&str> = ids.iter().map(phase).collect();
    let asked: BTreeSet<&str> = phases.iter().chain(&ids).copied().collect();
    let ended: BTreeMap<&str, BTreeSet<&str>> = asked
        .into_iter()
        .map(|id| (id, order.ended_before(id)))
        .collect();
    let earlier = |one: &str, other: &str| ended[other].contains(one);
    let first = *phases
        .iter()
        .find(|one| phases.iter().all(|other| !earlier(other, one)))?;
    let last = *phases
        .iter()
        .rev()
        .find(|one| phases.iter().all(|other| !earlier(one, other)))?;
    let held = ids
        .iter()
        .filter(|id| !earlier(first, id) && !earlier(id, first));
    let awaited = ids.iter().filter(|id| !earlier(last, id));
    Some(Watched {
        database: database.to_owned(),
        drift,
        held: held.map(|id| (*id).to_owned()).collect(),
        awaited: awaited.map(|id| (*id).to_owned()).collect(),
        first: first.to_owned(),
        last: last.to_owned(),
        timeout: steps.iter().map(|(_, step)| step.timeout).max()?,
        optional: steps.iter().all(|(_, step)| step.optional),
    })
}

/// What comes before what in a bundle.
struct Order<'a> {
    nodes: Vec<&'a Node>,
}

impl<'a> Order<'a> {
    fn new(bundle: &'a Bundle) -> Self {
        let phases = bundle.phases.iter();
        let nodes = phases.flat_map(|phase| std::iter::once(phase).chain(below(phase)));
        Self {
            nodes: nodes.collect(),
        }
    }

    /// The ids of all that has ended when a node starts.
    fn ended_before(&self, id: &str) -> BTreeSet<&'a str> {
        let mut ended = BTreeSet::new();
        let mut open: Vec<&'a str> = self.needs_of(|node| is_within(id, &node.id)).collect();
        while let Some(need) = open.pop() {
            if !ended.insert(need) {
                continue;
            }
            // Who waits for a group waits for all that is in it, and for what that waits for.
            let inside = self.nodes.iter().filter(|node| is_within(&node.id, need));
            open.extend(inside.map(|node| node.id.as_str()));
            open.extend(self.needs_of(|node| is_within(need, &node.id)));
        }
        ended
    }

    fn needs_of(&self, which: impl Fn(&Node) -> bool) -> impl Iterator<Item = &'a str> {
        let nodes = self.nodes.iter().filter(move |node| which(node));
        nodes.flat_map(|node| node.needs.iter().map(String::as_str))
    }
}

/// Whether a node is another one, or in it.
fn is_within(id: &str, group: &str) -> bool {
    id.strip_prefix(group)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Assembly<'_> {
    /// The first looks of a phase, before its own steps.
    pub(super) fn look_for_drift(&mut self, phase: &Node) -> Result<(), AssembleError> {
        let preview = self.backends.rehearse || self.backends.what_runs;
        for watched in self.watched.iter().filter(|it| it.first == phase.id) {
            let id = watched.before();
            let server = self.opened.postgres.clone();
            let server = server.ok_or_else(|| Server::Postgres.missing(id.as_str()))?;
            let on = match watched.drift.on {
                OnDrift::Warn => postgres::OnDrift::Warn,
                OnDrift::Fail => postgres::OnDrift::Fail,
                OnDrift::Accept => postgres::OnDrift::Accept,
            };
            let ignored = watched.drift.ignore.clone();
            let resource = postgres::Drift::new(server, &watched.database, on, ignored, preview);
            let gate = self
                .gates
                .iter()
                .find(|(of, server, _)| *of == phase.id && *server == Server::Postgres);
            let needs = gate.map(|(_, _, gate)| gate.clone());
            let options = watched.options("postgres.drift");
            self.graph
                .step(id, needs.into_iter().collect(), options, resource);
        }
        Ok(())
    }

    /// What a step has to wait for, so that nothing is changed before the first look.
    pub(super) fn first_look(&self, node: &Node) -> Option<StepId> {
        let mut watched = self.watched.iter();
        let watched = watched.find(|it| it.held.contains(&node.id))?;
        Some(watched.before())
    }

    /// The last looks of a phase, after its own steps.
    pub(super) fn take_fingerprints(&mut self, phase: &Node) -> Result<(), AssembleError> {
        for watched in self.watched.iter().filter(|it| it.last == phase.id) {
            let id = watched.after();
            let server = self.opened.postgres.clone();
            let resource = postgres::Fingerprint {
                server: server.ok_or_else(|| Server::Postgres.missing(id.as_str()))?,
                database: watched.database.clone(),
                ignored: watched.drift.ignore.clone(),
                accept: watched.drift.on == OnDrift::Accept,
            };
            let needs = watched.awaited.iter().map(|id| StepId::new(id)).collect();
            let options = watched.options("postgres.fingerprint");
            self.graph.step(id, needs, options, resource);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::watched;
    use crate::bundle::{Bundle, Options};

    #[test]
    fn the_looks_stand_around_everything_in_a_database() {
        let options = Options {
            root: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundles/postgres"),
            namespace: "lens".to_owned(),
            ..Options::default()
        };
        let bundle = Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let watched = watched(&bundle);
        let [lens] = watched.as_slice() else {
            panic!("one database is migrated");
        };
        assert_eq!(lens.before().as_str(), "schema/drift-lens");
        assert_eq!(lens.after().as_str(), "rights/fingerprint-lens");
        assert_eq!(
            lens.held.iter().map(String::as_str).collect::<Vec<_>>(),
            [
                "schema/grants-public",
                "schema/lens/database",
                "schema/lens/extension-pg_trgm",
                "schema/lens/extension-unaccent",
                "schema/lens/schema-ext",
                "schema/lens/schema-lens",
                "schema/sql",
            ]
        );
        assert_eq!(lens.awaited.len(), 8, "{:?}", lens.awaited);
    }
}
