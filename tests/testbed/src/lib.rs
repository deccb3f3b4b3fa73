//! The real servers that the tests and the demo run against, and what a test needs beside them.
//!
//! The servers are brought up once, outside the tests, by `cargo run -p testbed -- up`; a test
//! finds them by [`Env::load`]. They stay up between runs of the tests, which makes the second
//! run fast, until `cargo run -p testbed -- down` ends what was started and removes its data.
//! A test never stops a shared server: it owns a [`Proxy`] in front of one, or a [`Postgres`]
//! or an [`ApiServer`] of its own, and works below a name of its own ([`unique`]).
//!
//! The operators of the stack cannot be had. A [`StandIn`] plays into a real API server what the
//! real ones were recorded to write; the [`PrometheusOperator`] is a real one.

mod address;
mod api;
mod builds;
mod command_line;
mod custom_kind;
mod down;
mod env;
mod error;
mod eventually;
mod grafana;
mod http;
mod jaeger;
mod kubernetes;
mod launch;
mod lock;
mod opensearch;
mod otelcol;
mod owned;
mod owned_apiserver;
mod owned_operator;
mod owned_otelcol;
mod owned_postgres;
mod pgbouncer;
mod place;
mod ports;
mod postgres;
mod progress;
mod prometheus;
mod proxy;
mod record;
mod recording;
mod room;
mod server;
mod stand_in;
mod status;
mod stop;
mod tls;
mod trace;
mod unique;
mod up;
mod webhook;

pub use address::{Cluster, Grafana, Jaeger, OpenSearch, Otelcol, PostgresServer, Prometheus};
pub use api::{Api, MERGE_PATCH};
pub use builds::program;
pub use command_line::run;
pub use custom_kind::CustomKind;
pub use env::Env;
pub use error::Error;
pub use eventually::{Attempt, eventually};
pub use owned_apiserver::ApiServer;
pub use owned_operator::{PrometheusAdmission, PrometheusOperator};
pub use owned_otelcol::OwnedOtelcol;
pub use owned_postgres::{Postgres, PostgresBuilder, Shutdown};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use proxy::Proxy;
pub use recording::{Line, Recording};
pub use stand_in::{Judged, StandIn};
pub use tls::{Authority, Certificate, Signed, certify};
pub use trace::{Span, Trace};
pub use unique::unique;
pub use webhook::Webhook;
