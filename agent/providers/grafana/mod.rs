//! Grafana, 11 and newer, by its HTTP API: folders, datasources, dashboards, all with fixed uids.
//!
//! Every resource is a struct of public fields: the [`Server`], which all of them share, and what
//! the bundle says.
//!
//! | resource | fields beside `server` | what is ours |
//! | --- | --- | --- |
//! | [`Gate`] | | nothing: it only looks |
//! | [`Folder`] | `uid`, `title`, `parent` | title and place |
//! | [`Datasource`] | `uid`, `name`, `body`, `secrets` | the fields that the body names, and that secrets are set |
//! | [`Dashboard`] | `uid`, `folder`, `model` | the whole model and its folder |
//! | [`DatasourceHealth`] | `uid` | nothing: it only looks |

mod client;
mod dashboard;
mod datasource;
mod datasource_health;
mod error;
mod folder;
mod gate;
#[cfg(test)]
mod nowhere;

pub use client::Server;
pub use dashboard::Dashboard;
pub use datasource::Datasource;
pub use datasource_health::DatasourceHealth;
pub use error::{Error, Refusal};
pub use folder::Folder;
pub use gate::Gate;
