//! Prometheus 3, which takes metrics by OTLP.

use crate::address::Prometheus;
use crate::builds::Builds;
use crate::launch::Launch;
use crate::room::Room;
use crate::{Attempt, Error, http};
use std::time::Duration;

const READY: Duration = Duration::from_mins(1);

/// Points may come late: one that was kept through an outage is taken for two hours.
const CONFIG: &str = "global: { scrape_interval: 1m }
storage: { tsdb: { out_of_order_time_window: 2h } }
otlp: { promote_resource_attributes: [service.name, service.namespace, service.instance.id] }
";

pub(crate) async fn start(room: &Room<'_>, builds: &Builds) -> Result<Prometheus, Error> {
    let program = builds
        .program(room, "prometheus", "PROMETHEUS_VERSION")
        .await?;
    let server = address(room)?;
    let config = room.file("prometheus.yaml", CONFIG)?;
    let option = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    let launch = Launch::new(program).arguments([
        option("config.file", &config.display()),
        option(
            "storage.tsdb.path",
            &room.fresh_data()?.join("tsdb").display(),
        ),
        option(
            "web.listen-address",
            &format!("127.0.0.1:{}", room.port("http")?),
        ),
        "--web.enable-otlp-receiver".to_owned(),
        option("log.level", &"warn"),
    ]);
    let child = room.start(&launch)?;
    room.ready(child, READY, async || ask(&server).await)
        .await?;
    Ok(server)
}

/// Its port is fixed before it runs, so that the collector can be told it.
pub(crate) fn address(room: &Room<'_>) -> Result<Prometheus, Error> {
    Ok(Prometheus {
        url: format!("http://127.0.0.1:{}", room.port("http")?),
    })
}

/// Whether it is ready and answers a query.
pub(crate) async fn ask(server: &Prometheus) -> Attempt<()> {
    let client = match http::client(None) {
        Ok(client) => client,
        Err(error) => return Attempt::never(&error),
    };
    http::all([
        client.get(format!("{}/-/ready", server.url)),
        client.get(format!("{}/api/v1/query?query=vector(1)", server.url)),
    ])
    .await
}
