//! From files to a validated [`Bundle`]. No client, no async.
//!
//! [`Bundle::load`] reads `manifests/bundle.yaml` and everything it names, and reports *all*
//! [`Mistakes`] at once, each with its place, the line, and what to do. Its stages are `values`
//! (merged as Helm merges them, checked by `schema`), `template`, `phases` with one file for each
//! kind of step in `steps`, and `needs`.

mod drift;
mod duration;
mod files;
mod implied;
mod json;
mod lines;
mod load;
mod looks;
mod manifest;
mod migrations;
mod mistakes;
mod model;
mod needs;
mod objects;
mod parse;
mod phases;
mod postgres;
mod question;
mod reader;
pub mod render;
mod rendering;
mod scalar;
mod schema;
mod servers;
mod set;
mod steps;
mod suggest;
mod template;
mod values;
mod walk;
mod yaml;

pub use load::Options;
pub use looks::{first_look, last_look};
pub use manifest::{Foreign, Manifest, Restart, Terms, Traced};
pub use migrations::{
    Adoption, ImportFrom, MigrationFile, MigrationOrder, Migrations, Placeholder,
};
pub use mistakes::{Mistake, Mistakes, Origin, Place};
pub use model::{
    Action, Body, Bundle, Dashboard, Datasource, Folder, GeneratedSecret, HttpServer, Location,
    Node, OperatorGate, PostgresServer, PostgresTls, SearchKind, SearchObject, Servers, Step,
};
pub use postgres::{
    Database, Drift, Extension, Grants, GrantsDefault, GrantsOn, Membership, OnDrift, Role, Schema,
};
pub use question::{Check, Drifting, Expect, RunningAsk, Workload};
pub use servers::{GRAFANA_GATE, OPENSEARCH_GATE, POSTGRES_GATE};
