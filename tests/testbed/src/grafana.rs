//! The stand-in for Grafana, a program of this crate.

use crate::address::Grafana;
use crate::error::InFile;
use crate::launch::Launch;
use crate::room::Room;
use crate::{Attempt, Error, http, place};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY: Duration = Duration::from_secs(30);
const BUILD: Duration = Duration::from_mins(20);
const STAND_IN: &str = "grafana-stand-in";
const STATIC: &str = "x86_64-unknown-linux-musl";

pub(crate) async fn start(room: &Room<'_>) -> Result<Grafana, Error> {
    let program = program(room).await?;
    let port = room.port("http")?;
    let server = Grafana {
        url: format!("http://127.0.0.1:{port}"),
        user: "admin".to_owned(),
        password: place::secret()?,
        stand_in: true,
    };
    let launch = Launch::new(program)
        .variable("GF_SERVER_HTTP_ADDR", "127.0.0.1")
        .variable("GF_SERVER_HTTP_PORT", port.to_string())
        .variable("GF_SECURITY_ADMIN_USER", &server.user)
        .variable("GF_SECURITY_ADMIN_PASSWORD", &server.password);
    let child = room.start(&launch)?;
    room.ready(child, READY, async || ask(&server).await)
        .await?;
    Ok(server)
}

/// Built by Cargo, which knows whether it is as its source.
async fn program(room: &Room<'_>) -> Result<PathBuf, Error> {
    let target = target_folder()?;
    let build = cargo(&target);
    room.of("build-grafana").run(&build, BUILD).await?;
    Ok(target.join("debug").join(STAND_IN))
}

/// The stand-in as a static program, for an image without libraries.
pub(crate) async fn static_program(room: &Room<'_>) -> Result<PathBuf, Error> {
    let target = target_folder()?;
    let build = cargo(&target)
        .arguments(["--target", STATIC])
        // It goes into an image and a node's memory; nobody debugs it there.
        .arguments(["--config", "profile.dev.debug=false"])
        .arguments(["--config", "profile.dev.strip=true"]);
    room.of("build-grafana-static").run(&build, BUILD).await?;
    Ok(target.join(STATIC).join("debug").join(STAND_IN))
}

fn cargo(target: &Path) -> Launch {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Launch::new(PathBuf::from(cargo))
        .arguments([
            "build",
            "--quiet",
            "--package",
            "testbed",
            "--bin",
            STAND_IN,
        ])
        .argument("--target-dir")
        .argument(target)
        // The toolchain that is pinned there is the one to build with.
        .stands_in(place::root())
}

/// Where Cargo has put this program, two folders up.
fn target_folder() -> Result<PathBuf, Error> {
    let myself = std::env::current_exe().file("find", "the test bed's own program")?;
    let folder = myself.ancestors().nth(2).unwrap_or(&myself);
    Ok(folder.to_path_buf())
}

/// Whether it is well and knows its administrator.
pub(crate) async fn ask(server: &Grafana) -> Attempt<()> {
    let client = match http::client(None) {
        Ok(client) => client,
        Err(error) => return Attempt::never(&error),
    };
    http::all([
        client.get(format!("{}/api/health", server.url)),
        client
            .get(format!("{}/api/org", server.url))
            .basic_auth(&server.user, Some(&server.password)),
    ])
    .await
}
