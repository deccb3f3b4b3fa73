//! The laws on a real API server. Nothing runs there and nobody writes a status, so the tests
//! play the controllers where readiness is at stake; [`workloads`] has a node where pods run.
//!
//! That a second run writes nothing is proven by rights: it runs as a service account that may
//! only read, so that a write, even a dry run, would be refused.

mod bed;
mod front;
mod gate;
mod hiccups;
mod lease;
mod many;
mod object;
mod opentelemetry;
mod operators;
mod outages;
mod ownership;
mod prometheus;
mod readiness;
mod records;
mod replacing;
mod requests;
mod running;
mod secret;
mod widgets;
mod workloads;
