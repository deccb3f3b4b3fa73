//! What the bundle of this repository puts into OpenSearch, Grafana and its datasources is
//! accepted by the real servers, and stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use firstlight::providers::grafana;
use firstlight::providers::opensearch::{
    Definition, DefinitionKind, Document, Index, SearchCheck, Server,
};
use firstlight::providers::postgres;
use serde_json::Value;
use testbed::{Env, unique};

use crate::law;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The documents of a folder, each with its name, in the order of their names.
fn documents(folder: &str) -> Vec<(String, Value)> {
    let folder = root().join(folder);
    let entries = fs::read_dir(&folder).expect("the folder is readable");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| is_json(path)).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("the file is readable");
        let document = serde_json::from_str(&text).expect("it is JSON");
        let name = path.file_stem().and_then(|name| name.to_str());
        (name.expect("a name").to_owned(), document)
    };
    paths.into_iter().map(read).collect()
}

fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json")
}

/// Makes all of the bundle's search objects current, and says how many there were.
async fn search(server: &Arc<Server>, twice: bool) -> usize {
    let documents = |kind: &str| documents(&format!("manifests/search/{kind}"));
    let server = || Arc::clone(server);
    let mut count = 0;
    for (folder, kind) in [
        ("component-templates", DefinitionKind::ComponentTemplate),
        ("index-templates", DefinitionKind::IndexTemplate),
        ("pipelines", DefinitionKind::Pipeline),
    ] {
        for (name, body) in documents(folder) {
            let definition = Definition {
                server: server(),
                kind,
                name,
                body,
            };
            settle(definition, twice).await;
            count += 1;
        }
    }
    for (name, body) in documents("indices") {
        let server = server();
        settle(Index { server, name, body }, twice).await;
        count += 1;
    }
    for (id, body) in documents("documents/lens-logs") {
        let (server, index) = (server(), "lens-logs".to_owned());
        settle(
            Document {
                server,
                index,
                id,
                body,
            },
            twice,
        )
        .await;
        count += 1;
    }
    count
}

async fn settle(resource: impl firstlight::engine::Resource, twice: bool) {
    if twice {
        law::unchanged(resource).await;
    } else {
        law::settles(resource).await;
    }
}

#[tokio::test]
async fn search_objects() {
    law::install_tls();
    let at = Env::load().expect("the test bed is up").opensearch();
    let at = at.expect("OpenSearch 3 is up");
    let server = Arc::new(Server::new(&at.url, None, None, law::no_secrets()));
    let count = search(&server, false).await;
    assert_eq!(count, 6, "every file below manifests/search is looked at");
    search(&server, true).await;
    law::unchanged(SearchCheck {
        server,
        index: "lens-logs".to_owned(),
        query: Some(serde_json::json!({"term": {"event.action": "installation"}})),
        at_least: 1,
    })
    .await;
}

#[tokio::test]
async fn dashboards() {
    law::install_tls();
    let at = Env::load().expect("the test bed is up").grafana();
    let at = at.expect("a Grafana is up");
    let login = Some((law::plain(&at.user), law::plain(&at.password)));
    let server = Arc::new(grafana::Server::new(
        &at.url,
        login,
        None,
        law::no_secrets(),
    ));
    let uid = unique("lens");
    let folder = || grafana::Folder {
        server: Arc::clone(&server),
        uid: uid.clone(),
        title: uid.clone(),
        parent: None,
    };
    law::changes(folder()).await;
    for (name, model) in documents("dashboards/lens") {
        assert_eq!(model["uid"], name.as_str(), "the file is named by the uid");
        let dashboard = || grafana::Dashboard {
            server: Arc::clone(&server),
            uid: format!("{uid}-{name}"),
            folder: uid.clone(),
            model: model.clone(),
        };
        law::changes(dashboard()).await;
        law::unchanged(dashboard()).await;
    }
}

/// All queries of all dashboards for one kind of datasource, under the key that holds them.
fn queries(datasource: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, model) in documents("dashboards/lens") {
        for panel in model["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                if target["datasource"]["uid"] == datasource {
                    let query = target[key].as_str();
                    found.push(
                        query
                            .unwrap_or_else(|| panic!("{name}: no {key}"))
                            .to_owned(),
                    );
                }
            }
        }
    }
    assert!(!found.is_empty(), "the dashboards ask {datasource}");
    found
}

#[tokio::test]
async fn queries_for_prometheus() {
    law::install_tls();
    let at = Env::load().expect("the test bed is up").prometheus();
    let url = format!("{}/api/v1/query", at.expect("Prometheus is up").url);
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    for query in queries("prometheus", "expr") {
        let asked = query
            .replace("$__range", "1h")
            .replace("$__rate_interval", "1m");
        let mut url = reqwest::Url::parse(&url).expect("a URL");
        url.query_pairs_mut().append_pair("query", &asked);
        let answer = http.get(url).send().await.expect("Prometheus answers");
        let answer: Value = answer.json().await.expect("the answer is JSON");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }
}

/// Made as the bundle makes it, and asked as Grafana asks: by the role that owns the database.
#[tokio::test]
async fn queries_for_postgres() {
    law::install_tls();
    let at = Env::load().expect("the test bed is up").postgres();
    let at = at.expect("Postgres is up");
    let name = unique("lens");
    let server = postgres::Server::new(
        postgres::Settings {
            host: at.host.clone().into(),
            port: at.port.into(),
            user: law::plain(&at.user),
            password: law::plain(&at.password),
            database: "postgres".to_owned(),
            tls: postgres::Tls::Disable,
            statement_timeout: Some(Duration::from_secs(30)),
        },
        law::no_secrets(),
    );
    let mut role = postgres::Role {
        password: Some(law::plain("made up")),
        ..postgres::Role::new(server.clone(), &name)
    };
    role.attributes.flags.insert(postgres::Flag::Login, true);
    law::changes(role).await;
    law::changes(postgres::Database {
        owner: Some(name.clone()),
        ..postgres::Database::new(server.clone(), &name)
    })
    .await;
    let mut schema = postgres::Migrations::new(server, &name, migrations());
    schema.owner = Some(name.clone());
    law::changes(schema).await;
    let mut config = tokio_postgres::Config::new();
    config.host(&at.host).port(at.port).dbname(&name);
    config.user(&name).password("made up");
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .expect("a session");
    let connection = tokio::spawn(connection);
    for query in queries("postgres", "rawSql") {
        let asked = ask(&query);
        let rows = client.simple_query(&asked).await;
        assert!(rows.is_ok(), "{asked}: {rows:?}");
    }
    drop(client);
    connection
        .await
        .expect("it ends")
        .expect("the session ends well");
}

/// As Grafana fills in its own words.
fn ask(query: &str) -> String {
    let mut asked = query.replace("$cluster", "'local'");
    while let Some((before, after)) = asked.split_once("$__timeFilter(") {
        let (column, rest) = after.split_once(')').expect("it is closed");
        asked = format!("{before}{column} BETWEEN now() - interval '1 h' AND now(){rest}");
    }
    asked
}

fn migrations() -> Vec<postgres::File> {
    let entries = fs::read_dir(root().join("sql")).expect("the folder is readable");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let file = |path: &PathBuf| {
        let name = path.file_stem()?.to_str()?;
        let (version, description) = name.split_once("__")?;
        let order = match version.strip_prefix('V') {
            Some(version) => postgres::Order::Version(version.parse().ok()?),
            None => postgres::Order::Repeatable,
        };
        let sql = fs::read_to_string(path).ok()?;
        let (path, none) = (format!("sql/{name}.sql"), postgres::Placeholders::new());
        Some(postgres::File::new(order, description, path, &sql, &none))
    };
    paths.iter().filter_map(file).collect()
}
