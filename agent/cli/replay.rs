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
    let sent = send(&replay, lines, &arguments.file).await;
    let delivery = replay.finish().await;
    let sent = sent?;
    if wants_json(settings) {
        print_json(&delivery.record())?;
    } else {
        say(&format!("{}\n", sentence(&delivery, &sent)));
    }
    Ok(exit(&delivery, &sent))
}

/// How far it came.
#[derive(Default)]
struct Sent {
    /// Lines that are no telemetry, or have nowhere to go.
    wrong: usize,
    /// The line after which nothing was sent, counted from 1.
    stopped: Option<usize>,
}

/// Sends all lines, until nobody takes them any more.
async fn send(replay: &Replay, lines: impl BufRead, file: &Path) -> Result<Sent, CliError> {
    let mut sent = Sent::default();
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
                sent.wrong += 1;
                if sent.wrong <= TOLD {
                    eprintln!("{}:{}: {}", file.display(), at + 1, Chain(&error));
                }
            }
            Err(error) => {
                eprintln!("{}:{}: stopped here: {error}", file.display(), at + 1);
                sent.stopped = Some(at + 1);
                break;
            }
        }
    }
    Ok(sent)
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

fn sentence(delivery: &Delivery, sent: &Sent) -> String {
    let nothing = delivery.signals.is_empty();
    let said = match (nothing, sent.wrong) {
        (true, 0) => "the file holds no telemetry".to_owned(),
        (true, _) => "the file holds no telemetry that could be sent".to_owned(),
        (false, 0) => delivery.to_string(),
        (false, 1) => format!("{delivery}; 1 line was not sent"),
        (false, wrong) => format!("{delivery}; {wrong} lines were not sent"),
    };
    match sent.stopped {
        Some(line) => format!("{said}; nothing after line {line} was sent: replay it again"),
        None => said,
    }
}

/// What was not taken may be taken later; what was refused, or is no telemetry, never will.
fn exit(delivery: &Delivery, sent: &Sent) -> u8 {
    let signals = &delivery.signals;
    let is_refused = signals.iter().any(|it| it.tally.refused > 0);
    let is_open = signals
        .iter()
        .any(|it| it.tally.delivered + it.tally.refused < it.tally.made);
    if is_open || sent.stopped.is_some() {
        Class::Unavailable.exit_code()
    } else if is_refused || sent.wrong > 0 {
        Class::Invalid.exit_code()
    } else {
        0
    }
}
