//! Firstlight brings a freshly installed platform to life.
//!
//! Everything the agent does (wait for an operator, apply an object, run a migration, put an
//! index template, post a dashboard, ask a question) is one *resource* made current by one
//! loop: observe, plan, apply, look again ([`engine`]). A *bundle* of files says which resources
//! there are ([`bundle`]); [`assemble`] turns it into a graph of steps over the [`providers`];
//! [`cli`] runs the graph, [`console`] and [`telemetry`] tell people and machines about it, and
//! [`report`] makes a page of it afterwards.

pub mod assemble;
pub mod bundle;
pub mod certificate;
pub mod cli;
pub mod console;
pub mod engine;
pub mod expression;
pub mod kinds;
pub mod natural;
pub mod needs;
pub mod percent;
pub mod providers;
pub mod record;
pub mod report;
pub mod rights;
pub mod secret;
pub mod settings;
pub mod telemetry;
pub mod trace_context;
