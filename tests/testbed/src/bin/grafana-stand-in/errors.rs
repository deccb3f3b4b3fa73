//! Answers, and the refusals that Grafana words in half a dozen shapes.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::state::digits;

/// What a handler gives back.
pub(crate) type Answer = Result<Response, Refusal>;

/// A refusal, in the very shape the recorded server uses at that place.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: Value,
    content_type: &'static str,
}

const JSON: &str = "application/json";
const JSON_UTF8: &str = "application/json; charset=UTF-8";

impl Refusal {
    fn new(status: u16, body: Value) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            body,
            content_type: JSON,
        }
    }

    fn utf8(self) -> Self {
        Self {
            content_type: JSON_UTF8,
            ..self
        }
    }

    /// Only a message.
    pub(crate) fn plain(status: u16, message: &str) -> Self {
        Self::new(status, json!({"message": message}))
    }

    /// A message with the (empty) trace id that unexpected errors carry.
    pub(crate) fn traced(status: u16, message: &str) -> Self {
        Self::new(status, json!({"message": message, "traceID": ""}))
    }

    /// A message with a word for programs.
    pub(crate) fn worded(status: u16, message: &str, word: &str) -> Self {
        Self::new(status, json!({"message": message, "status": word}))
    }

    /// The shape of the newer parts of Grafana: with a message id.
    pub(crate) fn coded(status: u16, message: &str, id: &str) -> Self {
        let body =
            json!({"message": message, "messageId": id, "statusCode": status, "traceID": ""});
        Self::new(status, body)
    }

    /// A body that cannot be read, whatever is wrong with it.
    pub(crate) fn bad_request() -> Self {
        Self::traced(400, "bad request data")
    }

    /// No route, or a method that the route does not have: never 405.
    pub(crate) fn no_route() -> Self {
        Self::plain(404, "Not found").utf8()
    }

    /// Missing or wrong credentials.
    pub(crate) fn unauthorized(message: &str, id: &str) -> Self {
        let mut refusal = Self::coded(401, message, id).utf8();
        refusal.body["extra"] = Value::Null;
        refusal
    }

    /// Right credentials without the right.
    pub(crate) fn forbidden(permission: &str) -> Self {
        let message = format!(
            "You'll need additional permissions to perform this action. Permissions needed: {permission}"
        );
        let body = json!({
            "accessErrorId": format!("ACE{}", digits(10)), "message": message, "title": "Access denied"
        });
        Self::new(403, body).utf8()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        typed(self.status, self.content_type, &self.body)
    }
}

/// 200 with JSON.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    typed(StatusCode::OK, JSON, body)
}

/// 200 with JSON under the content type of Grafana's older routes.
pub(crate) fn ok_utf8(body: &impl Serialize) -> Response {
    typed(StatusCode::OK, JSON_UTF8, body)
}

/// JSON with a status of its own.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    typed(status, JSON, body)
}

fn typed(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            let value = HeaderValue::from_static(content_type);
            response.headers_mut().insert(header::CONTENT_TYPE, value);
            response
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
