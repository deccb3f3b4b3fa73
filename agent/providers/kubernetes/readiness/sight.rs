//! What a rule sees: the object, and what it declares that it must see beside it.

use futures::future::try_join_all;

use super::super::kind::{
    DAEMON_SET, DEPLOYMENT, ENDPOINT_SLICE, EVENT, JOB, Kind, POD, STATEFUL_SET, STORAGE_CLASS,
    Target,
};
use super::super::live::Live;
use super::super::{Client, Error};

/// Something to read beside the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    One(Target),
    /// All of a kind with these labels, of one namespace or of all.
    All {
        kind: Kind,
        namespace: String,
        labels: String,
    },
    /// The pods of a workload that was read before.
    Pods {
        namespace: String,
        workload: String,
        labels: String,
    },
    /// The events on the object.
    Events,
}

impl Need {
    /// Whether who waits for it hears of it.
    fn is_watched(&self) -> bool {
        match self {
            Self::One(target) => WATCHED.contains(&target.kind),
            Self::All { kind, .. } => WATCHED.contains(kind),
            Self::Pods { .. } | Self::Events => false,
        }
    }

    /// Ends when it is there.
    pub(super) async fn appears(&self, client: &Client) {
        let watches = client.watches();
        match self {
            Self::One(target) => watches.changed(target, None).await,
            Self::All {
                kind,
                namespace,
                labels,
            } => watches.appears(kind, namespace, labels).await,
            Self::Pods { .. } | Self::Events => std::future::pending().await,
        }
    }

    /// Only names the trouble, or can be done without: no right to read it is no failure.
    fn is_dispensable(&self) -> bool {
        match self {
            Self::One(target) => target.kind == STORAGE_CLASS,
            // Those of other namespaces, which an object may be meant for too.
            Self::All { kind, .. } => !kind.namespaced && kind.name == "Grafana",
            Self::Pods { .. } | Self::Events => true,
        }
    }
}

/// An object and what stands around it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Sight<'a> {
    pub(super) object: &'a Live,
    pub(super) around: &'a [Live],
}

impl<'a> Sight<'a> {
    pub(super) fn new(object: &'a Live, around: &'a [Live]) -> Self {
        Self { object, around }
    }

    pub(super) fn namespace(&self) -> &'a str {
        self.object.text("/metadata/namespace")
    }

    pub(super) fn name(&self) -> &'a str {
        self.object.name()
    }

    pub(super) fn all(&self, kind: &'static str) -> impl Iterator<Item = &'a Live> {
        self.around
            .iter()
            .filter(move |it| it.text("/kind") == kind)
    }

    pub(super) fn one(&self, kind: &'static str, name: &str) -> Option<&'a Live> {
        self.all(kind).find(|it| it.name() == name)
    }

    /// An object of the same namespace.
    pub(super) fn need(&self, kind: &Kind, name: impl Into<String>) -> Need {
        Need::One(Target::new(kind.clone(), self.namespace(), name))
    }

    pub(super) fn need_all(&self, kind: &Kind, labels: impl Into<String>) -> Need {
        Need::All {
            kind: kind.clone(),
            namespace: self.namespace().to_owned(),
            labels: labels.into(),
        }
    }

    /// The pods of a workload; only a workload that was read has a selector.
    pub(super) fn need_pods(workload: &Live) -> Need {
        let labels = workload.texts("/spec/selector/matchLabels");
        let labels: Vec<String> = labels
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Need::Pods {
            namespace: workload.text("/metadata/namespace").to_owned(),
            workload: workload.name().to_owned(),
            labels: labels.join(","),
        }
    }

    /// The newest warning about the object: what an operator says that keeps its status empty.
    pub(super) fn warning(&self) -> Option<String> {
        let warnings = self
            .all("Event")
            .filter(|event| event.text("/type") == "Warning");
        let newest = warnings.max_by_key(|event| {
            let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
            times.map(|time| event.text(time)).into_iter().max()
        })?;
        Some(said(newest))
    }
}

/// `FailedMount: secret "x" not found`
pub(super) fn said(event: &Live) -> String {
    format!(
        "{}: {}",
        event.text("/reason"),
        event.text("/message").trim()
    )
}

/// Reads what a rule needs, and tells what of that is not there and may be waited for. What was read
/// may show that more is needed: the pods of a workload that is not complete.
pub(super) async fn look(
    client: &Client,
    object: &Live,
    needs: fn(&Sight<'_>) -> Vec<Need>,
) -> Result<(Vec<Live>, Vec<Need>), Error> {
    let (mut around, mut lacking) = (Vec::new(), Vec::new());
    let mut asked: Vec<Need> = Vec::new();
    for _ in 0..ROUNDS {
        let mut new = needs(&Sight::new(object, &around));
        new.retain(|need| !asked.contains(need));
        if new.is_empty() {
            break;
        }
        let reads: Vec<_> = new.iter().map(|need| read(client, object, need)).collect();
        let read = try_join_all(reads).await?;
        let absent = new.iter().zip(&read).filter(|(_, read)| read.is_empty());
        let watched = absent.filter(|(need, _)| need.is_watched());
        lacking.extend(watched.map(|(need, _)| need.clone()));
        around.extend(read.into_iter().flatten());
        asked.append(&mut new);
    }
    Ok((around, lacking))
}

/// What is worth a watch: the workloads that a verdict is made of. Pods change often and say
/// little that their workload does not, and parents are found by a later look.
pub(super) const WATCHED: [Kind; 5] = [DAEMON_SET, DEPLOYMENT, ENDPOINT_SLICE, JOB, STATEFUL_SET];

/// Parents or workloads, what these have, and their pods.
pub(super) const ROUNDS: usize = 3;

async fn read(client: &Client, object: &Live, need: &Need) -> Result<Vec<Live>, Error> {
    let found = match need {
        // Whoever may wait for a change of these may follow them.
        Need::One(target) if WATCHED.contains(&target.kind) => {
            let found = client.look(target).await;
            found.map(|found| found.iter().map(|live| live.as_ref().clone()).collect())
        }
        Need::All {
            kind,
            namespace,
            labels,
        } if WATCHED.contains(kind) => client.look_among(kind, namespace, labels).await,
        Need::One(target) => client
            .get(target)
            .await
            .map(|found| found.into_iter().collect()),
        Need::All {
            kind,
            namespace,
            labels,
        } => client.list(kind, namespace, labels, "").await,
        Need::Pods { labels, .. } if labels.is_empty() => Ok(Vec::new()),
        Need::Pods {
            namespace, labels, ..
        } => client.list(&POD, namespace, labels, "").await,
        Need::Events => {
            let namespace = match object.text("/metadata/namespace") {
                "" => "default",
                namespace => namespace,
            };
            let about = format!("involvedObject.uid={}", object.uid());
            client.list(&EVENT, namespace, "", &about).await
        }
    };
    match found {
        Err(Error::Forbidden { .. }) if need.is_dispensable() => Ok(Vec::new()),
        found => found,
    }
}
