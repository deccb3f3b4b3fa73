//! Sends telemetry that a run could not deliver.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, print_json, say, wants_json};
use crate::engine::{Chain, Class};
use crate::settings::{Otel, Settings};
use crate::telemetry::{Delivery, Replay};

/// So many wrong lines are told one by one.
const TOLD: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// File of OTLP/JSON lines, as a run or the file exporter of a collector writes it; - is the
    /// standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Sends the lines in their order. Whoever sends a file twice does no harm: a span that arrives
/// once more is the same span.
pub(super) async fn replay(
    settings: &Settings,
    otel: &Otel,
    arguments: &Arguments,
) -> Result<u8, CliError> {
    for mistake in &otel.mistakes {
        eprintln!("warning: {mistake}; it is ignored");
    }
    let replay = Replay::open(settings, otel)?;
    if replay.is_nowhere() {
        return Err(CliError::NoEndpoint);
    }
    let lines = open(&arguments.file)?;
    let wrong = send(&replay, lines, &arguments.file).await;
    let delivery = replay.finish().await;
    let wrong = wrong?;
    if wants_json(settings) {
        print_json(&delivery.record())?;
    } else {
        say(&format!("{}\n", sentence(&delivery, wrong)));
    }
    Ok(exit(&delivery, wrong))
}

/// Sends all lines; how many were wrong.
async fn send(replay: &Replay, lines: impl BufRead, file: &Path) -> Result<usize, CliError> {
    let mut wrong = 0;
    for (at, line) in lines.lines().enumerate() {
        let line = line.map_err(|source| CliError::ReadFile {
            path: file.to_path_buf(),
            source,
        })?;
        if line.trim().is_empty() {
            continue;
        }
        match replay.take(&line).await {
            Ok(()) => progress(replay),
            Err(error) if error.is_of_the_line() => {
                wrong += 1;
                if wrong <= TOLD {
                    eprintln!("{}:{}: {}", file.display(), at + 1, Chain(&error));
                }
            }
            Err(error) => {
                eprintln!("{}:{}: stopped here: {error}", file.display(), at + 1);
                break;
            }
        }
    }
    Ok(wrong)
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = File::open(file).map_err(|source| CliError::ReadFile {
        path: file.to_path_buf(),
        source,
    })?;
    Ok(Box::new(BufReader::new(opened)))
}

/// One line that is written over and over, for a person who waits.
fn progress(replay: &Replay) {
    let mut screen = io::stderr();
    if screen.is_terminal() {
        // Nobody can be told that the screen cannot be written to.
        let _ = write!(screen, "\r\x1b[K{}", replay.so_far());
        let _ = screen.flush();
    }
}

fn sentence(delivery: &Delivery, wrong: usize) -> String {
    let nothing = delivery.signals.is_empty();
    match (nothing, wrong) {
        (true, 0) => "the file holds no telemetry".to_owned(),
        (true, _) => "the file holds no telemetry that could be sent".to_owned(),
        (false, 0) => delivery.to_string(),
        (false, 1) => format!("{delivery}; 1 line was not sent"),
        (false, _) => format!("{delivery}; {wrong} lines were not sent"),
    }
}

/// What was not taken may be taken later; what was refused, or is no telemetry, never will.
fn exit(delivery: &Delivery, wrong: usize) -> u8 {
    let signals = &delivery.signals;
    let is_refused = signals.iter().any(|it| it.tally.refused > 0);
    let is_open = signals
        .iter()
        .any(|it| it.tally.delivered + it.tally.refused < it.tally.made);
    if is_open {
        Class::Unavailable.exit_code()
    } else if is_refused || wrong > 0 {
        Class::Invalid.exit_code()
    } else {
        0
    }
}
