//! What was not delivered, left as a file for `firstlight replay`.

use super::otlp_json::{LineError, line};
use super::pipe::Pipe;
use crate::engine::Chain;
use crate::settings::{Settings, Signal};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What became of what was not delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Left {
    /// Nothing was left, or there is no place for it.
    #[default]
    Nowhere,
    /// It is in this file, as OTLP/JSON lines.
    In(PathBuf),
    /// It could not be written there.
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

#[derive(Debug, thiserror::Error)]
enum LeaveError {
    #[error("failed to write")]
    File(#[from] io::Error),
    #[error("a batch cannot be written as JSON")]
    Line(#[from] LineError),
}

/// Where a run leaves what it could not deliver: the folder of the spool, or outside of a pod where
/// programs of this user keep such things. In a pod without a folder there is no place that would
/// outlast it.
pub(super) fn place(settings: &Settings, process: &str) -> Option<PathBuf> {
    let folder = settings.spool_dir.clone().or_else(|| {
        let state = settings.state_dir.as_ref()?;
        let is_pod = settings.pod_name.is_some() || settings.pod_uid.is_some();
        (!is_pod).then(|| state.join("firstlight"))
    });
    Some(folder?.join(format!("undelivered-{process}.jsonl")))
}

/// Writes what the pipes still hold, each in its order.
pub(super) fn leave(path: PathBuf, pipes: &[(Signal, &Pipe)]) -> Left {
    match write(&path, pipes) {
        Ok(()) => Left::In(path),
        Err(error) => {
            // A part of it would be taken for the whole.
            let _ = fs::remove_file(&path);
            let why = Chain(&error).to_string();
            Left::Failed { path, why }
        }
    }
}

fn write(path: &Path, pipes: &[(Signal, &Pipe)]) -> Result<(), LeaveError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = BufWriter::new(create(path)?);
    for (signal, pipe) in pipes {
        pipe.leave(|batch| -> Result<(), LeaveError> {
            let line = line(*signal, &batch.bytes)?;
            file.write_all(line.as_bytes())?;
            Ok(file.write_all(b"\n")?)
        })?;
    }
    file.flush()?;
    // Only now: until here any of them may be needed again.
    for (_, pipe) in pipes {
        pipe.clear();
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_left_where_it_outlasts_the_run() {
        let spool = || Some(PathBuf::from("/spool"));
        let state = || Some(PathBuf::from("/home/lena/.local/state"));
        let pod = || Some("lens-1".to_owned());
        for (spool_dir, state_dir, pod_name, wanted) in [
            (spool(), state(), pod(), Some("/spool/undelivered-1.jsonl")),
            (spool(), None, None, Some("/spool/undelivered-1.jsonl")),
            (
                None,
                state(),
                None,
                Some("/home/lena/.local/state/firstlight/undelivered-1.jsonl"),
            ),
            (None, state(), pod(), None),
            (None, None, None, None),
        ] {
            let settings = Settings {
                pod_name,
                spool_dir,
                state_dir,
                ..Settings::default()
            };
            assert_eq!(place(&settings, "1").as_deref(), wanted.map(Path::new));
        }
    }
}
