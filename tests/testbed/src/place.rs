//! Where things are: the state of this checkout's test bed, its data, and what is kept between runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The state folder: logs, records of processes, certificates and the environment file.
///
/// `TESTBED_STATE` names another one, for a second test bed beside the first.
pub(crate) fn state() -> PathBuf {
    std::env::var_os("TESTBED_STATE").map_or_else(|| root().join("target/testbed"), PathBuf::from)
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder
        .ancestors()
        .nth(2)
        .unwrap_or(crate_folder)
        .to_path_buf()
}

/// The folder of the scripts that build and start what is not a plain process.
pub(crate) fn scripts() -> PathBuf {
    root().join("tests/testbed")
}

/// The folder of the servers' data.
///
/// It is the state folder, but not for root: Postgres and OpenSearch then run as `nobody`, who
/// cannot enter a checkout below `/root`.
pub(crate) fn data(state: &Path) -> PathBuf {
    if !rustix::process::geteuid().is_root() {
        return state.to_path_buf();
    }
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    PathBuf::from(format!(
        "/var/tmp/firstlight-testbed-{:016x}",
        hasher.finish()
    ))
}

/// What is built or downloaded once a machine, by name and version.
pub(crate) fn cache() -> PathBuf {
    let named = std::env::var_os("FIRSTLIGHT_CACHE").map(PathBuf::from);
    named.unwrap_or_else(|| {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(home)
            .unwrap_or_else(|| PathBuf::from("/var/cache"))
            .join("firstlight")
    })
}
