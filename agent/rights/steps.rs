//! What each step of a bundle asks of the API server.

use serde_json::Value;

use super::credentials::credentials;
use super::kinds::{Kinds, Served};
use super::surroundings;
use super::{Guess, Need, Purpose, Subject, Verb};
use crate::bundle::{Action, Bundle, Check, Manifest, OperatorGate, Restart};
use crate::providers::kubernetes;
use crate::secret::{Credential, SecretRef};
use Verb::{Create, Delete, Get, List, Patch, Watch};

/// What every run does, whatever the bundle is.
pub(super) const RUN: &str = "run";

/// Everything that the agent asks, step by step.
#[must_use]
pub fn needs(bundle: &Bundle, purpose: Purpose) -> Vec<Need> {
    let kinds = Kinds::of(bundle);
    let mut needs = of_every_run(bundle, purpose);
    for (node, step) in bundle.leaves() {
        let mut found = Found {
            bundle,
            kinds: &kinds,
            purpose,
            step: &node.id,
            needs: &mut needs,
        };
        found.action(&step.action);
    }
    needs
}

/// The lock, the record, the inventory and the Event at the end.
fn of_every_run(bundle: &Bundle, purpose: Purpose) -> Vec<Need> {
    let lock = format!("firstlight-{}", bundle.name);
    let need = |verb, group: &str, resource: &str, name: Option<&str>, why| Need {
        verb,
        subject: Subject {
            namespace: Some(bundle.namespace.clone()),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
        },
        step: RUN.to_owned(),
        why,
        guess: None,
    };
    let mut needs = Vec::new();
    let coordination = "coordination.k8s.io";
    let why = "the lock that keeps two runs apart";
    for verb in [Get, Patch] {
        needs.push(need(verb, coordination, "leases", Some(&lock), why));
    }
    needs.push(need(Create, coordination, "leases", None, why));
    let why = "to learn at once that the lock was lost";
    for verb in [List, Watch] {
        needs.push(need(verb, coordination, "leases", None, why));
    }
    let why = "the record of the last run and the inventory of what the bundle owns";
    for verb in [Get, Create, Patch] {
        needs.push(need(verb, "", "configmaps", None, why));
    }
    if purpose == Purpose::Uninstall {
        let why = "taken away when nothing is left";
        needs.push(need(Delete, "", "configmaps", None, why));
        needs.push(need(Delete, coordination, "leases", Some(&lock), why));
    }
    let why = "how the run ended, as an Event on its Job";
    needs.push(need(Create, "", "events", None, why));
    // The holder of the lock is asked for by its name.
    let why = "whether the pod that holds the lock is gone";
    needs.push(need(Get, "", "pods", None, why));
    needs
}

/// What one step needs, while it is found.
pub(super) struct Found<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) kinds: &'a Kinds,
    purpose: Purpose,
    step: &'a str,
    needs: &'a mut Vec<Need>,
}

/// A resource and where it is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) namespace: Option<String>,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) guess: Option<Guess>,
}

impl Found<'_> {
    fn action(&mut self, action: &Action) {
        match action {
            Action::Object(manifest) => self.object(manifest),
            Action::Secret(secret) => self.generated_secret(&secret.name),
            // Everything else is no object of ours.
            _ if self.purpose == Purpose::Uninstall => {}
            Action::Operator(gate) => self.operator(gate),
            Action::Role(role) => {
                self.secrets(role.password.iter().filter_map(Credential::reference));
            }
            Action::Datasource(datasource) => {
                let secrets = datasource.secrets.values();
                self.secrets(secrets.filter_map(Credential::reference));
            }
            Action::Check(Check::Running { workload, ask }) => self.running(workload, ask),
            Action::Check(Check::Drift { objects, .. }) => {
                for object in objects {
                    self.drift(object);
                }
            }
            _ => {}
        }
        let server = action.server();
        if let Some(server) = server.filter(|_| self.purpose != Purpose::Uninstall) {
            self.secrets(credentials(&self.bundle.servers, server));
        }
    }

    fn object(&mut self, manifest: &Manifest) {
        let object = &manifest.object;
        let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let served = self.kinds.served(api_version, kind);
        let place = self.place(&served, text(object, "/metadata/namespace"));
        let name = text(object, "/metadata/name");
        let is_secret = place.is("", "secrets");
        if !is_secret && !surroundings::is_ready_at_once(&served) {
            for verb in [List, Watch] {
                self.add(
                    verb,
                    &place,
                    None,
                    "one list and one watch for all of its kind",
                );
            }
        }
        // Whoever may read or write all of these rules the cluster, so they are named one by one.
        let by_name = (is_secret || place.namespace.is_none()).then_some(name);
        self.deletion(&place, by_name);
        if self.purpose == Purpose::Uninstall {
            return;
        }
        let why = "applied, and compared before";
        for verb in [Get, Patch] {
            self.add(verb, &place, by_name, why);
        }
        // The installation's own namespace is there, because the lock is in it.
        let is_ours = place.is("", "namespaces") && name == self.bundle.namespace;
        if !is_ours {
            self.add(Create, &place, None, why);
        }
        self.grants(object, &place, name);
        if manifest.terms.recreate {
            let why = "made anew when a field cannot be changed";
            self.add(Delete, &place, by_name, why);
        }
        if manifest.terms.restart == Restart::OnConfig {
            let why = "its pods are replaced when this changes";
            self.configs(object, place.namespace.as_deref(), why);
        }
        if manifest.terms.wait {
            self.beside(object, &served, &place);
        }
    }

    /// What the pods of a workload read when they start.
    pub(super) fn configs(&mut self, object: &Value, namespace: Option<&str>, why: &'static str) {
        let place = |resource: &str| Place {
            namespace: namespace.map(str::to_owned),
            group: String::new(),
            resource: resource.to_owned(),
            guess: None,
        };
        for (is_secret, name) in kubernetes::config_names(object) {
            if is_secret {
                self.add(Get, &place("secrets"), Some(&name), why);
            } else {
                for verb in [Get, List, Watch] {
                    self.add(verb, &place("configmaps"), None, why);
                }
            }
        }
    }

    fn generated_secret(&mut self, name: &str) {
        let place = self.within("", "secrets");
        self.deletion(&place, Some(name));
        if self.purpose == Purpose::Uninstall {
            return;
        }
        let why = "made once, then read to see that its keys are there";
        for verb in [Get, Patch] {
            self.add(verb, &place, Some(name), why);
        }
        self.add(Create, &place, None, why);
    }

    fn operator(&mut self, gate: &OperatorGate) {
        let of_the_cluster = |group: &str, resource: &str| Place {
            namespace: None,
            group: group.to_owned(),
            resource: resource.to_owned(),
            guess: None,
        };
        let definitions = of_the_cluster("apiextensions.k8s.io", "customresourcedefinitions");
        for crd in &gate.crds {
            self.add(Get, &definitions, Some(crd), "whether it is served");
        }
        for verb in [List, Watch] {
            self.add(verb, &definitions, None, "to hear when one is served");
        }
        for resource in [
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
        ] {
            let hooks = of_the_cluster("admissionregistration.k8s.io", resource);
            let why = "which webhooks its objects pass";
            self.add(List, &hooks, None, why);
        }
        let there = |group: &str, resource: &str| Place {
            namespace: Some(gate.namespace.clone()),
            ..of_the_cluster(group, resource)
        };
        for verb in [List, Watch] {
            let deployments = there("apps", "deployments");
            self.add(verb, &deployments, None, "whether the operator runs");
        }
        let leases = there("coordination.k8s.io", "leases");
        self.add(List, &leases, None, "whether its leader is at work");
        let slices = there("discovery.k8s.io", "endpointslices");
        self.add(List, &slices, None, "whether its webhooks can answer");
        let deployment = self.kinds.served("apps/v1", "Deployment");
        self.surroundings(&deployment, Some(&gate.namespace));
    }

    /// What a rule of readiness and a diagnosis read beside the object.
    pub(super) fn surroundings(&mut self, served: &Served, namespace: Option<&str>) {
        for (group, resource, verbs, why) in surroundings::of(served) {
            let in_cluster = surroundings::IN_NO_NAMESPACE.contains(&resource);
            let place = Place {
                namespace: namespace.filter(|_| !in_cluster).map(str::to_owned),
                group: group.to_owned(),
                resource: resource.to_owned(),
                guess: None,
            };
            // An object of the cluster has nothing in a namespace that could be read.
            if in_cluster || place.namespace.is_some() {
                for verb in verbs {
                    self.add(*verb, &place, None, why);
                }
            }
        }
    }

    fn deletion(&mut self, place: &Place, by_name: Option<&str>) {
        let why = match self.purpose {
            Purpose::Run => return,
            Purpose::Prune => "deleted when it has left the bundle",
            Purpose::Uninstall => "deleted, and waited for until it is gone",
        };
        for verb in [Get, Delete] {
            self.add(verb, place, by_name, why);
        }
    }

    fn secrets<'c>(&mut self, references: impl IntoIterator<Item = &'c SecretRef>) {
        let place = self.within("", "secrets");
        for reference in references {
            let why = "credentials that it uses";
            self.add(Get, &place, Some(&reference.secret), why);
        }
    }

    /// A resource of the installation's namespace.
    pub(super) fn within(&self, group: &str, resource: &str) -> Place {
        Place {
            namespace: Some(self.bundle.namespace.clone()),
            group: group.to_owned(),
            resource: resource.to_owned(),
            guess: None,
        }
    }

    pub(super) fn place(&self, served: &Served, namespace: &str) -> Place {
        let namespace = match namespace {
            "" => &self.bundle.namespace,
            given => given,
        };
        Place {
            namespace: served.namespaced.then(|| namespace.to_owned()),
            group: served.group.clone(),
            resource: served.plural.clone(),
            guess: served.guess.clone(),
        }
    }

    pub(super) fn add(&mut self, verb: Verb, place: &Place, name: Option<&str>, why: &'static str) {
        self.needs.push(Need {
            verb,
            subject: Subject {
                namespace: place.namespace.clone(),
                group: place.group.clone(),
                resource: place.resource.clone(),
                name: name.map(str::to_owned),
            },
            step: self.step.to_owned(),
            why,
            guess: place.guess.clone(),
        });
    }
}

impl Place {
    fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}
