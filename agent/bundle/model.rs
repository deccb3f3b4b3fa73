//! A validated bundle: every name resolved, every template rendered, every file read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::question::Check;
use super::{Database, Extension, Grants, Manifest, Migrations, Role, Schema};
use crate::secret::{Credential, Setting};

/// A place in a file of the bundle, for messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Relative to the bundle's root.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// What an installation is made from.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// The profile, if one was chosen.
    pub profile: Option<String>,
    /// The namespace of the installation.
    pub namespace: String,
    /// The merged values.
    pub values: Value,
    /// Where the backends are.
    pub servers: Servers,
    /// The phases, in order; each is a group.
    pub phases: Vec<Node>,
    /// Whether a run deletes what has left the bundle, without being told to.
    pub prune: bool,
    /// Kinds that hold data beside those that always do: `Backup`, or `Backup.example.com`.
    pub keep: Vec<String>,
    /// The same for the same files, values, profile and namespace, and for nothing else.
    pub digest: String,
}

/// Where the backends are; one that no step uses may be absent.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// A Postgres server.
    pub postgres: Option<PostgresServer>,
    /// An OpenSearch cluster.
    pub opensearch: Option<HttpServer>,
    /// A Grafana.
    pub grafana: Option<HttpServer>,
}

/// How to reach Postgres.
#[derive(Debug, Clone)]
pub struct PostgresServer {
    /// A name or an address.
    pub host: Setting<String>,
    /// 5432 unless given.
    pub port: Setting<u16>,
    /// The role to connect as; it may create databases and roles.
    pub user: Credential,
    /// Its password.
    pub password: Credential,
    /// The database for work that needs none of its own; `postgres` unless given.
    pub database: String,
    /// Whether and how the connection is encrypted.
    pub tls: PostgresTls,
}

/// How a connection to Postgres is encrypted. There is no fallback from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    /// Plain text, because the bundle says so.
    Disable,
    /// The server's certificate must come from this authority; its name is not compared.
    VerifyCa {
        /// The authority's certificate, PEM.
        ca: Credential,
    },
    /// The server's certificate must come from this authority (or a public one) and bear the host's name.
    VerifyFull {
        /// The authority's certificate, PEM; none for the public ones.
        ca: Option<Credential>,
        /// The name to expect, if it is not the host's.
        server_name: Option<String>,
    },
}

/// How to reach a server that speaks HTTP.
#[derive(Debug, Clone)]
pub struct HttpServer {
    /// Its base URL, without credentials.
    pub url: String,
    /// A user for basic authentication, with the password.
    pub login: Option<(Credential, Credential)>,
    /// The authority of its certificate, PEM; none for the public ones.
    pub ca: Option<Credential>,
}

/// A phase, a group of steps, or a step.
#[derive(Debug, Clone)]
pub struct Node {
    /// `phase`, `phase/step` or `phase/step/part`; unique.
    pub id: String,
    /// The ids of the nodes that must have ended before this one starts.
    pub needs: Vec<String>,
    /// Where the bundle says so.
    pub location: Location,
    /// What it is.
    pub body: Body,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Body {
    /// Further nodes.
    Group(Vec<Node>),
    /// One resource.
    Step(Step),
}

/// One resource, and how long it may take.
#[derive(Debug, Clone)]
pub struct Step {
    /// What to make current.
    pub action: Action,
    /// How long it may take in all.
    pub timeout: Duration,
    /// How long nothing may change while it waits.
    pub no_progress: Option<Duration>,
    /// Whether its failure fails neither the run nor what needs it.
    pub optional: bool,
}

/// Everything that a step can make current.
#[derive(Debug, Clone)]
pub enum Action {
    /// A Kubernetes object, applied and waited for by its kind's rule.
    Object(Manifest),
    /// An operator, waited for.
    Operator(OperatorGate),
    /// A Secret with generated passwords, made once and kept.
    Secret(GeneratedSecret),
    /// A role of Postgres.
    Role(Box<Role>),
    /// A database of Postgres.
    Database(Box<Database>),
    /// A schema in a database.
    Schema(Schema),
    /// An extension in a database.
    Extension(Extension),
    /// What a role may do in a database.
    Grants(Grants),
    /// The migrations of a folder.
    Migrations(Migrations),
    /// An object of OpenSearch.
    Search(SearchObject),
    /// A folder of Grafana.
    Folder(Folder),
    /// A datasource of Grafana.
    Datasource(Datasource),
    /// A dashboard of Grafana.
    Dashboard(Dashboard),
    /// A question that must be answered with yes.
    Check(Check),
}

/// An operator that must be usable.
#[derive(Debug, Clone)]
pub struct OperatorGate {
    /// How the bundle calls it.
    pub name: String,
    /// Where its Deployment is; the installation's namespace unless given.
    pub namespace: String,
    /// The labels of its Deployment.
    pub selector: BTreeMap<String, String>,
    /// The custom resource definitions that it serves, by full name.
    pub crds: Vec<String>,
}

/// A Secret with generated passwords.
#[derive(Debug, Clone)]
pub struct GeneratedSecret {
    /// Its name.
    pub name: String,
    /// The keys to generate, each with the number of characters.
    pub generate: BTreeMap<String, usize>,
    /// The keys with given values, like a user's name.
    pub values: BTreeMap<String, String>,
}

/// An object of OpenSearch, from a file in a folder of its kind.
#[derive(Debug, Clone)]
pub struct SearchObject {
    /// Which kind.
    pub kind: SearchKind,
    /// Its name: the file's stem.
    pub name: String,
    /// The document, in OpenSearch's own words.
    pub body: Value,
    /// Where it comes from.
    pub location: Location,
}

/// The kinds of objects of OpenSearch, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchKind {
    /// `component-templates/NAME.json`
    ComponentTemplate,
    /// `index-templates/NAME.json`
    IndexTemplate,
    /// `pipelines/NAME.json`
    Pipeline,
    /// `indices/NAME.json`; with `aliases` its first index behind a write alias.
    Index,
    /// `documents/INDEX/ID.json`, written once through an index or alias.
    Document,
}

/// A folder of Grafana.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Its fixed uid.
    pub uid: String,
    /// What people see.
    pub title: String,
    /// The uid of the folder above.
    pub parent: Option<String>,
}

/// A datasource of Grafana.
#[derive(Debug, Clone)]
pub struct Datasource {
    /// Its fixed uid.
    pub uid: String,
    /// What people see.
    pub name: String,
    /// The document in Grafana's own words, without secrets.
    pub body: Value,
    /// Its `secureJsonData`.
    pub secrets: BTreeMap<String, Credential>,
    /// Where it comes from.
    pub location: Location,
}

/// A dashboard of Grafana.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Its fixed uid: the file's stem.
    pub uid: String,
    /// The uid of its folder: the name of the folder that the file is in.
    pub folder: String,
    /// The dashboard's JSON model.
    pub model: Value,
    /// Where it comes from.
    pub location: Location,
}
