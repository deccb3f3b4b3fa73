//! The Fluent operator. It writes no status and no events: what it makes is all that tells.

use std::time::Duration;

use super::super::kind::{DAEMON_SET, Kind, SECRET, STATEFUL_SET, Target};
use super::super::live::Live;
use super::verdict::{PERSON, PODS};
use super::{Need, Rule, Sight, Verdict, pod_trouble, workload};

/// A container that dies every few seconds is ready again and again where nobody probes it.
const HELD: Duration = Duration::from_secs(10);

pub(super) fn rule(kind: &str) -> Option<Rule> {
    Some(match kind {
        "FluentBit" => Rule::Around {
            needs: bit_needs,
            verdict: bit,
        },
        "ClusterFluentBitConfig" => Rule::Around {
            needs: bit_config_needs,
            verdict: bit_config,
        },
        "Fluentd" => Rule::Around {
            needs: fluentd_needs,
            verdict: fluentd,
        },
        "Collector" => Rule::Around {
            needs: |sight| vec![sight.need(&STATEFUL_SET, sight.name())],
            verdict: |sight| held(workload(sight, "StatefulSet", sight.name())),
        },
        "FluentdConfig" | "ClusterFluentdConfig" => Rule::Alone(fluentd_config),
        _ => return None,
    })
}

fn bit_needs(sight: &Sight<'_>) -> Vec<Need> {
    let mut needs = vec![
        sight.need(&DAEMON_SET, sight.name()),
        sight.need(&SECRET, sight.object.text("/spec/fluentBitConfigName")),
    ];
    let pods = sight.one("DaemonSet", sight.name());
    needs.extend(pods.map(Sight::need_pods));
    needs
}

fn bit(sight: &Sight<'_>) -> Verdict {
    runs(sight, sight.object)
}

/// What must be there for a `FluentBit` to work.
fn runs(sight: &Sight<'_>, bit: &Live) -> Verdict {
    let config = bit.text("/spec/fluentBitConfigName");
    if sight.one("Secret", config).is_none() {
        return Verdict::NotReady(format!(
            "the operator has not made Secret {config} of its configuration yet: it does not \
             while something lacks that the configuration names"
        ));
    }
    let set = workload(sight, "DaemonSet", bit.name());
    if let Some(why) = set.why() {
        return match pod_trouble::of_any(sight) {
            Some(trouble) => Verdict::trouble(format!("{why}; {trouble}"), PODS),
            None => set,
        };
    }
    let Some(live) = sight.one("DaemonSet", bit.name()) else {
        return set;
    };
    if live.count("/status/desiredNumberScheduled") == 0 {
        return Verdict::not_ready("no node matches: its DaemonSet wants no pods");
    }
    if let Some(old) = older(bit, live) {
        return Verdict::NotReady(old);
    }
    held(Verdict::Ready)
}

fn held(verdict: Verdict) -> Verdict {
    if verdict == Verdict::Ready {
        Verdict::ReadyIfHeld(HELD)
    } else {
        verdict
    }
}

/// What the `DaemonSet` has of an older specification.
fn older(bit: &Live, set: &Live) -> Option<String> {
    let containers = set.list("/spec/template/spec/containers");
    let container = containers
        .iter()
        .find(|it| it["name"] == "fluent-bit")
        .or(containers.first())?;
    let differs = |field: &str| {
        let asked = bit.at(&format!("/spec/{field}"))?;
        let is_empty = asked.as_array().is_some_and(Vec::is_empty) || *asked == "";
        (!is_empty && container[field] != *asked).then(|| asked.clone())
    };
    let field = ["image", "args", "command"]
        .into_iter()
        .find(|field| differs(field).is_some())?;
    Some(format!("its DaemonSet still has another {field}"))
}

fn bit_config_needs(sight: &Sight<'_>) -> Vec<Need> {
    let config = sight.object;
    let bits = Kind::of_group(config.text("/apiVersion"), "FluentBit", "fluentbits");
    let namespace = config.text("/spec/namespace");
    let mut needs = vec![Need::All {
        // Without a namespace it is rendered in that of the operator, which nobody tells.
        kind: if namespace.is_empty() {
            bits.of_the_cluster()
        } else {
            bits
        },
        namespace: namespace.to_owned(),
        labels: String::new(),
    }];
    for bit in users(sight) {
        let namespace = bit.text("/metadata/namespace");
        let one = |kind, name: &str| Need::One(Target::new(kind, namespace, name));
        needs.push(one(SECRET, config.name()));
        needs.push(one(DAEMON_SET, bit.name()));
        let set = sight.one("DaemonSet", bit.name());
        needs.extend(set.map(Sight::need_pods));
    }
    needs
}

/// A configuration is rendered for those that name it, and only then.
fn bit_config(sight: &Sight<'_>) -> Verdict {
    let mut users = users(sight).peekable();
    if users.peek().is_none() {
        return Verdict::not_ready("no FluentBit names it, so nothing is made of it");
    }
    let mut verdicts =
        users.map(|bit| runs(sight, bit).of_part(&format!("FluentBit {}", bit.name())));
    verdicts
        .find(|verdict| !verdict.is_ready())
        .unwrap_or(Verdict::ReadyIfHeld(HELD))
}

fn users<'a>(sight: &Sight<'a>) -> impl Iterator<Item = &'a Live> {
    let name = sight.name();
    sight
        .all("FluentBit")
        .filter(move |bit| bit.text("/spec/fluentBitConfigName") == name)
}

fn fluentd_kind(fluentd: &Live) -> Kind {
    match fluentd.text("/spec/mode") {
        "agent" => DAEMON_SET,
        _ => STATEFUL_SET,
    }
}

fn fluentd_needs(sight: &Sight<'_>) -> Vec<Need> {
    let mut needs = vec![sight.need(&fluentd_kind(sight.object), sight.name())];
    let sets = sight.all("StatefulSet").chain(sight.all("DaemonSet"));
    needs.extend(sets.map(Sight::need_pods));
    needs
}

/// `active` speaks of the configuration only, also while the pod cannot start.
fn fluentd(sight: &Sight<'_>) -> Verdict {
    let kind = match fluentd_kind(sight.object) {
        kind if kind == DAEMON_SET => "DaemonSet",
        _ => "StatefulSet",
    };
    let verdict = workload(sight, kind, sight.name());
    match (verdict.why(), pod_trouble::of_any(sight)) {
        (None, _) => held(verdict),
        (Some(why), Some(trouble)) => Verdict::trouble(format!("{why}; {trouble}"), PODS),
        (Some(_), None) => verdict,
    }
}

fn fluentd_config(config: &Live) -> Verdict {
    let messages = config.text("/status/messages");
    match config.text("/status/state") {
        "active" | "valid" => Verdict::Ready,
        "" => Verdict::not_ready("the operator has not taken it up yet"),
        state if messages.is_empty() => Verdict::not_ready(state),
        state => Verdict::trouble(format!("{state}: {messages}"), PERSON),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{judged, rule_for};
    use super::*;

    fn bit() -> Value {
        json!({ "apiVersion": "fluentbit.fluent.io/v1alpha2", "kind": "FluentBit",
            "metadata": { "name": "bit", "namespace": "lens" },
            "spec": { "fluentBitConfigName": "config", "image": "bit:2", "args": [] } })
    }

    fn secret() -> Value {
        json!({ "kind": "Secret", "metadata": { "name": "config" } })
    }

    fn set(desired: i64, ready: i64, image: &str) -> Value {
        json!({ "kind": "DaemonSet", "metadata": { "name": "bit", "generation": 1 },
            "spec": { "template": { "spec": { "containers": [
                { "name": "fluent-bit", "image": image }] } } },
            "status": { "observedGeneration": 1, "desiredNumberScheduled": desired,
                "updatedNumberScheduled": desired, "numberReady": ready,
                "numberAvailable": ready } })
    }

    fn crashing() -> Value {
        json!({ "kind": "Pod", "metadata": { "name": "bit-x" }, "status": { "containerStatuses": [
            { "name": "fluent-bit", "restartCount": 2, "ready": false,
              "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] } })
    }

    #[test]
    fn only_what_it_makes_tells() {
        let not_ready = Verdict::not_ready;
        for (around, expected) in [
            (
                vec![],
                not_ready(
                    "the operator has not made Secret config of its configuration yet: it does \
                     not while something lacks that the configuration names",
                ),
            ),
            (vec![secret()], not_ready("DaemonSet bit is not there yet")),
            (
                vec![secret(), set(0, 0, "bit:2")],
                not_ready("no node matches: its DaemonSet wants no pods"),
            ),
            (
                vec![secret(), set(2, 1, "bit:2")],
                not_ready("DaemonSet bit: 1 of 2 pods ready"),
            ),
            (
                vec![secret(), set(2, 2, "bit:1")],
                not_ready("its DaemonSet still has another image"),
            ),
            (
                vec![secret(), set(2, 1, "bit:2"), crashing()],
                Verdict::trouble(
                    "DaemonSet bit: 1 of 2 pods ready; pod bit-x: container fluent-bit ends \
                     again and again",
                    PODS,
                ),
            ),
            (
                vec![secret(), set(2, 2, "bit:2")],
                Verdict::ReadyIfHeld(HELD),
            ),
        ] {
            assert_eq!(judged(&bit(), &around), expected);
        }
    }

    #[test]
    fn a_configuration_is_ready_with_those_that_name_it() {
        let config = json!({ "apiVersion": "fluentbit.fluent.io/v1alpha2",
            "kind": "ClusterFluentBitConfig", "metadata": { "name": "config" },
            "spec": { "namespace": "lens" } });
        assert_eq!(
            judged(&config, &[]),
            Verdict::not_ready("no FluentBit names it, so nothing is made of it")
        );
        assert_eq!(
            judged(&config, &[bit(), secret()]),
            Verdict::not_ready("FluentBit bit: DaemonSet bit is not there yet")
        );
        let well = [bit(), secret(), set(1, 1, "bit:2")];
        assert_eq!(judged(&config, &well), Verdict::ReadyIfHeld(HELD));
    }

    #[test]
    fn fluentd() {
        let of = |kind: &str, fields: Value| {
            let mut object = json!({ "apiVersion": "fluentd.fluent.io/v1alpha1", "kind": kind,
                                     "metadata": { "name": "d", "namespace": "lens" } });
            for (key, value) in fields.as_object().expect("fields") {
                object[key] = value.clone();
            }
            object
        };
        let set = json!({ "kind": "StatefulSet", "metadata": { "name": "d", "generation": 1 },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": 1,
                        "updatedReplicas": 1 } });
        let active = json!({ "status": { "state": "active" } });
        assert_eq!(
            judged(&of("Fluentd", active.clone()), &[]),
            Verdict::not_ready("StatefulSet d is not there yet")
        );
        assert_eq!(
            judged(&of("Fluentd", active.clone()), &[set]),
            Verdict::ReadyIfHeld(HELD)
        );
        assert_eq!(judged(&of("FluentdConfig", active), &[]), Verdict::Ready);
        let invalid = json!({ "status": { "state": "invalid", "messages": "no output" } });
        assert_eq!(
            judged(&of("ClusterFluentdConfig", invalid), &[]),
            Verdict::trouble("invalid: no output", PERSON)
        );
        let agent = Live::new(of("Fluentd", json!({ "spec": { "mode": "agent" } })));
        let asked = rule_for(&agent);
        assert_eq!(
            asked.verdict(&Sight::new(&agent, &[])),
            Verdict::not_ready("DaemonSet d is not there yet")
        );
    }
}
