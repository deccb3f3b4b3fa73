//! The steps of a run and what they wait for.

use std::time::Duration;

use super::converge::Converge;
use super::{Resource, StepId};
use crate::needs::{self, NeedsMistake};

/// How a step is run.
#[derive(Debug, Clone)]
pub struct StepOptions {
    /// The kind of its resource, a bounded word: `kubernetes.object`.
    pub kind: &'static str,
    /// How long the step may take in all.
    pub timeout: Duration,
    /// How long nothing may change while it waits; none for no such limit.
    pub no_progress: Option<Duration>,
    /// Whether its failure fails neither the run nor what needs it.
    pub optional: bool,
}

/// A node of the graph: a step if it has a resource, else a group.
pub(super) struct Node {
    pub(super) id: StepId,
    pub(super) needs: Vec<StepId>,
    pub(super) step: Option<(Box<dyn Converge>, StepOptions)>,
}

/// What is to be made current, in the bundle's order. Never changes during a run.
pub struct Graph {
    pub(super) nodes: Vec<Node>,
}

impl Graph {
    /// Starts an empty graph.
    #[must_use]
    pub fn builder() -> GraphBuilder {
        GraphBuilder { nodes: Vec::new() }
    }

    /// The ids of all nodes, each with whether it is a group.
    #[must_use]
    pub fn ids(&self) -> Vec<(StepId, bool)> {
        self.nodes
            .iter()
            .map(|node| (node.id.clone(), node.step.is_none()))
            .collect()
    }
}

/// Collects nodes; a group comes before its members.
pub struct GraphBuilder {
    nodes: Vec<Node>,
}

impl GraphBuilder {
    /// Adds a group.
    pub fn group(&mut self, id: StepId, needs: Vec<StepId>) {
        self.nodes.push(Node {
            id,
            needs,
            step: None,
        });
    }

    /// Adds a step that makes `resource` current.
    pub fn step(
        &mut self,
        id: StepId,
        needs: Vec<StepId>,
        options: StepOptions,
        resource: impl Resource,
    ) {
        self.nodes.push(Node {
            id,
            needs,
            step: Some((Box::new(resource), options)),
        });
    }

    /// Checks names and cycles.
    ///
    /// # Errors
    /// All mistakes. A bundle was checked for them before, so here they are bugs.
    pub fn build(self) -> Result<Graph, Vec<NeedsMistake>> {
        let text = |ids: &[StepId]| ids.iter().map(StepId::to_string).collect();
        let list: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (node.id.to_string(), text(&node.needs)))
            .collect();
        let mistakes = needs::check(&list);
        if mistakes.is_empty() {
            Ok(Graph { nodes: self.nodes })
        } else {
            Err(mistakes)
        }
    }
}
