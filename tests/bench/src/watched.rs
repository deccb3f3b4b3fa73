//! A program that is run to its end, while it is looked at how much memory and processor it takes.

use std::fs;
use std::pin::pin;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::interval;

use crate::Failure;

/// The kernel counts, so that only what comes after the last look is missed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// What the kernel counts processor time in, on every machine.
const TICK: Duration = Duration::from_millis(10);

/// How it went.
pub(crate) struct Watched {
    pub(crate) took: Duration,
    /// Of the processor, by all its threads.
    pub(crate) busy: Duration,
    /// The most memory that it held at once.
    pub(crate) peak_kib: u64,
    pub(crate) output: Output,
}

/// Runs a program; that it fails is a failure.
pub(crate) async fn run(command: &mut Command) -> Result<Watched, Failure> {
    let began = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let process = format!("/proc/{}", child.id().unwrap_or_default());
    let mut ended = pin!(child.wait_with_output());
    let mut looks = interval(BETWEEN_LOOKS);
    let (mut peak_kib, mut busy) = (0, Duration::ZERO);
    let output = loop {
        tokio::select! {
            output = &mut ended => break output?,
            _ = looks.tick() => {
                peak_kib = peak_kib.max(peak(&process).unwrap_or_default());
                busy = busy.max(worked(&process).unwrap_or_default());
            }
        }
    };
    let took = began.elapsed();
    if output.status.success() {
        return Ok(Watched {
            took,
            busy,
            peak_kib,
            output,
        });
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{}: {said}", output.status).into())
}

/// None when it has just ended.
fn peak(process: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// For itself and for it by the kernel.
fn worked(process: &str) -> Option<Duration> {
    let text = fs::read_to_string(format!("{process}/stat")).ok()?;
    // The second field is the name, which may hold anything.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u32>);
    Some(TICK * (ticks.next()?.ok()? + ticks.next()?.ok()?))
}
