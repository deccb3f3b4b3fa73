//! Telemetry as a real collector receives it, from a process of its own.
//!
//! The servers are brought up before: `cargo run -p testbed -- up`.

mod absent;
mod also;
mod answers;
mod child;
mod drifting;
mod driver;
mod echo;
mod guarded;
mod installations;
mod job;
mod late;
mod live;
mod metrics;
mod out;
mod outage;
mod planted;
mod questions;
mod received;
mod records;
mod replay;
mod restarts;
mod room;
mod succession;
mod told;
mod tree;
mod variables;
mod wire;
