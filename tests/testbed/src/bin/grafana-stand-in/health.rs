//! What a client asks first: is it up, which version is it, which organisation is this.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::errors::{Answer, Refusal, ok, ok_utf8};

/// The version whose answers this program repeats.
pub(crate) const VERSION: &str = "11.0.0";

/// The data source plugins that a plain Grafana 11.0 has and this program names: id, name, logo.
pub(crate) const PLUGINS: [(&str, &str, &str); 6] = [
    ("prometheus", "Prometheus", "prometheus_logo.svg"),
    (
        "grafana-postgresql-datasource",
        "PostgreSQL",
        "postgresql_logo.svg",
    ),
    ("elasticsearch", "Elasticsearch", "elasticsearch.svg"),
    ("jaeger", "Jaeger", "jaeger_logo.svg"),
    ("loki", "Loki", "loki_icon.svg"),
    ("tempo", "Tempo", "tempo_logo.svg"),
];

/// `GET /api/health`
pub(crate) async fn health() -> Response {
    ok_utf8(&json!({"commit": "stand-in", "database": "ok", "version": VERSION}))
}

/// `GET /healthz`
pub(crate) async fn healthz() -> Response {
    "Ok".into_response()
}

/// `GET /api/org`: there is one organisation.
pub(crate) async fn org() -> Response {
    let address = json!({
        "address1": "", "address2": "", "city": "", "zipCode": "", "state": "", "country": ""
    });
    ok(&json!({"id": 1, "name": "Main Org.", "address": address}))
}

/// `GET /api/frontend/settings`: the part that says what runs here.
pub(crate) async fn frontend_settings() -> Response {
    ok_utf8(&json!({"buildInfo": {
        "hideVersion": false, "version": VERSION, "commit": "stand-in", "commitShort": "stand-in",
        "versionString": format!("Stand-in for Grafana v{VERSION}"), "buildstamp": 0,
        "edition": "Open Source", "latestVersion": "", "hasUpdate": false, "env": "production"
    }}))
}

/// `GET /api/plugins/{id}/settings`
pub(crate) async fn plugin_settings(Path(id): Path<String>) -> Answer {
    let plugin = PLUGINS.iter().find(|(plugin, ..)| *plugin == id);
    let (id, name, _) = plugin
        .ok_or_else(|| Refusal::plain(404, "Plugin not found, no installed plugin with that id"))?;
    Ok(ok(&json!({"id": id, "type": "datasource", "name": name})))
}
