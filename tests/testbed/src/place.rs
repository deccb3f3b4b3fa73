//! Where things are: the state of this checkout's test bed, its data, and what is kept between runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The state folder: logs, records of processes, certificates and the environment file.
///
/// `TESTBED_STATE` names another one, for a second test bed beside the first.
pub(crate) fn state() -> PathBuf {
    match std::env::var_os("TESTBED_STATE") {
        // What is started stands in another folder, where a relative path means another place.
        Some(named) => std::path::absolute(&named).unwrap_or_else(|_| PathBuf::from(named)),
        None => root().join("target/testbed"),
    }
}

/// The folder of one server, or of something that servers are made of: its log and its record.
pub(crate) fn folder(state: &Path, name: &str) -> PathBuf {
    folders(state).join(name)
}

/// The folder of those folders. Beside it the scripts keep what is theirs.
pub(crate) fn folders(state: &Path) -> PathBuf {
    state.join("servers")
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
/// It is below the state folder, but not for root: Postgres and OpenSearch then run as `nobody`, who
/// cannot enter a checkout below `/root`.
pub(crate) fn data(state: &Path) -> PathBuf {
    if !rustix::process::geteuid().is_root() {
        return state.join("data");
    }
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    PathBuf::from(format!(
        "/var/tmp/firstlight-testbed-{:016x}",
        hasher.finish()
    ))
}

/// Makes the data folder, with a note of whose it is.
pub(crate) fn make_data(state: &Path) -> Result<PathBuf, crate::Error> {
    use crate::error::InFile;
    let data = data(state);
    std::fs::create_dir_all(&data).file("make", &data)?;
    let note = data.join("state");
    std::fs::write(&note, format!("{}\n", state.display())).file("write", &note)?;
    Ok(data)
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

/// A user without rights, as numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Whom a server runs as that refuses root; `None` when the test bed does not run as root.
pub(crate) fn nobody() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.starts_with("nobody:"));
    let mut numbers = line.into_iter().flat_map(|line| line.split(':').skip(2));
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    // What the kernel itself takes for a user that it does not know.
    let unknown = User {
        uid: 65_534,
        gid: 65_534,
    };
    Some(
        next()
            .zip(next())
            .map_or(unknown, |(uid, gid)| User { uid, gid }),
    )
}

/// The versions that the test bed is made of, by their names in `versions.env`.
pub(crate) fn version(name: &str) -> Result<String, crate::Error> {
    use crate::error::InFile;
    let path = scripts().join("versions.env");
    let text = std::fs::read_to_string(&path).file("read", &path)?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"').to_owned())
        .ok_or_else(|| crate::Error::NoVersion {
            path,
            name: name.to_owned(),
        })
}

/// A new password: 32 hexadecimal digits.
pub(crate) fn secret() -> Result<String, crate::Error> {
    use crate::error::InFile;
    use std::io::Read;
    let path = "/dev/urandom";
    let mut bytes = [0; 16];
    std::fs::File::open(path)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .file("read", path)?;
    Ok(bytes.map(|byte| format!("{byte:02x}")).concat())
}
