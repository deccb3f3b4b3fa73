//! A Secret whose keys are made once and kept.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use serde_json::{Map, Value, json};

use super::kind::{SECRET, Target};
use super::live::Live;
use super::{Client, Error, MANAGER, ownership};
use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};

/// Makes keys that are missing; a key that is there is never changed, whatever its value is,
/// because a server may already have been set up with it.
pub struct GeneratedSecret {
    client: Client,
    target: Target,
    /// Key → number of characters.
    generate: BTreeMap<String, usize>,
    /// Key → value that is no secret, like a user's name.
    values: BTreeMap<String, String>,
}

/// Which of the keys are there.
#[derive(Debug)]
pub struct SecretObserved(Option<Present>);

#[derive(Debug)]
struct Present {
    version: String,
    keys: BTreeSet<String>,
}

/// Keys that are to be made, and in which version of the Secret; none for a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretChange {
    target: String,
    version: Option<String>,
    keys: Vec<String>,
}

impl From<SecretChange> for Difference {
    fn from(change: SecretChange) -> Self {
        Self {
            verb: match change.version {
                None => Verb::Create,
                Some(_) => Verb::Update,
            },
            target: change.target,
            fields: change.keys.iter().map(|key| made(key)).collect(),
        }
    }
}

impl GeneratedSecret {
    /// A Secret in the client's namespace.
    #[must_use]
    pub fn new(
        client: Client,
        name: &str,
        generate: BTreeMap<String, usize>,
        values: BTreeMap<String, String>,
    ) -> Self {
        Self {
            target: Target::new(SECRET, client.namespace(), name),
            client,
            generate,
            values,
        }
    }

    /// The keys that a write would add.
    fn missing(&self, secret: &Live) -> Vec<FieldChange> {
        let there = secret.texts("/data");
        let wanted = self.generate.keys().chain(self.values.keys());
        wanted
            .filter(|key| !there.contains_key(key.as_str()))
            .map(|key| made(key))
            .collect()
    }

    /// The encoded value of a key.
    fn make(&self, key: &str) -> Value {
        let value = match (self.values.get(key), self.generate.get(key)) {
            (Some(value), _) => value.clone(),
            (None, length) => random(length.copied().unwrap_or_default()),
        };
        Value::String(STANDARD.encode(value))
    }
}

fn made(key: &str) -> FieldChange {
    FieldChange {
        path: format!("data.{key}"),
        before: None,
        after: Some("(generated)".to_owned()),
        sensitive: true,
    }
}

/// Letters and digits, from the operating system's source: nobody has to escape them.
fn random(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

impl Resource for GeneratedSecret {
    type Observed = SecretObserved;
    type Change = SecretChange;
    type Error = Error;

    async fn observe(&self) -> Result<SecretObserved, Error> {
        let found = self.client.get(&self.target).await?;
        if let Some(secret) = &found {
            let changes = self.missing(secret);
            ownership::claim(&self.client, &self.target, secret, &changes, false)?;
        }
        Ok(SecretObserved(found.map(|secret| {
            Present {
                version: secret.version().to_owned(),
                keys: secret
                    .texts("/data")
                    .into_keys()
                    .map(str::to_owned)
                    .collect(),
            }
        })))
    }

    fn plan(&self, observed: &SecretObserved) -> Result<Plan<SecretChange>, Error> {
        let wanted = self.generate.keys().chain(self.values.keys());
        Ok(plan(&self.target, wanted, observed))
    }

    async fn apply(&self, change: SecretChange) -> Result<(), Error> {
        let data: Map<String, Value> = change
            .keys
            .iter()
            .map(|key| (key.clone(), self.make(key)))
            .collect();
        // Of two at once one is refused: by the name, or by the version. It looks again.
        match change.version {
            None => {
                let mut document = json!({
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {
                        "name": self.target.name,
                        "labels": { "app.kubernetes.io/managed-by": MANAGER },
                    },
                    "type": "Opaque",
                    "data": data,
                });
                ownership::stamp(&self.client, None, &mut document);
                self.client.create(&self.target, &document).await?;
            }
            Some(version) => {
                let patch = json!({ "metadata": { "resourceVersion": version }, "data": data });
                self.client.merge(&self.target, &patch).await?;
            }
        }
        Ok(())
    }
}

fn plan<'a>(
    target: &Target,
    wanted: impl Iterator<Item = &'a String>,
    observed: &SecretObserved,
) -> Plan<SecretChange> {
    let present = observed.0.as_ref();
    let missing: BTreeSet<&String> = wanted
        .filter(|key| present.is_none_or(|present| !present.keys.contains(*key)))
        .collect();
    if present.is_some() && missing.is_empty() {
        return Plan::Current;
    }
    Plan::Change(vec![SecretChange {
        target: target.to_string(),
        version: present.map(|present| present.version.clone()),
        keys: missing.into_iter().cloned().collect(),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(there: Option<&[&str]>) -> Plan<SecretChange> {
        let wanted = ["password".to_owned(), "user".to_owned()];
        let observed = SecretObserved(there.map(|keys| Present {
            version: "7".to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }));
        let target = Target::new(SECRET, "lens", "login");
        plan(&target, wanted.iter(), &observed)
    }

    fn change(version: Option<&str>, keys: &[&str]) -> Plan<SecretChange> {
        Plan::Change(vec![SecretChange {
            target: "Secret lens/login".to_owned(),
            version: version.map(str::to_owned),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }])
    }

    #[test]
    fn only_missing_keys_are_made() {
        assert_eq!(planned(None), change(None, &["password", "user"]));
        assert_eq!(
            planned(Some(&["user", "other"])),
            change(Some("7"), &["password"])
        );
        assert_eq!(planned(Some(&["user", "password"])), Plan::Current);
    }

    #[test]
    fn generated_values_are_not_shown() {
        let Plan::Change(mut changes) = planned(None) else {
            panic!("a change");
        };
        let difference = Difference::from(changes.remove(0));
        assert!(difference.fields.iter().all(|field| field.sensitive));
    }

    #[test]
    fn values_are_long_enough_and_differ() {
        let (one, other) = (random(32), random(32));
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        assert!(one.chars().all(|letter| letter.is_ascii_alphanumeric()));
    }
}
