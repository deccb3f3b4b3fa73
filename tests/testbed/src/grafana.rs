//! The stand-in for Grafana, a program of this crate.

use crate::address::Grafana;
use crate::error::InFile;
use crate::launch::Launch;
use crate::room::Room;
use crate::{Attempt, Error, http, place};
use std::path::PathBuf;
use std::time::Duration;

const READY: Duration = Duration::from_secs(30);
const BUILD: Duration = Duration::from_mins(20);
const STAND_IN: &str = "grafana-stand-in";

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

/// Cargo knows whether it is as its source; it lies beside this program.
async fn program(room: &Room<'_>) -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Launch::new(PathBuf::from(cargo))
        .arguments([
            "build",
            "--quiet",
            "--package",
            "testbed",
            "--bin",
            STAND_IN,
        ])
        .argument("--manifest-path")
        .argument(place::root().join("Cargo.toml"));
    room.of("build-grafana").run(&build, BUILD).await?;
    let myself = std::env::current_exe().file("find", "the test bed's own program")?;
    Ok(myself.with_file_name(STAND_IN))
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
