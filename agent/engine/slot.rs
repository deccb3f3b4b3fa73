//! What the tasks of a run know of each other: a slot for each node.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tracing::Span;

use super::graph::Node;
use super::{Because, Graph, StepId, StepReport};

/// Whether a node may run.
#[derive(Clone)]
pub(super) enum Start {
    Go { span: Span, after: Option<StepId> },
    Skip(Because),
}

/// How a node ended, as far as it matters to those who need it.
#[derive(Clone)]
pub(super) enum End {
    /// In a preview `pending` is the step that a run would have to change first.
    Fine {
        pending: Option<StepId>,
    },
    Bad(Because),
}

/// A node, those around it, and how far it is.
pub(super) struct Slot {
    pub(super) node: Node,
    pub(super) parent: Option<usize>,
    pub(super) needs: Vec<usize>,
    pub(super) members: Vec<usize>,
    pub(super) start: watch::Sender<Option<Start>>,
    pub(super) end: watch::Sender<Option<End>>,
    pub(super) report: Mutex<Option<StepReport>>,
}

/// A slot for each node, in the graph's order.
pub(super) fn slots(graph: Graph) -> Vec<Slot> {
    let ids: Vec<StepId> = graph.nodes.iter().map(|node| node.id.clone()).collect();
    let places: HashMap<&StepId, usize> = ids.iter().zip(0..).collect();
    let place = |id: &StepId| places.get(id).copied();
    let parents: Vec<Option<usize>> = ids
        .iter()
        .map(|id| id.parent().as_ref().and_then(place))
        .collect();
    let mut members = vec![Vec::new(); ids.len()];
    for (at, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            members[*parent].push(at);
        }
    }
    let nodes = graph.nodes.into_iter().enumerate();
    let slot = |(at, node): (usize, Node)| Slot {
        parent: parents[at],
        needs: node.needs.iter().filter_map(place).collect(),
        members: std::mem::take(&mut members[at]),
        start: watch::Sender::new(None),
        end: watch::Sender::new(None),
        report: Mutex::new(None),
        node,
    };
    nodes.map(slot).collect()
}

impl Slot {
    pub(super) fn take_report(&self) -> Option<StepReport> {
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(super) async fn started(&self) -> Start {
        settled(&self.start)
            .await
            .unwrap_or(Start::Skip(Because::Stopped))
    }

    pub(super) async fn ended(&self) -> End {
        settled(&self.end)
            .await
            .unwrap_or(End::Bad(Because::Stopped))
    }
}

async fn settled<T: Clone>(sender: &watch::Sender<Option<T>>) -> Option<T> {
    let mut receiver = sender.subscribe();
    receiver
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|value| value.clone())
}
