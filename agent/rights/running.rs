//! What a question about a workload asks of the API server.

use super::Verb::{Get, List, Watch};
use super::steps::{Found, Place, text};
use crate::bundle::{Action, RunningAsk, Workload};

impl Found<'_> {
    /// What a question about a workload reads.
    pub(super) fn running(&mut self, workload: &Workload, ask: &RunningAsk) {
        let served = self.kinds.served("apps/v1", workload.kind);
        let namespace = workload.namespace.as_deref().unwrap_or_default();
        let place = self.place(&served, namespace);
        for verb in [Get, List, Watch] {
            self.add(verb, &place, None, "what is to run");
        }
        self.surroundings(&served, place.namespace.as_deref());
        if let RunningAsk::Keys { secret, .. } = ask {
            let secrets = Place {
                group: String::new(),
                resource: "secrets".to_owned(),
                ..place
            };
            self.add(Get, &secrets, Some(secret), "whether its keys are there");
        }
        if let RunningAsk::Environment { .. } = ask {
            self.read_by(workload);
        }
    }

    /// What the pods of a workload of the bundle read, for the variables that come from it.
    fn read_by(&mut self, workload: &Workload) {
        let of_bundle = self.bundle.leaves().into_iter().find_map(|(_, step)| {
            let Action::Object(manifest) = &step.action else {
                return None;
            };
            let object = &manifest.object;
            let is_it = text(object, "/kind") == workload.kind
                && text(object, "/metadata/name") == workload.name;
            is_it.then_some(object)
        });
        let namespace = workload.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| self.bundle.namespace.clone());
        if let Some(object) = of_bundle {
            self.configs(object, Some(&namespace), "whether its variables are there");
        }
    }
}
