//! Why a step does not get on, as far as its backend tells.

use std::time::Duration;

use tokio::time::timeout;

use super::Resource;

/// Why something is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// A lower-case fragment that names what was read: the object and its field, the event.
    pub sentence: String,
    /// What it was read from, as events and the end of a log; a few lines.
    pub evidence: Vec<String>,
}

/// Asks the resource; no answer in time is no answer.
pub(super) async fn ask<R: Resource>(
    resource: &R,
    seen: Result<&R::Observed, &R::Error>,
    within: Duration,
) -> Option<Diagnosis> {
    timeout(within, resource.diagnose(seen)).await.ok()?
}
