//! Folders: they nest five levels deep, and each write bumps their version.

use axum::Extension;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::errors::{Answer, Refusal, ok};
use crate::state::{App, Posted, Store, new_uid, now, slug, uid_mistake};

/// One folder; `parent` is empty at the root.
#[derive(Clone)]
pub(crate) struct Folder {
    pub(crate) id: i64,
    pub(crate) uid: String,
    pub(crate) title: String,
    pub(crate) parent: String,
    pub(crate) version: i64,
    pub(crate) created: String,
    pub(crate) updated: String,
}

const DEEPEST: usize = 5;

impl Folder {
    /// The address of its page.
    pub(crate) fn url(&self) -> String {
        format!("/dashboards/f/{}/{}", self.uid, slug(&self.title))
    }

    fn brief(&self, can: bool, author: &str) -> Value {
        let mut view = json!({
            "id": self.id, "uid": self.uid, "orgId": 0, "title": self.title, "url": self.url(),
            "hasAcl": false, "canSave": can, "canEdit": can, "canAdmin": can, "canDelete": can,
            "createdBy": author, "created": self.created, "updatedBy": author,
            "updated": self.updated
        });
        if !self.parent.is_empty() {
            view["parentUid"] = json!(self.parent);
        }
        view
    }

    fn item(&self) -> Value {
        let mut view = json!({"id": self.id, "uid": self.uid, "title": self.title});
        if !self.parent.is_empty() {
            view["parentUid"] = json!(self.parent);
        }
        view
    }
}

impl Store {
    /// The folder with this uid.
    pub(crate) fn folder(&self, uid: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.uid == uid)
    }

    fn folder_mut(&mut self, uid: &str) -> Result<&mut Folder, Refusal> {
        self.folders
            .iter_mut()
            .find(|folder| folder.uid == uid)
            .ok_or_else(missing)
    }

    /// The folders above, from the root down.
    fn above(&self, folder: &Folder) -> Vec<&Folder> {
        let mut path: Vec<&Folder> = Vec::new();
        let mut next = self.folder(&folder.parent);
        while let Some(parent) = next {
            path.insert(0, parent);
            next = self.folder(&parent.parent);
        }
        path
    }

    /// The uids of a folder and of all folders below it.
    fn tree(&self, uid: &str) -> Vec<String> {
        let mut uids = vec![uid.to_owned()];
        let mut done = 0;
        while let Some(parent) = uids.get(done).cloned() {
            let children = self.folders.iter().filter(|folder| folder.parent == parent);
            uids.extend(children.map(|folder| folder.uid.clone()));
            done += 1;
        }
        uids
    }

    fn sibling(&self, title: &str, parent: &str, but: &str) -> Option<&Folder> {
        let same = |f: &&Folder| f.title == title && f.parent == parent && f.uid != but;
        self.folders.iter().find(same)
    }

    /// Only the answer to a POST names an author: recorded so.
    fn folder_view(&self, folder: &Folder, caller: &Caller, author: &str) -> Value {
        let mut view = folder.brief(caller.admin, author);
        let above = self.above(folder);
        if !above.is_empty() {
            let parents = above
                .iter()
                .map(|parent| parent.brief(caller.admin, "Anonymous"));
            view["parents"] = parents.collect();
        }
        view["version"] = json!(folder.version);
        view
    }
}

fn missing() -> Refusal {
    Refusal::worded(404, "folder not found", "not-found")
}

fn same_name() -> Refusal {
    let message = "a folder with the same name already exists in the current location";
    Refusal::plain(409, message)
}

fn changed_meanwhile() -> Refusal {
    Refusal::worded(
        412,
        "the folder has been changed by someone else",
        "version-mismatch",
    )
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
pub(crate) struct PostedFolder {
    uid: String,
    title: String,
    parentuid: String,
    version: i64,
    overwrite: bool,
}

/// `POST /api/folders`
pub(crate) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    posted: Posted,
) -> Answer {
    caller.needs("folders:create")?;
    let PostedFolder {
        uid,
        title,
        parentuid: parent,
        ..
    } = posted.read()?;
    let mut store = app.store();
    check_new(&store, &uid, &title, &parent)?;
    let uid = if uid.is_empty() { new_uid() } else { uid };
    let (id, time) = (store.next_id(), now());
    let folder = Folder {
        id,
        uid,
        title,
        parent,
        version: 1,
        created: time.clone(),
        updated: time,
    };
    store.folders.push(folder.clone());
    Ok(ok(&store.folder_view(&folder, &caller, &caller.login)))
}

fn check_new(store: &Store, uid: &str, title: &str, parent: &str) -> Result<(), Refusal> {
    if uid == "general" {
        return Err(Refusal::traced(500, "Folder API error"));
    }
    if title.trim().is_empty() {
        return Err(Refusal::plain(400, "folder title cannot be empty"));
    }
    if title.eq_ignore_ascii_case("general") {
        return Err(Refusal::traced(
            400,
            "A folder with that name already exists",
        ));
    }
    if let Some(mistake) = uid_mistake(uid) {
        return Err(Refusal::traced(400, mistake));
    }
    if store.folder(uid).is_some() || store.dashboard(uid).is_some() {
        return Err(changed_meanwhile());
    }
    if !parent.is_empty() {
        let above = store.folder(parent).ok_or_else(missing)?;
        if store.above(above).len() + 2 > DEEPEST {
            let message = "Maximum nested folder depth reached";
            return Err(Refusal::coded(400, message, "folder.maximum-depth-reached"));
        }
    }
    store
        .sibling(title, parent, uid)
        .map_or(Ok(()), |_| Err(same_name()))
}

/// `GET /api/folders/{uid}`
pub(crate) async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
) -> Answer {
    if uid == "general" {
        return Ok(ok(&json!({
            "id": 0, "uid": "general", "orgId": 0, "title": "Root", "url": "", "hasAcl": false,
            "canSave": caller.admin, "canEdit": caller.admin, "canAdmin": caller.admin,
            "canDelete": caller.admin, "createdBy": "Anonymous", "updatedBy": "Anonymous",
            "created": "0001-01-01T00:00:00Z", "updated": "0001-01-01T00:00:00Z"
        })));
    }
    let store = app.store();
    let folder = store.folder(&uid).ok_or_else(missing)?;
    Ok(ok(&store.folder_view(folder, &caller, "Anonymous")))
}

/// `GET /api/folders/id/{id}`
pub(crate) async fn get_by_id(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<i64>,
) -> Answer {
    let store = app.store();
    let folder = store
        .folders
        .iter()
        .find(|folder| folder.id == id)
        .ok_or_else(missing)?;
    Ok(ok(&store.folder_view(folder, &caller, "Anonymous")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    #[serde(default)]
    parent_uid: String,
    limit: Option<usize>,
    page: Option<usize>,
}

/// `GET /api/folders`: the children of one folder, or of the root.
pub(crate) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<Part>,
) -> Answer {
    let store = app.store();
    if !query.parent_uid.is_empty() && store.folder(&query.parent_uid).is_none() {
        let message =
            "[guardian.dashboardNotFound] failed to get dashboard by UID: Dashboard not found";
        return Err(Refusal::traced(404, message));
    }
    let children = store
        .folders
        .iter()
        .filter(|folder| folder.parent == query.parent_uid);
    let mut children: Vec<&Folder> = children.collect();
    children.sort_by(|a, b| a.title.cmp(&b.title));
    let (limit, page) = (query.limit.unwrap_or(1000), query.page.unwrap_or(1).max(1));
    let children = children
        .into_iter()
        .skip(limit.saturating_mul(page - 1))
        .take(limit);
    let mut items: Vec<Value> = children.map(Folder::item).collect();
    if !caller.admin && query.parent_uid.is_empty() && page == 1 {
        items.insert(
            0,
            json!({"id": -1, "uid": "sharedwithme", "title": "Shared with me"}),
        );
    }
    Ok(ok(&items))
}

/// `PUT /api/folders/{uid}`: a new title. It never moves the folder.
pub(crate) async fn update(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
    posted: Posted,
) -> Answer {
    caller.needs("folders:write")?;
    let PostedFolder {
        title,
        version,
        overwrite,
        ..
    } = posted.read()?;
    let mut store = app.store();
    let folder = store.folder_mut(&uid)?;
    if !overwrite && version != folder.version {
        return Err(changed_meanwhile());
    }
    let title = if title.is_empty() {
        folder.title.clone()
    } else {
        title
    };
    let parent = folder.parent.clone();
    let clash = store
        .sibling(&title, &parent, &uid)
        .map(|sibling| sibling.uid.clone());
    if clash.is_some() && !overwrite {
        return Err(same_name());
    }
    // With a clash the real server answers with the sibling's id and bumps the sibling's version.
    let bumped = store.folder_mut(clash.as_ref().unwrap_or(&uid))?;
    bumped.version += 1;
    let (id, version) = (bumped.id, bumped.version);
    let folder = store.folder_mut(&uid)?;
    (folder.title, folder.updated) = (title, now());
    let shown = Folder {
        id,
        version,
        ..folder.clone()
    };
    Ok(ok(&store.folder_view(&shown, &caller, "Anonymous")))
}

/// `POST /api/folders/{uid}/move`
pub(crate) async fn relocate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
    posted: Posted,
) -> Answer {
    caller.needs("folders:write")?;
    let PostedFolder {
        parentuid: parent, ..
    } = posted.read()?;
    let mut store = app.store();
    if store.folder(&uid).is_none() || (!parent.is_empty() && store.folder(&parent).is_none()) {
        return Err(missing());
    }
    if store.tree(&uid).contains(&parent) {
        return Err(Refusal::traced(500, "move folder failed"));
    }
    let folder = store.folder_mut(&uid)?;
    (folder.parent, folder.updated) = (parent, now());
    folder.version += 1;
    let folder = folder.clone();
    let mut view = store.folder_view(&folder, &caller, "Anonymous");
    if let Some(fields) = view.as_object_mut() {
        fields.remove("version");
    }
    Ok(ok(&view))
}

/// `GET /api/folders/{uid}/counts`: what a delete would take along.
pub(crate) async fn counts(State(app): State<App>, Path(uid): Path<String>) -> Answer {
    let store = app.store();
    store.folder(&uid).ok_or_else(missing)?;
    let tree = store.tree(&uid);
    let dashboards = store
        .dashboards
        .iter()
        .filter(|dashboard| tree.contains(&dashboard.folder));
    let (folders, dashboards) = (tree.len() - 1, dashboards.count());
    Ok(ok(&json!({
        "alertrule": 0, "dashboard": dashboards, "folder": folders, "librarypanel": 0
    })))
}

/// `DELETE /api/folders/{uid}`: with all that is in it, without asking.
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(uid): Path<String>,
) -> Answer {
    caller.needs("folders:delete")?;
    let mut store = app.store();
    store.folder(&uid).ok_or_else(missing)?;
    let tree = store.tree(&uid);
    store.folders.retain(|folder| !tree.contains(&folder.uid));
    store
        .dashboards
        .retain(|dashboard| !tree.contains(&dashboard.folder));
    Ok(ok(&json!({"message": "Folder deleted"})))
}
