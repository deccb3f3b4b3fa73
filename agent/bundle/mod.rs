//! From files to a validated [`Bundle`]. No client, no async.

mod model;

pub use model::{
    Action, Body, Bundle, Check, Dashboard, Database, Datasource, Expect, Extension, Folder,
    GeneratedSecret, HttpServer, Location, Manifest, MigrationFile, Migrations, Node, OperatorGate,
    PostgresServer, PostgresTls, Role, SearchKind, SearchObject, Servers, Step,
};
