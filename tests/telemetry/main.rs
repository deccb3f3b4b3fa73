//! Telemetry as a real collector receives it, from a process of its own.
//!
//! The servers are brought up before: `cargo run -p testbed -- up`.

mod absent;
mod answers;
mod child;
mod driver;
mod late;
mod live;
mod out;
mod outage;
mod received;
mod replay;
mod room;
mod told;
mod tree;
mod wire;
