//! Which node of a graph has to wait for which: the one check of names and cycles.
//!
//! A node is a step or a group; a group's members are those whose id starts with its own and
//! a slash. A node starts after the group it is in has started and after all its needs have
//! ended; a group ends when all its members have.

use std::collections::{HashMap, HashSet};

/// A mistake in what needs what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeedsMistake {
    /// Two nodes have this id; the index is the second one's.
    Duplicate {
        /// The place of the second node in the list.
        node: usize,
    },
    /// A node needs what is not there.
    Unknown {
        /// The place of the node in the list.
        node: usize,
        /// What it says that it needs.
        need: String,
    },
    /// Nodes wait for each other.
    Cycle {
        /// The ids, each of which waits for the next, the last for the first.
        path: Vec<String>,
    },
}

/// Checks a list of (id, needs).
#[must_use]
pub fn check(nodes: &[(String, Vec<String>)]) -> Vec<NeedsMistake> {
    let mut mistakes = Vec::new();
    let mut places = HashMap::new();
    for (node, (id, _)) in nodes.iter().enumerate() {
        if places.contains_key(id.as_str()) {
            mistakes.push(NeedsMistake::Duplicate { node });
        } else {
            places.insert(id.as_str(), node);
        }
    }
    for (node, (_, needs)) in nodes.iter().enumerate() {
        let unknown = needs
            .iter()
            .filter(|need| !places.contains_key(need.as_str()));
        mistakes.extend(unknown.map(|need| NeedsMistake::Unknown {
            node,
            need: need.clone(),
        }));
    }
    let mut members = vec![Vec::new(); nodes.len()];
    for (node, (id, _)) in nodes.iter().enumerate() {
        let mut above = id.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            if let Some(at) = places.get(parent) {
                members[*at].push(node);
                break;
            }
            above = parent;
        }
    }
    let mut search = Search {
        nodes,
        places,
        members,
        done: HashSet::new(),
        path: Vec::new(),
    };
    for node in 0..nodes.len() {
        if let Some(path) = search.visit(Moment::End(node)) {
            mistakes.push(NeedsMistake::Cycle { path });
            // What was on the way to the cycle is not looked at again, so each is told once.
            search.done.extend(search.path.drain(..));
        }
    }
    mistakes
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Moment {
    Start(usize),
    End(usize),
}

impl Moment {
    fn node(self) -> usize {
        match self {
            Self::Start(node) | Self::End(node) => node,
        }
    }
}

/// A depth-first search over the moments at which nodes start and end.
struct Search<'a> {
    nodes: &'a [(String, Vec<String>)],
    places: HashMap<&'a str, usize>,
    /// Those directly below each node.
    members: Vec<Vec<usize>>,
    done: HashSet<Moment>,
    path: Vec<Moment>,
}

impl Search<'_> {
    fn visit(&mut self, moment: Moment) -> Option<Vec<String>> {
        if let Some(at) = self.path.iter().position(|earlier| *earlier == moment) {
            return Some(self.names(&self.path[at..]));
        }
        if self.done.contains(&moment) {
            return None;
        }
        self.path.push(moment);
        for earlier in self.before(moment) {
            if let Some(cycle) = self.visit(earlier) {
                return Some(cycle);
            }
        }
        self.path.pop();
        self.done.insert(moment);
        None
    }

    /// The moments that must have passed before this one.
    fn before(&self, moment: Moment) -> Vec<Moment> {
        let (id, needs) = &self.nodes[moment.node()];
        match moment {
            Moment::Start(_) => {
                let parent = id
                    .rsplit_once('/')
                    .and_then(|(parent, _)| self.places.get(parent));
                let needs = needs
                    .iter()
                    .filter_map(|need| self.places.get(need.as_str()));
                parent
                    .map(|at| Moment::Start(*at))
                    .into_iter()
                    .chain(needs.map(|at| Moment::End(*at)))
                    .collect()
            }
            Moment::End(node) => {
                let members = self.members[node].iter();
                let members = members.map(|at| Moment::End(*at));
                std::iter::once(Moment::Start(node))
                    .chain(members)
                    .collect()
            }
        }
    }

    fn names(&self, path: &[Moment]) -> Vec<String> {
        let mut names: Vec<String> = path
            .iter()
            .map(|moment| self.nodes[moment.node()].0.clone())
            .collect();
        names.dedup();
        if names.len() > 1 && names.first() == names.last() {
            names.pop();
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let own = |needs: &[&str]| needs.iter().map(|need| (*need).to_owned()).collect();
        list.iter()
            .map(|(id, needs)| ((*id).to_owned(), own(needs)))
            .collect()
    }

    #[test]
    fn a_tree_with_needs_is_accepted() {
        let list = nodes(&[
            ("a", &[]),
            ("a/x", &[]),
            ("a/y", &["a/x"]),
            ("b", &["a/x"]),
            ("b/z", &[]),
        ]);
        assert_eq!(check(&list), []);
    }

    #[test]
    fn names_are_checked() {
        let list = nodes(&[("a", &["nope"]), ("a", &[])]);
        assert_eq!(
            check(&list),
            [
                NeedsMistake::Duplicate { node: 1 },
                NeedsMistake::Unknown {
                    node: 0,
                    need: "nope".to_owned()
                }
            ]
        );
    }

    #[test]
    fn steps_that_wait_for_each_other_are_a_cycle() {
        let list = nodes(&[("a", &[]), ("a/x", &["a/y"]), ("a/y", &["a/x"])]);
        let path = vec!["a/x".to_owned(), "a/y".to_owned()];
        assert_eq!(check(&list), [NeedsMistake::Cycle { path }]);
    }

    #[test]
    fn a_step_cannot_need_its_own_group() {
        let list = nodes(&[("a", &[]), ("a/x", &["a"])]);
        let found = check(&list);
        assert!(
            matches!(&found[..], [NeedsMistake::Cycle { .. }]),
            "{found:?}"
        );
    }

    #[test]
    fn groups_that_wait_for_each_others_members_are_a_cycle() {
        let list = nodes(&[("a", &["b/z"]), ("a/x", &[]), ("b", &["a/x"]), ("b/z", &[])]);
        let found = check(&list);
        assert!(
            matches!(&found[..], [NeedsMistake::Cycle { .. }]),
            "{found:?}"
        );
    }
}
