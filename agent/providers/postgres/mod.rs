//! Postgres: is it there ([`Gate`]), who works on it ([`Role`]), where ([`Database`],
//! [`Schema`], [`Extension`]), with which tables ([`Migrations`]) and rights ([`Grants`]), and does
//! it say what it should ([`SqlCheck`]).
//!
//! Everything but a schema can be read back from the catalog, and is. What SQL files have done
//! cannot, so the migrations keep a history in the table `firstlight.schema_history`; and what the
//! catalog was like after a run is kept too, so that [`Drift`] can name what others have changed.

mod adoption;
mod advice;
mod catalog;
mod check;
mod client;
mod conflict;
mod database;
mod error;
mod extension;
mod fault;
mod gate;
mod grants;
mod hints;
mod history;
mod literals;
mod locate;
mod lock;
mod migrations;
mod parameters;
mod preview;
mod quote;
mod role;
mod schema;
mod scram;
mod statements;
mod turn;

pub use adoption::{Adoption, AdoptionError, Mend, Mended, RepairError, Tool, Which};
pub use catalog::{Drift, Fingerprint, OnDrift};
pub use check::{Answer, Expect, SqlCheck};
pub use client::{Blocker, Cancels, Distrust, LockWait, Server, Settings, Tls};
pub use conflict::Conflict;
pub use database::{Database, Making};
pub use error::Error;
pub use extension::Extension;
pub use fault::{Excerpt, Fault, Position};
pub use gate::{Gate, Observed as GateObserved};
pub use grants::{Grantee, Grants, Kind, Later, Place};
pub use migrations::{
    File, FileMistake, MigrationError, Migrations, Observed as MigrationsObserved, Order,
    Placeholder, Placeholders,
};
pub use role::{Attributes, Flag, Membership, Role};
pub use schema::Schema;
pub use statements::{Control, Head, Lock, Mode, Refusal, Statement, Work, split};
pub use turn::Edit;
