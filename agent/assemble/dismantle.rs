//! From a bundle and its inventory to a graph that deletes: what came last goes first.

use std::collections::HashMap;

use super::{AssembleError, LEFT, PATIENCE, options};
use crate::bundle::{Body, Bundle, Node};
use crate::engine::{Graph, GraphBuilder, StepId, StepOptions};
use crate::providers::kubernetes::{Client, Deletion, Entry, Turn};

const KIND: &str = "kubernetes.deletion";

/// What is to be deleted: of the steps of the bundle, by their ids, and what is of no step.
#[derive(Debug, Default)]
pub struct Doomed {
    /// Step → its object.
    pub of_steps: HashMap<String, Entry>,
    /// What has left the bundle.
    pub orphans: Vec<Entry>,
    /// Whether what holds data goes too.
    pub with_data: bool,
}

/// Builds the graph: each node waits for those that needed it.
///
/// # Errors
/// [`AssembleError::Graph`], which would be a bug: the bundle's own needs are no cycle.
pub fn dismantle(bundle: &Bundle, client: &Client, doomed: Doomed) -> Result<Graph, AssembleError> {
    let mut needed_by = HashMap::new();
    turn_round(&bundle.phases, &mut needed_by);
    let mut teardown = Teardown {
        client,
        needed_by,
        doomed: doomed.of_steps,
        with_data: doomed.with_data,
        graph: Graph::builder(),
    };
    teardown.orphans(doomed.orphans);
    for phase in bundle.phases.iter().rev() {
        teardown.node(phase);
    }
    teardown.graph.build().map_err(AssembleError::Graph)
}

/// For each node those that need it.
fn turn_round(nodes: &[Node], needed_by: &mut HashMap<String, Vec<StepId>>) {
    for node in nodes {
        for need in &node.needs {
            let dependents = needed_by.entry(need.clone()).or_default();
            dependents.push(StepId::new(&node.id));
        }
        if let Body::Group(members) = &node.body {
            turn_round(members, needed_by);
        }
    }
}

struct Teardown<'a> {
    client: &'a Client,
    needed_by: HashMap<String, Vec<StepId>>,
    doomed: HashMap<String, Entry>,
    with_data: bool,
    graph: GraphBuilder,
}

impl Teardown<'_> {
    /// A step that deletes nothing is an empty group, so that what waits for it still waits for the others.
    fn node(&mut self, node: &Node) {
        let id = StepId::new(&node.id);
        let needs = self.needed_by.remove(&node.id).unwrap_or_default();
        match &node.body {
            Body::Group(members) => {
                self.graph.group(id, needs);
                members.iter().rev().for_each(|member| self.node(member));
            }
            Body::Step(step) => match self.doomed.remove(&node.id) {
                Some(entry) => {
                    let deletion = Deletion::new(self.client.clone(), entry, self.with_data);
                    self.graph.step(id, needs, options(step, KIND), deletion);
                }
                None => self.graph.group(id, needs),
            },
        }
    }

    /// What is of no step goes turn by turn.
    fn orphans(&mut self, mut entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let group = StepId::new(LEFT);
        self.graph.group(group.clone(), Vec::new());
        entries.sort_by_key(Entry::turn);
        let mut steps: Vec<(Turn, StepId)> = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            let turn = entry.turn();
            let earlier = steps.iter().filter(|(other, _)| *other < turn);
            let needs = earlier.map(|(_, id)| id.clone()).collect();
            let name = format!("{}-{}-{at}", entry.kind.to_lowercase(), entry.name);
            let options = StepOptions {
                kind: KIND,
                timeout: PATIENCE,
                no_progress: None,
                optional: false,
            };
            let deletion = Deletion::new(self.client.clone(), entry, self.with_data);
            let id = group.child(&name);
            self.graph.step(id.clone(), needs, options, deletion);
            steps.push((turn, id));
        }
    }
}
