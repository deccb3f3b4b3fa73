//! Dashboards: every save makes a version, also one that changes nothing.

use axum::Extension;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::errors::{Answer, Refusal, ok};
use crate::folders::Folder;
use crate::state::{App, Posted, Store, new_uid, now, slug, uid_mistake};
use crate::versions::Saved;

/// What a client saved, as it is.
pub(crate) type Model = Map<String, Value>;

/// One dashboard; `folder` is empty in General. Its versions are kept, the newest last.
pub(crate) struct Dashboard {
    pub(crate) id: i64,
    pub(crate) uid: String,
    pub(crate) title: String,
    pub(crate) folder: String,
    pub(crate) versions: Vec<Saved>,
}

impl Dashboard {
    /// The address of its page.
    pub(crate) fn url(&self) -> String {
        format!("/d/{}/{}", self.uid, slug(&self.title))
    }

    /// The number of the last save.
    pub(crate) fn version(&self) -> i64 {
        self.versions.last().map_or(0, |last| last.version)
    }

    /// The model as it is read: with the id and version that the server added.
    pub(crate) fn model(&self) -> Model {
        let mut model = self
            .versions
            .last()
            .map(|last| last.data.clone())
            .unwrap_or_default();
        model.insert("id".to_owned(), json!(self.id));
        model
    }

    /// Its tags, in the order of the model.
    pub(crate) fn tags(&self) -> Vec<String> {
        let model = self.versions.last().map(|last| &last.data);
        let tags = model.and_then(|model| model.get("tags")?.as_array());
        let tags = tags.into_iter().flatten().filter_map(Value::as_str);
        tags.map(ToOwned::to_owned).collect()
    }
}

impl Store {
    /// The dashboard with this uid.
    pub(crate) fn dashboard(&self, uid: &str) -> Option<&Dashboard> {
        self.dashboards
            .iter()
            .find(|dashboard| dashboard.uid == uid)
    }
}

/// There is no such dashboard.
pub(crate) fn missing() -> Refusal {
    Refusal::traced(404, "Dashboard not found")
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
pub(crate) struct PostedDashboard {
    dashboard: Option<Value>,
    folderuid: String,
    folderid: i64,
    message: String,
    overwrite: bool,
    isfolder: bool,
}

/// What is to be saved, and where.
pub(crate) struct Save {
    pub(crate) model: Model,
    pub(crate) folder: String,
    pub(crate) message: String,
    pub(crate) overwrite: bool,
    pub(crate) restored_from: i64,
}

/// `POST /api/dashboards/db`
pub(crate) async fn save(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    posted: Posted,
) -> Answer {
    caller.needs("any of dashboards:create, dashboards:write")?;
    let posted: PostedDashboard = posted.read()?;
    let model = posted.dashboard.ok_or_else(Refusal::bad_request)?;
    if posted.isfolder {
        return Err(Refusal::plain(
            400,
            "Use folders endpoint for saving folders.",
        ));
    }
    let mut store = app.store();
    let no_folder = || Refusal::plain(400, "folder not found");
    let folder = if !posted.folderuid.is_empty() {
        store
            .folder(&posted.folderuid)
            .ok_or_else(no_folder)?
            .uid
            .clone()
    } else if posted.folderid > 0 {
        let found = store
            .folders
            .iter()
            .find(|folder| folder.id == posted.folderid);
        found.ok_or_else(no_folder)?.uid.clone()
    } else {
        String::new()
    };
    let model = if let Value::Object(model) = model {
        model
    } else {
        Model::new()
    };
    let PostedDashboard {
        message, overwrite, ..
    } = posted;
    let save = Save {
        model,
        folder,
        message,
        overwrite,
        restored_from: 0,
    };
    write(&mut store, &caller, save)
}

/// Makes the next version.
pub(crate) fn write(store: &mut Store, caller: &Caller, mut save: Save) -> Answer {
    let text = |key: &str| {
        save.model
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("")
            .trim()
    };
    let (title, uid) = (text("title").to_owned(), text("uid").to_owned());
    if title.is_empty() {
        return Err(Refusal::worded(
            400,
            "Dashboard title cannot be empty",
            "empty-name",
        ));
    }
    if let Some(mistake) = uid_mistake(&uid) {
        return Err(Refusal::plain(400, mistake));
    }
    let place = target(store, &save, &title, &uid)?;
    let place = place.unwrap_or_else(|| {
        let uid = if uid.is_empty() { new_uid() } else { uid };
        let (title, folder) = (String::new(), String::new());
        let id = store.next_id();
        store.dashboards.push(Dashboard {
            id,
            uid,
            title,
            folder,
            versions: Vec::new(),
        });
        store.dashboards.len() - 1
    });
    let version_id = store.next_id();
    let dashboard = &mut store.dashboards[place];
    (dashboard.title, dashboard.folder) = (title, save.folder);
    let parent = dashboard.version();
    save.model
        .insert("title".to_owned(), json!(dashboard.title));
    save.model.insert("uid".to_owned(), json!(dashboard.uid));
    save.model.insert("version".to_owned(), json!(parent + 1));
    save.model.remove("id");
    if parent > 0 {
        save.model.insert("id".to_owned(), json!(dashboard.id));
    }
    dashboard.versions.push(Saved {
        id: version_id,
        dashboard_id: dashboard.id,
        uid: dashboard.uid.clone(),
        parent_version: parent,
        restored_from: save.restored_from,
        version: parent + 1,
        created: now(),
        message: save.message,
        data: save.model,
        created_by: caller.login.clone(),
    });
    Ok(ok(&json!({
        "folderUid": dashboard.folder, "id": dashboard.id, "slug": slug(&dashboard.title),
        "status": "success", "uid": dashboard.uid, "url": dashboard.url(), "version": parent + 1
    })))
}

/// Finds what a save would overwrite, or says why it may not. `None` is a new dashboard.
fn target(store: &Store, save: &Save, title: &str, uid: &str) -> Result<Option<usize>, Refusal> {
    if store.folder(uid).is_some() {
        return Err(Refusal::plain(
            400,
            "Dashboard cannot be changed to a folder",
        ));
    }
    let position = |wanted: &dyn Fn(&Dashboard) -> bool| store.dashboards.iter().position(wanted);
    let id = save.model.get("id").and_then(Value::as_i64).unwrap_or(0);
    let numbered = position(&|dashboard| dashboard.id == id);
    if id > 0 && numbered.is_none() {
        return Err(Refusal::worded(404, "Dashboard not found", "not-found"));
    }
    let named = position(&|dashboard| dashboard.uid == uid);
    if numbered.is_some() && named.is_some() && numbered != named {
        return Err(Refusal::plain(
            400,
            "A dashboard with the same uid already exists",
        ));
    }
    let known = named.or(numbered);
    let posted = save
        .model
        .get("version")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if known.is_some_and(|place| store.dashboards[place].version() != posted) && !save.overwrite {
        let message = "The dashboard has been changed by someone else";
        return Err(Refusal::worded(412, message, "version-mismatch"));
    }
    if store
        .folders
        .iter()
        .any(|f| f.title == title && f.parent == save.folder)
    {
        let message = "Dashboard name cannot be the same as folder";
        return Err(Refusal::worded(400, message, "name-match"));
    }
    // Whoever has the title is overwritten, whatever uid was posted: recorded so.
    match position(&|other| other.title == title && other.folder == save.folder) {
        Some(other) if Some(other) == known || save.overwrite => Ok(Some(other)),
        None => Ok(known),
        Some(_) => {
            let message = "A dashboard with the same name in the folder already exists";
            Err(Refusal::worded(412, message, "name-exists"))
        }
    }
}

fn meta(caller: &Caller, folder: Option<&Folder>) -> Value {
    let can = caller.admin;
    let may = json!({"canAdd": can, "canEdit": can, "canDelete": can});
    json!({
        "type": "db", "canSave": can, "canEdit": can, "canAdmin": can, "canStar": true,
        "canDelete": can, "expires": "0001-01-01T00:00:00Z", "hasAcl": false, "isFolder": false,
        "folderId": folder.map_or(0, |folder| folder.id),
        "folderUid": folder.map_or("", |folder| &folder.uid),
        "folderTitle": folder.map_or("General", |folder| &folder.title),
        "folderUrl": folder.map(Folder::url).unwrap_or_default(),
        "provisioned": false, "provisionedExternalId": "",
        "annotationsPermissions": {"dashboard": may, "organization": may}
    })
}

/// `GET /api/dashboards/uid/{uid}`: the uid of a folder will do, too.
pub(crate) async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
) -> Answer {
    let store = app.store();
    let (mut meta, model) = if let Some(folder) = store.folder(&uid) {
        (
            folder_meta(&caller, folder),
            json!({
                "id": folder.id, "schemaVersion": 17, "title": folder.title, "uid": folder.uid,
                "version": folder.version
            }),
        )
    } else {
        let dashboard = store.dashboard(&uid).ok_or_else(missing)?;
        let mut meta = meta(&caller, store.folder(&dashboard.folder));
        let (first, last) = (dashboard.versions.first(), dashboard.versions.last());
        meta["slug"] = json!(slug(&dashboard.title));
        meta["url"] = json!(dashboard.url());
        meta["created"] = json!(first.map(|version| &version.created));
        meta["createdBy"] = json!(first.map(|version| &version.created_by));
        meta["updated"] = json!(last.map(|version| &version.created));
        meta["updatedBy"] = json!(last.map(|version| &version.created_by));
        (meta, Value::Object(dashboard.model()))
    };
    meta["version"] = model["version"].clone();
    Ok(ok(&json!({"meta": meta, "dashboard": model})))
}

fn folder_meta(caller: &Caller, folder: &Folder) -> Value {
    let mut meta = meta(caller, None);
    meta["isFolder"] = json!(true);
    meta["slug"] = json!(slug(&folder.title));
    meta["url"] = json!(folder.url());
    (meta["created"], meta["updated"]) = (json!(folder.created), json!(folder.updated));
    (meta["createdBy"], meta["updatedBy"]) = (json!("admin"), json!("admin"));
    meta
}

/// `DELETE /api/dashboards/uid/{uid}`
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
) -> Answer {
    caller.needs("dashboards:delete")?;
    let mut store = app.store();
    if store.folder(&uid).is_some() {
        return Err(Refusal::plain(
            400,
            "Use folders endpoint for deleting folders.",
        ));
    }
    let place = store
        .dashboards
        .iter()
        .position(|dashboard| dashboard.uid == uid);
    let gone = store.dashboards.remove(place.ok_or_else(missing)?);
    let message = format!("Dashboard {} deleted", gone.title);
    Ok(ok(
        &json!({"id": gone.id, "message": message, "title": gone.title}),
    ))
}
