//! From a bundle and its backends to a graph of steps. No I/O: servers are opened on first use.

mod dismantle;
mod drift;
mod owned;
mod postgres;
mod running;
mod servers;
mod sql;
mod step;

pub use dismantle::{Doomed, dismantle};
pub use owned::owned;
pub use sql::{migrations, read_sql};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::bundle::{Action, Body, Bundle, Node, Step};
use crate::engine::{Class, Failure, Graph, GraphBuilder, StepId, StepOptions};
use crate::needs::NeedsMistake;
use crate::providers::postgres::Cancels;
use crate::providers::{kubernetes, probe};
use servers::{Opened, Server};

/// The group of what is on record and not in the bundle any more.
const LEFT: &str = "left-the-bundle";
/// How long its deletion may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// What the steps work on.
#[derive(Clone)]
pub struct Backends {
    /// The cluster; also the reader of Secrets.
    pub kubernetes: kubernetes::Client,
    /// What Postgres is still to be told when the run has ended.
    pub cancels: Cancels,
    /// The trace that checks look for.
    pub trace: Trace,
    /// Whether objects that are not there yet are tried out, which a preview wants and a run does
    /// not need.
    pub rehearse: bool,
    /// What becomes of objects that have left the bundle.
    pub pruning: Pruning,
    /// Whether every workload is asked what it runs, which a check wants.
    pub what_runs: bool,
}

/// What becomes of objects that have left the bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pruning {
    /// They stay.
    #[default]
    Off,
    /// They are deleted at the end of a run that went well.
    On {
        /// Also those that hold data.
        with_data: bool,
    },
}

/// The trace that checks look for, in hex.
#[derive(Debug, Clone)]
pub enum Trace {
    /// That of this run, if it is traced.
    Own(Option<String>),
    /// None: this run is not traced, because a setting or the caller has decided so.
    Untraced,
    /// In a preview, which sends nothing: that of the last run, if one is on record.
    Last(Option<String>),
}

/// Why a bundle cannot become a graph. The bundle's own checks come before, so most are bugs.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A step uses a server that the bundle does not name.
    #[error("step {step} needs a server that the bundle does not name: servers.{server}")]
    NoServer {
        /// Which step.
        step: String,
        /// The key below `servers`.
        server: &'static str,
    },
    /// A document is not an object.
    #[error("step {step} has a document that cannot be applied")]
    Object {
        /// Which step.
        step: String,
        /// Why not.
        source: kubernetes::Error,
    },
    /// The client of the checks cannot be made.
    #[error("failed to make the client of the checks")]
    Probe(#[source] probe::Error),
    /// The graph has a mistake that the bundle's checks did not find.
    #[error("the graph is wrong: {0:?}")]
    Graph(Vec<NeedsMistake>),
}

impl AssembleError {
    /// What it means for the run.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::NoServer { .. } => Class::Invalid,
            Self::Object { source, .. } => source.class(),
            Self::Probe(source) => source.class(),
            Self::Graph(_) => Class::Bug,
        }
    }
}

/// Builds the graph.
///
/// # Errors
/// See [`AssembleError`].
pub fn assemble(bundle: &Bundle, backends: &Backends) -> Result<Graph, AssembleError> {
    let mut assembly = Assembly {
        bundle,
        backends,
        opened: Opened::new(bundle, &backends.kubernetes, &backends.cancels),
        probe: probe::Client::new(None).map_err(AssembleError::Probe)?,
        graph: Graph::builder(),
        gates: Vec::new(),
        watched: drift::watched(bundle),
        controllers: controllers(bundle),
        configs: Arc::new(kubernetes::Configs::of(
            &backends.kubernetes,
            objects(bundle),
        )),
    };
    for phase in &bundle.phases {
        assembly.phase(phase)?;
    }
    if backends.what_runs {
        assembly.what_runs();
    }
    assembly.pruning();
    assembly.graph.build().map_err(AssembleError::Graph)
}

struct Assembly<'a> {
    bundle: &'a Bundle,
    backends: &'a Backends,
    opened: Opened,
    probe: probe::Client,
    graph: GraphBuilder,
    /// The gate steps so far: the phase, the server, the step's id.
    gates: Vec<(String, Server, StepId)>,
    /// The databases that are looked at before the first change in them, and after the last.
    watched: Vec<drift::Watched>,
    /// The operators that the bundle waits for, wherever: one may serve what another step applies.
    controllers: Arc<[kubernetes::Controller]>,
    /// What the bundle applies of the configuration that pods read.
    configs: Arc<kubernetes::Configs>,
}

impl Assembly<'_> {
    fn phase(&mut self, phase: &Node) -> Result<(), AssembleError> {
        self.graph.group(StepId::new(&phase.id), ids(&phase.needs));
        for server in Server::ALL {
            self.gate(phase, server)?;
        }
        self.look_for_drift(phase)?;
        for member in members(phase) {
            self.node(phase, member)?;
        }
        self.take_fingerprints(phase)
    }

    /// The last step: it deletes only after everything else is as it should be.
    fn pruning(&mut self) {
        let Pruning::On { with_data } = self.backends.pruning else {
            return;
        };
        let group = StepId::new(LEFT);
        let phases = self.bundle.phases.iter();
        let needs = phases.map(|phase| StepId::new(&phase.id)).collect();
        self.graph.group(group.clone(), needs);
        let entries = owned(self.bundle).into_iter().map(|(_, entry)| entry);
        let client = self.backends.kubernetes.clone();
        let prune = kubernetes::Prune::new(client, &self.bundle.name, entries.collect(), with_data)
            .rehearse(self.backends.rehearse);
        let options = StepOptions {
            kind: "kubernetes.prune",
            timeout: PATIENCE,
            no_progress: None,
            optional: false,
        };
        self.graph
            .step(group.child("objects"), Vec::new(), options, prune);
    }

    /// One step that waits for a server, before the steps that use it: so the wait is said once.
    /// A phase that comes after one with a gate needs none of its own.
    fn gate(&mut self, phase: &Node, server: Server) -> Result<(), AssembleError> {
        let users = users(phase, server);
        let covered = self
            .gates
            .iter()
            .any(|(other, known, _)| *known == server && self.comes_after(phase, other));
        let Some(longest) = users.iter().map(|user| user.step.timeout).max() else {
            return Ok(());
        };
        if covered {
            return Ok(());
        }
        let id = StepId::new(&phase.id).child(server.gate());
        let options = StepOptions {
            kind: server.kind(),
            timeout: longest,
            no_progress: None,
            optional: users.iter().all(|user| user.step.optional),
        };
        let needs = needed_by_all(phase, &users);
        self.opened
            .add_gate(&mut self.graph, server, (id.clone(), needs, options))?;
        self.gates.push((phase.id.clone(), server, id));
        Ok(())
    }

    /// Whether a phase starts only after another has ended.
    fn comes_after(&self, phase: &Node, other: &str) -> bool {
        phase.needs.iter().any(|need| {
            let earlier = self.bundle.phases.iter().find(|node| node.id == *need);
            need == other || earlier.is_some_and(|earlier| self.comes_after(earlier, other))
        })
    }

    fn node(&mut self, phase: &Node, node: &Node) -> Result<(), AssembleError> {
        let mut needs = ids(&node.needs);
        match &node.body {
            Body::Group(members) => {
                self.graph.group(StepId::new(&node.id), needs);
                members
                    .iter()
                    .try_for_each(|member| self.node(phase, member))
            }
            Body::Step(step) => {
                let server = Server::of(&step.action);
                let gate = self
                    .gates
                    .iter()
                    .find(|(of, known, _)| Some(*known) == server && *of == phase.id);
                needs.extend(gate.map(|(_, _, id)| id.clone()));
                needs.extend(self.first_look(node));
                self.step(node, needs, step)
            }
        }
    }
}

fn members(node: &Node) -> &[Node] {
    match &node.body {
        Body::Group(members) => members,
        Body::Step(_) => &[],
    }
}

/// A step that uses a server.
struct User<'a> {
    id: &'a str,
    step: &'a Step,
}

/// The steps of a phase that use a server.
fn users(phase: &Node, server: Server) -> Vec<User<'_>> {
    let mut users = Vec::new();
    for node in below(phase) {
        match &node.body {
            Body::Step(step) if Server::of(&step.action) == Some(server) => {
                users.push(User { id: &node.id, step });
            }
            Body::Step(_) | Body::Group(_) => {}
        }
    }
    users
}

/// All nodes of a phase but itself.
fn below(node: &Node) -> Vec<&Node> {
    let deeper = |member| std::iter::once(member).chain(below(member));
    members(node).iter().flat_map(deeper).collect()
}

/// What every user of a server comes after, other users aside: what the phase itself makes for the
/// server, which is not there before.
fn needed_by_all(phase: &Node, users: &[User<'_>]) -> Vec<StepId> {
    let nodes = below(phase);
    let mut sets = users.iter().map(|user| before(user.id, &nodes));
    let first = sets.next().unwrap_or_default();
    let shared = sets.fold(first, |shared, set| &shared & &set);
    let is_user = |id: &str| users.iter().any(|user| user.id == id);
    let others = shared.into_iter().filter(|id| !is_user(id));
    others.map(StepId::new).collect()
}

/// What a node of a phase comes after, near and far, by its own needs and those of its groups.
fn before<'a>(id: &str, nodes: &[&'a Node]) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        let around = nodes
            .iter()
            .filter(|node| node.id == id || id.starts_with(&format!("{}/", node.id)));
        for need in around.flat_map(|node| &node.needs) {
            if found.insert(need.as_str()) {
                open.push(need);
            }
        }
    }
    found
}

fn ids(needs: &[String]) -> Vec<StepId> {
    needs.iter().map(|need| StepId::new(need)).collect()
}

fn options(step: &Step, kind: &'static str) -> StepOptions {
    StepOptions {
        kind,
        timeout: step.timeout,
        no_progress: step.no_progress,
        optional: step.optional,
    }
}

/// The documents of all Kubernetes objects.
fn objects(bundle: &Bundle) -> Vec<&serde_json::Value> {
    let steps = bundle.leaves().into_iter();
    steps
        .filter_map(|(_, step)| match &step.action {
            Action::Object(manifest) => Some(&manifest.object),
            _ => None,
        })
        .collect()
}

/// The operators that steps wait for.
fn controllers(bundle: &Bundle) -> Arc<[kubernetes::Controller]> {
    let steps = bundle.leaves().into_iter();
    let controller = |(_, step): (&Node, &Step)| match &step.action {
        Action::Operator(gate) => Some(kubernetes::Controller {
            name: gate.name.clone(),
            namespace: gate.namespace.clone(),
            selector: gate.selector.clone(),
            definitions: gate.crds.clone(),
        }),
        _ => None,
    };
    steps.filter_map(controller).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bundle::Options;

    #[test]
    fn a_gate_comes_after_what_all_users_of_its_server_come_after() {
        let options = Options {
            root: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundles/server-inside"),
            namespace: "lens".to_owned(),
            ..Options::default()
        };
        let bundle = Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let phase = &bundle.phases[0];
        let needs = needed_by_all(phase, &users(phase, Server::Postgres));
        assert_eq!(
            needs,
            [StepId::new("all/login"), StepId::new("all/postgres")]
        );
        assert!(needed_by_all(phase, &[]).is_empty());
    }
}
