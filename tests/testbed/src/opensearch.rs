//! OpenSearch: one as it is, and one with the security plugin, TLS and users.

use crate::address::OpenSearch;
use crate::builds::Builds;
use crate::error::InFile;
use crate::launch::Launch;
use crate::room::{Room, give_away};
use crate::{Attempt, Error, http, place, unique};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// 13 s on an idle machine; several Java processes that start at once take much longer.
const READY: Duration = Duration::from_mins(5);
const COPY: Duration = Duration::from_mins(1);
const HEAP: &str = "-Xms512m -Xmx512m";

/// OpenSearch 3 without TLS and users.
pub(crate) async fn start(room: &Room<'_>, builds: &Builds) -> Result<OpenSearch, Error> {
    let home = builds
        .program(room, "opensearch", "OPENSEARCH_VERSION")
        .await?;
    let port = room.port("http")?;
    let server = OpenSearch {
        url: format!("http://127.0.0.1:{port}"),
        user: None,
        password: None,
        ca_file: None,
    };
    bring_up(room, &home, port, &server).await?;
    Ok(server)
}

/// OpenSearch 2.19 with TLS and users.
pub(crate) async fn start_secure(room: &Room<'_>, builds: &Builds) -> Result<OpenSearch, Error> {
    let home = builds
        .program(room, "opensearch", "OPENSEARCH_2_VERSION")
        .await?;
    let port = room.port("http")?;
    let server = OpenSearch {
        url: format!("https://localhost:{port}"),
        user: Some("admin".to_owned()),
        password: Some(place::version("OPENSEARCH_2_ADMIN_PASSWORD")?),
        ca_file: Some(home.join("config/root-ca.pem")),
    };
    bring_up(room, &home, port, &server).await?;
    Ok(server)
}

async fn bring_up(
    room: &Room<'_>,
    built: &Path,
    port: u16,
    server: &OpenSearch,
) -> Result<(), Error> {
    let data = room.fresh_data()?;
    let home = reachable(room, built, &data).await?;
    let config = configure(room, built, &data, port).await?;
    let launch = Launch::new(home.join("bin/opensearch"))
        .variable("OPENSEARCH_PATH_CONF", &config)
        .variable("OPENSEARCH_JAVA_HOME", home.join("jdk"))
        .variable("OPENSEARCH_JAVA_OPTS", HEAP)
        .variable("OPENSEARCH_TMPDIR", data.join("tmp"))
        .unprivileged();
    let child = room.start(&launch)?;
    room.ready(child, READY, async || ask(server).await).await
}

/// The server's files where an unprivileged user can read them: the cache may lie below `/root`.
async fn reachable(room: &Room<'_>, built: &Path, data: &Path) -> Result<PathBuf, Error> {
    if place::nobody().is_none() {
        return Ok(built.to_path_buf());
    }
    let home = data.join("home");
    let link = |how| {
        Launch::new("cp")
            .argument(how)
            .argument(built)
            .argument(&home)
    };
    // Links cost nothing; across file systems it has to be a copy.
    if room.run(&link("-al"), COPY).await.is_err() {
        if home.exists() {
            fs::remove_dir_all(&home).file("remove", &home)?;
        }
        room.run(&link("-a"), COPY).await?;
    }
    Ok(home)
}

/// A configuration of its own, for the server writes into that folder.
async fn configure(
    room: &Room<'_>,
    built: &Path,
    data: &Path,
    port: u16,
) -> Result<PathBuf, Error> {
    let config = data.join("config");
    let copy = Launch::new("cp")
        .argument("-r")
        .argument(built.join("config"))
        .argument(&config);
    room.run(&copy, COPY).await?;
    let settings = config.join("opensearch.yml");
    let mut text = fs::read_to_string(&settings).file("read", &settings)?;
    text.push_str(&own_settings(data, port, room.port("transport")?));
    fs::write(&settings, text).file("write", &settings)?;
    own_java_options(&config.join("jvm.options"), data)?;
    for name in ["data", "logs", "snapshots", "tmp"] {
        let folder = data.join(name);
        fs::create_dir(&folder).file("make", &folder)?;
        give_away(&folder)?;
    }
    give_away_tree(&config)?;
    Ok(config)
}

fn own_settings(data: &Path, port: u16, transport: u16) -> String {
    let data = data.display();
    format!(
        "
cluster.name: firstlight-testbed
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
path.data: {data}/data
path.logs: {data}/logs
path.repo: [{data}/snapshots]
# A disk that is nearly full is the machine's affair, not the tests'.
cluster.routing.allocation.disk.threshold_enabled: false
"
    )
}

/// Java's own logs would go into the server's folder, which is not to be written.
fn own_java_options(path: &Path, data: &Path) -> Result<(), Error> {
    let logs = format!("{}/logs/", data.display());
    let text = fs::read_to_string(path).file("read", path)?;
    let kept: Vec<String> = text
        .lines()
        .filter(|line| !line.contains("HeapDump") && !line.contains("-Xlog:gc"))
        .map(|line| line.replace("=logs/", &format!("={logs}")) + "\n")
        .collect();
    fs::write(path, kept.concat()).file("write", path)
}

fn give_away_tree(path: &Path) -> Result<(), Error> {
    give_away(path)?;
    if !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).file("read", path)? {
        give_away_tree(&entry.file("read", path)?.path())?;
    }
    Ok(())
}

/// Whether it makes an index: one that is broken answers every question and cannot do that.
pub(crate) async fn ask(server: &OpenSearch) -> Attempt<()> {
    let client = match http::client(server.ca_file.as_deref()) {
        Ok(client) => client,
        Err(error) => return Attempt::never(&error),
    };
    let index = format!("{}/{}", server.url, unique("ready"));
    let requests = [client.put(&index), client.delete(&index)];
    http::all(requests.map(|request| match &server.user {
        Some(user) => request.basic_auth(user, server.password.as_ref()),
        None => request,
    }))
    .await
}
