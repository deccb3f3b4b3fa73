//! Processes that end with their owner.

use crate::Error;
use crate::error::InFile;
use crate::launch::Launch;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts the program of its arguments and ends it with SIGINT as soon as its own stdin closes,
/// which happens also when the process that holds the other end is killed.
const UNTIL_STDIN_CLOSES: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _ <&3; kill -INT $server; } 2>/dev/null & reader=$!
exec 3<&-
wait $server; status=$?
kill $reader 2>/dev/null
exit $status
"#;

/// Starts a process that ends as soon as its stdin, which the caller holds, is closed. What it
/// says is added to `log`.
pub(crate) fn spawn(launch: &Launch, log: &Path) -> Result<Child, Error> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .file("open", log)?;
    let inner = launch.command();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", UNTIL_STDIN_CLOSES, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(
            inner
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
    launch.drop_rights(&mut command);
    command
        .stdin(Stdio::piped())
        .stdout(output.try_clone().file("open", log)?)
        .stderr(output)
        .spawn()
        .map_err(|source| Error::Program {
            program: launch.program().to_path_buf(),
            source,
        })
}

/// Asks it to end, and waits until it has.
pub(crate) fn end(child: &mut Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}
