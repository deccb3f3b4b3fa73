//! Who calls, and what a caller without the admin role may not do.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::errors::{Answer, Refusal, ok};
use crate::state::{App, Posted};

/// Somebody who can log in.
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) login: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) admin: bool,
}

/// The user that a request came from.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) login: String,
    pub(crate) admin: bool,
}

impl Caller {
    /// Every write is for admins; all others have the Viewer role.
    pub(crate) fn needs(&self, permission: &str) -> Result<(), Refusal> {
        if self.admin {
            Ok(())
        } else {
            Err(Refusal::forbidden(permission))
        }
    }
}

/// Lets only known callers under `/api`, unknown routes included; health is for everybody.
pub(crate) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/") || path == "/api/health" {
        return next.run(request).await;
    }
    match identify(&app, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn identify(app: &App, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let nobody = || Refusal::unauthorized("Unauthorized", "auth.unauthorized");
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, credentials) = header
        .and_then(|text| text.split_once(' '))
        .ok_or_else(nobody)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::unauthorized("Invalid API key", "api-key.invalid"));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(nobody());
    }
    let decoded = STANDARD
        .decode(credentials)
        .ok()
        .and_then(|raw| String::from_utf8(raw).ok());
    let decoded = decoded.ok_or_else(nobody)?;
    let (login, password) = decoded.split_once(':').ok_or_else(nobody)?;
    let store = app.store();
    let user = store
        .users
        .iter()
        .find(|user| user.login == login && user.password == password);
    user.map(|user| Caller {
        login: user.login.clone(),
        admin: user.admin,
    })
    .ok_or_else(|| Refusal::unauthorized("Invalid username or password", "password-auth.failed"))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "lowercase")]
struct NewUser {
    login: String,
    email: String,
    password: String,
}

/// `POST /api/admin/users`: a new user, with the Viewer role.
pub(crate) async fn create_user(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    posted: Posted,
) -> Answer {
    caller.needs("users:create")?;
    let NewUser {
        login,
        email,
        password,
    } = posted.read()?;
    if password.len() < 4 {
        return Err(Refusal::plain(400, "Password is missing or too short"));
    }
    let mut store = app.store();
    let taken = |user: &User| user.login == login || (!email.is_empty() && user.email == email);
    if store.users.iter().any(taken) {
        let message = format!("User with email '{email}' or username '{login}' already exists");
        return Err(Refusal::traced(412, &message));
    }
    let id = store.next_id();
    store.users.push(User {
        id,
        login,
        email,
        password,
        admin: false,
    });
    Ok(ok(&json!({"id": id, "message": "User created"})))
}

/// `DELETE /api/admin/users/{id}`
pub(crate) async fn delete_user(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<i64>,
) -> Answer {
    caller.needs("users:delete")?;
    let mut store = app.store();
    let before = store.users.len();
    store.users.retain(|user| user.id != id);
    if store.users.len() == before {
        return Err(Refusal::plain(404, "user not found"));
    }
    Ok(ok(&json!({"message": "User deleted"})))
}
