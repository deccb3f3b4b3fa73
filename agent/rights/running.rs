//! What a question about what runs asks of the API server.

use super::Verb::{Get, List, Patch, Watch};
use super::steps::{Found, Place, text};
use crate::bundle::{Action, Drifting, RunningAsk, Workload};

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

    /// What a comparison of an object with the bundle reads. A dry run, where only that can tell,
    /// takes the right to write.
    pub(super) fn drift(&mut self, drifting: &Drifting) {
        let object = &drifting.object;
        let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let served = self.kinds.served(api_version, kind);
        let place = self.place(&served, text(object, "/metadata/namespace"));
        let is_secret = place.resource == "secrets" && place.group.is_empty();
        let by_name = is_secret || place.namespace.is_none();
        let name = by_name.then(|| text(object, "/metadata/name"));
        let why = "whether it is as the bundle has it";
        for verb in [Get, Patch] {
            self.add(verb, &place, name, why);
        }
        if drifting.restarts {
            self.configs(object, place.namespace.as_deref(), why);
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
