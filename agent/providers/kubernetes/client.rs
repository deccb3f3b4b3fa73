//! What is asked of the API server: every question and order of this provider, by its name.

mod connection;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

pub(super) use connection::Connection;

use super::Error;
use super::discovery::Discovery;
use super::hold::Hold;
use super::kind::{Kind, Target};
use super::live::Live;
use super::ownership::Ledger;
use super::request::{Request, Selection};
use super::watches::{Watches, has_labels};

/// A connection to one cluster, and what is known of it; cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    namespace: String,
    discovery: Discovery,
    watches: Watches,
    ledger: Ledger,
    owner: OnceLock<String>,
}

impl Client {
    /// Reads `KUBECONFIG`, `~/.kube/config` or the service account of the pod. Asks nothing yet.
    ///
    /// Without a namespace, that of the kubeconfig's context or of the pod is meant.
    ///
    /// # Errors
    /// When there is no configuration, or one that cannot be used.
    pub async fn connect(namespace: Option<String>) -> Result<Self, Error> {
        let config = kube::Config::infer()
            .await
            .map_err(|source| Error::NoConfig {
                source: source.into(),
            })?;
        Self::with_config(config, namespace)
    }

    /// Reads this kubeconfig and nothing else.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub async fn with_kubeconfig(path: &Path, namespace: Option<String>) -> Result<Self, Error> {
        let unusable = |source: kube::config::KubeconfigError| Error::NoConfig {
            source: source.into(),
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(unusable)?;
        Self::with_config(config, namespace)
    }

    fn with_config(config: kube::Config, namespace: Option<String>) -> Result<Self, Error> {
        let connection = Connection::open(config)?;
        let namespace = namespace.unwrap_or_else(|| connection.default_namespace().to_owned());
        Ok(Self {
            inner: Arc::new(Inner {
                watches: Watches::new(connection.clone()),
                discovery: Discovery::default(),
                ledger: Ledger::default(),
                owner: OnceLock::new(),
                connection,
                namespace,
            }),
        })
    }

    /// Where the API server is: `host:port`.
    #[must_use]
    pub fn server(&self) -> String {
        self.inner.connection.server()
    }

    /// The namespace of whatever does not name one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Marks what it applies as this bundle's from now on; the first bundle that is named counts.
    pub fn act_for(&self, bundle: &str) {
        let owner = || format!("{}.{bundle}", self.inner.namespace);
        self.inner.owner.get_or_init(owner);
    }

    /// The bundle that it acts for, as objects are marked with it: `NAMESPACE.BUNDLE`.
    pub(super) fn owner(&self) -> Option<&str> {
        self.inner.owner.get().map(String::as_str)
    }

    pub(super) fn watches(&self) -> &Watches {
        &self.inner.watches
    }

    /// Whether the lock of the run is ours.
    pub(super) fn hold(&self) -> &Hold {
        self.inner.connection.hold()
    }

    /// A text that others wrote, without values of Secrets that this process has read.
    pub(super) fn mask(&self, text: &str) -> String {
        self.inner.connection.known().mask(text)
    }

    /// What this run has seen of the objects that it owns.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// How a kind is served; none if it is not, yet.
    pub(super) async fn kind(&self, api_version: &str, name: &str) -> Result<Option<Kind>, Error> {
        let Inner {
            discovery,
            connection,
            ..
        } = &*self.inner;
        discovery.kind(connection, api_version, name).await
    }

    /// An object; none also if its namespace is not there or its kind is not served any more.
    pub(super) async fn get(&self, target: &Target) -> Result<Option<Live>, Error> {
        match self.send(Request::get(target)).await {
            Ok(answer) => Ok(Some(Live::new(answer))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same, from what the shared list and watch of its kind know; asks only if they cannot tell.
    pub(super) async fn look(&self, target: &Target) -> Result<Option<Arc<Live>>, Error> {
        self.inner.watches.look(target).await
    }

    /// The objects of a kind in a namespace that have these labels (`a=b,c=d`): from what the shared
    /// list and watch of the kind know, as far as it may be followed.
    pub(super) async fn look_among(
        &self,
        kind: &Kind,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Live>, Error> {
        let Some(all) = self.inner.watches.all(kind, namespace).await? else {
            return self.list(kind, namespace, labels, "").await;
        };
        let matches = all.iter().filter(|live| has_labels(live, labels));
        Ok(matches.map(|live| live.as_ref().clone()).collect())
    }

    /// The objects of a kind in a namespace that match both selectors; an empty one matches all.
    pub(super) async fn list(
        &self,
        kind: &Kind,
        namespace: &str,
        labels: &str,
        fields: &str,
    ) -> Result<Vec<Live>, Error> {
        self.list_pared(kind, namespace, (labels, fields), |_| {})
            .await
    }

    /// The same, each pared down as it comes: all of a cluster is much to hold.
    pub(super) async fn list_pared(
        &self,
        kind: &Kind,
        namespace: &str,
        (labels, fields): (&str, &str),
        pare: fn(&mut Value),
    ) -> Result<Vec<Live>, Error> {
        let selection = Selection {
            kind: kind.clone(),
            namespace: kind.namespaced.then(|| namespace.to_owned()),
            labels: labels.to_owned(),
            fields: fields.to_owned(),
            may_be_forbidden: false,
        };
        let mut found = Vec::new();
        let take = |items: Vec<Value>, _| {
            let pared = items.into_iter().map(|mut item| {
                pare(&mut item);
                Live::of_kind(kind, item)
            });
            found.extend(pared);
            ControlFlow::Continue(())
        };
        match self.inner.connection.pages(&selection, take).await {
            Ok(_) => Ok(found),
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The API groups that are served; the core has no name and is not among them.
    pub(super) async fn groups(&self) -> Result<Vec<String>, Error> {
        let answer = Live::new(self.send(Request::groups()).await?);
        let groups = answer.list("/groups").iter();
        Ok(groups
            .filter_map(|group| Some(group["name"].as_str()?.to_owned()))
            .collect())
    }

    /// The API versions of a group that are served; none if the group is not.
    pub(super) async fn versions(&self, group: &str) -> Result<Vec<String>, Error> {
        let answer = Live::new(self.send(Request::groups()).await?);
        Ok(versions(&answer, group))
    }

    /// The end of a container's log; empty also if there is none of that run.
    pub(super) async fn log(
        &self,
        pod: &Target,
        container: &str,
        previous: bool,
    ) -> Result<String, Error> {
        match self.send(Request::log(pod, container, previous)).await {
            Ok(Value::String(text)) => Ok(text),
            Ok(_) | Err(Error::NotFound { .. } | Error::Refused { .. }) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// The object as it is after a server-side apply, or would be after it in a dry run.
    pub(super) async fn apply(
        &self,
        target: &Target,
        document: &Value,
        force: bool,
        dry_run: bool,
    ) -> Result<Live, Error> {
        let request = Request::apply(target, document, force, dry_run);
        match self.send(request).await {
            Err(error @ Error::Unexplained { .. }) => {
                Err(self.explained(error, target, document, force).await)
            }
            Ok(answer) if dry_run => Ok(Live::new(answer)),
            answer => answer.map(|answer| self.written(target, answer)),
        }
    }

    /// Whether the document is what the server fails on.
    ///
    /// A document that does not fit its schema is answered with a bare 500 by a server-side
    /// apply, as is trouble with etcd. A dry-run create of the same document is refused in
    /// words; and if the server is well, and fails again on the same, then it is the document too.
    async fn explained(
        &self,
        error: Error,
        target: &Target,
        document: &Value,
        force: bool,
    ) -> Error {
        let is_well = match self.send(Request::try_create(target, document)).await {
            Ok(_) | Err(Error::Conflict { .. }) => true,
            Err(refused @ Error::Refused { .. }) => return refused,
            Err(_) => false,
        };
        let again = Request::apply(target, document, force, true);
        match self.send(again).await {
            Err(Error::Unexplained { request, message }) if is_well => Error::Refused {
                request,
                reason: "HTTP 500".to_owned(),
                message,
            },
            _ => error,
        }
    }

    /// The answer to a question that is put as an object, of which nothing is kept.
    pub(super) async fn review(&self, kind: Kind, question: &Value) -> Result<Live, Error> {
        let place = Target::new(kind, "", "");
        self.send(Request::create(&place, question))
            .await
            .map(Live::new)
    }

    pub(super) async fn create(&self, target: &Target, document: &Value) -> Result<Live, Error> {
        let answer = self.send(Request::create(target, document)).await?;
        Ok(self.written(target, answer))
    }

    pub(super) async fn merge(&self, target: &Target, patch: &Value) -> Result<Live, Error> {
        let answer = self.send(Request::merge(target, patch)).await?;
        Ok(self.written(target, answer))
    }

    /// Starts to delete an object as it was seen, and what it owns before it.
    pub(super) async fn delete(&self, target: &Target, seen: &Live) -> Result<(), Error> {
        let delete = Request::delete(target, seen.uid(), seen.version());
        let answer = self.send(delete).await?;
        if answer["kind"] == target.kind.name.as_ref() {
            self.written(target, answer);
        } else {
            self.inner.watches.forget(target);
        }
        Ok(())
    }

    /// Takes an object away at once that owns nothing; one that is not there is as good.
    pub(super) async fn discard(&self, target: &Target, seen: &Live) -> Result<(), Error> {
        let answer = self.send(Request::discard(target, seen.uid())).await;
        self.inner.watches.forget(target);
        match answer {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Our own write: nobody who looks from now on may see what was before it.
    fn written(&self, target: &Target, answer: Value) -> Live {
        let live = Live::new(answer);
        self.inner.watches.wrote(target, &live);
        live
    }

    async fn send(&self, request: Request) -> Result<Value, Error> {
        self.inner.connection.send(request).await
    }
}

/// Of what `GET /apis` answers.
fn versions(answer: &Live, group: &str) -> Vec<String> {
    let groups = answer.list("/groups").iter();
    let versions = groups
        .filter(|found| found["name"] == group)
        .filter_map(|found| found["versions"].as_array());
    versions
        .flatten()
        .filter_map(|version| Some(version["groupVersion"].as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_versions_of_one_group_are_found() {
        let answer = Live::new(json!({ "groups": [
            { "name": "apps", "versions": [{ "groupVersion": "apps/v1", "version": "v1" }] },
            { "name": "example.com", "versions": [
                { "groupVersion": "example.com/v2" }, { "groupVersion": "example.com/v1" }] },
        ] }));
        let both = ["example.com/v2", "example.com/v1"];
        assert_eq!(versions(&answer, "example.com"), both);
        assert!(versions(&answer, "example.org").is_empty());
    }
}
