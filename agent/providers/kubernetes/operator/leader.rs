//! Whether the operator's leader is at work: its Lease is renewed while it is.

use std::time::{Duration, SystemTime};

use super::super::live::Live;
use super::super::time::parse;
use crate::engine::Took;

/// Leaders renew every two to ten seconds.
const FRESH: Duration = Duration::from_secs(30);

/// Why nobody leads, if one of the Leases of a namespace is that of the operator; the operator may
/// also do without.
pub(super) fn missing(leases: &[Live], deployments: &[Live], now: SystemTime) -> Option<String> {
    let ours = leases.iter().filter(|lease| {
        let holder = lease.text("/spec/holderIdentity");
        deployments
            .iter()
            .any(|deployment| is_pod_of(holder, deployment.name()))
    });
    // While a new leader waits for the Lease of an old pod, nobody works.
    ours.filter_map(|lease| Some((lease, age(lease, now)?)))
        .find(|(_, age)| *age > FRESH)
        .map(|(lease, age)| {
            let (name, holder) = (lease.name(), lease.text("/spec/holderIdentity"));
            let pod = holder.split('_').next().unwrap_or_default();
            format!(
                "Lease {name}: its leader {pod} was last at work {} ago",
                Took(age)
            )
        })
}

fn age(lease: &Live, now: SystemTime) -> Option<Duration> {
    let renewed = parse(lease.text("/spec/renewTime"))?;
    // A clock that is ahead of ours makes it fresh.
    Some(now.duration_since(renewed).unwrap_or_default())
}

/// Whether a holder, written as `POD_UUID`, is a pod of a Deployment: `NAME-HASH-SUFFIX`.
fn is_pod_of(holder: &str, deployment: &str) -> bool {
    let pod = holder.split('_').next().unwrap_or_default();
    let rest = pod.strip_prefix(deployment);
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
            let found = missing(&[lease(holder, renewed)], &deployments, now);
            assert_eq!(found.is_some(), is_missing, "{holder} {renewed}: {found:?}");
        }
        let found = missing(&[lease("grafana-6d4c-x2x9z_0b1c", old)], &deployments, now);
        assert_eq!(
            found.as_deref(),
            Some("Lease leader: its leader grafana-6d4c-x2x9z was last at work 1m00s ago")
        );
    }
}
