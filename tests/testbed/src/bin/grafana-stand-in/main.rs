//! A stand-in for Grafana 11.0, for tests and the demo: it keeps folders, data sources and
//! dashboards in memory, answers as recorded from a real one, and really asks its data sources.

mod auth;
mod dashboards;
mod datasources;
mod errors;
mod folders;
mod health;
mod page;
mod probe;
mod search;
mod state;
mod versions;

use std::io::Write;

use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use axum::{Router, middleware};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::auth::User;
use crate::errors::Refusal;
use crate::state::App;

/// Stand-in for Grafana 11.0, for tests and the demo. All it is told is lost when it ends.
#[derive(Parser)]
#[command(after_help = "Environment, named and preset as Grafana's:
  GF_SERVER_HTTP_ADDR         address to listen on [0.0.0.0]
  GF_SERVER_HTTP_PORT         port; 0 takes a free one, told on the first line of stdout [3000]
  GF_SECURITY_ADMIN_USER      [admin]
  GF_SECURITY_ADMIN_PASSWORD  [admin]")]
struct Arguments {}

fn setting(name: &str, preset: &str) -> String {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| preset.to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Arguments::parse();
    // Fails only where a provider is set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let app = App::default();
    let id = app.store().next_id();
    app.store().users.push(User {
        id,
        login: setting("GF_SECURITY_ADMIN_USER", "admin"),
        email: "admin@localhost".to_owned(),
        password: setting("GF_SECURITY_ADMIN_PASSWORD", "admin"),
        admin: true,
    });
    let host = setting("GF_SERVER_HTTP_ADDR", "0.0.0.0");
    let address = format!("{host}:{}", setting("GF_SERVER_HTTP_PORT", "3000"));
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .map_err(|error| format!("failed to listen on {address}: {error}"))?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    // As the first process of a container it would not be ended by signals that it ignores.
    let (mut stop, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        served = axum::serve(listener, routes(app)) => served?,
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn routes(app: App) -> Router {
    Router::new()
        .merge(basics())
        .merge(folder_routes())
        .merge(datasource_routes())
        .merge(dashboard_routes())
        .fallback(async || Refusal::no_route())
        .method_not_allowed_fallback(async || Refusal::no_route())
        .layer(middleware::from_fn_with_state(
            app.clone(),
            auth::authenticate,
        ))
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

fn basics() -> Router<App> {
    Router::new()
        .route("/", get(page::home))
        .route("/d/{uid}/{slug}", get(page::dashboard))
        .route("/healthz", get(health::healthz))
        .route("/api/health", get(health::health))
        .route("/api/org", get(health::org))
        .route("/api/frontend/settings", get(health::frontend_settings))
        .route("/api/plugins/{id}/settings", get(health::plugin_settings))
        .route("/api/admin/users", post(auth::create_user))
        .route("/api/admin/users/{id}", delete(auth::delete_user))
}

fn folder_routes() -> Router<App> {
    let list = get(folders::list).post(folders::create);
    let one = get(folders::get)
        .put(folders::update)
        .delete(folders::delete);
    Router::new()
        .route("/api/folders", list.clone())
        .route("/api/folders/", list)
        .route("/api/folders/{uid}", one)
        .route("/api/folders/id/{id}", get(folders::get_by_id))
        .route("/api/folders/{uid}/move", post(folders::relocate))
        .route("/api/folders/{uid}/counts", get(folders::counts))
}

fn datasource_routes() -> Router<App> {
    let one = get(datasources::get)
        .put(datasources::update)
        .delete(datasources::delete);
    Router::new()
        .route(
            "/api/datasources",
            get(datasources::list).post(datasources::create),
        )
        .route("/api/datasources/{value}", one.clone())
        .route("/api/datasources/{by}/{value}", one)
        .route(
            "/api/datasources/{by}/{value}/health",
            get(datasources::health),
        )
}

fn dashboard_routes() -> Router<App> {
    Router::new()
        .route("/api/dashboards/db", post(dashboards::save))
        .route("/api/dashboards/tags", get(search::tags))
        .route(
            "/api/dashboards/uid/{uid}",
            get(dashboards::get).delete(dashboards::delete),
        )
        .route("/api/dashboards/uid/{uid}/versions", get(versions::list))
        .route(
            "/api/dashboards/uid/{uid}/versions/{version}",
            get(versions::get),
        )
        .route("/api/dashboards/uid/{uid}/restore", post(versions::restore))
        .route("/api/search", get(search::search))
        .route("/api/search/sorting", get(search::sorting))
}
