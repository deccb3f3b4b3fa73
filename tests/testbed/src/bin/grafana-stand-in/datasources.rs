//! Data sources: what is stored of them. `probe` asks them.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::errors::{Answer, Refusal, answer, ok};
use crate::health::PLUGINS;
use crate::probe;
use crate::state::{App, Posted, Store, new_uid};

/// One data source as it is stored; secrets never leave it.
#[derive(Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields are those of Grafana's answer"
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Datasource {
    pub(crate) id: i64,
    pub(crate) uid: String,
    org_id: i64,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    access: String,
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) basic_auth: bool,
    pub(crate) basic_auth_user: String,
    with_credentials: bool,
    pub(crate) is_default: bool,
    pub(crate) json_data: Value,
    version: i64,
    read_only: bool,
    #[serde(skip)]
    pub(crate) secrets: BTreeMap<String, String>,
}

impl Datasource {
    fn view(&self) -> Value {
        let mut view = json!(self);
        let set = self
            .secrets
            .keys()
            .map(|key| (key.clone(), Value::Bool(true)));
        view["secureJsonFields"] = Value::Object(set.collect());
        view["typeLogoUrl"] = match PLUGINS.iter().find(|(id, ..)| *id == self.kind) {
            Some((id, _, logo)) => json!(format!("public/app/plugins/datasource/{id}/img/{logo}")),
            None => json!("public/img/icn-datasource.svg"),
        };
        view
    }

    fn item(&self) -> Value {
        let left_out = [
            "secureJsonFields",
            "version",
            "withCredentials",
            "basicAuthUser",
        ];
        let mut view = self.view();
        if let Some(fields) = view.as_object_mut() {
            fields.retain(|key, _| !left_out.contains(&key.as_str()));
        }
        let plugin = PLUGINS.iter().find(|(id, ..)| *id == self.kind);
        view["typeName"] = json!(plugin.map_or(self.kind.as_str(), |(_, name, _)| *name));
        view
    }

    /// A member of `jsonData`, if it is a text.
    pub(crate) fn option(&self, key: &str) -> Option<&str> {
        self.json_data.get(key)?.as_str()
    }
}

/// How a path names a data source: `/api/datasources/{value}` by id, `/api/datasources/{by}/{value}`
/// by `uid` or `name`.
pub(crate) struct Key {
    by: String,
    value: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(found) = Path::<Vec<String>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Refusal::no_route())?;
        match <[String; 2]>::try_from(found) {
            Ok([by, value]) => Ok(Self { by, value }),
            Err(found) => Ok(Self {
                by: "number".to_owned(),
                value: found.concat(),
            }),
        }
    }
}

impl Store {
    fn datasource(&self, key: &Key) -> Result<usize, Refusal> {
        let mut sources = self.datasources.iter();
        let place = match key.by.as_str() {
            "number" => {
                let id = key
                    .value
                    .parse::<i64>()
                    .map_err(|_| Refusal::plain(400, "id is invalid"))?;
                sources.position(|source| source.id == id)
            }
            "uid" => sources.position(|source| source.uid == key.value),
            "name" | "id" => sources.position(|source| source.name == key.value),
            _ => return Err(Refusal::no_route()),
        };
        place.ok_or_else(|| Refusal::plain(404, "Data source not found"))
    }

    fn free(&self, name: &str, uid: &str, but: i64) -> Result<(), String> {
        let others = || self.datasources.iter().filter(|source| source.id != but);
        let twin = if others().any(|source| source.name == name) {
            "name"
        } else if others().any(|source| source.uid == uid) {
            "uid"
        } else {
            return Ok(());
        };
        Err(format!("data source with the same {twin} already exists"))
    }

    /// There is one default: who takes it takes it from the others.
    fn put(&mut self, source: Datasource) -> Value {
        if source.is_default {
            self.datasources
                .iter_mut()
                .for_each(|other| other.is_default = false);
        }
        let view = source.view();
        self.datasources.retain(|other| other.id != source.id);
        self.datasources.push(source);
        view
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
struct PostedDatasource {
    name: String,
    uid: String,
    #[serde(rename = "type")]
    kind: String,
    access: String,
    url: String,
    user: String,
    database: String,
    basicauth: bool,
    basicauthuser: String,
    withcredentials: bool,
    isdefault: bool,
    jsondata: Option<Value>,
    securejsondata: BTreeMap<String, String>,
    version: i64,
}

impl PostedDatasource {
    fn check(mut self) -> Result<Self, Refusal> {
        if self.kind.is_empty() || self.access.is_empty() {
            return Err(Refusal::bad_request());
        }
        if self.kind == "postgres" {
            "grafana-postgresql-datasource".clone_into(&mut self.kind);
        }
        if self.name.is_empty() {
            self.name.clone_from(&self.kind);
        }
        if self.name.chars().count() > 190 {
            let message = "Invalid datasource name.";
            return Err(Refusal::coded(400, message, "datasource.nameInvalid"));
        }
        let scheme = if self.url.contains("://") {
            ""
        } else {
            "http://"
        };
        let url = format!("{scheme}{}", self.url);
        if !self.url.is_empty() && reqwest::Url::parse(&url).is_err() {
            return Err(Refusal::traced(400, "Validation error, invalid URL"));
        }
        Ok(self)
    }

    /// The version is the posted one plus 1, whatever is stored: recorded so.
    fn build(self, id: i64, uid: String, mut secrets: BTreeMap<String, String>) -> Datasource {
        secrets.extend(self.securejsondata);
        secrets.retain(|_, secret| !secret.is_empty());
        Datasource {
            id,
            uid,
            org_id: 1,
            name: self.name,
            kind: self.kind,
            access: self.access,
            url: self.url,
            user: self.user,
            database: self.database,
            basic_auth: self.basicauth,
            basic_auth_user: self.basicauthuser,
            with_credentials: self.withcredentials,
            is_default: self.isdefault,
            json_data: self.jsondata.unwrap_or_else(|| Value::Object(Map::new())),
            version: self.version + 1,
            read_only: false,
            secrets,
        }
    }
}

/// `POST /api/datasources`: the first one becomes the default, whatever was posted.
pub(crate) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    posted: Posted,
) -> Answer {
    caller.needs("datasources:create")?;
    let mut posted = posted.read::<PostedDatasource>()?.check()?;
    posted.version = 0;
    let mut store = app.store();
    let uid = if posted.uid.is_empty() {
        new_uid()
    } else {
        posted.uid.clone()
    };
    store
        .free(&posted.name, &uid, 0)
        .map_err(|why| Refusal::traced(409, &why))?;
    let mut source = posted.build(store.next_id(), uid, BTreeMap::new());
    source.is_default |= store.datasources.is_empty();
    let (id, name) = (source.id, source.name.clone());
    let view = store.put(source);
    Ok(ok(
        &json!({"datasource": view, "id": id, "message": "Datasource added", "name": name}),
    ))
}

/// `GET /api/datasources`, by name.
pub(crate) async fn list(State(app): State<App>) -> Answer {
    let mut sources = app.store().datasources.clone();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ok(&sources
        .iter()
        .map(Datasource::item)
        .collect::<Vec<Value>>()))
}

/// `GET` of one; by the old path `/api/datasources/id/{name}` only its id.
pub(crate) async fn get(State(app): State<App>, key: Key) -> Answer {
    let store = app.store();
    let source = &store.datasources[store.datasource(&key)?];
    Ok(if key.by == "id" {
        ok(&json!({"id": source.id}))
    } else {
        ok(&source.view())
    })
}

/// `PUT`: replaces all but the secrets that are not named.
pub(crate) async fn update(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    key: Key,
    posted: Posted,
) -> Answer {
    caller.needs("datasources:write")?;
    let posted = posted.read::<PostedDatasource>()?.check()?;
    let mut store = app.store();
    let place = store.datasource(&key)?;
    let old = store.datasources[place].clone();
    if posted.version != 0 && posted.version < old.version {
        let message =
            "Datasource has already been updated by someone else. Please reload and try again";
        return Err(Refusal::traced(409, message));
    }
    let uid = if posted.uid.is_empty() {
        old.uid
    } else {
        posted.uid.clone()
    };
    store
        .free(&posted.name, &uid, old.id)
        .map_err(|why| Refusal::traced(409, &format!("Failed to update datasource: {why}")))?;
    let name = posted.name.clone();
    let view = store.put(posted.build(old.id, uid, old.secrets));
    let message = "Datasource updated";
    Ok(ok(
        &json!({"datasource": view, "id": old.id, "message": message, "name": name}),
    ))
}

/// `DELETE`
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    key: Key,
) -> Answer {
    caller.needs("datasources:delete")?;
    let mut store = app.store();
    let place = store.datasource(&key)?;
    let gone = store.datasources.remove(place);
    let mut body = json!({"message": "Data source deleted"});
    if key.by != "number" {
        body["id"] = json!(gone.id);
    }
    Ok(ok(&body))
}

/// `GET /api/datasources/uid/{uid}/health`: really asks the data source.
pub(crate) async fn health(State(app): State<App>, key: Key) -> Answer {
    if key.by != "uid" {
        return Err(Refusal::no_route());
    }
    let source = {
        let store = app.store();
        let missing = |_| Refusal::traced(500, "Unable to load datasource metadata");
        let place = store.datasource(&key).map_err(missing)?;
        store.datasources[place].clone()
    };
    let verdict = probe::ask(&source)
        .await
        .ok_or_else(|| Refusal::coded(404, "Plugin not registered", "plugin.notRegistered"))?;
    let (status, word, message) = match &verdict {
        Ok(message) => (StatusCode::OK, "OK", message),
        Err(message) => (StatusCode::BAD_REQUEST, "ERROR", message),
    };
    let mut body = json!({"message": message, "status": word});
    if verdict.is_ok() && source.kind == "prometheus" {
        let features = json!({"rulerApiEnabled": false});
        body["details"] = json!({"application": "Prometheus", "features": features});
    }
    Ok(answer(status, &body))
}
