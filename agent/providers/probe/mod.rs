//! Questions to servers: whether an installation works as a user would find it. Nothing here writes,
//! except for the span that a trace check sends to find it again.

mod client;
mod error;
mod http;
mod promql;
mod trace;

pub use client::Client;
pub use error::{Error, Refusal};
pub use http::{HttpAnswer, HttpCheck};
pub use promql::{PromqlAnswer, PromqlCheck};
pub use trace::{Sighting, TraceCheck};
