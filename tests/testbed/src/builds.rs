//! The servers that have no package: built or downloaded once a machine, by scripts.

use crate::launch::Launch;
use crate::room::Room;
use crate::{Error, place};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OnceCell, Semaphore};

/// A build of Kubernetes takes five minutes alone, and many more on a busy machine.
const LONGEST: Duration = Duration::from_hours(1);

/// The program (or folder) `helm` or another that was built once a machine, for tests that call it.
///
/// # Errors
/// When it has not been built: the error names the script that does.
pub fn program(name: &str) -> Result<PathBuf, Error> {
    let key = name.to_uppercase().replace('-', "_");
    let version = place::version(&format!("{key}_VERSION"))?;
    let program = place::cache().join(name).join(version).join(name);
    if program.exists() {
        return Ok(program);
    }
    Err(Error::NotInstalled {
        server: name.to_owned(),
        program,
        install: format!("tests/testbed/build/{name}/build.sh"),
    })
}

/// What one `up` builds: each thing once, few at a time.
#[derive(Debug)]
pub(crate) struct Builds {
    places: Semaphore,
    made: Mutex<HashMap<&'static str, Arc<OnceCell<()>>>>,
}

impl Builds {
    pub(crate) fn new() -> Self {
        Self {
            places: Semaphore::new(2),
            made: Mutex::default(),
        }
    }

    /// The program (or folder) `name` of the version that `version` names, built if need be.
    ///
    /// The script is run also when there is a result: it alone knows whether its inputs are the same.
    pub(crate) async fn program(
        &self,
        room: &Room<'_>,
        name: &'static str,
        version: &str,
    ) -> Result<PathBuf, Error> {
        let program = place::cache()
            .join(name)
            .join(place::version(version)?)
            .join(name);
        let cell = Arc::clone(self.made.lock().await.entry(name).or_default());
        cell.get_or_try_init(|| self.build(room, name, program.exists()))
            .await?;
        if program.exists() {
            return Ok(program);
        }
        Err(Error::NotInstalled {
            server: room.name.clone(),
            program,
            install: format!("tests/testbed/build/{name}/build.sh"),
        })
    }

    /// What has its result already takes no place from those that work long.
    async fn build(&self, room: &Room<'_>, name: &str, there: bool) -> Result<(), Error> {
        let script = place::scripts().join("build").join(name).join("build.sh");
        let folder = room.of(&format!("build-{name}"));
        if there {
            return folder.run(&Launch::new(script), LONGEST).await;
        }
        let _place = self.places.acquire().await.ok();
        room.say(&format!("building {name}, once a machine"));
        let since = Instant::now();
        folder.run(&Launch::new(script), LONGEST).await?;
        room.say(&format!("built {name} in {} s", since.elapsed().as_secs()));
        Ok(())
    }
}
