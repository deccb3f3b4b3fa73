//! A page of a run, from its record in the cluster or from files.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::{CliError, say, status};
use crate::report::{self, Story, Wanted};
use crate::settings::Settings;

const EXAMPLES: &str = "\
Examples:
  firstlight report > run.html                   the last run, from its record in the cluster
  firstlight run -o json > run.json; firstlight report run.json --to run.html
                                                 a run that has just ended
  firstlight report otlp.jsonl --to run.html     the newest run in what a collector's file exporter
                                                 has written, with every attempt, wait and call
  firstlight report run.json otlp.jsonl          both on one page: the words of the record, the
                                                 times of the trace
  curl -s $JAEGER/api/v3/traces/$ID | firstlight report -
                                                 a trace as Jaeger answers it";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Record (JSON) or telemetry (OTLP/JSON) of the run, or both; - is the standard input [default:
    /// the record in the cluster]
    #[arg(value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    sources: Vec<PathBuf>,
    /// Trace to show [default: the newest run's]
    #[arg(long, value_name = "ID", requires = "sources")]
    trace: Option<String>,
    /// File to write the page to [default: the standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    to: Option<PathBuf>,
}

/// Exits with 0 when the page could be made, however the run went.
pub(super) fn report(settings: &Settings, arguments: &Arguments) -> Result<u8, CliError> {
    let story = story(settings, arguments)?;
    let page = report::page(&story).map_err(CliError::Page)?;
    match &arguments.to {
        Some(path) => write(path, &page)?,
        None => say(&page),
    }
    Ok(0)
}

fn story(settings: &Settings, arguments: &Arguments) -> Result<Story, CliError> {
    if arguments.sources.is_empty() {
        let record = super::block_on(status::last(settings))?;
        let from = format!(
            "the run record of {} in namespace {}",
            record.bundle, record.namespace
        );
        return Ok(Story::of(record, &from));
    }
    Ok(report::read(Wanted {
        files: &arguments.sources,
        trace: arguments.trace.as_deref(),
    })?)
}

fn write(path: &Path, page: &str) -> Result<(), CliError> {
    std::fs::write(path, page).map_err(|source| CliError::Write {
        path: path.to_owned(),
        source,
    })
}
