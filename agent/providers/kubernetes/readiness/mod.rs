//! When an object is ready, by a rule for each kind.
//!
//! A kind without a rule is never taken for ready: most custom resources have no status right
//! after they are made, and some never say that they failed.
//!
//! A rule is two pure functions: what must be seen beside the object ([`Need`]), and what is to
//! be made of it ([`Verdict`]). The reading is done here, the counting of time in [`Tenure`], so
//! that a rule can be tried on anything that was ever recorded.

mod cert_manager;
mod cluster;
mod custom;
mod fluent_operator;
mod grafana_operator;
mod grafana_parts;
mod network;
mod opensearch_operator;
mod opentelemetry_operator;
mod own;
mod pod_trouble;
mod pods;
mod postgres_operator;
mod prometheus_operator;
#[cfg(test)]
mod replay;
mod sight;
mod storage;
mod tenure;
mod verdict;
mod victoria_metrics;
mod workloads;

use std::time::SystemTime;

use futures::future::{FutureExt as _, select_all};
use sight::Need;
pub(super) use sight::Sight;
pub(super) use tenure::Tenure;
use verdict::Verdict;

use super::kind::Target;
use super::live::Live;
use super::{Client, Error};
use crate::expression::ReadyRule;
use crate::kinds;

/// What is to be made of an object now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    /// Somebody is or should be at work; in numbers where there are any.
    NotReady(String),
    /// It will not become ready by itself.
    Failed(String),
    /// Nobody knows.
    NoRule,
}

impl Readiness {
    /// With other words.
    pub(super) fn said(self, with: impl Fn(&str) -> String) -> Self {
        match self {
            Self::NotReady(why) => Self::NotReady(with(&why)),
            Self::Failed(why) => Self::Failed(with(&why)),
            other @ (Self::Ready | Self::NoRule) => other,
        }
    }
}

/// How a kind is judged.
#[derive(Clone, Copy)]
enum Rule {
    /// It is ready as soon as it is there.
    AtOnce,
    /// It tells by itself.
    Alone(fn(&Live) -> Verdict),
    /// It lies at times, or says nothing: what stands around it must be seen too.
    Around {
        needs: fn(&Sight<'_>) -> Vec<Need>,
        verdict: fn(&Sight<'_>) -> Verdict,
    },
}

impl Rule {
    fn verdict(self, sight: &Sight<'_>) -> Verdict {
        match self {
            Self::AtOnce => Verdict::Ready,
            Self::Alone(verdict) => verdict(sight.object),
            Self::Around { verdict, .. } => verdict(sight),
        }
    }
}

/// What was read beside an object.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    objects: Vec<Live>,
    /// What was not there, and is heard of when it comes.
    lacking: Vec<Need>,
}

impl Surroundings {
    /// What an operator works on, with the version seen: when one changes, so may the verdict.
    pub(super) fn watched(&self) -> impl Iterator<Item = (Target, &str)> {
        self.objects.iter().filter_map(|live| {
            let kind = sight::WATCHED
                .into_iter()
                .find(|kind| *kind.name == *live.text("/kind"))?;
            let target = Target::new(kind, live.text("/metadata/namespace"), live.name());
            Some((target, live.version()))
        })
    }

    /// Ends when something is there that was not.
    pub(super) async fn appears(&self, client: &Client) {
        if self.lacking.is_empty() {
            return std::future::pending().await;
        }
        let lacking = self.lacking.iter();
        select_all(lacking.map(|need| need.appears(client).boxed())).await;
    }
}

/// Reads what the rule of the kind must see beside the object.
pub(super) async fn surroundings(
    client: &Client,
    live: &Live,
    own: &ReadyRule,
) -> Result<Surroundings, Error> {
    let (objects, lacking) = match rule_for(live) {
        Rule::Around { needs, .. } if own.ready.is_none() => {
            sight::look(client, live, needs).await?
        }
        Rule::Around { .. } | Rule::AtOnce | Rule::Alone(_) => Default::default(),
    };
    Ok(Surroundings { objects, lacking })
}

/// Whether an object is ready now, in the light of how long that has been so; by the bundle's
/// own rule as far as there is one.
pub(super) fn judge(
    tenure: &mut Tenure,
    live: &Live,
    surroundings: &Surroundings,
    own: &ReadyRule,
    now: SystemTime,
) -> Readiness {
    let sight = Sight::new(live, &surroundings.objects);
    let verdict = own::verdict(own, live).unwrap_or_else(|| rule_for(live).verdict(&sight));
    tenure.settle(verdict, &sight, now)
}

/// What a person should know of an object although it is ready.
pub(super) fn warning(live: &Live) -> Option<String> {
    let group = super::kind::split(live.text("/apiVersion")).0;
    match (group, live.text("/kind")) {
        ("apps", "DaemonSet") => workloads::nowhere(live),
        _ => None,
    }
}

/// Whether an object that tells by itself is ready at its first sight.
pub(super) fn of(live: &Live, surroundings: &Surroundings) -> Readiness {
    let own = ReadyRule::default();
    let now = SystemTime::UNIX_EPOCH;
    judge(&mut Tenure::default(), live, surroundings, &own, now)
}

fn rule_for(live: &Live) -> Rule {
    let group = super::kind::split(live.text("/apiVersion")).0;
    built_in(group, live.text("/kind")).unwrap_or(Rule::Alone(custom::any))
}

/// The rule for a kind that we know.
fn built_in(group: &str, kind: &str) -> Option<Rule> {
    if !kinds::is_known(group, kind) {
        return None;
    }
    match group {
        _ if kinds::is_ready_at_once(group, kind) => Some(Rule::AtOnce),
        "postgres-operator.crunchydata.com" => postgres_operator::rule(kind),
        "opensearch.opster.io" | "opensearch.org" => opensearch_operator::rule(kind),
        "operator.victoriametrics.com" => victoria_metrics::rule(kind),
        "grafana.integreatly.org" => grafana_operator::rule(kind),
        "fluentbit.fluent.io" | "fluentd.fluent.io" => fluent_operator::rule(kind),
        "monitoring.coreos.com" => prometheus_operator::rule(kind),
        "opentelemetry.io" => opentelemetry_operator::rule(kind),
        "cert-manager.io" => cert_manager::rule(kind),
        _ => native(group, kind),
    }
}

fn native(group: &str, kind: &str) -> Option<Rule> {
    Some(match (group, kind) {
        ("apps", "Deployment") => Rule::Alone(workloads::deployment),
        ("apps", "StatefulSet") => Rule::Alone(workloads::stateful_set),
        ("apps", "DaemonSet") => Rule::Alone(workloads::daemon_set),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => {
            Rule::Alone(workloads::replica_set)
        }
        ("batch", "Job") => Rule::Alone(pods::job),
        ("", "Pod") => Rule::Alone(pods::pod),
        ("", "PersistentVolumeClaim") => Rule::Around {
            needs: storage::needs,
            verdict: storage::claim,
        },
        ("", "PersistentVolume") => Rule::Alone(storage::volume),
        ("", "Service") => Rule::Around {
            needs: network::needs,
            verdict: network::service,
        },
        ("", "Namespace") => Rule::Alone(cluster::namespace),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Rule::Alone(cluster::definition),
        ("apiregistration.k8s.io", "APIService") => Rule::Alone(cluster::api_service),
        _ => return None,
    })
}

/// Whether the status still speaks of an older specification.
fn is_stale(live: &Live) -> bool {
    match (live.generation(), live.observed_generation()) {
        (Some(generation), Some(observed)) => observed < generation,
        _ => false,
    }
}

const STALE: &str = "its controller has not seen the latest change yet";

/// Whether a workload is complete, by the native rule for it; `missing` if it is not there.
fn workload(sight: &Sight<'_>, kind: &'static str, name: &str) -> Verdict {
    match sight.one(kind, name) {
        None => Verdict::NotReady(format!("{kind} {name} is not there yet")),
        Some(live) => match native("apps", kind) {
            Some(Rule::Alone(verdict)) => verdict(live).of_part(&format!("{kind} {name}")),
            _ => Verdict::NoRule,
        },
    }
}

/// What the rule of an object's kind says, with these around it.
#[cfg(test)]
fn judged(object: &serde_json::Value, around: &[serde_json::Value]) -> Verdict {
    let object = Live::new(object.clone());
    let around: Vec<Live> = around.iter().cloned().map(Live::new).collect();
    rule_for(&object).verdict(&Sight::new(&object, &around))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_is_said_to_have_a_rule_has_one() {
        let without: Vec<_> = kinds::ruled()
            .filter(|(group, kind)| built_in(group, kind).is_none())
            .collect();
        assert_eq!(without, []);
    }
}
