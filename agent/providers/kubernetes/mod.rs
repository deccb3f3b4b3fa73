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
//! | what we may not do | [`missing_rights`]`(&client, &[`[`Right`]`]).await?` |
//! | what runs, a question | [`RunningCheck::new`]`(client, kind, namespace: Option<String>, name, `[`Ask`]`)` |
//! | whether objects are still so, a question | [`Drift::of`]`(objects)` |
//! | what a bundle owns | [`Inventory::new`]`(client, bundle)`, of [`Entry`]s |
//! | what has left the bundle, a resource | [`Prune::new`]`(client, bundle, entries, with_data)` |
//! | an object that is to go, a resource | [`Deletion::new`]`(client, entry)` |
//! | the lock of a run | [`Lease::find`]`(&client, name, `[`Holder`]`)`, [`Free::take`], then [`Held::lost`], [`Held::release`] |
//! | the record of the last run | [`RunRecord::new`]`(client, bundle)`, then `write(json, `[`Fence`]`)`, `read()` |
//! | the progress of a run, for the pod that goes on | [`Progress::new`]`(client, bundle)`, then `take(`[`Fence`]`)`, `write(parts, `[`Author`]`, `[`Fence`]`)`, `clear(..)` |
//! | how a pod ended | [`pod_end`]`(&client, name, uid)` |
//! | an Event on the Job that we run in | [`JobEvent::new`]`(client, Option<`[`Job`]`>)`, then `send(..)` |

mod ahead;
mod claim_templates;
mod client;
mod comparison;
mod config_sum;
mod diagnosis;
mod discovery;
mod document;
mod drift;
mod error;
mod fence;
mod fields;
mod fingerprint;
mod flight;
mod generated_secret;
mod hold;
mod job_event;
mod kind;
mod known_values;
mod lease;
mod live;
mod object;
mod operator;
mod ownership;
mod pod_end;
mod progress;
mod quantity;
mod readiness;
mod refusal;
mod replacement;
mod request;
mod rights;
mod run_record;
mod running;
mod secrets;
mod seen;
mod time;
mod watches;

pub use ahead::look_ahead;
pub use client::Client;
pub use config_sum::{Configs, config_names};
pub use diagnosis::Controller;
pub use drift::{Drift, DriftObserved};
pub use error::Error;
pub use fence::Fence;
pub use generated_secret::{GeneratedSecret, SecretChange, SecretObserved};
pub use job_event::{Job, JobEvent, Severity};
pub use lease::{Before, Free, Held, Holder, Lease, Succession};
pub use object::{Object, ObjectChange, ObjectObserved, ObjectOptions};
pub use operator::{Operator, OperatorObserved};
pub use ownership::{
    Deletion, DeletionChange, DeletionObserved, Entry, Inventory, Key, Prune, PruneObserved,
    Settled, Turn,
};
pub use pod_end::{PodEnd, pod_end};
pub use progress::{Author, Left, Progress};
pub use rights::{Right, missing as missing_rights};
pub use run_record::RunRecord;
pub use running::{Ask, RunningCheck, RunningObserved, WORKLOADS};

/// Under this name the API server keeps which fields are ours.
const MANAGER: &str = "firstlight";
