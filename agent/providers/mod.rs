//! The backends, each in the same rooms: `client.rs` connects and sends, `error.rs` says what can
//! go wrong, every other file is one kind of resource.

pub mod grafana;
pub mod kubernetes;
pub mod opensearch;
pub mod postgres;
pub mod probe;
