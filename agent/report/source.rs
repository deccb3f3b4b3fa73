//! Where a page can come from: a record, or telemetry. Which of them a file is, its content says.

use std::path::{Path, PathBuf};

use super::otlp::{Export, Log, Span};
use super::{Story, trace};
use crate::record::RunRecord;

/// What every span of a run says of itself or of its task; other lines need not be read.
const OURS: &str = "\"cicd.pipeline.";

/// Stands for the standard input.
const STDIN: &str = "-";

const TRACE_ALONE: &str = "A trace does not hold the fields of changes, excerpts and evidence: the record of the run does (`firstlight report RECORD TRACE` puts both on one page).";

/// Why no page can be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("failed to read {}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is neither of the two.
    #[error("{} is neither the record of a run nor OTLP/JSON", path.display())]
    Neither {
        /// Which one.
        path: PathBuf,
        /// What a record would have had.
        source: serde_json::Error,
    },
    /// A line of OTLP/JSON is broken.
    #[error("line {line} of {} is broken", path.display())]
    Broken {
        /// Of which file.
        path: PathBuf,
        /// Which one.
        line: usize,
        /// How.
        source: serde_json::Error,
    },
    /// There is telemetry in it, but of no run.
    #[error("no run is in {}", path.display())]
    NoRun {
        /// In which file.
        path: PathBuf,
    },
    /// The trace that is asked for is not in it.
    #[error("trace {trace} is not in {}", path.display())]
    NoSuchTrace {
        /// In which file.
        path: PathBuf,
        /// Which one.
        trace: String,
        /// The traces of runs that are.
        known: Vec<String>,
    },
    /// More files than one run has, or of several runs.
    #[error(
        "the files are not the record and the trace of one run: {}",
        named(files)
    )]
    NotOneRun {
        /// Which ones.
        files: Vec<PathBuf>,
    },
}

fn named(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
    names.join(", ")
}

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// One file, or the record and the trace of one run.
    pub files: &'a [PathBuf],
    /// The trace, if it is not the newest run's.
    pub trace: Option<&'a str>,
}

enum Content {
    Record(Box<RunRecord>),
    Telemetry(String),
}

/// Reads the story of a run.
///
/// # Errors
/// When a file cannot be read, is something else, or is of another run.
pub fn read(wanted: Wanted<'_>) -> Result<Story, SourceError> {
    let not_one = || SourceError::NotOneRun {
        files: wanted.files.to_vec(),
    };
    let (mut records, mut telemetry) = (Vec::new(), Vec::new());
    for path in wanted.files {
        match content(path)? {
            Content::Record(record) => records.push((path, *record)),
            Content::Telemetry(text) => telemetry.push((path, text)),
        }
    }
    match (records.pop(), telemetry.pop()) {
        _ if !records.is_empty() || !telemetry.is_empty() => Err(not_one()),
        (Some((path, record)), None) => Ok(Story::of(record, &of(path))),
        (None, Some((path, text))) => {
            let mut story = traced(path, &text, wanted.trace)?;
            story.notes.push(TRACE_ALONE.to_owned());
            Ok(story)
        }
        (Some((one, record)), Some((path, text))) => {
            let trace = record.trace_id.clone().ok_or_else(not_one)?;
            let trace = traced(path, &text, Some(&trace))?;
            Ok(Story::of(record, &of(one)).with(trace))
        }
        (None, None) => Err(not_one()),
    }
}

fn of(path: &Path) -> String {
    match named_file(path) {
        Some(name) => format!("the run record {name}"),
        None => "the run record from the standard input".to_owned(),
    }
}

/// The name of a file; none if it is the standard input.
fn named_file(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    (path.as_os_str() != STDIN).then(|| name.display().to_string())
}

fn content(path: &PathBuf) -> Result<Content, SourceError> {
    let read = if path.as_os_str() == STDIN {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|source| SourceError::Unreadable {
        path: path.clone(),
        source,
    })?;
    let start: String = text.chars().take(1_000).collect();
    if Export::keys().iter().any(|key| start.contains(key)) {
        return Ok(Content::Telemetry(text));
    }
    serde_json::from_str(&text)
        .map(|record| Content::Record(Box::new(record)))
        .map_err(|source| SourceError::Neither {
            path: path.clone(),
            source,
        })
}

/// The story of one trace, by default that of the newest run.
fn traced(path: &Path, text: &str, wanted: Option<&str>) -> Result<Story, SourceError> {
    let parts = Parts::of(path, text);
    let (runs, _) = parts.read(OURS)?;
    let (id, others) = choose(path, &runs, wanted)?;
    let (spans, logs) = parts.read(&id)?;
    let spans: Vec<Span> = spans.into_iter().filter(|it| it.trace_id == id).collect();
    let logs: Vec<Log> = logs.into_iter().filter(|it| it.trace_id == id).collect();
    let name = named_file(path).unwrap_or_else(|| "the standard input".to_owned());
    let no_run = || SourceError::NoRun {
        path: path.to_owned(),
    };
    let mut story = trace::story(&id, &spans, &logs).ok_or_else(no_run)?;
    story
        .notes
        .insert(0, format!("Made from the trace in {name}."));
    if others > 0 {
        story.notes.push(format!(
            "The file holds {others} more traces of runs; `firstlight report --trace ID` chooses one."
        ));
    }
    if parts.is_cut_off {
        story
            .notes
            .push("The last line of the file is cut off and was left out.".to_owned());
    }
    Ok(story)
}

/// The trace that is asked for, or the one of the newest run, and how many others there are.
fn choose(
    path: &Path,
    spans: &[Span],
    wanted: Option<&str>,
) -> Result<(String, usize), SourceError> {
    let mut known: Vec<(u64, &str)> = Vec::new();
    for span in spans.iter().filter(|span| trace::is_ours(span)) {
        let began = span.start_time_unix_nano;
        match known.iter_mut().find(|(_, id)| *id == span.trace_id) {
            Some(one) => one.0 = one.0.min(began),
            None => known.push((began, &span.trace_id)),
        }
    }
    known.sort_unstable();
    let found = match wanted {
        Some(id) => known.iter().find(|(_, known)| *known == id),
        None => known.last(),
    };
    match (found, wanted) {
        (Some((_, id)), _) => Ok(((*id).to_owned(), known.len() - 1)),
        (None, Some(trace)) if !known.is_empty() => Err(SourceError::NoSuchTrace {
            path: path.to_owned(),
            trace: trace.to_owned(),
            known: known.iter().map(|(_, id)| (*id).to_owned()).collect(),
        }),
        _ => Err(SourceError::NoRun {
            path: path.to_owned(),
        }),
    }
}

/// The exports of a file: one a line, or one alone over many lines.
struct Parts<'a> {
    path: &'a Path,
    exports: Vec<&'a str>,
    is_cut_off: bool,
}

impl<'a> Parts<'a> {
    fn of(path: &'a Path, text: &'a str) -> Self {
        let first = text.trim_start().lines().next().unwrap_or_default();
        let is_lines = Export::keys().iter().any(|key| first.contains(key));
        let mut parts: Vec<&str> = if is_lines {
            text.lines().collect()
        } else {
            vec![text]
        };
        // Whoever writes the file may be at it.
        let whole = |last: &&str| serde_json::from_str::<serde::de::IgnoredAny>(last).is_ok();
        let is_cut_off =
            parts.len() > 1 && !text.ends_with('\n') && !parts.last().is_some_and(whole);
        if is_cut_off {
            parts.pop();
        }
        Self {
            path,
            exports: parts,
            is_cut_off,
        }
    }

    /// What is in those that mention a word.
    fn read(&self, word: &str) -> Result<(Vec<Span>, Vec<Log>), SourceError> {
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for (at, part) in self.exports.iter().enumerate() {
            if !part.contains(word) {
                continue;
            }
            let export: Export =
                serde_json::from_str(part).map_err(|source| SourceError::Broken {
                    path: self.path.to_owned(),
                    line: at + 1,
                    source,
                })?;
            let (more_spans, more_logs) = export.into_parts();
            spans.extend(more_spans);
            logs.extend(more_logs);
        }
        Ok((spans, logs))
    }
}

#[cfg(test)]
mod tests;
