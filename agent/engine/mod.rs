//! The one loop, and the graph it runs over. Knows no backend and no telemetry library.

mod again;
mod chain;
mod converge;
mod diagnosis;
mod error;
mod fields;
mod graph;
mod pacing;
mod report;
mod resource;

mod runner;
mod slices;
mod slot;
mod spans;
mod step;
mod wait;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the clock of these tests is paused"
)]
mod tests;

pub use again::again;
pub use chain::Chain;
pub use converge::Mode;
pub use diagnosis::Diagnosis;
pub use error::{BoxError, Class, Failure, Stage, StepError};
pub use fields::{Extent, differences};
pub use graph::{Graph, GraphBuilder, StepOptions};
pub use pacing::Pacing;
pub use report::{
    Attempt, Because, Event, EventKind, Outcome, Report, Reporter, Reporters, RunInfo, StepReport,
    Took,
};
pub use resource::{Difference, FieldChange, Plan, Resource, Verb, Waiting};

pub use runner::{Run, run};
pub use spans::record_failure;
pub use step::StepId;
