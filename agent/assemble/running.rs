//! Questions about what runs: those that the bundle asks, and those of a check after the run.

use std::sync::Arc;

use super::step::Place;
use super::{AssembleError, Assembly, PATIENCE};
use crate::bundle::{Action, Drifting, RunningAsk, Workload};
use crate::engine::{StepId, StepOptions};
use crate::providers::kubernetes::{Ask, Drift, Object, ObjectOptions, RunningCheck, WORKLOADS};

/// The group of the questions that nobody has to write.
const RUNNING: &str = "what-runs";

impl Assembly<'_> {
    pub(super) fn running(&mut self, place: Place<'_>, workload: Workload, ask: RunningAsk) {
        let (kind, ask) = match ask {
            RunningAsk::Rollout => ("check.rollout", Ask::Rollout),
            RunningAsk::Image {
                container,
                image,
                digest,
            } => (
                "check.image",
                Ask::Image {
                    container,
                    image,
                    digest,
                },
            ),
            RunningAsk::Environment { container, names } => {
                ("check.env", Ask::Environment { container, names })
            }
            RunningAsk::Keys { secret, keys } => ("check.secret", Ask::Keys { secret, keys }),
        };
        let client = self.backends.kubernetes.clone();
        let Workload {
            kind: of,
            namespace,
            name,
        } = workload;
        let resource = RunningCheck::new(client, of, namespace, &name, ask);
        self.add(place, kind, resource);
    }

    /// The same objects as those of the steps, to be looked at only.
    pub(super) fn drift(
        &mut self,
        place: Place<'_>,
        drifting: Vec<Drifting>,
    ) -> Result<(), AssembleError> {
        let mut objects = Vec::with_capacity(drifting.len());
        for one in drifting {
            let options = ObjectOptions {
                force: one.force,
                wait: false,
            };
            let client = self.backends.kubernetes.clone();
            let object = Object::new(client, one.object, options);
            let object = object.map_err(|source| AssembleError::Object {
                step: place.id().to_owned(),
                source,
            })?;
            objects.push(if one.restarts {
                object.restart_with(Arc::clone(&self.configs))
            } else {
                object
            });
        }
        self.add(place, "check.drift", Drift::of(objects));
        Ok(())
    }

    /// For a check: of every workload that the bundle applies, whether its pods run what it says
    /// and find what they read.
    pub(super) fn what_runs(&mut self) {
        let bundle = self.bundle;
        let mut workloads = bundle.leaves().into_iter().filter_map(|(node, step)| {
            let Action::Object(manifest) = &step.action else {
                return None;
            };
            let text = |pointer: &str| {
                let found = manifest.object.pointer(pointer);
                found.and_then(serde_json::Value::as_str)
            };
            let kind = WORKLOADS.into_iter().find(|it| text("/kind") == Some(it));
            let kind = kind.filter(|_| text("/apiVersion") == Some("apps/v1"))?;
            let namespace = text("/metadata/namespace").map(str::to_owned);
            Some((node, kind, namespace, text("/metadata/name")?))
        });
        let mut group = None;
        for (node, kind, namespace, name) in &mut workloads {
            let group = group.get_or_insert_with(|| {
                let id = StepId::new(RUNNING);
                self.graph.group(id.clone(), Vec::new());
                id
            });
            let options = StepOptions {
                kind: "check.running",
                timeout: PATIENCE,
                no_progress: None,
                optional: false,
            };
            let client = self.backends.kubernetes.clone();
            let resource = RunningCheck::new(client, kind, namespace, name, Ask::Everything);
            let step = group.child(&node.id.replace('/', "."));
            let needs = vec![StepId::new(&node.id)];
            self.graph.step(step, needs, options, resource);
        }
    }
}
