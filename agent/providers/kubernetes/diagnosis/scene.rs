//! What was read about an object that is not ready.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::super::live::Live;
use super::configuration::Source;
use super::controller::Operator;
use super::service::Service;

/// The object, the worst of what belongs to it at each level below, and what bears on that.
///
/// What could not be read is none or empty, and said in `unread`; the decision list leaves it out.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) object: Live,
    /// The workload that is to make it ready: the object itself, or the worst that belongs to it.
    pub(super) workload: Option<Live>,
    /// Who makes the workload's pods: of a Deployment its newest replica set, else itself.
    pub(super) maker: Option<Live>,
    pub(super) pod: Option<Live>,
    /// Those of the pod, or the object itself.
    pub(super) claims: Vec<Live>,
    pub(super) classes: Option<Vec<Live>>,
    pub(super) nodes: Option<Vec<Live>>,
    /// The pods of all namespaces.
    pub(super) neighbours: Option<Vec<Live>>,
    /// About any of the above.
    pub(super) events: Vec<Live>,
    /// The keys of each Secret and `ConfigMap` that the pod names; none of one that is not there.
    pub(super) keys: BTreeMap<Source, Option<Vec<String>>>,
    /// The last lines of the container that ended.
    pub(super) log: Vec<String>,
    pub(super) service: Option<Service>,
    pub(super) operator: Option<Operator>,
    /// The API groups that are served, where a finalizer bears the name of one.
    pub(super) groups: Option<Vec<String>>,
    pub(super) unread: Vec<String>,
    pub(super) now: SystemTime,
}

impl Scene {
    pub(super) fn of(object: Live) -> Self {
        Self {
            object,
            workload: None,
            maker: None,
            pod: None,
            claims: Vec::new(),
            classes: None,
            nodes: None,
            neighbours: None,
            events: Vec::new(),
            keys: BTreeMap::new(),
            log: Vec::new(),
            service: None,
            operator: None,
            groups: None,
            unread: Vec::new(),
            now: SystemTime::UNIX_EPOCH,
        }
    }

    /// The objects from the first to the deepest, each once.
    pub(super) fn levels(&self) -> Vec<&Live> {
        let below = [&self.workload, &self.maker, &self.pod];
        let below = below.into_iter().flatten().chain(&self.claims);
        let mut levels = vec![&self.object];
        for live in below {
            if levels.iter().all(|known| known.uid() != live.uid()) {
                levels.push(live);
            }
        }
        levels
    }

    /// `StatefulSet pg: `, where the workload is not the object that the reader knows already.
    pub(super) fn path(&self) -> String {
        match &self.workload {
            Some(workload) if workload.uid() != self.object.uid() => {
                format!("{}: ", named(workload))
            }
            _ => String::new(),
        }
    }
}

/// `pod web-0`, `StatefulSet web`
pub(super) fn named(live: &Live) -> String {
    match live.text("/kind") {
        "Pod" => format!("pod {}", live.name()),
        kind => format!("{kind} {}", live.name()),
    }
}

/// The text of a part, cut at a character.
pub(super) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(MARK.len()));
    format!("{}{MARK}", &text[..end])
}
