//! A resolved bundle as text, for people and for other tools. Secrets are never in it: what is
//! read from a Secret is shown as a reference, and what goes into one is hidden.

mod postgres;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Action, Adoption, Body, Bundle, Check, Expect, GeneratedSecret, HttpServer, Node, Placeholder,
    PostgresServer, PostgresTls, RunningAsk, SearchKind, SearchObject, Servers, Step, Workload,
    duration,
};
use crate::secret::{Credential, SecretRef, Setting};

const HIDDEN: &str = "(sensitive)";

/// One document of a rendering.
struct Document<'a> {
    node: &'a Node,
    step: &'a Step,
    content: Value,
}

/// The bundle as YAML: what it is, then a document for each step in the bundle's order, with its
/// id, place and needs as comments. The Kubernetes objects are as they would be sent.
///
/// # Errors
/// When a value cannot be written as YAML, which would be a bug.
pub fn yaml(bundle: &Bundle) -> Result<String, serde_saphyr::SerializeError> {
    let mut text = serde_saphyr::to_string(&header(bundle))?;
    for document in documents(bundle) {
        let Document { node, step, .. } = &document;
        let location = match &step.action {
            Action::Object(manifest) => &manifest.location,
            _ => &node.location,
        };
        let mut comment = format!("---\n# {} ({location})\n", node.id);
        if !node.needs.is_empty() {
            comment = format!("{comment}# needs: {}\n", node.needs.join(", "));
        }
        text.push_str(&comment);
        text.push_str(&serde_saphyr::to_string(&document.content)?);
    }
    Ok(text)
}

/// The bundle as one JSON document.
#[must_use]
pub fn json(bundle: &Bundle) -> Value {
    let mut whole = header(bundle);
    let steps = documents(bundle).into_iter().map(|document| {
        let Document {
            node,
            step,
            content,
        } = document;
        json!({
            "id": node.id,
            "needs": node.needs,
            "location": node.location.to_string(),
            "timeout": duration::show(step.timeout),
            "noProgressTimeout": step.no_progress.map(duration::show),
            "optional": step.optional,
            "content": content,
        })
    });
    whole["steps"] = steps.collect();
    whole
}

fn header(bundle: &Bundle) -> Value {
    let phases = bundle.phases.iter();
    let phases = phases.map(|phase| json!({ "name": phase.id, "needs": phase.needs }));
    json!({
        "bundle": bundle.name,
        "profile": bundle.profile,
        "namespace": bundle.namespace,
        "servers": servers(&bundle.servers),
        "phases": phases.collect::<Value>(),
    })
}

fn documents(bundle: &Bundle) -> Vec<Document<'_>> {
    super::needs::flat(&bundle.phases)
        .filter_map(|node| match &node.body {
            Body::Group(_) => None,
            Body::Step(step) => Some(Document {
                node,
                step,
                content: content(&step.action),
            }),
        })
        .collect()
}

fn content(action: &Action) -> Value {
    match action {
        Action::Object(manifest) => object(&manifest.object),
        Action::Operator(gate) => json!({ "operator": {
            "name": gate.name, "namespace": gate.namespace,
            "selector": gate.selector, "crds": gate.crds,
        } }),
        Action::Secret(secret) => json!({ "secret": generated(secret) }),
        Action::Role(role) => json!({ "role": postgres::role(role) }),
        Action::Database(database) => json!({ "database": postgres::database(database) }),
        Action::Schema(schema) => json!({ "schema": postgres::schema(schema) }),
        Action::Extension(extension) => json!({ "extension": postgres::extension(extension) }),
        Action::Grants(grants) => json!({ "grants": postgres::grants(grants) }),
        Action::Migrations(migrations) => {
            let files = migrations.files.iter();
            let files = files.map(|file| json!(file.file.display().to_string()));
            let placeholders = migrations.placeholders.iter();
            let placeholders = placeholders.map(|(name, value)| {
                let value = match value {
                    Placeholder::Identifier(value) => json!({ "identifier": value }),
                    Placeholder::Literal(value) => json!({ "literal": value }),
                };
                (name.clone(), value)
            });
            let (baseline, import) = match &migrations.adoption {
                Some(Adoption::Baseline(last)) => (Some(last), None),
                Some(Adoption::Import(tool)) => (None, Some(tool.name())),
                None => (None, None),
            };
            json!({ "migrate": {
                "database": migrations.database, "owner": migrations.owner,
                "baseline": baseline, "import": import,
                "files": files.collect::<Value>(),
                "placeholders": Value::Object(placeholders.collect()),
                "drift": postgres::drift(migrations.drift.as_ref()),
            } })
        }
        Action::Search(object) => search(object),
        Action::Folder(folder) => json!({ "folder": {
            "uid": folder.uid, "title": folder.title, "parent": folder.parent,
        } }),
        Action::Datasource(datasource) => {
            let secrets = datasource.secrets.iter();
            let secrets = secrets.map(|(key, from)| (key.clone(), credential(from)));
            json!({ "datasource": datasource.body, "secrets": Value::Object(secrets.collect()) })
        }
        Action::Dashboard(dashboard) => json!({ "dashboard": {
            "uid": dashboard.uid, "folder": dashboard.folder, "model": dashboard.model,
        } }),
        Action::Check(check) => json!({ "check": question(check) }),
    }
}

/// A Kubernetes object, without what a Secret holds.
fn object(object: &Value) -> Value {
    let mut shown = object.clone();
    if object.get("kind").and_then(Value::as_str) == Some("Secret") {
        for field in ["data", "stringData"] {
            let entries = shown.get_mut(field).and_then(Value::as_object_mut);
            for value in entries.into_iter().flat_map(Map::values_mut) {
                *value = json!(HIDDEN);
            }
        }
    }
    shown
}

fn generated(secret: &GeneratedSecret) -> Value {
    let values = secret.values.keys().map(|key| (key.clone(), json!(HIDDEN)));
    json!({
        "name": secret.name,
        "generate": secret.generate,
        "values": Value::Object(values.collect()),
    })
}

fn search(object: &SearchObject) -> Value {
    let kind = match object.kind {
        SearchKind::ComponentTemplate => "componentTemplate",
        SearchKind::IndexTemplate => "indexTemplate",
        SearchKind::Pipeline => "pipeline",
        SearchKind::Index => "index",
        SearchKind::Document => "document",
    };
    json!({ kind: { "name": object.name, "body": object.body } })
}

fn question(check: &Check) -> Value {
    match check {
        Check::Http {
            url,
            status,
            contains,
        } => {
            json!({ "http": { "url": url, "status": status, "contains": contains } })
        }
        Check::Sql {
            database,
            query,
            expect,
        } => {
            let (key, expected) = match expect {
                Expect::Value(value) => ("expect", json!(value)),
                Expect::AtLeast(least) => ("atLeast", json!(least)),
            };
            json!({ "sql": { "database": database, "query": query, key: expected } })
        }
        Check::Promql { url, query } => json!({ "promql": { "url": url, "query": query } }),
        Check::Search {
            index,
            query,
            at_least,
        } => {
            json!({ "search": { "index": index, "query": query, "atLeast": at_least } })
        }
        Check::Trace { url, send } => json!({ "trace": { "url": url, "send": send } }),
        Check::Datasource { uid } => json!({ "datasource": { "uid": uid } }),
        Check::Running { workload, ask } => running(workload, ask),
        Check::Drift { of, .. } => json!({ "drift": { "of": of } }),
    }
}

fn servers(servers: &Servers) -> Value {
    json!({
        "postgres": servers.postgres.as_ref().map(postgres_server),
        "opensearch": servers.opensearch.as_ref().map(http),
        "grafana": servers.grafana.as_ref().map(http),
    })
}

fn postgres_server(server: &PostgresServer) -> Value {
    let tls = match &server.tls {
        PostgresTls::Disable => json!({ "mode": "disable" }),
        PostgresTls::VerifyCa { ca } => json!({ "mode": "verify-ca", "ca": credential(ca) }),
        PostgresTls::VerifyFull { ca, server_name } => json!({
            "mode": "verify-full",
            "ca": ca.as_ref().map(credential),
            "serverName": server_name,
        }),
    };
    json!({
        "host": setting(&server.host),
        "port": setting(&server.port),
        "user": user(&server.user),
        "password": credential(&server.password),
        "database": server.database,
        "tls": tls,
    })
}

fn http(server: &HttpServer) -> Value {
    let login = server.login.as_ref();
    json!({
        "url": server.url,
        "user": login.map(|(name, _)| user(name)),
        "password": login.map(|(_, password)| credential(password)),
        "ca": server.ca.as_ref().map(credential),
    })
}

/// A user's name is no secret when the bundle gives it.
fn user(credential_of: &Credential) -> Value {
    match credential_of {
        Credential::Plain(name) => json!(name.expose()),
        Credential::Secret(_) => credential(credential_of),
    }
}

fn setting<T: Serialize>(setting: &Setting<T>) -> Value {
    match setting {
        Setting::Known(value) => json!(value),
        Setting::Secret(from) => reference(from),
    }
}

fn reference(from: &SecretRef) -> Value {
    json!({ "secret": from.secret, "key": from.key })
}

fn credential(credential: &Credential) -> Value {
    match credential {
        Credential::Secret(from) => reference(from),
        Credential::Plain(_) => json!(HIDDEN),
    }
}

fn running(workload: &Workload, ask: &RunningAsk) -> Value {
    let Workload {
        kind,
        namespace,
        name,
    } = workload;
    let place = namespace.as_ref().map(|place| format!("{place}/"));
    let of = format!("{kind}/{}{name}", place.unwrap_or_default());
    match ask {
        RunningAsk::Rollout => json!({ "rollout": { "workload": of } }),
        RunningAsk::Image {
            container,
            image,
            digest,
        } => json!({ "image": {
            "workload": of, "container": container, "image": image, "digest": digest,
        } }),
        RunningAsk::Environment { container, names } => {
            json!({ "env": { "workload": of, "container": container, "names": names } })
        }
        RunningAsk::Keys { secret, keys } => {
            json!({ "secret": { "name": secret, "keys": keys, "usedBy": of } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let value = json!({
            "texts": ["", "~", "null", "true", "yes", "0644", "12", "1e3", "1.5", ".inf", "- a", "a: b",
                "# no", "two\nlines\n", " space ", "{{ x }}", "quo\"te", "it's", "%", "@", "`", "é\t"],
            "others": [null, true, 644, -1, 1.5, {}, [], { "0": "key" }],
        });
        let text = serde_saphyr::to_string(&value).expect("it can be written");
        let (documents, problems) = parse::parse(&text);
        assert_eq!(problems, [], "{text}");
        assert_eq!(documents[0].to_value(), value, "{text}");
    }
}
