//! Ending what is on record: politely first, then for certain, and nothing else.

use crate::record::{Process, Record};
use crate::{Attempt, Error, eventually};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// How long a server may take to end by itself.
const GRACE: Duration = Duration::from_secs(20);
/// How long the kernel may take to end a killed one.
const KILLED: Duration = Duration::from_secs(10);

/// Ends the server that is on record in `folder` with all of its session: it is asked, and ends
/// its children itself.
///
/// # Errors
/// [`Error::Late`] when a killed process does not end.
pub(crate) async fn stop(folder: &Path, signal: Signal) -> Result<(), Error> {
    let Some(record) = Record::read(folder)? else {
        return Ok(());
    };
    // A child may have left the session, as those of Postgres do; they end with their parent.
    let family = record.family();
    record.signal(signal);
    end(&record, &family).await
}

/// Ends the script that is on record in `folder`: a shell waits for its children, so all are asked.
///
/// # Errors
/// [`Error::Late`] when a killed process does not end.
pub(crate) async fn stop_script(folder: &Path) -> Result<(), Error> {
    let Some(record) = Record::read(folder)? else {
        return Ok(());
    };
    let family = record.family();
    for process in record.remaining(&family) {
        process.signal(Signal::TERM);
    }
    end(&record, &family).await
}

async fn end(record: &Record, family: &[Process]) -> Result<(), Error> {
    if gone(record, family, GRACE).await.is_ok() {
        return Ok(());
    }
    for process in record.remaining(family) {
        process.signal(Signal::KILL);
    }
    gone(record, family, KILLED).await
}

/// Ends the process that is on record in `folder`, but none that it has started.
///
/// # Errors
/// [`Error::Late`] when a killed process does not end.
pub(crate) async fn stop_alone(folder: &Path) -> Result<(), Error> {
    let Some(record) = Record::read(folder)? else {
        return Ok(());
    };
    let ended = async |within| {
        eventually("the end of a running `up`", within, async || {
            if record.is_running() {
                Attempt::NotYet(format!("pid {} is still there", record.pid))
            } else {
                Attempt::Done(())
            }
        })
        .await
    };
    record.signal(Signal::TERM);
    if ended(GRACE * 2).await.is_ok() {
        return Ok(());
    }
    record.signal(Signal::KILL);
    ended(KILLED).await
}

async fn gone(record: &Record, family: &[Process], within: Duration) -> Result<(), Error> {
    let what = format!(
        "the end of {} (pid {})",
        record.program.display(),
        record.pid
    );
    eventually(&what, within, async || {
        let left: Vec<i32> = record
            .remaining(family)
            .iter()
            .map(|left| left.pid)
            .collect();
        if left.is_empty() {
            Attempt::Done(())
        } else {
            Attempt::NotYet(format!("still there: pid {left:?}"))
        }
    })
    .await
}
