//! The seven laws of a resource, for every kind of resource on its real server:
//! a preview shows a change; it converges; converging again changes nothing and the server sees no
//! write; drift is repaired; a change that is cut short is finished later; two at once end well;
//! an absent server is waited for, and a wrong password is not.
//!
//! The servers are brought up before: `cargo run -p testbed -- up`.

mod content;
mod grafana;
mod kubernetes;
mod law;
mod opensearch;
mod opensearch_bed;
mod postgres;
mod probe;
