//! What bears on the pod that was chosen: its claims, the nodes, its log, what it is configured from.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use super::super::configuration::{self, Source, SourceKind};
use super::super::container::{self, Container, Trouble};
use super::super::image;
use super::super::scene::{Scene, cut};
use super::super::scheduling;
use super::{Reader, claims_of};
use crate::providers::kubernetes::kind::{
    CONFIG_MAP, NODE, PERSISTENT_VOLUME_CLAIM, POD, SECRET, STORAGE_CLASS, Target,
};
use crate::providers::kubernetes::live::Live;

/// How many Secrets and `ConfigMap`s of one pod are looked at.
const SOURCES: usize = 12;
/// What is kept of a log.
const LOG_LINES: usize = 12;
const LOG_WIDTH: usize = 240;

impl Reader<'_> {
    /// What bears on the pod that was chosen.
    pub(super) async fn look_around(&self, scene: &mut Scene) {
        if let Some(pod) = scene.pod.clone() {
            let container = container::worst(&pod);
            let insufficient = pod
                .denies("PodScheduled")
                .is_some_and(|it| it.message.contains("Insufficient"));
            let everything = async {
                if !insufficient {
                    return (None, None);
                }
                tokio::join!(self.list(NODE, "", ""), self.neighbours())
            };
            let (claims, (nodes, neighbours), log, keys) = tokio::join!(
                join_all(
                    claims_of(&pod)
                        .into_iter()
                        .map(|name| self.get(PERSISTENT_VOLUME_CLAIM, name))
                ),
                everything,
                self.log(&pod, container),
                self.keys(&pod, container),
            );
            scene.claims = claims.into_iter().flatten().flatten().collect();
            (scene.nodes, scene.neighbours) = (nodes, neighbours);
            (scene.log, scene.keys) = (log, keys);
        }
        let unbound = |claim: &Live| claim.text("/status/phase") != "Bound";
        if scene.claims.iter().any(unbound) {
            scene.classes = self.list(STORAGE_CLASS, "", "").await;
        }
    }

    /// The pods of all nodes; of each only what tells how much of its node it takes.
    async fn neighbours(&self) -> Option<Vec<Live>> {
        let everywhere = POD.of_the_cluster();
        let pods = self
            .client
            .list_pared(&everywhere, "", ("", ""), scheduling::pare);
        let pods = pods.await;
        self.heard(pods)
    }

    /// The last lines of the run that ended; of one that runs, its present ones.
    async fn log(&self, pod: &Live, container: Option<Container<'_>>) -> Vec<String> {
        let Some(container) = container else {
            return Vec::new();
        };
        let target = Target::new(POD, self.namespace, pod.name());
        let of = async |previous: bool| {
            let log = self.client.log(&target, container.name(), previous).await;
            // Before it is cut: half a value is one too many.
            lines(&self.client.mask(&self.heard(log).unwrap_or_default()))
        };
        let again = container.restarts() > 0;
        match container.trouble {
            Trouble::Ended if again => {
                // It may have been started again since its pod was read.
                let (now, before) = tokio::join!(of(false), of(true));
                if now.is_empty() || container.runs() {
                    before
                } else {
                    now
                }
            }
            Trouble::Ended | Trouble::Unready => of(false).await,
            _ => Vec::new(),
        }
    }

    /// The keys of what the pod is configured from, where that may be what lacks.
    async fn keys(
        &self,
        pod: &Live,
        container: Option<Container<'_>>,
    ) -> BTreeMap<Source, Option<Vec<String>>> {
        let mut sources: BTreeSet<Source> = match container.map(|container| container.trouble) {
            Some(Trouble::Image) => {
                let names = image::pull_secrets(pod).into_iter();
                let secret = |name: &str| Source {
                    kind: SourceKind::Secret,
                    name: name.to_owned(),
                };
                names.map(secret).collect()
            }
            None | Some(Trouble::Configuration) => {
                let needs = configuration::needs(pod).into_iter();
                needs.map(|need| need.source).collect()
            }
            _ => BTreeSet::new(),
        };
        while sources.len() > SOURCES {
            sources.pop_last();
        }
        let read = sources.into_iter().map(async |source| {
            let kind = match source.kind {
                SourceKind::Secret => SECRET,
                SourceKind::ConfigMap => CONFIG_MAP,
            };
            let found = self.get(kind, &source.name).await?;
            Some((source, found.as_ref().map(keys_of)))
        });
        join_all(read).await.into_iter().flatten().collect()
    }
}

/// The names of the keys; of the values only what masks them in a log is kept.
fn keys_of(source: &Live) -> Vec<String> {
    let data = ["/data", "/binaryData"].into_iter();
    let maps = data.filter_map(|part| source.at(part)?.as_object());
    maps.flat_map(|map| map.keys().cloned()).collect()
}

/// What of a log can be printed.
fn lines(log: &str) -> Vec<String> {
    // The kubelet says so in place of a log that the runtime does not have any more.
    let there = log
        .lines()
        .filter(|line| !line.starts_with("unable to retrieve container logs"));
    let lines = there.map(|line| {
        let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
        cut(line.trim_end(), LOG_WIDTH)
    });
    let mut lines: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    lines.drain(..lines.len().saturating_sub(LOG_LINES));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_made_fit_to_print() {
        let log = format!("{}\n\n\u{1b}[31mred\u{1b}[0m\r\n", "one\n".repeat(20));
        let lines = lines(&log);
        assert_eq!(lines.len(), LOG_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("[31mred[0m"));
    }
}
