//! One object that a bundle owns, as it is kept on record.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::kind::{SECRET, Target, split};
use super::super::{Client, Error};
use super::{Turn, data};

/// An object, and what is to be known of it when it has left the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
    /// None for an object of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Tells it from another of the same name; none until it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Of the document that it was last made equal to; empty until then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// Whether it holds data, or the bundle says that it is to be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// Whether somebody else has made it, so that we never delete it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// What tells two objects apart. Versions of a group are views of the same objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    group: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Key {
    pub(in super::super) fn of(target: &Target) -> Self {
        Self {
            group: target.kind.group.to_string(),
            kind: target.kind.name.to_string(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        }
    }
}

impl Entry {
    /// A document of the bundle; `keep` if the bundle says so of its kind.
    #[must_use]
    pub fn of_document(document: &Value, keep: bool) -> Self {
        let text = |pointer: &str| {
            let found = document.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let namespace = Some(text("/metadata/namespace")).filter(|name| !name.is_empty());
        Self {
            keep: keep || data::is_held_by(split(&api_version).0, &kind),
            hash: hash(document),
            name: text("/metadata/name"),
            uid: None,
            adopted: false,
            api_version,
            kind,
            namespace,
        }
    }

    /// A Secret that is made once: its keys cannot be made again.
    #[must_use]
    pub fn of_secret(name: &str) -> Self {
        Self {
            api_version: SECRET.api_version(),
            kind: SECRET.name.to_string(),
            namespace: None,
            name: name.to_owned(),
            uid: None,
            hash: String::new(),
            keep: true,
            adopted: false,
        }
    }

    /// What it is found by.
    #[must_use]
    pub fn key(&self) -> Key {
        Key {
            group: split(&self.api_version).0.to_owned(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// When it is deleted among others.
    #[must_use]
    pub fn turn(&self) -> Turn {
        Turn::of(split(&self.api_version).0, &self.kind)
    }

    /// The entry with the namespace that the object really is in, as far as the server serves its kind.
    pub(super) async fn resolved(mut self, client: &Client) -> Result<Self, Error> {
        self.namespace = match self.target(client).await? {
            Some(target) => target.namespace,
            None => self.namespace.or(Some(client.namespace().to_owned())),
        };
        Ok(self)
    }

    /// Where it is; none if its kind is not served.
    pub(super) async fn target(&self, client: &Client) -> Result<Option<Target>, Error> {
        self.target_in(client, &self.api_version).await
    }

    /// The same; in another version of the group if the one on record is not served any more.
    pub(super) async fn target_of_any_version(
        &self,
        client: &Client,
    ) -> Result<Option<Target>, Error> {
        if let Some(target) = self.target(client).await? {
            return Ok(Some(target));
        }
        for version in client.versions(split(&self.api_version).0).await? {
            if let Some(target) = self.target_in(client, &version).await? {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }

    async fn target_in(&self, client: &Client, version: &str) -> Result<Option<Target>, Error> {
        let kind = client.kind(version, &self.kind).await?;
        let namespace = self.namespace.as_deref().unwrap_or(client.namespace());
        Ok(kind.map(|kind| Target::new(kind, namespace, &self.name)))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Of the content. Values of a Secret are left out: a short one could be guessed from its hash.
fn hash(document: &Value) -> String {
    let mut document = document.clone();
    if document["kind"] == SECRET.name.as_ref() {
        for part in ["data", "stringData"] {
            let values = document.get_mut(part).and_then(Value::as_object_mut);
            for value in values.into_iter().flat_map(serde_json::Map::values_mut) {
                *value = Value::Null;
            }
        }
    }
    let digest = Sha256::digest(document.to_string());
    let mut text = String::with_capacity(16);
    for byte in digest.iter().take(8) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_of_the_content_and_tells_no_secret() {
        let secret = |value: &str| {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" },
                    "stringData": { "password": value } })
        };
        assert_eq!(hash(&secret("one")), hash(&secret("two")));
        let config = |value: &str| json!({ "kind": "ConfigMap", "data": { "key": value } });
        assert_ne!(hash(&config("one")), hash(&config("two")));
        assert_eq!(hash(&config("one")).len(), 16);
    }

    #[test]
    fn another_version_of_a_group_is_the_same_object() {
        let entry = |api_version: &str| {
            let document =
                json!({ "apiVersion": api_version, "kind": "Sheep", "metadata": { "name": "a" } });
            Entry::of_document(&document, false).key()
        };
        assert_eq!(entry("example.com/v1"), entry("example.com/v2"));
        assert_ne!(entry("example.com/v1"), entry("example.org/v1"));
    }

    #[test]
    fn what_holds_data_is_marked() {
        let keep = |kind: &str, said: bool| {
            let document = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "a" } });
            Entry::of_document(&document, said).keep
        };
        assert!(keep("PersistentVolumeClaim", false));
        assert!(!keep("ConfigMap", false));
        assert!(keep("ConfigMap", true));
        assert!(Entry::of_secret("login").keep);
    }
}
