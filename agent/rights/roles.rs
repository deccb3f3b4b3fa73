//! From single rights to the least Roles that hold them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Guess, Need, Subject, Verb};

/// Rules of one namespace, or of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// None for a `ClusterRole`.
    pub namespace: Option<String>,
    /// In the order of their resources.
    pub rules: Vec<Rule>,
}

/// One rule, as Kubernetes has it, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Empty for the core group.
    pub group: String,
    /// `deployments`, `pods/log`
    pub resource: String,
    /// The objects that it is about; empty for all.
    pub names: Vec<String>,
    /// What may be done.
    pub verbs: Vec<Verb>,
    /// What for, each with the steps.
    pub reasons: BTreeMap<&'static str, BTreeSet<String>>,
    /// The kind, if its plural was guessed.
    pub guess: Option<Guess>,
}

/// The Roles of a run: that of the installation's namespace first, that of the cluster last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(pub Vec<Role>);

/// The reasons for the verbs on one subject.
#[derive(Default)]
struct Held {
    verbs: BTreeMap<Verb, BTreeMap<&'static str, BTreeSet<String>>>,
    guess: Option<Guess>,
}

/// One right, and every step that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub subject: Subject,
    /// By which steps.
    pub steps: BTreeSet<String>,
    /// The kind, if its plural was guessed.
    pub guess: Option<Guess>,
}

/// Each right that a run cannot do without, once; what is needed for all is not asked again by name.
#[must_use]
pub fn asked(needs: &[Need]) -> Vec<Asked> {
    let whole = whole(needs);
    let mut found: BTreeMap<(Subject, Verb), Asked> = BTreeMap::new();
    for need in needs.iter().filter(|need| !need.is_dispensable()) {
        let subject = covering(need, &whole);
        let entry = found.entry((subject.clone(), need.verb));
        let asked = entry.or_insert_with(|| Asked {
            verb: need.verb,
            subject,
            steps: BTreeSet::new(),
            guess: need.guess.clone(),
        });
        asked.steps.insert(need.step.clone());
    }
    found.into_values().collect()
}

impl Roles {
    /// The least Roles that hold all of these.
    #[must_use]
    pub fn of(needs: &[Need], installation: &str) -> Self {
        let whole = whole(needs);
        let mut held: BTreeMap<Subject, Held> = BTreeMap::new();
        for need in needs {
            let entry = held.entry(covering(need, &whole)).or_default();
            let reasons = entry.verbs.entry(need.verb).or_default();
            let steps = reasons.entry(need.why).or_default();
            steps.insert(need.step.clone());
            entry.guess.clone_from(&need.guess);
        }
        let mut roles: BTreeMap<Option<String>, Vec<Rule>> = BTreeMap::new();
        for (subject, held) in held {
            let place = roles.entry(subject.namespace.clone()).or_default();
            let rule = rule(subject, held);
            match place
                .iter_mut()
                .find(|other| is_same_but_names(other, &rule))
            {
                Some(other) => merge(other, rule),
                None => place.push(rule),
            }
        }
        let mut roles: Vec<Role> = roles
            .into_iter()
            .map(|(namespace, rules)| Role { namespace, rules })
            .collect();
        roles.sort_by_key(|role| {
            let is_other = role.namespace.as_deref() != Some(installation);
            (role.namespace.is_none(), is_other)
        });
        Self(roles)
    }
}

/// What is needed for all names.
fn whole(needs: &[Need]) -> BTreeSet<(Verb, &Subject)> {
    needs
        .iter()
        .filter(|need| need.subject.name.is_none())
        .map(|need| (need.verb, &need.subject))
        .collect()
}

/// The subject of a need, or that of another which allows the same for all names.
fn covering(need: &Need, whole: &BTreeSet<(Verb, &Subject)>) -> Subject {
    let all = Subject {
        name: None,
        ..need.subject.clone()
    };
    if whole.contains(&(need.verb, &all)) {
        all
    } else {
        need.subject.clone()
    }
}

fn rule(subject: Subject, held: Held) -> Rule {
    let mut reasons: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for (why, steps) in held.verbs.values().flatten() {
        reasons
            .entry(why)
            .or_default()
            .extend(steps.iter().cloned());
    }
    Rule {
        group: subject.group,
        resource: subject.resource,
        names: subject.name.into_iter().collect(),
        verbs: held.verbs.into_keys().collect(),
        reasons,
        guess: held.guess,
    }
}

fn is_same_but_names(one: &Rule, other: &Rule) -> bool {
    let of = |rule: &Rule| {
        (
            rule.group.clone(),
            rule.resource.clone(),
            rule.verbs.clone(),
        )
    };
    !one.names.is_empty() && !other.names.is_empty() && of(one) == of(other)
}

fn merge(into: &mut Rule, rule: Rule) {
    into.names.extend(rule.names);
    for (why, steps) in rule.reasons {
        into.reasons.entry(why).or_default().extend(steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(verb: Verb, resource: &str, name: Option<&str>, step: &str) -> Need {
        Need {
            verb,
            subject: Subject {
                namespace: Some("lens".to_owned()),
                group: String::new(),
                resource: resource.to_owned(),
                name: name.map(str::to_owned),
            },
            step: step.to_owned(),
            why: "because",
            guess: None,
        }
    }

    /// Resource, names, verbs and steps of a rule.
    type Short = (String, Vec<String>, Vec<Verb>, Vec<String>);

    fn rules(needs: &[Need]) -> Vec<Short> {
        let Roles(all) = Roles::of(needs, "lens");
        all.into_iter()
            .flat_map(|role| role.rules)
            .map(|rule| {
                let steps = rule.reasons.into_values().flatten().collect();
                (rule.resource, rule.names, rule.verbs, steps)
            })
            .collect()
    }

    #[test]
    fn names_with_the_same_verbs_share_a_rule() {
        let found = rules(&[
            need(Verb::Get, "secrets", Some("b"), "two"),
            need(Verb::Get, "secrets", Some("a"), "one"),
            need(Verb::Create, "secrets", None, "one"),
        ]);
        let texts = |list: &[&str]| {
            list.iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found,
            [
                (
                    "secrets".to_owned(),
                    vec![],
                    vec![Verb::Create],
                    texts(&["one"])
                ),
                (
                    "secrets".to_owned(),
                    texts(&["a", "b"]),
                    vec![Verb::Get],
                    texts(&["one", "two"])
                ),
            ]
        );
    }

    #[test]
    fn what_is_allowed_for_all_is_not_said_by_name() {
        let found = rules(&[
            need(Verb::Get, "pods", Some("a"), "one"),
            need(Verb::Get, "pods", None, "two"),
        ]);
        let steps = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(found, [("pods".to_owned(), vec![], vec![Verb::Get], steps)]);
    }

    #[test]
    fn the_installation_comes_first_and_the_cluster_last() {
        let mut needs = vec![need(Verb::Get, "pods", None, "one"); 3];
        needs[0].subject.namespace = None;
        needs[1].subject.namespace = Some("a".to_owned());
        let roles = Roles::of(&needs, "lens");
        let places: Vec<_> = roles.0.into_iter().map(|role| role.namespace).collect();
        let text = |name: &str| Some(name.to_owned());
        assert_eq!(places, [text("lens"), text("a"), None]);
    }
}
