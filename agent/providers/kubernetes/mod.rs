//! Kubernetes: objects by server-side apply, their readiness, operators, Secrets, and what a run
//! leaves in the cluster.
//!
//! | what | made by |
//! | --- | --- |
//! | the connection, cheap to clone | [`Client::connect`]`(namespace: Option<String>).await?` or [`Client::with_kubeconfig`]; both read files only |
//! | an object, a resource | [`Object::new`]`(client, document, `[`ObjectOptions`]` { force, wait })?` |
//! | an operator, a gate | [`Operator::new`]`(client, name, namespace: Option<String>, selector, crds)` |
//! | a Secret made once, a resource | [`GeneratedSecret::new`]`(client, name, generate, values)` |
//! | the reader of Secrets | `Arc::new(client) as Arc<dyn `[`Secrets`](crate::secret::Secrets)`>` |
//! | the lock of a run | [`Lease::acquire`]`(&client, name, `[`Holder`]`).await?`, then [`Held::lost`], [`Held::release`] |
//! | the record of the last run | [`RunRecord::new`]`(client, bundle)`, then `write(json)`, `read()` |
//! | an Event on the Job that we run in | [`JobEvent::new`]`(client, Option<`[`Job`]`>)`, then `send(..)` |

mod client;
mod config_sum;
mod diagnosis;
mod discovery;
mod document;
mod error;
mod fields;
mod fingerprint;
mod flight;
mod generated_secret;
mod job_event;
mod kind;
mod lease;
mod live;
mod object;
mod operator;
mod quantity;
mod readiness;
mod refusal;
mod replacement;
mod request;
mod run_record;
mod secrets;
mod seen;
mod time;
mod watches;

pub use client::Client;
pub use config_sum::Configs;
pub use diagnosis::Controller;
pub use error::Error;
pub use generated_secret::{GeneratedSecret, SecretChange, SecretObserved};
pub use job_event::{Job, JobEvent, Severity};
pub use lease::{Held, Holder, Lease};
pub use object::{Object, ObjectChange, ObjectObserved, ObjectOptions};
pub use operator::{Operator, OperatorObserved};
pub use run_record::RunRecord;

/// Under this name the API server keeps which fields are ours.
const MANAGER: &str = "firstlight";
