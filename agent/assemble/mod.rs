//! From a bundle and its backends to a graph of steps. No I/O: servers are opened on first use.

mod servers;
mod step;

use crate::bundle::{Action, Body, Bundle, Check, Node, Step};
use crate::engine::{Class, Failure, Graph, GraphBuilder, StepId, StepOptions};
use crate::needs::NeedsMistake;
use crate::providers::{kubernetes, probe};
use servers::{Opened, Server};

/// What the steps work on.
#[derive(Clone)]
pub struct Backends {
    /// The cluster; also the reader of Secrets.
    pub kubernetes: kubernetes::Client,
    /// The trace that checks look for.
    pub trace: Trace,
}

/// The trace that checks look for, in hex.
#[derive(Debug, Clone)]
pub enum Trace {
    /// That of this run, if it is traced.
    Own(Option<String>),
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
        opened: Opened::new(bundle, backends),
        probe: probe::Client::new(None).map_err(AssembleError::Probe)?,
        graph: Graph::builder(),
        gates: Vec::new(),
        controllers: Vec::new(),
    };
    for phase in &bundle.phases {
        controllers(phase, &mut assembly.controllers);
    }
    for phase in &bundle.phases {
        assembly.phase(phase)?;
    }
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
    /// The operators that the bundle waits for, wherever: one may serve what another step applies.
    controllers: Vec<kubernetes::Controller>,
}

impl Assembly<'_> {
    fn phase(&mut self, phase: &Node) -> Result<(), AssembleError> {
        self.graph.group(StepId::new(&phase.id), ids(&phase.needs));
        for server in Server::ALL {
            self.gate(phase, server)?;
        }
        for member in members(phase) {
            self.node(phase, member)?;
        }
        Ok(())
    }

    /// One step that waits for a server, before the steps that use it: so the wait is said once.
    /// A phase that comes after one with a gate needs none of its own.
    fn gate(&mut self, phase: &Node, server: Server) -> Result<(), AssembleError> {
        let mut users = Vec::new();
        collect(phase, server, &mut users);
        let covered = self
            .gates
            .iter()
            .any(|(other, known, _)| *known == server && self.comes_after(phase, other));
        let Some(longest) = users.iter().map(|step| step.timeout).max() else {
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
            optional: users.iter().all(|step| step.optional),
        };
        self.opened
            .add_gate(&mut self.graph, server, (id.clone(), options))?;
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
                let server = server_of(&step.action);
                let gate = self
                    .gates
                    .iter()
                    .find(|(of, known, _)| Some(*known) == server && *of == phase.id);
                needs.extend(gate.map(|(_, _, id)| id.clone()));
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

/// The steps of a node that use a server.
fn collect<'a>(node: &'a Node, server: Server, users: &mut Vec<&'a Step>) {
    match &node.body {
        Body::Group(members) => {
            for member in members {
                collect(member, server, users);
            }
        }
        Body::Step(step) if server_of(&step.action) == Some(server) => users.push(step),
        Body::Step(_) => {}
    }
}

/// The server that an action works on.
fn server_of(action: &Action) -> Option<Server> {
    match action {
        Action::Object(_) | Action::Operator(_) | Action::Secret(_) => None,
        Action::Role(_) | Action::Database(_) | Action::Extension(_) | Action::Migrations(_) => {
            Some(Server::Postgres)
        }
        Action::Search(_) => Some(Server::OpenSearch),
        Action::Folder(_) | Action::Datasource(_) | Action::Dashboard(_) => Some(Server::Grafana),
        Action::Check(check) => match check {
            Check::Sql { .. } => Some(Server::Postgres),
            Check::Search { .. } => Some(Server::OpenSearch),
            Check::Datasource { .. } => Some(Server::Grafana),
            Check::Http { .. } | Check::Promql { .. } | Check::Trace { .. } => None,
        },
    }
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

/// The operators that steps of a group wait for.
fn controllers(node: &Node, found: &mut Vec<kubernetes::Controller>) {
    for member in members(node) {
        controllers(member, found);
    }
    if let Body::Step(Step {
        action: Action::Operator(gate),
        ..
    }) = &node.body
    {
        found.push(kubernetes::Controller {
            name: gate.name.clone(),
            namespace: gate.namespace.clone(),
            selector: gate.selector.clone(),
            definitions: gate.crds.clone(),
        });
    }
}
