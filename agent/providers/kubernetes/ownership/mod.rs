//! Which objects a bundle owns: what of them is on record, what may be taken, what may be deleted.
//!
//! The [`Inventory`] is kept in `ConfigMap`s. It is written before the first object of a run, so
//! that a run that is killed forgets nothing, and again at its end, with what was found.

mod claim;
mod data;
mod deletion;
mod entry;
mod finalizers;
mod inventory;
mod ledger;
mod parts;
mod prune;
mod rights;
mod stamp;
mod turn;

/// So many objects are looked at at once.
const AT_ONCE: usize = 16;

pub use deletion::{Deletion, DeletionChange, DeletionObserved};
pub use entry::{Entry, Key};
pub use inventory::{Inventory, Settled};
pub use prune::{Prune, PruneObserved};
pub use turn::Turn;

pub(super) use claim::{MANAGED, claim, made};
pub(super) use ledger::Ledger;
pub(super) use stamp::put as stamp;
