//! Postgres: is it there ([`Gate`]), who works on it ([`Role`]), where ([`Database`],
//! [`Extension`]), with which schema ([`Migrations`]), and does it say what it should
//! ([`SqlCheck`]).
//!
//! Everything but a schema can be read back from the catalog, and is. What SQL files have done
//! cannot, so the migrations keep a history in the table `firstlight.schema_history`.

mod adoption;
mod check;
mod client;
mod database;
mod error;
mod extension;
mod fault;
mod gate;
mod hints;
mod history;
mod locate;
mod lock;
mod migrations;
mod quote;
mod role;
mod scram;
mod statements;

pub use adoption::{Adoption, AdoptionError, Mend, Mended, RepairError, Tool, Which};
pub use check::{Answer, Expect, SqlCheck};
pub use client::{Blocker, Distrust, LockWait, Server, Settings, Tls};
pub use database::Database;
pub use error::Error;
pub use extension::Extension;
pub use fault::{Excerpt, Fault, Position};
pub use gate::{Gate, Observed as GateObserved};
pub use migrations::{
    File, FileMistake, MigrationError, Migrations, Observed as MigrationsObserved, Order,
    Placeholder, Placeholders,
};
pub use role::Role;
pub use statements::{Control, Head, Refusal, Statement, split};
