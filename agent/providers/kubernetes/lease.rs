//! The lock that keeps two runs apart: a Lease that is renewed while the run lasts.
//!
//! A Lease whose holder's pod is gone is taken over at once, any other when it has not been
//! renewed for its duration. The moments compared are of two machines' clocks, so the duration
//! is three renewals long. `leaseTransitions` counts the holders: whoever has the greater number
//! is the later one.

mod free;
mod held;

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

pub use free::Free;
pub use held::Held;

use super::fence::Fence;
use super::hold::not_renewed;
use super::kind::{LEASE, POD, Target};
use super::live::Live;
use super::time::{parse, rfc3339_micros};
use super::{Client, Error, MANAGER, fence};

/// After so long without renewal others may take it; at once, if the holder's pod is gone.
const DURATION: Duration = Duration::from_mins(1);
const RENEWAL: Duration = Duration::from_secs(10);
/// After a renewal that failed; an outage must not cost more than it lasts.
const AGAIN: Duration = Duration::from_secs(2);
/// After so long without renewal we stop, early enough for a change under way to end before others
/// begin, and late enough for an outage of twenty seconds.
const GIVE_UP: Duration = Duration::from_secs(40);

/// No two looks at it are closer, however often it is written to.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

const POD_NAME: &str = "firstlight.dev/pod";
const POD_UID: &str = "firstlight.dev/pod-uid";
const JOB_NAME: &str = "firstlight.dev/job";

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Our pod's name; outside of a pod, a name that no other process has.
    pub pod: String,
    /// Our pod's uid; none outside of a pod.
    pub uid: Option<String>,
    /// The Job that owns our pod.
    pub job: Option<String>,
}

/// A Lease that is to be ours.
pub struct Lease {
    client: Client,
    target: Target,
    holder: Holder,
}

impl Lease {
    /// Takes the Lease `name` in the client's namespace, and renews it from then on.
    ///
    /// # Errors
    /// Of [`Lease::find`] and of [`Free::take`].
    pub async fn acquire(client: &Client, name: &str, holder: Holder) -> Result<Held, Error> {
        Self::find(client, name, holder).await?.take().await
    }

    /// Looks at the Lease `name` in the client's namespace, which then may be taken.
    ///
    /// # Errors
    /// [`Error::Held`] while another run is at work; and when the API server cannot be asked.
    pub async fn find(client: &Client, name: &str, holder: Holder) -> Result<Free, Error> {
        let lease = Self {
            client: client.clone(),
            target: Target::new(LEASE, client.namespace(), name),
            holder,
        };
        let found = client.get(&lease.target).await?;
        let number = match &found {
            Some(found) => {
                if let Some(rival) = lease.rival(found).await? {
                    return Err(rival);
                }
                found.count("/spec/leaseTransitions") + 1
            }
            // What was written under a lock that somebody has deleted is older all the same.
            None => fence::next(client, name).await?,
        };
        Ok(Free {
            lease,
            found,
            number,
        })
    }

    /// The Lease as ours: a new one, or a patch of the one found.
    fn claim(&self, found: Option<&Live>, number: i64) -> Value {
        let now = rfc3339_micros(SystemTime::now());
        let mut annotations = json!({
            POD_NAME: self.holder.pod,
            POD_UID: self.holder.uid,
            JOB_NAME: self.holder.job,
        });
        // In a patch, null takes away what the holder before has left; in a new one it is "".
        if let (None, Some(names)) = (found, annotations.as_object_mut()) {
            names.retain(|_, value| !value.is_null());
        }
        json!({
            "apiVersion": LEASE.api_version(),
            "kind": LEASE.name,
            "metadata": {
                "name": self.target.name,
                "resourceVersion": found.map(Live::version),
                "labels": { "app.kubernetes.io/managed-by": MANAGER },
                "annotations": annotations,
            },
            "spec": {
                "holderIdentity": self.identity(),
                "leaseDurationSeconds": DURATION.as_secs(),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": number,
            },
        })
    }

    fn identity(&self) -> String {
        match &self.holder.uid {
            Some(uid) => format!("{}/{uid}", self.holder.pod),
            None => self.holder.pod.clone(),
        }
    }

    /// The error that names the run that holds the Lease; none if it may be taken.
    async fn rival(&self, found: &Live) -> Result<Option<Error>, Error> {
        let free = is_free(found, &self.identity(), SystemTime::now());
        if free || self.is_gone(found).await? {
            return Ok(None);
        }
        Ok(Some(Error::Held {
            lease: self.target.to_string(),
            holder: named(found),
            since: found.text("/spec/acquireTime").to_owned(),
        }))
    }

    /// Whether the holder's pod has ended or is not there any more.
    async fn is_gone(&self, found: &Live) -> Result<bool, Error> {
        let annotations = found.texts("/metadata/annotations");
        let (Some(name), Some(uid)) = (annotations.get(POD_NAME), annotations.get(POD_UID)) else {
            return Ok(false);
        };
        let pod = Target::new(POD, self.client.namespace(), *name);
        match self.client.get(&pod).await {
            Ok(None) => Ok(true),
            Ok(Some(pod)) => {
                let has_ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
                Ok(has_ended || pod.uid() != *uid)
            }
            // Then only time tells.
            Err(Error::Forbidden { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn held(self, taken: &Live, asked: Instant) -> Held {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        self.keep_hold(asked);
        let (report, lost) = watch::channel(None);
        let (known, version) = watch::channel(taken.version().to_owned());
        let renewed = Self {
            client: self.client.clone(),
            target: self.target.clone(),
            holder: self.holder.clone(),
        };
        tokio::spawn(async move {
            if let Some(reason) = renewed.keep(&known, stopped, asked).await {
                let lease = renewed.target.to_string();
                renewed.client.hold().lose(lease, reason.as_str());
                report.send_replace(Some(reason));
            }
        });
        Held {
            lease: self,
            fence: Fence(taken.count("/spec/leaseTransitions")),
            version,
            lost,
            stop,
        }
    }

    /// Until it is given up, writes may be sent.
    fn keep_hold(&self, asked: Instant) {
        let lease = self.target.to_string();
        self.client.hold().keep(lease, asked, GIVE_UP);
    }

    /// Renews until told to stop; or says how the Lease was lost. `known` is told each version.
    async fn keep(
        &self,
        known: &watch::Sender<String>,
        stop: CancellationToken,
        mut renewed: Instant,
    ) -> Option<String> {
        let mut ticks = paced(RENEWAL);
        let mut looks = paced(BETWEEN_LOOKS);
        loop {
            let version = known.borrow().clone();
            let written = async {
                looks.tick().await;
                let watches = self.client.watches();
                watches.changed(&self.target, Some(&version)).await;
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                _ = ticks.tick() => {}
                // Somebody else wrote to it, or we hear of our own write.
                () = written => {
                    match self.look().await {
                        Some(Ok(found)) => drop(known.send_replace(found)),
                        Some(Err(reason)) => return Some(reason),
                        None => {}
                    }
                    continue;
                }
            }
            // Others count from when we asked, not from the answer.
            let asked = Instant::now();
            let left = GIVE_UP.saturating_sub(renewed.elapsed());
            match timeout(left.min(RENEWAL / 2), self.renew(&version)).await {
                Ok(Ok(new)) => {
                    known.send_replace(new);
                    renewed = asked;
                    self.keep_hold(asked);
                }
                Ok(Err(Error::Lost { reason, .. })) => return Some(reason),
                Ok(Err(error)) => {
                    tracing::debug!(error = %error, lease = %self.target, "failed to renew the lease");
                }
                Err(_) => {
                    tracing::debug!(lease = %self.target, "no answer to a renewal of the lease");
                }
            }
            if renewed != asked {
                ticks.reset_after(AGAIN);
            }
            if renewed.elapsed() + AGAIN >= GIVE_UP {
                return Some(not_renewed(renewed.elapsed()));
            }
        }
    }

    /// Its version while it is ours, or how it was lost; none if the API server does not say.
    async fn look(&self) -> Option<Result<String, String>> {
        let answer = timeout(RENEWAL / 2, self.client.get(&self.target)).await;
        let found = answer.ok()?.ok()?;
        Some(match (self.taken(found.as_ref()), found) {
            (None, Some(found)) => Ok(found.version().to_owned()),
            (reason, _) => Err(reason.unwrap_or_default()),
        })
    }

    /// How the Lease was lost, if it was.
    fn taken(&self, found: Option<&Live>) -> Option<String> {
        match found {
            Some(found) if found.text("/spec/holderIdentity") == self.identity() => None,
            Some(found) => Some(format!("to {}", named(found))),
            None => Some("because it was deleted".to_owned()),
        }
    }

    /// The version after one renewal.
    async fn renew(&self, version: &str) -> Result<String, Error> {
        match self.renew_version(version).await {
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
            other => return other,
        }
        // Somebody wrote to it; it may still be ours.
        let found = self.client.get(&self.target).await?;
        if let Some(reason) = self.taken(found.as_ref()) {
            return Err(self.lost(reason));
        }
        let version = found.as_ref().map_or(version, Live::version);
        self.renew_version(version).await
    }

    async fn renew_version(&self, version: &str) -> Result<String, Error> {
        let patch = json!({
            "metadata": { "resourceVersion": version },
            "spec": { "renewTime": rfc3339_micros(SystemTime::now()) },
        });
        let renewed = self.client.merge(&self.target, &patch).await?;
        Ok(renewed.version().to_owned())
    }

    fn lost(&self, reason: String) -> Error {
        Error::Lost {
            lease: self.target.to_string(),
            reason,
        }
    }
}

/// Ticks that come so far apart, the first one after that time.
fn paced(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    ticks
}

/// Whether nobody else holds it, by its own words.
fn is_free(found: &Live, ours: &str, now: SystemTime) -> bool {
    let holder = found.text("/spec/holderIdentity");
    if holder.is_empty() || holder == ours {
        return true;
    }
    let seconds = found.count("/spec/leaseDurationSeconds");
    let duration = u64::try_from(seconds).map_or(DURATION, Duration::from_secs);
    match parse(found.text("/spec/renewTime")) {
        Some(renewed) => now > renewed + duration,
        None => true,
    }
}

/// Pod and Job of the holder, as far as they are known.
fn named(found: &Live) -> String {
    let annotations = found.texts("/metadata/annotations");
    let pod = annotations.get(POD_NAME).copied();
    let pod = pod.unwrap_or_else(|| found.text("/spec/holderIdentity"));
    match (annotations.get(POD_UID), annotations.get(JOB_NAME)) {
        (Some(_), Some(job)) => format!("pod {pod} of Job {job}"),
        (Some(_), None) => format!("pod {pod}"),
        (None, _) => pod.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: &str) -> Live {
        Live::new(json!({
            "metadata": { "annotations": { POD_NAME: "a", POD_UID: "1", JOB_NAME: "first" } },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 30, "renewTime": renewed },
        }))
    }

    #[test]
    fn a_lease_is_free_when_released_ours_or_expired() {
        let now = parse("2026-01-31T08:00:31Z").expect("a moment");
        for (holder, renewed, expected) in [
            ("", "2026-01-31T08:00:30Z", true),
            ("b/2", "2026-01-31T08:00:30Z", true),
            ("a/1", "2026-01-31T08:00:30Z", false),
            ("a/1", "2026-01-31T08:00:01Z", false),
            ("a/1", "2026-01-31T08:00:00Z", true),
            ("a/1", "", true),
        ] {
            let free = is_free(&lease(holder, renewed), "b/2", now);
            assert_eq!(free, expected, "{holder} {renewed}");
        }
    }

    #[test]
    fn the_holder_is_named() {
        assert_eq!(named(&lease("a/1", "")), "pod a of Job first");
        let bare = Live::new(json!({ "spec": { "holderIdentity": "laptop" } }));
        assert_eq!(named(&bare), "laptop");
    }
}
