//! The page for people: what is stored here, and whether its data sources answer.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::datasources::Datasource;
use crate::errors::Refusal;
use crate::probe::{self, Verdict};
use crate::state::{App, Store};

const STYLE: &str = "
:root { color-scheme: light dark; --line: light-dark(#d8dce3, #33383f); --soft: light-dark(#5b6470, #9aa4b1);
  --card: light-dark(#fff, #1b1f24); --good: light-dark(#18794e, #4cc38a); --bad: light-dark(#c62a2f, #ff8b8b); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 3rem auto; padding: 0 1.5rem;
  background: light-dark(#f5f6f8, #121417); color: light-dark(#1c2024, #e6e9ee); }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1rem; margin: 2.2rem 0 .6rem } p { color: var(--soft); margin: .3rem 0 }
ul { list-style: none; margin: 0; padding: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px }
li { padding: .7rem 1rem; border-top: 1px solid var(--line) } li:first-child { border-top: 0 }
small { color: var(--soft); margin-left: .5rem } small.block { display: block; margin: 0 }
a { color: light-dark(#0b62c4, #79b8ff); text-decoration: none } a:hover { text-decoration: underline }
.good::before { content: '● '; color: var(--good) } .bad::before { content: '● '; color: var(--bad) } .mute::before { content: '○ ' }
";

/// `GET /`: asks every data source, then lists all there is.
pub(crate) async fn home(State(app): State<App>) -> Html<String> {
    let mut sources = app.store().datasources.clone();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    let asking: Vec<_> = sources
        .into_iter()
        .map(|source| {
            tokio::spawn(async move {
                let verdict = probe::ask(&source).await;
                source_item(&source, verdict)
            })
        })
        .collect();
    let mut items = Vec::new();
    for asked in asking {
        items.push(
            asked
                .await
                .unwrap_or_else(|error| format!("<li>{}</li>", text(&error.to_string()))),
        );
    }
    let store = app.store();
    let title = "Stand-in for Grafana";
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>\
         <p>This is a stand-in for Grafana used in tests and the demo. It keeps what is posted to Grafana's \
         HTTP API, in memory, and draws nothing.</p>{}{}{}",
        list("Folders", &folder_items(&store)),
        list("Dashboards", &dashboard_items(&store)),
        list("Data sources, asked just now", &items),
    ))
}

/// `GET /d/{uid}/{slug}`: the model of a dashboard, where Grafana would draw it.
pub(crate) async fn dashboard(
    State(app): State<App>,
    Path((uid, _)): Path<(String, String)>,
) -> Response {
    let store = app.store();
    let model = store
        .dashboard(&uid)
        .and_then(|it| serde_json::to_string_pretty(&it.model()).ok());
    model.map_or_else(
        || Refusal::no_route().into_response(),
        |model| ([(header::CONTENT_TYPE, "application/json")], model).into_response(),
    )
}

fn list(title: &str, items: &[String]) -> String {
    let body = if items.is_empty() {
        "<li><small>None yet.</small></li>".to_owned()
    } else {
        items.concat()
    };
    format!("<h2>{title}</h2><ul>{body}</ul>")
}

fn folder_items(store: &Store) -> Vec<String> {
    let item = |folder: &crate::folders::Folder| {
        let inside = store
            .dashboards
            .iter()
            .filter(|dashboard| dashboard.folder == folder.uid)
            .count();
        format!(
            "<li>{}<small>{} · {inside} dashboards</small></li>",
            text(&folder.title),
            text(&folder.uid)
        )
    };
    store.folders.iter().map(item).collect()
}

fn dashboard_items(store: &Store) -> Vec<String> {
    let item = |dashboard: &crate::dashboards::Dashboard| {
        let folder = store
            .folder(&dashboard.folder)
            .map_or("General", |folder| &folder.title);
        format!(
            "<li><a href='{}'>{}</a><small>in {} · version {} · JSON</small></li>",
            text(&dashboard.url()),
            text(&dashboard.title),
            text(folder),
            dashboard.version()
        )
    };
    store.dashboards.iter().map(item).collect()
}

fn source_item(source: &Datasource, verdict: Option<Verdict>) -> String {
    let (class, said) = match verdict {
        Some(Ok(said)) => ("good", said),
        Some(Err(said)) => ("bad", said),
        None => ("mute", "the stand-in cannot ask this kind".to_owned()),
    };
    let default = if source.is_default { " · default" } else { "" };
    format!(
        "<li><span class={class}>{}</span><small>{} · {}{default}</small><small class=block>{}</small></li>",
        text(&source.name),
        text(&source.kind),
        text(&source.url),
        text(&said)
    )
}

/// Text that cannot be taken for markup.
fn text(raw: &str) -> String {
    let safe = raw
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    safe.replace('\'', "&#39;").replace('"', "&quot;")
}
