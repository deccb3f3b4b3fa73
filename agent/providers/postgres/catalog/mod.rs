//! What a database was like after the last run, and what others have made of it since.
//!
//! Migrations cannot see that somebody has changed a column by hand. So a run that has changed
//! something keeps the definition of every object ([`Fingerprint`], the last step of a database),
//! and the next one compares ([`Drift`], its first).

mod difference;
mod fingerprint;
mod query;
mod store;
mod watch;

pub use fingerprint::Fingerprint;
pub(super) use store::TOUCH;
pub use watch::{Drift, OnDrift};
