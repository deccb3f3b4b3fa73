//! From needs as people write them to full ids; what is dropped is replaced by what it needs.

use std::collections::{HashMap, HashSet};

use super::mistakes::{Found, Mistake, Place};
use super::{Body, Node, implied, suggest};
use crate::needs::{self, NeedsMistake};

/// A need as it is written: a full id, or the name of a step in the same phase.
#[derive(Debug, Clone)]
pub(super) struct Written {
    need: String,
    /// None for one that nobody wrote.
    place: Option<Place>,
}

impl Written {
    pub(super) fn at(need: String, place: Place) -> Self {
        Self {
            need,
            place: Some(place),
        }
    }

    pub(super) fn implied(need: &str) -> Self {
        Self {
            need: need.to_owned(),
            place: None,
        }
    }
}

/// What is written, by the id of who needs it.
#[derive(Debug, Default)]
pub(super) struct Needs {
    written: HashMap<String, Vec<Written>>,
    dropped: HashMap<String, Vec<Written>>,
}

impl Needs {
    /// Takes what a node needs.
    pub(super) fn write(&mut self, id: &str, written: Vec<Written>) {
        self.written
            .entry(id.to_owned())
            .or_default()
            .extend(written);
    }

    /// Takes what a node needs that a condition dropped: who needs the node, needs that instead.
    pub(super) fn drop(&mut self, id: &str, written: Vec<Written>) {
        self.dropped
            .entry(id.to_owned())
            .or_default()
            .extend(written);
    }

    /// Whether a condition dropped this node, or one that it is in.
    pub(super) fn has_dropped(&self, id: &str) -> bool {
        let above = id.match_indices('/').map(|(at, _)| &id[..at]);
        above.chain([id]).any(|id| self.dropped.contains_key(id))
    }

    /// Gives the nodes their needs, and reports unknown ones, names that are there twice, and
    /// cycles.
    pub(super) fn resolve(&self, phases: &mut [Node], found: &Found) {
        let ids: HashSet<String> = flat(phases).map(|node| node.id.clone()).collect();
        let resolver = Resolver {
            needs: self,
            ids,
            found,
        };
        let implied = implied::needs(phases);
        visit(phases, &mut |node| {
            let mut own = Vec::new();
            for written in self.written.get(&node.id).into_iter().flatten() {
                resolver.resolve(written, &node.id, &mut HashSet::new(), &mut own);
            }
            own.extend(implied.get(&node.id).into_iter().flatten().cloned());
            for need in own {
                if !node.needs.contains(&need) {
                    node.needs.push(need);
                }
            }
        });
        report(phases, found);
    }
}

struct Resolver<'a> {
    needs: &'a Needs,
    ids: HashSet<String>,
    found: &'a Found,
}

impl Resolver<'_> {
    /// Adds the ids that a written need stands for.
    fn resolve(
        &self,
        written: &Written,
        of: &str,
        seen: &mut HashSet<String>,
        into: &mut Vec<String>,
    ) {
        let phase = of.split('/').next().unwrap_or(of);
        let sibling = of
            .contains('/')
            .then(|| format!("{phase}/{}", written.need));
        let candidates = sibling.into_iter().chain([written.need.clone()]);
        for id in candidates {
            if self.ids.contains(&id) {
                into.push(id);
                return;
            }
            if let Some((dropped, needs)) = self.dropped(&id) {
                if seen.insert(dropped.to_owned()) {
                    for need in needs {
                        self.resolve(need, dropped, seen, into);
                    }
                }
                return;
            }
        }
        self.unknown(written, phase);
    }

    /// The dropped node that an id names, or that it is below of.
    fn dropped(&self, id: &str) -> Option<(&str, &[Written])> {
        let mut at = id;
        loop {
            if let Some((id, needs)) = self.needs.dropped.get_key_value(at) {
                return Some((id, needs));
            }
            at = at.rsplit_once('/')?.0;
        }
    }

    fn unknown(&self, written: &Written, phase: &str) {
        let Some(place) = &written.place else { return };
        let mut candidates: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        candidates.sort_unstable();
        let prefix = format!("{phase}/");
        let siblings: Vec<&str> = candidates
            .iter()
            .filter_map(|id| id.strip_prefix(&prefix))
            .collect();
        let near = suggest::nearest(&written.need, siblings.into_iter().chain(candidates));
        let what = format!("there is nothing with the id `{}` to need", written.need);
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "an id is a phase, or phase/step; in the same phase the step's name".to_owned(),
        };
        self.found.add(Mistake::new(place.clone(), what).hint(hint));
    }
}

/// Reports what is there twice and what waits for itself.
fn report(phases: &[Node], found: &Found) {
    let nodes: Vec<&Node> = flat(phases).collect();
    let list: Vec<_> = nodes
        .iter()
        .map(|node| (node.id.clone(), node.needs.clone()))
        .collect();
    let place = |id: &str| {
        let node = nodes.iter().find(|node| node.id == id);
        node.map(|node| &node.location)
    };
    let mut twice = HashSet::new();
    for mistake in needs::check(&list) {
        match mistake {
            NeedsMistake::Duplicate { node } => {
                let node = nodes[node];
                twice.insert(node.id.as_str());
                let what = format!("`{}` is here twice", node.id);
                let first = place(&node.id).map(|at| format!("the first is in {at}"));
                let mistake = Mistake::new((&node.location).into(), what).hint_if(first);
                let step = node.id.matches('/').count() == 1;
                let name = step.then(|| "give one of them another `name`".to_owned());
                found.add(mistake.hint_if(name));
            }
            // Of two with one name each may be the need of the other.
            NeedsMistake::Cycle { path } if path.iter().any(|id| twice.contains(id.as_str())) => {}
            NeedsMistake::Cycle { path } => {
                let Some(at) = path.first().and_then(|id| place(id)) else {
                    continue;
                };
                let around = path.iter().chain(path.first());
                let around: Vec<&str> = around.map(String::as_str).collect();
                let what = format!("these wait for each other: {}", around.join(" → "));
                found.add(Mistake::new(at.into(), what).hint("take away one of these needs"));
            }
            // Each need was resolved before it was given to its node.
            NeedsMistake::Unknown { .. } => {}
        }
    }
}

/// All nodes, each before those in it.
pub(super) fn flat(nodes: &[Node]) -> Box<dyn Iterator<Item = &Node> + '_> {
    Box::new(nodes.iter().flat_map(|node| {
        let below: Box<dyn Iterator<Item = &Node>> = match &node.body {
            Body::Group(nodes) => flat(nodes),
            Body::Step(_) => Box::new(std::iter::empty()),
        };
        std::iter::once(node).chain(below)
    }))
}

pub(super) fn visit(nodes: &mut [Node], then: &mut impl FnMut(&mut Node)) {
    for node in nodes {
        then(node);
        if let Body::Group(nodes) = &mut node.body {
            visit(nodes, then);
        }
    }
}
