//! OpenSearch, 2 and newer: templates, pipelines, first indices behind write aliases, documents.
//!
//! Every resource is a struct of public fields: the [`Server`], which all of them share, and what
//! the bundle says.
//!
//! | resource | fields beside `server` | what is ours |
//! | --- | --- | --- |
//! | [`Gate`] | | nothing: it only looks |
//! | [`Definition`]: component template, index template, ingest pipeline | `kind`, `name`, `body` | the whole document |
//! | [`Index`] | `name`, `body` | our settings, mappings and aliases of what is written to |
//! | [`Document`] | `index`, `id`, `body` | our fields |
//! | [`SearchCheck`] | `index`, `query`, `at_least` | nothing: it only looks |

mod aliases;
mod check;
mod client;
mod complaint;
mod definition;
mod document;
mod error;
mod gate;
mod index;
mod mapping;
mod normal_form;
#[cfg(test)]
mod nowhere;
mod settings;

pub use check::SearchCheck;
pub use client::Server;
pub use definition::{Definition, DefinitionKind};
pub use document::Document;
pub use error::{Error, Refusal};
pub use gate::Gate;
pub use index::Index;
