//! What can be asked of a bundle as a whole.

use super::needs::flat;
use super::{Action, Body, Bundle, Check, Node, Step};

impl Bundle {
    /// The steps of all phases, each with its node, in the bundle's order.
    #[must_use]
    pub fn leaves(&self) -> Vec<(&Node, &Step)> {
        let steps = flat(&self.phases).filter_map(|node| match &node.body {
            Body::Step(step) => Some((node, step)),
            Body::Group(_) => None,
        });
        steps.collect()
    }
}

impl Node {
    /// How many steps there are in it.
    #[must_use]
    pub fn steps(&self) -> usize {
        match &self.body {
            Body::Group(members) => members.iter().map(Self::steps).sum(),
            Body::Step(_) => 1,
        }
    }
}

impl Action {
    /// The key below `servers` of the server that it works on.
    #[must_use]
    pub fn server(&self) -> Option<&'static str> {
        match self {
            Self::Role(_)
            | Self::Database(_)
            | Self::Schema(_)
            | Self::Extension(_)
            | Self::Grants(_)
            | Self::Migrations(_)
            | Self::Check(Check::Sql { .. }) => Some("postgres"),
            Self::Search(_) | Self::Check(Check::Search { .. }) => Some("opensearch"),
            Self::Folder(_)
            | Self::Datasource(_)
            | Self::Dashboard(_)
            | Self::Check(Check::Datasource { .. }) => Some("grafana"),
            Self::Object(_) | Self::Operator(_) | Self::Secret(_) | Self::Check(_) => None,
        }
    }
}
