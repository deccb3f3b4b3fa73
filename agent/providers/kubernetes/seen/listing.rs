//! A list under way, and what is still to be found in it.

use std::collections::HashSet;

/// The names that a list is to tell of.
pub(in super::super) struct Listing {
    /// Those that were not in it, so far.
    pub(super) missing: HashSet<String>,
    /// The one name that there is to ask for.
    pub(in super::super) only: Option<String>,
    /// How many there are.
    pub(in super::super) count: u64,
    /// Whether it is to tell of all there is.
    pub(in super::super) all: bool,
}

impl Listing {
    pub(super) fn of(missing: HashSet<String>) -> Self {
        Self {
            only: missing
                .iter()
                .next()
                .filter(|_| missing.len() == 1)
                .cloned(),
            count: missing.len() as u64,
            missing,
            all: false,
        }
    }

    pub(in super::super) fn of_one(name: &str) -> Self {
        Self::of(HashSet::from([name.to_owned()]))
    }
}
