//! The words of the log records of a run, by what they are about.

use std::collections::HashMap;

use super::otlp::Log;
use crate::record::ChangeRecord;

/// The words of the log, by what they are about.
pub(super) struct Logs<'a> {
    run: Option<&'a Log>,
    changes: HashMap<&'a str, Vec<&'a str>>,
    /// In the order in which the steps ended.
    pub(super) ends: Vec<(&'a str, &'a Log)>,
}

impl<'a> Logs<'a> {
    pub(super) fn of(logs: &'a [Log]) -> Self {
        let mut this = Self {
            run: None,
            changes: HashMap::new(),
            ends: Vec::new(),
        };
        for log in logs {
            let step = log.attributes.get("step").map(String::as_str);
            match (log.event_name.as_str(), step) {
                ("run.started", _) => this.run = Some(log),
                ("step.changed", Some(step)) => {
                    let changes = this.changes.entry(step).or_default();
                    changes.push(&log.body);
                }
                ("step.finished", Some(step)) => this.ends.push((step, log)),
                _ => {}
            }
        }
        this
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_none() && self.ends.is_empty()
    }

    pub(super) fn of_run(&self, name: &str) -> Option<String> {
        self.run?.attributes.get(name).cloned()
    }

    pub(super) fn end(&self, step: &str) -> Option<&'a Log> {
        let mut ends = self.ends.iter().rev();
        ends.find(|(id, _)| *id == step).map(|(_, log)| *log)
    }

    pub(super) fn changes(&self, step: &str) -> Vec<ChangeRecord> {
        let all = self.changes.get(step).map_or(&[][..], Vec::as_slice);
        all.iter()
            .map(|body| {
                let (verb, target) = body.split_once(' ').unwrap_or((body, ""));
                ChangeRecord {
                    verb: verb.to_owned(),
                    target: target.to_owned(),
                    fields: Vec::new(),
                }
            })
            .collect()
    }
}
