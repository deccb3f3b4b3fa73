//! What a real operator was recorded to write.

use crate::error::InFile;
use crate::{Error, place};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Nothing that is judged reads these.
const UNREAD: [&str; 4] = [
    "ClusterFluentBitConfig",
    "Job",
    "PersistentVolumeClaim",
    "Probe",
];

/// One event of a recording.
#[derive(Debug)]
pub struct Line {
    /// Milliseconds since the object that is judged was made; negative before.
    pub at_ms: i64,
    /// What was written.
    pub object: Value,
    pub(crate) deleted: bool,
}

/// A recording of `tests/recordings`, and what its index says of it.
#[derive(Debug)]
pub struct Recording {
    /// Its events in order.
    pub lines: Vec<Line>,
    entry: Value,
}

impl Recording {
    /// Opens one by its name: `pgo/postgrescluster--created-and-ready-with-proxy`.
    ///
    /// # Errors
    /// [`Error::File`] when it is not there, [`Error::Recording`] when it is not of that form.
    pub fn open(name: &str) -> Result<Self, Error> {
        let folder = place::root().join("tests/recordings");
        let path = folder.join(format!("{name}.jsonl"));
        let text = fs::read_to_string(&path).file("read", &path)?;
        let lines: Result<Vec<Line>, Error> = text
            .lines()
            .map(|text| Ok(line(parse(&path, text)?)))
            .filter_map(Result::transpose)
            .collect();
        Ok(Self {
            lines: lines?,
            entry: entry(&path)?,
        })
    }

    /// Whether this is the object that is judged.
    #[must_use]
    pub fn is_judged(&self, object: &Value) -> bool {
        object["kind"] == self.entry["kind"] && object["metadata"]["name"] == self.entry["name"]
    }

    /// The kinds that an operator brings, each after its API version.
    #[must_use]
    pub fn foreign_kinds(&self) -> BTreeSet<(&str, &str)> {
        let lines = self.lines.iter();
        let kinds = lines.filter_map(|line| {
            let version = line.object["apiVersion"].as_str()?;
            let kind = line.object["kind"].as_str()?;
            let is_foreign = version.split_once('/')?.0.contains('.');
            (is_foreign && line.is_read()).then_some((version, kind))
        });
        kinds.collect()
    }

    /// Whether the thing was truly ready when this line, counted from 0, was written.
    #[must_use]
    pub fn was_ready(&self, number: usize) -> bool {
        let number = number as u64;
        let mut stretches = self.entry["ready_lines"].as_array().into_iter().flatten();
        stretches.any(|stretch| {
            let at = |end: usize| stretch[end].as_u64();
            at(0).is_some_and(|first| first <= number) && at(1).is_some_and(|last| number <= last)
        })
    }
}

impl Line {
    pub(crate) fn is_read(&self) -> bool {
        !UNREAD.iter().any(|kind| self.object["kind"] == *kind)
    }
}

fn line(mut line: Value) -> Option<Line> {
    Some(Line {
        at_ms: line["t_ms"].as_i64()?,
        deleted: line["type"] == "DELETED",
        object: line["object"].take(),
    })
}

/// What the index beside a recording says of it.
fn entry(path: &Path) -> Result<Value, Error> {
    let index = path.with_file_name("index.json");
    let text = fs::read_to_string(&index).file("read", &index)?;
    let mut all = parse(&index, &text)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut entries = all["recordings"].as_array_mut().into_iter().flatten();
    let entry = entries.find(|it| it["file"] == *file);
    entry.map(Value::take).ok_or_else(|| Error::Recording {
        because: format!("{} does not list it", index.display()),
        path: path.to_path_buf(),
    })
}

fn parse(path: &Path, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| Error::Recording {
        path: path.to_path_buf(),
        because: error.to_string(),
    })
}
