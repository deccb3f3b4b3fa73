//! What the servers have seen: versions that move with every write.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{Bed, NAMESPACE};

/// Everything that a write of the agent would move.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stores {
    objects: BTreeMap<String, String>,
    postgres: String,
    search: String,
    grafana: Vec<String>,
}

impl Stores {
    pub(crate) async fn look(bed: &Bed) -> Self {
        Self {
            objects: objects(bed),
            postgres: postgres(bed).await,
            search: search(bed).await,
            grafana: grafana(bed).await,
        }
    }
}

/// The version of every object that the bundle has applied. What controllers write beside them
/// (pods, events, endpoints) and what a run leaves of itself (its Lease, its record) is no part of it.
fn objects(bed: &Bed) -> BTreeMap<String, String> {
    let kinds = "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,persistentvolumeclaims";
    let mut list = bed.get(&[kinds])["items"]
        .as_array()
        .cloned()
        .expect("a list");
    list.push(bed.get(&["namespace", NAMESPACE]));
    let ours = list
        .iter()
        .filter(|object| object["metadata"]["name"] != "firstlight-lens");
    ours.map(|object| {
        let name = format!("{}/{}", object["kind"], object["metadata"]["name"]);
        (name, object["metadata"]["resourceVersion"].to_string())
    })
    .collect()
}

/// The transactions that wrote each row of the catalog and of every table.
async fn postgres(bed: &Bed) -> String {
    let port = bed.forward("postgres", 5432);
    let settings = format!(
        "host=127.0.0.1 port={port} user=postgres dbname=lens password='{}'",
        bed.secret("postgres-admin", "password")
    );
    let (client, connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls)
        .await
        .expect("Postgres lets us in");
    let connection = tokio::spawn(connection);
    let query = "select (select string_agg(oid || ':' || xmin::text, ',' order by oid) from pg_class) || \
                 (select string_agg(oid || ':' || xmin::text, ',' order by oid) from pg_authid) || \
                 (select string_agg(oid || ':' || xmin::text, ',' order by oid) from pg_database) || \
                 (select string_agg(version || ':' || xmin::text, ',' order by version) from firstlight.schema_history) || \
                 (select string_agg(relname || ':' || n_tup_ins || ':' || n_tup_upd || ':' || n_tup_del, ',' order by relname) \
                    from pg_stat_user_tables) as seen";
    let row = client.query_one(query, &[]).await.expect("a row");
    drop(client);
    connection.abort();
    row.get("seen")
}

/// The version of the cluster's state, and that of each document of the bundle; what the collector
/// writes of every run is beside them.
async fn search(bed: &Bed) -> String {
    let base = format!("http://127.0.0.1:{}", bed.forward("opensearch", 9200));
    let state = json(&format!("{base}/_cluster/state/version"), None).await;
    let hits = json(
        &format!("{base}/lens-logs/_search?q=NOT%20_exists_:service&seq_no_primary_term=true"),
        None,
    )
    .await;
    let hits = hits["hits"]["hits"].as_array().cloned().unwrap_or_default();
    let hits: Vec<String> = hits
        .iter()
        .map(|hit| format!("{}:{}", hit["_id"], hit["_seq_no"]))
        .collect();
    format!("{} {}", state["version"], hits.join(","))
}

/// The version of each dashboard.
async fn grafana(bed: &Bed) -> Vec<String> {
    let base = format!("http://127.0.0.1:{}", bed.forward("grafana", 3000));
    let login = Some(("admin".to_owned(), bed.secret("grafana-admin", "password")));
    let found = json(&format!("{base}/api/search?type=dash-db"), login.clone()).await;
    let mut versions = Vec::new();
    for board in found.as_array().expect("a list") {
        let uid = board["uid"].as_str().expect("a uid");
        let model = json(&format!("{base}/api/dashboards/uid/{uid}"), login.clone()).await;
        versions.push(format!("{uid}:{}", model["dashboard"]["version"]));
    }
    assert!(versions.len() >= 2, "{versions:?}");
    versions.sort();
    versions
}

pub(crate) async fn json(url: &str, login: Option<(String, String)>) -> Value {
    let request = client().get(url);
    let request = match login {
        Some((user, password)) => request.basic_auth(user, Some(password)),
        None => request,
    };
    request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON")
}

/// Deletes an index behind the agent's back.
pub(crate) async fn drop_index(bed: &Bed, index: &str) {
    let url = format!(
        "http://127.0.0.1:{}/{index}",
        bed.forward("opensearch", 9200)
    );
    let answer = client().delete(url).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

fn client() -> reqwest::Client {
    // A provider that is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    builder.build().expect("a client")
}
