//! What is asked of the API server, before it is sent.

use std::fmt::{self, Write as _};

use http::Method;
use percent_encoding::AsciiSet;
use serde_json::{Value, json};

use super::kind::{
    EVENT, Kind, LEASE, SECRET, SELF_SUBJECT_ACCESS_REVIEW, SUBJECT_ACCESS_REVIEW, Target, split,
};
use super::{Error, MANAGER};
use crate::percent;

/// How many objects a page of a list has.
const PAGE: &str = "500";
/// After how many seconds the server ends a watch, which is then taken up again.
const WATCH: &str = "290";

/// Objects of one kind.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub(super) kind: Kind,
    /// None for the whole cluster.
    pub(super) namespace: Option<String>,
    /// A label selector; an empty one matches all.
    pub(super) labels: String,
    /// A field selector; an empty one matches all.
    pub(super) fields: String,
    /// Whether who asks knows another way if this is not allowed.
    pub(super) may_be_forbidden: bool,
}

/// One question or order.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The verb that the right to do this has: `get`, `patch`.
    pub(super) verb: &'static str,
    /// What it is about, for messages: `Deployment lens/grafana`.
    pub(super) subject: String,
    /// The right's resource: `deployments.apps`; none for discovery.
    pub(super) resource: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) dry_run: bool,
    may_be_forbidden: bool,
    /// The path with names left out: a bounded word for telemetry.
    pub(super) template: String,
    /// The path with the query.
    pub(super) url: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Whether the answer is a text, where all others are JSON.
    pub(super) is_text: bool,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.subject)?;
        f.write_str(if self.dry_run { " (dry run)" } else { "" })
    }
}

impl Request {
    /// Which kinds an API version has.
    pub(super) fn kinds(api_version: &str) -> Self {
        let (group, version) = split(api_version);
        let path = root(group, version);
        Self {
            method: Method::GET,
            verb: "get",
            subject: format!("the kinds of {api_version}"),
            resource: None,
            namespace: None,
            dry_run: false,
            may_be_forbidden: false,
            template: path.clone(),
            url: path,
            content_type: JSON,
            body: Vec::new(),
            is_text: false,
        }
    }

    pub(super) fn get(target: &Target) -> Self {
        Self::about(target, Method::GET, "get")
    }

    /// The API groups that are served.
    pub(super) fn groups() -> Self {
        let path = "/apis";
        Self {
            subject: "the API groups".to_owned(),
            template: path.to_owned(),
            url: path.to_owned(),
            ..Self::kinds("v1")
        }
    }

    /// The end of what a container of a pod has written, in its present run or the one before.
    pub(super) fn log(pod: &Target, container: &str, previous: bool) -> Self {
        let mut log = Self::about(pod, Method::GET, "get");
        log.subject = format!("the log of container {container} of {pod}");
        log.resource = Some("pods/log".to_owned());
        log.url.push_str("/log");
        log.template.push_str("/log");
        log.query("container", container);
        if previous {
            log.query("previous", "true");
        }
        log.query("tailLines", LOG_LINES);
        // Counted from the first of these lines, so more than is shown of them.
        log.query("limitBytes", LOG_BYTES);
        log.is_text = true;
        log
    }

    /// A page of a list: the first, or the one that the page before it names.
    pub(super) fn list(selection: &Selection, page: &str) -> Self {
        let mut list = Self::of(selection, "list");
        list.query("limit", PAGE);
        if !page.is_empty() {
            list.query("continue", page);
        }
        list
    }

    /// What happens after this version.
    pub(super) fn watch(selection: &Selection, version: &str) -> Self {
        let mut watch = Self::of(selection, "watch");
        for (key, value) in [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", WATCH),
            ("resourceVersion", version),
        ] {
            watch.query(key, value);
        }
        watch
    }

    fn of(selection: &Selection, verb: &'static str) -> Self {
        let place = Target {
            kind: selection.kind.clone(),
            namespace: selection.namespace.clone(),
            name: String::new(),
        };
        let mut request = Self::about(&place, Method::GET, verb);
        request.subject = selection.kind.resource();
        request.may_be_forbidden = selection.may_be_forbidden;
        for (key, selector) in [
            ("labelSelector", &selection.labels),
            ("fieldSelector", &selection.fields),
        ] {
            if !selector.is_empty() {
                request.query(key, selector);
            }
        }
        request
    }

    /// Says what our fields are to be; fields that we had and do not name any more go away.
    pub(super) fn apply(target: &Target, document: &Value, force: bool, dry_run: bool) -> Self {
        let mut apply = Self::about(target, Method::PATCH, "patch");
        apply.query("fieldManager", MANAGER);
        apply.query("fieldValidation", "Strict");
        if force {
            apply.query("force", "true");
        }
        if dry_run {
            apply.dry_run = true;
            apply.query("dryRun", "All");
        }
        // JSON is YAML.
        apply.with_body("application/apply-patch+yaml", document)
    }

    /// Makes a new object; refused if there is one.
    pub(super) fn create(target: &Target, document: &Value) -> Self {
        let place = Target {
            name: String::new(),
            ..target.clone()
        };
        let mut create = Self::about(&place, Method::POST, "create");
        create.subject = target.to_string();
        create.query("fieldManager", MANAGER);
        create.query("fieldValidation", "Strict");
        create.with_body(JSON, document)
    }

    /// Asks what the server would say to a new object.
    pub(super) fn try_create(target: &Target, document: &Value) -> Self {
        let mut create = Self::create(target, document);
        create.dry_run = true;
        create.query("dryRun", "All");
        create
    }

    /// Takes the object away, in this very version, and what it owns before it. That takes three
    /// writes and the garbage collector; what never owns anything needs one.
    pub(super) fn delete(target: &Target, uid: &str, version: &str) -> Self {
        let policy = if owns_nothing(&target.kind) {
            "Background"
        } else {
            "Foreground"
        };
        let delete = Self::about(target, Method::DELETE, "delete");
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": policy,
            "preconditions": { "uid": uid, "resourceVersion": version },
        });
        delete.with_body(JSON, &options)
    }

    /// Takes an object away at once that owns nothing.
    pub(super) fn discard(target: &Target, uid: &str) -> Self {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid },
        });
        Self::about(target, Method::DELETE, "delete").with_body(JSON, &options)
    }

    /// Sets the fields of `patch`; with `metadata.resourceVersion` in it only in that version.
    pub(super) fn merge(target: &Target, patch: &Value) -> Self {
        let mut merge = Self::about(target, Method::PATCH, "patch");
        merge.query("fieldManager", MANAGER);
        merge.query("fieldValidation", "Strict");
        merge.with_body("application/merge-patch+json", patch)
    }

    /// An empty name asks for the collection.
    fn about(target: &Target, method: Method, verb: &'static str) -> Self {
        let kind = &target.kind;
        let mut url = root(&kind.group, &kind.version);
        let mut template = url.clone();
        if let Some(namespace) = &target.namespace {
            let _ = write!(url, "/namespaces/{}", escaped(namespace));
            template.push_str("/namespaces/{namespace}");
        }
        for path in [&mut url, &mut template] {
            let _ = write!(path, "/{}", kind.plural);
        }
        if !target.name.is_empty() {
            let _ = write!(url, "/{}", escaped(&target.name));
            template.push_str("/{name}");
        }
        Self {
            method,
            verb,
            subject: target.to_string(),
            resource: Some(kind.resource()),
            namespace: target.namespace.clone(),
            dry_run: false,
            may_be_forbidden: false,
            template,
            url,
            content_type: JSON,
            body: Vec::new(),
            is_text: false,
        }
    }

    /// Whether it must not wait for its turn: the lock of a run, and whether its holder lives.
    pub(super) fn is_urgent(&self) -> bool {
        self.resource
            .as_ref()
            .is_some_and(|it| *it == LEASE.resource())
    }

    /// Whether only the holder of the lock may do it: whatever changes an object, but for the lock
    /// itself, the Event that says how a run ended, and what only asks in the form of an object.
    pub(super) fn is_for_the_holder(&self) -> bool {
        let free = [
            LEASE,
            EVENT,
            SELF_SUBJECT_ACCESS_REVIEW,
            SUBJECT_ACCESS_REVIEW,
        ];
        let is_free = |it: &String| free.iter().any(|kind| kind.resource() == *it);
        let writes = self.method != Method::GET && !self.dry_run;
        writes && self.resource.as_ref().is_some_and(|it| !is_free(it))
    }

    /// Whether it is about a Secret, whose values an answer may quote.
    pub(super) fn is_of_secret(&self) -> bool {
        self.resource
            .as_ref()
            .is_some_and(|it| *it == SECRET.resource())
    }

    /// Whether this answer, which is no success, tells what was asked.
    pub(super) fn expects(&self, error: &Error) -> bool {
        match error {
            Error::NotFound { .. } => self.method == Method::GET,
            Error::Forbidden { .. } => self.may_be_forbidden,
            _ => false,
        }
    }

    fn query(&mut self, key: &str, value: &str) {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let _ = write!(self.url, "{separator}{key}={}", escaped(value));
    }

    fn with_body(self, content_type: &'static str, document: &Value) -> Self {
        Self {
            content_type,
            body: document.to_string().into_bytes(),
            ..self
        }
    }
}

/// Whether nothing that belongs to such an object is waited for.
fn owns_nothing(kind: &Kind) -> bool {
    match (&*kind.group, &*kind.name) {
        ("", name) => matches!(name, "ConfigMap" | "Secret" | "ServiceAccount"),
        (group, _) => group == "rbac.authorization.k8s.io",
    }
}

const JSON: &str = "application/json";

/// How much is read of a log.
const LOG_LINES: &str = "12";
const LOG_BYTES: &str = "65536";

fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{}", escaped(version))
    } else {
        format!("/apis/{}/{}", escaped(group), escaped(version))
    }
}

/// For a part of a path or of a query: a name of a document must not lead to another object.
fn escaped(text: &str) -> String {
    const SET: AsciiSet = percent::RESERVED.remove(b':');
    percent::encoded(text, &SET)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::kubernetes::kind::{DEPLOYMENT, POD, STORAGE_CLASS};

    #[test]
    fn urls_and_templates() {
        let get = Request::get(&Target::new(DEPLOYMENT, "lens", "grafana"));
        assert_eq!(
            (get.url.as_str(), get.template.as_str()),
            (
                "/apis/apps/v1/namespaces/lens/deployments/grafana",
                "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
            )
        );
        assert_eq!(get.to_string(), "get Deployment lens/grafana");
        let get = Request::get(&Target::new(STORAGE_CLASS, "lens", "a/../b"));
        assert_eq!(get.url, "/apis/storage.k8s.io/v1/storageclasses/a%2F..%2Fb");
    }

    #[test]
    fn selections() {
        let pods = Selection {
            kind: POD,
            namespace: Some("lens".to_owned()),
            labels: "app=x,tier in (a)".to_owned(),
            fields: String::new(),
            may_be_forbidden: true,
        };
        assert_eq!(
            Request::list(&pods, "c").url,
            "/api/v1/namespaces/lens/pods\
             ?labelSelector=app%3Dx%2Ctier%20in%20%28a%29&limit=500&continue=c"
        );
        let one = Selection {
            labels: String::new(),
            fields: "metadata.name=web".to_owned(),
            ..pods
        };
        assert_eq!(
            Request::watch(&one, "7").url,
            "/api/v1/namespaces/lens/pods?fieldSelector=metadata.name%3Dweb&watch=true\
             &allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=7"
        );
    }

    #[test]
    fn a_log_is_bounded() {
        let log = Request::log(&Target::new(POD, "lens", "web-1"), "web", true);
        assert_eq!(
            log.url,
            "/api/v1/namespaces/lens/pods/web-1/log\
             ?container=web&previous=true&tailLines=12&limitBytes=65536"
        );
        assert_eq!(
            log.template,
            "/api/v1/namespaces/{namespace}/pods/{name}/log"
        );
        assert_eq!(
            log.to_string(),
            "get the log of container web of Pod lens/web-1"
        );
    }

    #[test]
    fn what_an_object_owns_goes_before_it() {
        let group = Kind::of_group("example.com/v1", "Secret", "secrets");
        for (kind, expected) in [
            (SECRET, "Background"),
            (DEPLOYMENT, "Foreground"),
            (group, "Foreground"),
        ] {
            let target = Target::new(kind, "lens", "a");
            let delete = Request::delete(&target, "1", "7");
            let body: Value = serde_json::from_slice(&delete.body).expect("it is JSON");
            assert_eq!(body["propagationPolicy"], expected, "{target}");
            let preconditions = json!({ "uid": "1", "resourceVersion": "7" });
            assert_eq!(body["preconditions"], preconditions);
        }
    }

    #[test]
    fn an_apply_is_strict_and_ours() {
        let target = Target::new(SECRET, "lens", "login");
        let apply = Request::apply(&target, &json!({}), true, true);
        assert_eq!(
            apply.url,
            "/api/v1/namespaces/lens/secrets/login\
             ?fieldManager=firstlight&fieldValidation=Strict&force=true&dryRun=All"
        );
        assert_eq!(apply.to_string(), "patch Secret lens/login (dry run)");
    }
}
