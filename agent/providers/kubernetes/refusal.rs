//! What no answer, or a negative one, of the API server means: the one place where it becomes an
//! [`Error`]. By code and reason; by text only where these cannot tell, which is said there.

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
    let is_denial = is_denial(request, &said.message);
    let is_of_right = code == 403 && !is_denial && causes.is_empty();
    let message = of_document(request, said.message, &causes, is_of_right);
    let reason = match said.reason.as_str() {
        "" => format!("HTTP {code}"),
        reason => reason.to_owned(),
    };
    match code {
        401 => Error::Unauthenticated {
            request: asked,
            server,
        },
        403 if !is_denial => forbidden(request, message, &causes),
        404 => Error::NotFound {
            request: asked,
            message,
        },
        409 => conflict(request, message, causes),
        422 if is_immutable(&causes) => Error::Immutable {
            target: request.subject.clone(),
            fields: causes.into_iter().map(quoted).collect(),
            expendable: false,
        },
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

/// What the server says of a document; of a Secret only which fields it means, because its words,
/// or those of a webhook or a policy, may quote a value. A missing right is told without causes.
fn of_document(
    request: &Request,
    message: String,
    causes: &[StatusCause],
    is_of_right: bool,
) -> String {
    let is_of_value = request.is_of_secret() && !request.body.is_empty();
    if !is_of_value || is_of_right {
        return message;
    }
    let fields = causes.iter().map(|cause| cause.field.as_str());
    let fields: Vec<&str> = fields.filter(|field| !field.is_empty()).collect();
    let about = match fields.join(", ").as_str() {
        "" => String::new(),
        fields => format!(" about {fields}"),
    };
    format!("its words{about} are left out, as they may quote a secret")
}

/// Whether a webhook refuses the object, which no right would change.
///
/// Code, reason and details of such an answer are the webhook's own, and most say what a missing
/// right says. Only the words that the API server puts before those of a webhook tell: they stand
/// before no other refusal, which begins with what was asked for.
fn is_denial(request: &Request, message: &str) -> bool {
    !request.body.is_empty() && message.starts_with("admission webhook \"")
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

/// What the API server's own checks say of a field that cannot be changed, and of nothing else.
const IMMUTABLE: [&str; 7] = [
    "field is immutable",
    "may not change once set",
    "cannot change roleRef",
    "pod updates may not change fields other than",
    "updates to statefulset spec for fields other than",
    "updates to parameters are forbidden",
    "updates to provisioner are forbidden",
];
/// The same of a claim.
const IMMUTABLE_CLAIM: &str = "spec is immutable after creation";

/// Whether all that is wrong with a document is that it changes what cannot be changed. Words
/// decide, because there is no code for it; other words are another mistake.
fn is_immutable(causes: &[StatusCause]) -> bool {
    let words = |cause: &StatusCause| {
        let mut words = IMMUTABLE.iter().chain([&IMMUTABLE_CLAIM]);
        words.any(|words| cause.message.contains(words))
    };
    !causes.is_empty() && causes.iter().all(words)
}

/// The field and what is wrong with it, without the value, which may be a secret.
fn quoted(cause: StatusCause) -> String {
    let StatusCause { field, message, .. } = cause;
    let all = IMMUTABLE.iter().chain([&IMMUTABLE_CLAIM]);
    let words = all.filter_map(|words| message.find(words)).min();
    let words = words.map_or("", |at| &message[at..]);
    format!("{field} ({words})")
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
    use crate::providers::kubernetes::kind::{CONFIG_MAP, Kind, SECRET, Target};

    #[test]
    fn only_the_words_for_it_make_a_field_immutable() {
        let refused = |messages: &[&str]| {
            let causes: Vec<_> = messages
                .iter()
                .map(|message| json!({ "field": "spec.selector", "message": message }))
                .collect();
            let status = json!({ "reason": "Invalid", "details": { "causes": causes } });
            let status: Status = serde_json::from_value(status).expect("a status");
            let request = Request::get(&Target::new(SECRET, "lens", "login"));
            negative_answer(&request, "here".to_owned(), 422, status).to_string()
        };
        let immutable = r#"Invalid value: {"a":"secret"}: field is immutable"#;
        assert_eq!(
            refused(&[immutable]),
            "Secret lens/login: fields that cannot be changed are to change: \
             spec.selector (field is immutable)"
        );
        let required = "Required value";
        for other in [&[required][..], &[immutable, required], &[]] {
            assert!(refused(other).contains("refuses it"), "{other:?}");
        }
    }

    #[test]
    fn words_on_a_secret_are_left_out() {
        let said = |kind: Kind, code: u16, field: &str| {
            let causes = json!([{ "field": field, "message": "Invalid value: 4711" }]);
            let status = json!({ "reason": if code == 500 { "" } else { "Invalid" },
                                 "message": "got 4711", "details": { "causes": causes } });
            let status: Status = serde_json::from_value(status).expect("a status");
            let target = Target::new(kind, "lens", "login");
            let request = Request::apply(&target, &json!({}), false, false);
            negative_answer(&request, "here".to_owned(), code, status).to_string()
        };
        for (code, field, ends) in [
            (
                400,
                "",
                "its words are left out, as they may quote a secret",
            ),
            (
                422,
                "data[pin]",
                "its words about data[pin] are left out, as they may quote a secret",
            ),
            (
                500,
                "",
                "its words are left out, as they may quote a secret",
            ),
            (
                403,
                "",
                "its words are left out, as they may quote a secret",
            ),
            (
                409,
                "",
                "its words are left out, as they may quote a secret",
            ),
            (
                429,
                "",
                "its words are left out, as they may quote a secret",
            ),
        ] {
            let secret = said(SECRET, code, field);
            assert!(secret.ends_with(ends), "{secret}");
            assert!(!secret.contains("4711"), "{secret}");
            assert!(said(CONFIG_MAP, code, field).ends_with("got 4711"));
        }
    }

    #[test]
    fn a_webhook_that_denies_is_no_missing_right() {
        let denial = "admission webhook \"prices.example.com\" denied the request: too dear";
        let missing = "pods \"a\" is forbidden: User \"b\" cannot patch resource \"pods\"";
        let quoting = format!("pods \"a\" is forbidden: {denial}");
        let target = Target::new(CONFIG_MAP, "lens", "a");
        let write = || Request::apply(&target, &json!({}), false, false);
        for (request, message, class) in [
            (write(), denial, Class::Invalid),
            (write(), missing, Class::Forbidden),
            (write(), &quoting, Class::Forbidden),
            (Request::get(&target), denial, Class::Forbidden),
        ] {
            let status = json!({ "reason": "Forbidden", "message": message });
            let status: Status = serde_json::from_value(status).expect("a status");
            let error = negative_answer(&request, "here".to_owned(), 403, status);
            assert_eq!(error.class(), class, "{error}");
            assert!(error.to_string().ends_with(message), "{error}");
            assert_eq!(error.hints().is_empty(), class == Class::Invalid);
        }
    }

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
