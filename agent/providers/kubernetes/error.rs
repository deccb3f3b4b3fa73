//! What can go wrong between us and the API server.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{BoxError, Class, Failure};

/// Why an object could not be read, changed, or become ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no configuration to connect with.
    #[error("found neither a kubeconfig nor the service account of a pod")]
    NoConfig {
        /// What both places said.
        source: BoxError,
    },
    /// The configuration cannot be used: a certificate, a proxy, a plugin for credentials.
    #[error("failed to prepare the connection to the API server {server}")]
    BadConfig {
        /// Its address.
        server: String,
        /// Why.
        source: BoxError,
    },
    /// No connection, or it broke.
    #[error("failed to {request}: cannot reach the API server {server}")]
    Unreachable {
        /// What was asked.
        request: String,
        /// Its address.
        server: String,
        /// Why.
        source: BoxError,
    },
    /// The certificate is not from the authority that the configuration names, or for another name.
    #[error("failed to {request}: do not trust the certificate of the API server {server}")]
    Untrusted {
        /// What was asked.
        request: String,
        /// Its address.
        server: String,
        /// Why.
        source: BoxError,
    },
    /// No answer in time.
    #[error("failed to {request}: no answer from the API server {server} within {after:?}")]
    Silent {
        /// What was asked.
        request: String,
        /// Its address.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server, or a webhook that it must ask, cannot answer now.
    #[error("failed to {request}: the API server cannot answer now ({reason}): {message}")]
    Unable {
        /// What was asked.
        request: String,
        /// Kubernetes' word, or the HTTP status.
        reason: String,
        /// The server's words.
        message: String,
    },
    /// The server failed without a reason: it is in trouble, or the document is.
    #[error("failed to {request}: the API server failed without a reason: {message}")]
    Unexplained {
        /// What was asked.
        request: String,
        /// The server's words.
        message: String,
    },
    /// An answer that is not what Kubernetes says.
    #[error("failed to {request}: cannot read the answer")]
    Unreadable {
        /// What was asked.
        request: String,
        /// Why.
        source: BoxError,
    },
    /// 401.
    #[error("failed to {request}: the API server {server} does not accept our credentials")]
    Unauthenticated {
        /// What was asked.
        request: String,
        /// Its address.
        server: String,
    },
    /// 403: a right is missing, or a policy of the API server itself refuses the object.
    #[error("not allowed to {verb} {resource}{}: {message}", .namespace.as_ref().map(|name| format!(" in namespace {name}")).unwrap_or_default())]
    Forbidden {
        /// The verb of the right.
        verb: &'static str,
        /// The resource of the right: `deployments.apps`.
        resource: String,
        /// Where; none for the whole cluster.
        namespace: Option<String>,
        /// The server's words.
        message: String,
    },
    /// 409: the object has changed since we looked, or somebody else has just made it.
    #[error("failed to {request}: another was faster: {message}")]
    Conflict {
        /// What was asked.
        request: String,
        /// The server's words.
        message: String,
    },
    /// Fields that are to be ours belong to another field manager, with another value.
    #[error("{target}: others own fields that are to change: {}", .conflicts.join("; "))]
    Owned {
        /// The object.
        target: String,
        /// Who owns what.
        conflicts: Vec<String>,
    },
    /// Somebody else has made the object, and a write would change it.
    #[error("{target} was not made by this bundle but by {}, and {} would change", .managers.join(", "), .fields.join(", "))]
    Foreign {
        /// The object.
        target: String,
        /// Its field managers.
        managers: Vec<String>,
        /// Which fields.
        fields: Vec<String>,
    },
    /// Fields that cannot be changed, in the server's own words.
    #[error("{target}: fields that cannot be changed are to change: {}", .fields.join("; "))]
    Immutable {
        /// The object.
        target: String,
        /// Each with what the server says of it.
        fields: Vec<String>,
        /// Whether the object may be deleted and made anew if the step allows it.
        expendable: bool,
    },
    /// An object that cannot be tried out, because the place where it would be is not there.
    #[error("{target} would be made, and cannot be tried out before {missing} is there")]
    TooEarly {
        /// The object.
        target: String,
        /// `namespace lens`
        missing: String,
    },
    /// The answer to a question that others had at the same time.
    #[error(transparent)]
    Shared(Arc<Error>),
    /// The server refuses the document.
    #[error("failed to {request}: the API server refuses it ({reason}): {message}")]
    Refused {
        /// What was asked.
        request: String,
        /// Kubernetes' word, or the HTTP status.
        reason: String,
        /// The server's words.
        message: String,
    },
    /// 404: the object or the place where it would be.
    #[error("failed to {request}: {message}")]
    NotFound {
        /// What was asked.
        request: String,
        /// The server's words.
        message: String,
    },
    /// The API server does not serve the kind, yet.
    #[error("the API server does not serve kind {kind} of {api_version}")]
    NotServed {
        /// `apps/v1`
        api_version: String,
        /// `Deployment`
        kind: String,
    },
    /// The document is not one of an object.
    #[error("not a Kubernetes object: {problem}")]
    NotAnObject {
        /// What is missing or wrong.
        problem: String,
    },
    /// Nobody knows when an object of this kind is ready.
    #[error("{target} has a status, and there is no readiness rule for its kind")]
    NoRule {
        /// The object.
        target: String,
    },
    /// The object will not become ready by itself.
    #[error("{target} has failed: {reason}")]
    Failed {
        /// The object.
        target: String,
        /// What its status says.
        reason: String,
    },
    /// Objects that have left the bundle, for which a right is missing.
    #[error("not allowed to delete what has left the bundle: {}{}", .denied.join(", "), staying(*.others))]
    MayNotDelete {
        /// The objects.
        denied: Vec<String>,
        /// How many others are not deleted before these.
        others: usize,
    },
    /// Another run holds the lock.
    #[error("another run is at work: {holder} holds {lease} since {since}")]
    Held {
        /// `Lease NAMESPACE/NAME`
        lease: String,
        /// Pod and Job.
        holder: String,
        /// When it was acquired, RFC 3339.
        since: String,
    },
    /// The lock of this run was lost.
    #[error("lost the lock {reason} ({lease})")]
    Lost {
        /// `Lease NAMESPACE/NAME`
        lease: String,
        /// `to pod b of Job c`, `because it was deleted`
        reason: String,
    },
    /// A later holder of the lock has written the state that we were to write.
    #[error("{target} was written by holder {theirs} of the lock, after us, who are holder {ours}")]
    Fenced {
        /// The `ConfigMap`.
        target: String,
        /// Our number.
        ours: i64,
        /// The greater one.
        theirs: i64,
    },
    /// A record that a `ConfigMap` cannot hold.
    #[error(
        "the record of the run has {bytes} bytes, more than the {limit} that fit in a ConfigMap"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
}

fn staying(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "; 1 more stays, which is deleted only after that".to_owned(),
        others => format!("; {others} more stay, which are deleted only after that"),
    }
}

impl Failure for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Unable { .. }
            | Self::Unexplained { .. }
            | Self::Unreadable { .. }
            | Self::NotFound { .. }
            | Self::TooEarly { .. }
            | Self::NotServed { .. } => Class::Unavailable,
            Self::Shared(error) => error.class(),
            Self::Conflict { .. } | Self::Held { .. } | Self::Lost { .. } | Self::Fenced { .. } => {
                Class::Busy
            }
            Self::TooLarge { .. } => Class::Bug,
            Self::Owned { .. } | Self::Foreign { .. } | Self::Failed { .. } => Class::Diverged,
            Self::Unauthenticated { .. } | Self::Forbidden { .. } | Self::MayNotDelete { .. } => {
                Class::Forbidden
            }
            Self::NoConfig { .. }
            | Self::BadConfig { .. }
            | Self::Untrusted { .. }
            | Self::Refused { .. }
            | Self::Immutable { .. }
            | Self::NotAnObject { .. }
            | Self::NoRule { .. } => Class::Invalid,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::NoConfig { .. } => "kubernetes.no_config",
            Self::BadConfig { .. } => "kubernetes.bad_config",
            Self::Unreachable { .. } => "kubernetes.unreachable",
            Self::Untrusted { .. } => "kubernetes.untrusted",
            Self::Silent { .. } => "kubernetes.silent",
            Self::Unable { .. } => "kubernetes.unable",
            Self::Unexplained { .. } => "kubernetes.unexplained",
            Self::Unreadable { .. } => "kubernetes.unreadable",
            Self::Unauthenticated { .. } => "kubernetes.unauthenticated",
            Self::Forbidden { .. } => "kubernetes.forbidden",
            Self::Conflict { .. } => "kubernetes.conflict",
            Self::Owned { .. } => "kubernetes.owned",
            Self::Foreign { .. } => "kubernetes.foreign",
            Self::Immutable { .. } => "kubernetes.immutable",
            Self::TooEarly { .. } => "kubernetes.too_early",
            Self::Shared(error) => error.kind(),
            Self::Refused { .. } => "kubernetes.refused",
            Self::NotFound { .. } => "kubernetes.not_found",
            Self::NotServed { .. } => "kubernetes.not_served",
            Self::NotAnObject { .. } => "kubernetes.not_an_object",
            Self::NoRule { .. } => "kubernetes.no_rule",
            Self::Failed { .. } => "kubernetes.failed",
            Self::MayNotDelete { .. } => "kubernetes.may_not_delete",
            Self::Held { .. } => "kubernetes.held",
            Self::Lost { .. } => "kubernetes.lost",
            Self::Fenced { .. } => "kubernetes.fenced",
            Self::TooLarge { .. } => "kubernetes.too_large",
        }
    }

    fn hints(&self) -> Vec<String> {
        self.hint().into_iter().collect()
    }
}

impl Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Shared(error) => error.hint(),
            Self::NoConfig { .. } => {
                Some("set KUBECONFIG, or run in a pod with a service account".to_owned())
            }
            Self::Untrusted { .. } => Some(
                "the kubeconfig's certificate-authority must be that of this cluster".to_owned(),
            ),
            Self::Unauthenticated { .. } => Some(
                "the token or certificate may be expired or of another cluster: `kubectl auth whoami` tells"
                    .to_owned(),
            ),
            Self::Forbidden {
                verb,
                resource,
                namespace,
                ..
            } => {
                let place = namespace.as_ref().map(|name| format!(" -n {name}"));
                Some(format!(
                    "if a right is missing, grant it; to see it: `kubectl auth can-i {verb} {resource}{}`",
                    place.unwrap_or_default()
                ))
            }
            Self::Owned { .. } => Some(
                "to take the fields over, set `force: true`; else leave them out of the document"
                    .to_owned(),
            ),
            Self::Foreign { .. } => Some(
                "if the bundle is to take it over, set `adopt: true`; it is never deleted then"
                    .to_owned(),
            ),
            Self::Immutable { expendable: true, .. } => Some(
                "`recreate: true` lets the step delete the object and make it anew; else give it another name"
                    .to_owned(),
            ),
            Self::Immutable { .. } => Some(
                "it may hold data, so it is never deleted here: leave these fields as they are, give it another name, or delete it by hand"
                    .to_owned(),
            ),
            Self::NotServed { kind, .. } => Some(format!(
                "the CustomResourceDefinition of {kind} must be installed before"
            )),
            Self::NoRule { .. } => Some(
                "say `wait: false`, and check with a step of its own what must be so".to_owned(),
            ),
            Self::MayNotDelete { .. } => Some(
                "grant `delete` on them, or delete them by hand; until then they stay on record"
                    .to_owned(),
            ),
            Self::Held { .. } => Some(
                "wait until it has ended; the Lease of a run whose pod is gone is taken over".to_owned(),
            ),
            _ => None,
        }
    }
}
