//! How a pod ended that could not say so itself.

use std::time::{Duration, SystemTime};

use super::kind::{POD, Target};
use super::live::Live;
use super::time::parse;
use super::{Client, Error};
use crate::engine::Took;

/// The end of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodEnd {
    /// One of few words: `OOMKilled`, `Evicted`, `exit_code_137`, `deleted`, `unknown`.
    pub kind: String,
    /// `the pod lens-abc was OOMKilled after 41.0s`
    pub said: String,
    /// When, to the second; none if nobody knows.
    pub at: Option<SystemTime>,
}

/// Reads how a pod ended, as far as the API server knows.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn pod_end(client: &Client, name: &str, uid: Option<&str>) -> Result<PodEnd, Error> {
    let Some(uid) = uid else {
        // No pod, but a process somewhere.
        return Ok(PodEnd::unknown(name));
    };
    let pod = Target::new(POD, client.namespace(), name);
    let found = client.get(&pod).await?;
    let found = found.filter(|found| found.uid() == uid);
    Ok(found.map_or_else(|| PodEnd::deleted(name), |found| PodEnd::of(&found)))
}

/// The end of one of its containers.
struct Terminated<'a> {
    reason: &'a str,
    code: i64,
    from: Option<SystemTime>,
    to: Option<SystemTime>,
}

impl PodEnd {
    /// That of a process of which nothing more is known.
    #[must_use]
    pub fn unknown(name: &str) -> Self {
        Self {
            kind: "unknown".to_owned(),
            said: format!("{name} was not heard of any more"),
            at: None,
        }
    }

    fn deleted(name: &str) -> Self {
        Self {
            kind: "deleted".to_owned(),
            said: format!("the pod {name} was deleted"),
            at: None,
        }
    }

    fn of(pod: &Live) -> Self {
        let name = pod.name();
        let container = terminated(pod);
        let at = container.as_ref().and_then(|it| it.to);
        let after = container.as_ref().and_then(Terminated::lasted);
        let after = after.map_or_else(String::new, |took| format!(" after {}", Took(took)));
        let disruption = pod.holds("DisruptionTarget").map(|it| it.reason);
        let (kind, how) = match (&container, pod.text("/status/reason"), disruption) {
            (Some(it), _, _) if it.reason == "OOMKilled" => {
                ("OOMKilled".to_owned(), "was OOMKilled".to_owned())
            }
            (_, "Evicted", _) => ("Evicted".to_owned(), "was evicted".to_owned()),
            // Kubernetes' own words, of which there are few.
            (_, _, Some(reason)) if !reason.is_empty() => {
                (reason.to_owned(), format!("was disrupted ({reason})"))
            }
            (Some(it), _, _) => (
                format!("exit_code_{}", it.code),
                format!("ended with exit code {}", it.code),
            ),
            (None, _, _) if pod.is_being_deleted() => {
                ("deleted".to_owned(), "was deleted".to_owned())
            }
            (None, _, _) => return Self::unknown(&format!("the pod {name}")),
        };
        Self {
            kind,
            said: format!("the pod {name} {how}{after}"),
            at,
        }
    }
}

impl Terminated<'_> {
    fn lasted(&self) -> Option<Duration> {
        self.to?.duration_since(self.from?).ok()
    }
}

/// The container that ended worst, in its last run.
fn terminated(pod: &Live) -> Option<Terminated<'_>> {
    let containers = pod.list("/status/containerStatuses").iter();
    let ended = containers.filter_map(|container| {
        let now = container.pointer("/state/terminated");
        let ended = now.or_else(|| container.pointer("/lastState/terminated"))?;
        let text = |key: &str| ended[key].as_str().unwrap_or_default();
        Some(Terminated {
            reason: text("reason"),
            code: ended["exitCode"].as_i64().unwrap_or_default(),
            from: parse(text("startedAt")),
            to: parse(text("finishedAt")),
        })
    });
    ended.max_by_key(|it| (it.reason == "OOMKilled", it.code != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: &Value) -> PodEnd {
        PodEnd::of(&Live::new(
            json!({ "metadata": { "name": "lens-1" }, "status": status }),
        ))
    }

    fn ended(reason: &str, code: u8) -> Value {
        let end = json!({
            "reason": reason, "exitCode": code,
            "startedAt": "2026-01-31T08:00:00Z", "finishedAt": "2026-01-31T08:00:41Z",
        });
        json!([
            { "name": "proxy", "state": { "terminated": { "reason": "Completed", "exitCode": 0 } } },
            { "name": "firstlight", "state": { "terminated": end } },
        ])
    }

    #[test]
    fn the_end_has_a_word_and_a_sentence() {
        let disrupted = json!([{ "type": "DisruptionTarget", "status": "True",
            "reason": "PreemptionByScheduler" }]);
        for (status, kind, said) in [
            (
                json!({ "containerStatuses": ended("OOMKilled", 137) }),
                "OOMKilled",
                "the pod lens-1 was OOMKilled after 41.0s",
            ),
            (
                json!({ "containerStatuses": ended("Error", 137) }),
                "exit_code_137",
                "the pod lens-1 ended with exit code 137 after 41.0s",
            ),
            (
                json!({ "reason": "Evicted", "phase": "Failed" }),
                "Evicted",
                "the pod lens-1 was evicted",
            ),
            (
                json!({ "conditions": disrupted, "containerStatuses": ended("Error", 137) }),
                "PreemptionByScheduler",
                "the pod lens-1 was disrupted (PreemptionByScheduler) after 41.0s",
            ),
            (
                json!({ "phase": "Running" }),
                "unknown",
                "the pod lens-1 was not heard of any more",
            ),
        ] {
            let end = pod(&status);
            assert_eq!(
                (end.kind.as_str(), end.said.as_str()),
                (kind, said),
                "{status}"
            );
        }
        let end = pod(&json!({ "containerStatuses": ended("Error", 1) }));
        assert_eq!(end.at, parse("2026-01-31T08:00:41Z"));
    }

    #[test]
    fn the_run_before_of_a_container_counts_too() {
        let last = json!({ "reason": "OOMKilled", "exitCode": 137 });
        let status = json!({ "containerStatuses": [{
            "state": { "running": {} }, "lastState": { "terminated": last },
        }] });
        assert_eq!(pod(&status).kind, "OOMKilled");
    }
}
