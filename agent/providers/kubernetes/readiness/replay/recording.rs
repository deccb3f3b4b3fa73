//! A recording and its index, as they lie in a folder for each operator.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::live::Live;

/// What one resource and everything around it went through.
pub(super) struct Recording {
    pub(super) operator: String,
    pub(super) entry: Entry,
    pub(super) lines: Vec<Line>,
}

/// What the index says about a recording.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) file: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// Stretches of lines, first and last, in which it was truly ready.
    pub(super) ready_lines: Vec<(usize, usize)>,
    /// Lines that show trouble.
    pub(super) failed_lines: Vec<usize>,
    #[serde(default)]
    pub(super) actions: Vec<Action>,
}

/// Something that was done from outside.
#[derive(Debug, Deserialize)]
pub(super) struct Action {
    pub(super) before_line: usize,
}

#[derive(Debug, Deserialize)]
struct Index {
    recordings: Vec<Entry>,
}

/// One event, at a moment of the recording's own clock.
pub(super) struct Line {
    pub(super) at_ms: i64,
    pub(super) change: Change,
    pub(super) object: Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
    /// What a server itself answered; nobody in the cluster sees it.
    Probe,
}

#[derive(Deserialize)]
struct Written {
    t_ms: i64,
    #[serde(rename = "type")]
    change: Change,
    object: Value,
}

impl Recording {
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.operator, self.entry.file)
    }

    pub(super) fn was_ready(&self, line: usize) -> bool {
        let mut stretches = self.entry.ready_lines.iter();
        stretches.any(|(first, last)| (*first..=*last).contains(&line))
    }
}

impl Recording {
    fn judged(&self) -> impl DoubleEndedIterator<Item = (usize, &Line)> {
        let lines = self.lines.iter().enumerate();
        lines.filter(|(_, line)| {
            let object = &line.object;
            object.name() == self.entry.name && object.text("/kind") == self.entry.kind
        })
    }

    /// When the resource itself comes first.
    pub(super) fn first_seen_ms(&self) -> i64 {
        let mut judged = self.judged();
        judged.next().map_or(0, |(_, line)| line.at_ms)
    }

    /// Whether its specification changes with this line.
    pub(super) fn is_changed_at(&self, number: usize) -> bool {
        let generation = |line: &Line| line.object.generation();
        let mut until = self.judged().filter(|(at, _)| *at <= number).rev();
        match (until.next(), until.next()) {
            (Some((at, new)), Some((_, old))) if at == number => generation(new) != generation(old),
            _ => false,
        }
    }
}

/// All recordings of all operators.
pub(super) fn all(folder: &Path) -> Vec<Recording> {
    let mut operators: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("index.json").is_file())
        .collect();
    operators.sort();
    operators
        .iter()
        .flat_map(|path| of_operator(path))
        .collect()
}

fn of_operator(folder: &Path) -> Vec<Recording> {
    let text = std::fs::read_to_string(folder.join("index.json")).expect("an index");
    let index: Index = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{}/index.json: {error}", folder.display()));
    let operator = folder.file_name().expect("a name").to_string_lossy();
    let recordings = index.recordings.into_iter().map(|entry| {
        let path = folder.join(&entry.file);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Recording {
            operator: operator.clone().into_owned(),
            lines: text.lines().map(line).collect(),
            entry,
        }
    });
    recordings.collect()
}

fn line(text: &str) -> Line {
    let written: Written = serde_json::from_str(text).expect("a line of a recording");
    Line {
        at_ms: written.t_ms,
        change: written.change,
        object: Live::new(as_served(written.object)),
    }
}

/// A recording leaves out most of what is not a custom resource; this puts what is left where the
/// API has it.
fn as_served(mut object: Value) -> Value {
    match object["kind"].as_str() {
        Some("Event") => {
            object["type"] = object["evtType"].take();
        }
        Some("Secret") => {
            let keys = object["dataKeys"].take();
            for key in keys.as_array().into_iter().flatten() {
                object["data"][key.as_str().expect("a key")] = json!("");
            }
        }
        Some("StatefulSet") => {
            if let Some(strategy) = object.pointer_mut("/spec/updateStrategy") {
                *strategy = json!({ "type": strategy.take() });
            }
        }
        _ => {}
    }
    object
}
