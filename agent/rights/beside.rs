//! What is read beside an object that is waited for, and where that is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Verb::{Get, List};
use super::kinds::Served;
use super::steps::{Found, Place, text};
use super::surroundings;
use crate::bundle::Action;

impl Found<'_> {
    /// What tells whether an object is ready, and why it is not.
    pub(super) fn beside(&mut self, object: &Value, served: &Served, place: &Place) {
        let mut homes: BTreeSet<String> = place.namespace.iter().cloned().collect();
        if text(object, "/kind") == "ClusterFluentBitConfig" {
            homes = self.users(object);
        }
        if homes.is_empty() {
            self.surroundings(served, None);
        }
        for home in homes {
            self.surroundings(served, Some(&home));
            let secrets = Place {
                namespace: Some(home),
                ..self.within("", "secrets")
            };
            for name in surroundings::secrets(object) {
                let why = "whether its operator has made it";
                self.add(Get, &secrets, Some(&name), why);
            }
        }
    }

    /// Where the `FluentBit`s are that a configuration of the cluster is rendered for.
    fn users(&mut self, config: &Value) -> BTreeSet<String> {
        let given = text(config, "/spec/namespace");
        let given = (!given.is_empty()).then(|| given.to_owned());
        let bits = Place {
            // Without a namespace those of all may name it.
            namespace: given.clone(),
            ..self.within("fluentbit.fluent.io", "fluentbits")
        };
        self.add(List, &bits, None, "which of them name it");
        if let Some(given) = given {
            return BTreeSet::from([given]);
        }
        let leaves = self.bundle.leaves().into_iter();
        let objects = leaves.filter_map(|(_, step)| match &step.action {
            Action::Object(manifest) => Some(&manifest.object),
            _ => None,
        });
        let name = text(config, "/metadata/name");
        let users = objects.filter(|it| {
            text(it, "/kind") == "FluentBit" && text(it, "/spec/fluentBitConfigName") == name
        });
        let homes = users.map(|it| match text(it, "/metadata/namespace") {
            "" => self.bundle.namespace.clone(),
            given => given.to_owned(),
        });
        let mut homes: BTreeSet<String> = homes.collect();
        if homes.is_empty() {
            homes.insert(self.bundle.namespace.clone());
        }
        homes
    }
}
