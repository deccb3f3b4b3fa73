//! What no answer, or a negative one, of the API server means: the one place where it becomes an
//! [`Error`], by code and never by text.

use kube::core::response::{Status, StatusCause};

use super::Error;
use super::request::Request;
use crate::certificate;

/// What it means that there was no answer.
pub(super) fn no_answer(request: &Request, server: String, error: kube::Error) -> Error {
    let request = request.to_string();
    let unreachable = |request, server, source| Error::Unreachable {
        request,
        server,
        source,
    };
    match error {
        kube::Error::Auth(source) => Error::BadConfig {
            server,
            source: source.into(),
        },
        kube::Error::Service(source) if certificate::is_refused(source.as_ref()) => {
            Error::Untrusted {
                request,
                server,
                source,
            }
        }
        // The library's own words only repeat those of the cause.
        kube::Error::Service(source) => unreachable(request, server, source),
        kube::Error::HyperError(source) => unreachable(request, server, source.into()),
        other => unreachable(request, server, other.into()),
    }
}

/// What a negative answer means, by its status and Kubernetes' reason.
pub(super) fn negative_answer(request: &Request, server: String, code: u16, said: Status) -> Error {
    let asked = request.to_string();
    let causes = said.details.map(|details| details.causes);
    let causes = causes.unwrap_or_default();
    let message = said.message;
    let reason = match said.reason.as_str() {
        "" => format!("HTTP {code}"),
        reason => reason.to_owned(),
    };
    match code {
        401 => Error::Unauthenticated {
            request: asked,
            server,
        },
        403 => forbidden(request, message, &causes),
        404 => Error::NotFound {
            request: asked,
            message,
        },
        409 => conflict(request, message, causes),
        500 if said.reason.is_empty() => Error::Unexplained {
            request: asked,
            message,
        },
        408 | 410 | 429 | 500.. => Error::Unable {
            request: asked,
            reason,
            message,
        },
        _ => Error::Refused {
            request: asked,
            reason,
            message,
        },
    }
}

fn forbidden(request: &Request, message: String, causes: &[StatusCause]) -> Error {
    const TERMINATING: &str = "NamespaceTerminating";
    if causes.iter().any(|cause| cause.reason == TERMINATING) {
        return Error::Unable {
            request: request.to_string(),
            reason: TERMINATING.to_owned(),
            message,
        };
    }
    let resource = request.resource.as_ref();
    Error::Forbidden {
        verb: request.verb,
        resource: resource.unwrap_or(&request.subject).clone(),
        namespace: request.namespace.clone(),
        message,
    }
}

fn conflict(request: &Request, message: String, causes: Vec<StatusCause>) -> Error {
    let mut owners = causes.into_iter().peekable();
    if owners
        .peek()
        .is_none_or(|cause| cause.reason != "FieldManagerConflict")
    {
        return Error::Conflict {
            request: request.to_string(),
            message,
        };
    }
    Error::Owned {
        target: request.subject.clone(),
        conflicts: owners
            .map(|cause| format!("{} ({})", cause.field, cause.message))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::{Class, Failure as _};
    use crate::providers::kubernetes::kind::{SECRET, Target};

    #[test]
    fn answers_are_told_apart_by_code() {
        let cause = |reason: &str| json!({ "causes": [{ "reason": reason, "field": ".data.a" }] });
        let none = json!({ "causes": [] });
        for (code, reason, details, class, kind) in [
            (
                400,
                "BadRequest",
                &none,
                Class::Invalid,
                "kubernetes.refused",
            ),
            (
                401,
                "Unauthorized",
                &none,
                Class::Forbidden,
                "kubernetes.unauthenticated",
            ),
            (
                403,
                "Forbidden",
                &none,
                Class::Forbidden,
                "kubernetes.forbidden",
            ),
            (
                403,
                "Forbidden",
                &cause("NamespaceTerminating"),
                Class::Unavailable,
                "kubernetes.unable",
            ),
            (
                404,
                "NotFound",
                &none,
                Class::Unavailable,
                "kubernetes.not_found",
            ),
            (
                409,
                "AlreadyExists",
                &none,
                Class::Busy,
                "kubernetes.conflict",
            ),
            (409, "Conflict", &none, Class::Busy, "kubernetes.conflict"),
            (
                409,
                "Conflict",
                &cause("FieldManagerConflict"),
                Class::Diverged,
                "kubernetes.owned",
            ),
            (
                413,
                "RequestEntityTooLarge",
                &none,
                Class::Invalid,
                "kubernetes.refused",
            ),
            (422, "Invalid", &none, Class::Invalid, "kubernetes.refused"),
            (
                429,
                "TooManyRequests",
                &none,
                Class::Unavailable,
                "kubernetes.unable",
            ),
            (500, "", &none, Class::Unavailable, "kubernetes.unexplained"),
            (
                500,
                "InternalError",
                &none,
                Class::Unavailable,
                "kubernetes.unable",
            ),
            (503, "", &none, Class::Unavailable, "kubernetes.unable"),
        ] {
            let status = json!({ "status": "Failure", "reason": reason, "message": "no", "details": details });
            let status: Status = serde_json::from_value(status).expect("a status");
            let request = Request::get(&Target::new(SECRET, "lens", "login"));
            let error = negative_answer(&request, "here".to_owned(), code, status);
            assert_eq!(
                (error.class(), error.kind()),
                (class, kind),
                "{code} {reason}"
            );
        }
    }
}
