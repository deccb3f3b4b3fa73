//! An Event on the Job that we run in, so that `kubectl describe job` tells how the run ended.

use std::time::SystemTime;

use serde_json::json;

use super::kind::{EVENT, Target};
use super::time::rfc3339;
use super::{Client, Error, MANAGER};

/// The longest message that the API server takes.
const LIMIT: usize = 1024;

/// The Job that owns our pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its uid, without which `kubectl describe` may not find the Event.
    pub uid: Option<String>,
}

/// How an Event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Sends Events about our own Job; outside of one it sends nothing.
pub struct JobEvent {
    client: Client,
    job: Option<Job>,
}

impl JobEvent {
    /// Events on `job`, in the client's namespace.
    #[must_use]
    pub fn new(client: Client, job: Option<Job>) -> Self {
        Self { client, job }
    }

    /// Sends one Event: a reason in one word (`Completed`) and a sentence.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn send(
        &self,
        severity: Severity,
        reason: &str,
        message: &str,
        at: SystemTime,
    ) -> Result<(), Error> {
        let Some(job) = &self.job else {
            tracing::debug!(reason, message, "not in a Job, so no Event is sent");
            return Ok(());
        };
        let now = rfc3339(at);
        let nanos = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let name = format!("{}.{nanos:x}", job.name);
        let target = Target::new(EVENT, self.client.namespace(), &name);
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": name },
            "involvedObject": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "namespace": self.client.namespace(),
                "name": job.name,
                "uid": job.uid,
            },
            "type": match severity {
                Severity::Normal => "Normal",
                Severity::Warning => "Warning",
            },
            "reason": reason,
            "message": shortened(message),
            "source": { "component": MANAGER },
            "reportingComponent": MANAGER,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        });
        match self.client.create(&target, &event).await {
            // Its name is of this moment: ours, whose answer was lost.
            Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Cuts in the middle, at characters, and says so: the end names the trace.
fn shortened(message: &str) -> String {
    const MARK: &str = " … ";
    const END: usize = 60;
    if message.len() <= LIMIT {
        return message.to_owned();
    }
    let end = message.ceil_char_boundary(message.len() - END);
    let start = message.floor_char_boundary(LIMIT - END - MARK.len());
    format!("{}{MARK}{}", &message[..start], &message[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_at_characters_and_keeps_its_end() {
        let long = format!("{}; trace 0af7", "ä".repeat(1000));
        let cut = shortened(&long);
        assert!(cut.len() <= LIMIT, "{}", cut.len());
        assert!(cut.contains('…') && cut.ends_with("; trace 0af7"), "{cut}");
        assert_eq!(shortened("short"), "short");
    }
}
