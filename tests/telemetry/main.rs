//! Telemetry as a real collector receives it, from a process of its own.
//!
//! The servers are brought up before: `cargo run -p testbed -- up`.

mod absent;
mod child;
mod driver;
mod job;
mod late;
mod live;
mod out;
mod received;
mod restarts;
mod told;
mod tree;
mod wire;
