//! Whether the operator's leader is at work: its Lease is renewed while it is.

use std::time::{Duration, SystemTime};

use super::super::kind::{LEASE, POD, Target};
use super::super::live::Live;
use super::super::time::{parse, rfc3339};
use super::super::{Client, Error};

/// Leaders renew every two to ten seconds.
const FRESH: Duration = Duration::from_secs(30);
/// What a Lease lasts if it does not say.
const LASTS: i64 = 15;
/// After so many times what it lasts, nobody waits for a Lease any more.
const ABANDONED: u32 = 10;

/// A Lease of the operator that was not renewed as a leader does.
#[derive(Debug, PartialEq)]
struct Late<'a> {
    lease: &'a str,
    holder: &'a str,
    renewed: SystemTime,
    /// It may be left over from an operator that was configured otherwise.
    is_abandoned: bool,
}

/// Why nobody leads, if one of the Leases of a namespace is that of the operator; the operator may
/// also do without.
pub(super) async fn missing(
    client: &Client,
    namespace: &str,
    deployments: &[Live],
) -> Result<Option<String>, Error> {
    let leases = client.list(&LEASE, namespace, "", "").await?;
    for late in late(&leases, deployments, SystemTime::now()) {
        // While a new leader waits for the Lease of an old pod, nobody works.
        if !late.is_abandoned || runs(client, namespace, late.holder).await? {
            return Ok(Some(late.said()));
        }
    }
    Ok(None)
}

/// Whether the pod is there to renew its Lease.
async fn runs(client: &Client, namespace: &str, pod: &str) -> Result<bool, Error> {
    let found = client.get(&Target::new(POD, namespace, pod)).await?;
    Ok(found.is_some_and(|pod| !matches!(pod.text("/status/phase"), "Failed" | "Succeeded")))
}

fn late<'a>(leases: &'a [Live], deployments: &[Live], now: SystemTime) -> Vec<Late<'a>> {
    let late = leases.iter().filter_map(|lease| {
        let holder = lease.text("/spec/holderIdentity");
        let ours = |deployment: &Live| is_pod_of(holder, deployment.name());
        let renewed = parse(lease.text("/spec/renewTime"))?;
        let age = age(renewed, now);
        (age > FRESH && deployments.iter().any(ours)).then(|| Late {
            lease: lease.name(),
            holder: pod_of(holder),
            renewed,
            is_abandoned: age > lasts(lease).saturating_mul(ABANDONED),
        })
    });
    late.collect()
}

impl Late<'_> {
    /// The same words at each look, as long as nothing changes.
    fn said(&self) -> String {
        let Self { lease, holder, .. } = self;
        let renewed = rfc3339(self.renewed);
        format!("Lease {lease}: its leader {holder} was last at work at {renewed}")
    }
}

fn lasts(lease: &Live) -> Duration {
    let seconds = lease.at("/spec/leaseDurationSeconds");
    let seconds = seconds.and_then(serde_json::Value::as_i64).unwrap_or(LASTS);
    Duration::from_secs(seconds.unsigned_abs())
}

/// A clock that is ahead of ours makes it fresh.
fn age(renewed: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(renewed).unwrap_or_default()
}

/// The pod of a holder, which is written as `POD_UUID`.
fn pod_of(holder: &str) -> &str {
    holder.split('_').next().unwrap_or_default()
}

/// Whether a holder is a pod of a Deployment: `NAME-HASH-SUFFIX`.
fn is_pod_of(holder: &str, deployment: &str) -> bool {
    let rest = pod_of(holder).strip_prefix(deployment);
    let rest = rest.and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.split('-').count() == 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(holder: &str, renewed: &str) -> Live {
        Live::new(json!({ "metadata": { "name": "leader" },
            "spec": { "holderIdentity": holder, "renewTime": renewed } }))
    }

    #[test]
    fn only_the_lease_of_a_pod_of_the_operator_counts() {
        let now = parse("2026-01-31T08:01:00Z").expect("a moment");
        let deployments = [Live::new(json!({ "metadata": { "name": "grafana" } }))];
        let old = "2026-01-31T08:00:00.000000Z";
        for (holder, renewed, is_missing) in [
            ("grafana-6d4c-x2x9z_0b1c", old, true),
            ("grafana-6d4c-x2x9z_0b1c", "2026-01-31T08:00:31Z", false),
            ("grafana-6d4c-x2x9z_0b1c", "2026-01-31T08:02:00Z", false),
            ("grafana-operator-6d4c-x2x9z_0b1c", old, false),
            ("node-1_0b1c", old, false),
            ("", old, false),
            ("grafana-6d4c-x2x9z", "", false),
        ] {
            let leases = [lease(holder, renewed)];
            let found = late(&leases, &deployments, now);
            assert_eq!(
                !found.is_empty(),
                is_missing,
                "{holder} {renewed}: {found:?}"
            );
        }
        let leases = [lease("grafana-6d4c-x2x9z_0b1c", old)];
        let found = late(&leases, &deployments, now);
        assert_eq!(
            found[0].said(),
            "Lease leader: its leader grafana-6d4c-x2x9z was last at work at 2026-01-31T08:00:00Z"
        );
    }

    #[test]
    fn a_lease_that_nobody_renewed_for_ten_times_its_duration_is_abandoned() {
        let deployments = [Live::new(json!({ "metadata": { "name": "grafana" } }))];
        let renewed = "2026-01-31T08:00:00Z";
        for (now, lasts, expected) in [
            ("2026-01-31T08:02:30Z", json!(null), false),
            ("2026-01-31T08:02:31Z", json!(null), true),
            ("2026-01-31T08:10:00Z", json!(60), false),
            ("2026-01-31T08:10:01Z", json!(60), true),
        ] {
            let lease = Live::new(json!({ "metadata": { "name": "leader" }, "spec": {
                "holderIdentity": "grafana-6d4c-x2x9z", "renewTime": renewed,
                "leaseDurationSeconds": lasts } }));
            let leases = [lease];
            let found = late(&leases, &deployments, parse(now).expect("a moment"));
            let found: Vec<bool> = found.iter().map(|late| late.is_abandoned).collect();
            assert_eq!(found, [expected], "{now} {lasts}");
        }
    }
}
