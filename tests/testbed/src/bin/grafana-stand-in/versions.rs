//! The versions that the saves of a dashboard left.

use axum::Extension;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::auth::Caller;
use crate::dashboards::{Model, Save, missing, write};
use crate::errors::{Answer, Refusal, ok};
use crate::state::{App, Posted};

/// One saved state of a dashboard.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Saved {
    pub(crate) id: i64,
    pub(crate) dashboard_id: i64,
    pub(crate) uid: String,
    pub(crate) parent_version: i64,
    pub(crate) restored_from: i64,
    pub(crate) version: i64,
    pub(crate) created: String,
    pub(crate) message: String,
    pub(crate) data: Model,
    pub(crate) created_by: String,
}

#[derive(Deserialize)]
pub(crate) struct Window {
    limit: Option<usize>,
    #[serde(default)]
    start: usize,
}

/// `GET /api/dashboards/uid/{uid}/versions`: the newest first; here, and only here, the first one
/// says "Initial save".
pub(crate) async fn list(
    State(app): State<App>,
    Path(uid): Path<String>,
    Query(window): Query<Window>,
) -> Answer {
    let store = app.store();
    let dashboard = store.dashboard(&uid).ok_or_else(missing)?;
    let newest_first = dashboard.versions.iter().rev().cloned().map(|mut version| {
        if version.version == 1 {
            "Initial save".clone_into(&mut version.message);
        }
        version
    });
    let limit = window.limit.filter(|limit| *limit > 0).unwrap_or(1000);
    Ok(ok(&newest_first
        .skip(window.start)
        .take(limit)
        .collect::<Vec<Saved>>()))
}

/// `GET /api/dashboards/uid/{uid}/versions/{version}`
pub(crate) async fn get(
    State(app): State<App>,
    Path((uid, number)): Path<(String, i64)>,
) -> Answer {
    let store = app.store();
    let dashboard = store.dashboard(&uid).ok_or_else(missing)?;
    let found = dashboard
        .versions
        .iter()
        .find(|version| version.version == number);
    let mut version = found.cloned().ok_or_else(|| {
        let id = dashboard.id;
        Refusal::traced(
            500,
            &format!("Dashboard version {number} not found for dashboardId {id}"),
        )
    })?;
    version.data.insert("id".to_owned(), json!(dashboard.id));
    Ok(ok(&version))
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Restore {
    version: i64,
}

/// `POST /api/dashboards/uid/{uid}/restore`: an old version saved anew.
pub(crate) async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
    posted: Posted,
) -> Answer {
    caller.needs("dashboards:write")?;
    let Restore { version } = posted.read()?;
    let mut store = app.store();
    let dashboard = store.dashboard(&uid).ok_or_else(missing)?;
    let old = dashboard.versions.iter().find(|old| old.version == version);
    let model = old
        .ok_or_else(|| Refusal::plain(404, "Dashboard version not found"))?
        .data
        .clone();
    let message = format!("Restored from version {version}");
    let folder = dashboard.folder.clone();
    let save = Save {
        model,
        folder,
        message,
        overwrite: true,
        restored_from: version,
    };
    write(&mut store, &caller, save)
}
