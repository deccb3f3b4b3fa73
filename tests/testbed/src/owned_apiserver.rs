//! An API server that belongs to one test.

use crate::address::Cluster;
use crate::error::InFile;
use crate::{Attempt, Error, eventually, place, unique};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const READY: Duration = Duration::from_mins(2);

/// Brings it up, and takes it down as soon as its own stdin closes, which happens also when the
/// process that holds the other end is killed.
const UNTIL_STDIN_CLOSES: &str =
    r#""$1/apiserver-up.sh" && read -r _; exec "$1/down.sh" apiserver"#;

/// An API server for a test that ends it in the middle of things; else like that of `up`.
///
/// It ends, and its data with it, when this is dropped or this process ends.
#[derive(Debug)]
pub struct ApiServer {
    cluster: Cluster,
    child: Child,
    state: PathBuf,
}

impl ApiServer {
    /// Makes and starts one; about five seconds.
    ///
    /// # Errors
    /// [`Error::Start`] with the end of the log when it does not start.
    pub async fn start() -> Result<Self, Error> {
        let name = unique("apiserver");
        let data = place::make_data(&place::state())?;
        let state = data.join(&name);
        let log = data.join(format!("{name}.log"));
        let folder = state.join("apiserver");
        let mut owned = Self {
            child: spawn(&state, &log)?,
            cluster: Cluster {
                kubeconfig: folder.join("kubeconfig"),
                kubectl_cache: state.join("kubectl-cache"),
                state: folder,
            },
            state,
        };
        let ready = owned.cluster.state.join("ready");
        let child = &mut owned.child;
        let up = eventually("the API server to be ready", READY, async || {
            match child.try_wait() {
                Ok(Some(status)) => Attempt::Never(format!("it ended with {status}")),
                Ok(None) if ready.exists() => Attempt::Done(()),
                Ok(None) => Attempt::NotYet("it is not ready".to_owned()),
                Err(error) => Attempt::never(&error),
            }
        });
        up.await
            .map_err(|error| crate::room::failed("kube-apiserver", &log, &error))?;
        Ok(owned)
    }

    /// Where it is and who may enter.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Kills it; its store stays.
    ///
    /// # Errors
    /// When the script cannot be run or fails.
    pub async fn kill(&self) -> Result<(), Error> {
        self.again("stop").await
    }

    /// Starts it again where it was, and waits until it answers.
    ///
    /// # Errors
    /// When the script cannot be run or fails.
    pub async fn restart(&self) -> Result<(), Error> {
        self.again("start").await
    }

    async fn again(&self, what: &str) -> Result<(), Error> {
        let program = place::scripts().join("cluster/apiserver-again.sh");
        let mut script = tokio::process::Command::new(&program);
        script.arg(what).env("TESTBED_STATE", &self.state);
        let output = script.output().await;
        let output = output.map_err(|source| Error::Program { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Never {
            what: format!("the API server did not {what}"),
            because: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // Closing its stdin is what asks it to end.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.state);
    }
}

fn spawn(state: &Path, log: &Path) -> Result<Child, Error> {
    let output = fs::File::create(log).file("make", log)?;
    let scripts = place::scripts().join("cluster");
    Command::new("/bin/bash")
        .args(["-c", UNTIL_STDIN_CLOSES, "bash"].map(OsStr::new))
        .arg(scripts)
        .env("TESTBED_STATE", state)
        .stdin(Stdio::piped())
        .stdout(output.try_clone().file("open", log)?)
        .stderr(output)
        .spawn()
        .map_err(|source| Error::Program {
            program: PathBuf::from("/bin/bash"),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::ApiServer;
    use crate::kubernetes;

    #[tokio::test]
    async fn it_can_be_killed_and_restarted_and_ends_with_its_owner() {
        let owned = ApiServer::start().await.expect("an API server");
        let cluster = owned.cluster().clone();
        kubernetes::ask(&cluster).await.expect("it is ready");
        owned.kill().await.expect("it is killed");
        assert!(kubernetes::ask(&cluster).await.is_err(), "it still answers");
        owned.restart().await.expect("it is up again");
        kubernetes::ask(&cluster).await.expect("it is ready again");
        drop(owned);
        assert!(!cluster.state.exists(), "its data is still there");
    }
}
