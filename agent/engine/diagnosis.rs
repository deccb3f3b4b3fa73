//! Why a step does not get on, as far as its backend tells.

use std::time::Duration;

use tokio::sync::Semaphore;
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

/// How many are asked at once: a thousand steps may have the same deadline, and each question
/// is a dozen for the backend.
static AT_ONCE: Semaphore = Semaphore::const_new(16);

/// Asks the resource; no answer in time is no answer.
pub(super) async fn ask<R: Resource>(
    resource: &R,
    seen: Result<&R::Observed, &R::Error>,
    within: Duration,
) -> Option<Diagnosis> {
    let answer = async {
        let _turn = AT_ONCE.acquire().await.ok()?;
        resource.diagnose(seen).await
    };
    timeout(within, answer).await.ok()?
}
