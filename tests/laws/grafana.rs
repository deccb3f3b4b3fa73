//! The laws on Grafana: the stand-in of the test bed, or the real one that `GRAFANA_URL` names.

use std::collections::BTreeMap;
use std::sync::Arc;

use firstlight::engine::Class;
use firstlight::providers::grafana::{
    Dashboard, Datasource, DatasourceHealth, Folder, Gate, Server,
};
use reqwest::Method;
use serde_json::{Value, json};
use testbed::{Env, Grafana, Proxy, unique};

use crate::law;

/// Grafana, as the provider reaches it and as the test does behind its back.
struct Bed {
    server: Arc<Server>,
    at: Grafana,
    http: reqwest::Client,
}

impl Bed {
    fn new() -> Self {
        law::install_tls();
        let env = Env::load().expect("the test bed is up");
        let at = env.grafana().expect("a Grafana is up");
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            server: Arc::new(connect(&at.url, &at.user, &at.password)),
            http: http.expect("a client"),
            at,
        }
    }

    fn server(&self) -> Arc<Server> {
        Arc::clone(&self.server)
    }

    /// Does something behind the provider's back.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.at.url);
        let mut request = self.http.request(method, url);
        request = request.basic_auth(&self.at.user, Some(&self.at.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("Grafana answers");
        let status = response.status();
        let json: Value = response.json().await.expect("the answer is JSON");
        assert!(status.is_success(), "{path}: {status} {json}");
        json
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await
    }

    async fn delete(&self, path: &str) {
        self.ask(Method::DELETE, path, None).await;
    }
}

fn connect(url: &str, user: &str, password: &str) -> Server {
    let login = Some((law::plain(user), law::plain(password)));
    Server::new(url, login, None, law::no_secrets())
}

#[tokio::test]
async fn folder() {
    let bed = Bed::new();
    let uid = unique("folder");
    let make = |uid: &str, parent: Option<&str>| Folder {
        server: bed.server(),
        uid: uid.to_owned(),
        title: format!("Title of {uid}"),
        parent: parent.map(str::to_owned),
    };
    let path = format!("/api/folders/{uid}");
    law::fresh(make(&uid, None)).await;
    let changes = law::changes(make(&uid, None)).await;
    assert_eq!(changes, [format!("create folder {uid}")]);
    let before = bed.get(&path).await;
    law::unchanged(make(&uid, None)).await;
    assert_eq!(
        before,
        bed.get(&path).await,
        "version and times are those of before"
    );

    let title = json!({"title": "Drifted", "overwrite": true});
    bed.ask(Method::PUT, &path, Some(title)).await;
    law::changes(make(&uid, None)).await;
    let above = unique("above");
    law::changes(make(&above, None)).await;
    law::changes(make(&uid, Some(&above))).await;
    assert_eq!(bed.get(&path).await["parentUid"], above.as_str());
    law::changes(make(&uid, None)).await;

    law::cut_short(|polls| make(&format!("{uid}-{polls}"), Some(&above))).await;
    law::two_at_once(|| make(&format!("{uid}-two"), None)).await;
    let two = bed.get(&format!("{path}-two")).await;
    assert_eq!(two["version"], 1, "it was made once");
    for uid in [&uid, &format!("{uid}-two"), &above] {
        bed.delete(&format!("/api/folders/{uid}")).await;
    }
}

fn datasource(bed: &Bed, uid: &str) -> Datasource {
    let body = json!({
        "type": "prometheus",
        "access": "proxy",
        "url": "http://127.0.0.1:1",
        "basicAuth": true,
        "basicAuthUser": "reader",
        "jsonData": {"httpMethod": "POST"},
    });
    let secret = ("basicAuthPassword".to_owned(), law::plain("made up"));
    Datasource {
        server: bed.server(),
        uid: uid.to_owned(),
        name: format!("Name of {uid}"),
        body,
        secrets: BTreeMap::from([secret]),
    }
}

#[tokio::test]
async fn datasource_laws() {
    let bed = Bed::new();
    let uid = unique("datasource");
    let make = |uid: &str| datasource(&bed, uid);
    let path = format!("/api/datasources/uid/{uid}");
    law::fresh(make(&uid)).await;
    let changes = law::changes(make(&uid)).await;
    assert_eq!(changes, [format!("create datasource {uid}")]);
    let before = bed.get(&path).await;
    law::unchanged(make(&uid)).await;
    assert_eq!(
        before,
        bed.get(&path).await,
        "the version is that of before"
    );

    let mut drifted = before.clone();
    drifted["url"] = json!("http://127.0.0.1:2");
    drifted["secureJsonData"] = json!({"basicAuthPassword": ""});
    bed.ask(Method::PUT, &path, Some(drifted)).await;
    law::changes(make(&uid)).await;
    let after = bed.get(&path).await;
    assert_eq!(after["url"], "http://127.0.0.1:1");
    assert_eq!(after["secureJsonFields"]["basicAuthPassword"], true);

    law::cut_short(|polls| make(&format!("{uid}-{polls}"))).await;
    law::two_at_once(|| make(&format!("{uid}-two"))).await;
    let two = bed.get(&format!("{path}-two")).await;
    assert_eq!(two["version"], 1, "it was made once");
    for one in bed
        .get("/api/datasources")
        .await
        .as_array()
        .into_iter()
        .flatten()
    {
        let one = one["uid"].as_str().unwrap_or_default();
        if one.starts_with(&uid) {
            bed.delete(&format!("/api/datasources/uid/{one}")).await;
        }
    }
}

#[tokio::test]
async fn a_datasource_with_our_name_and_another_uid_is_named() {
    let bed = Bed::new();
    let (holder, uid) = (unique("holder"), unique("wanted"));
    law::changes(datasource(&bed, &holder)).await;
    let mut wanted = datasource(&bed, &uid);
    wanted.name = format!("Name of {holder}");
    let (class, said, _) = law::fails(wanted).await;
    assert_eq!(class, Class::Diverged);
    assert_eq!(
        said,
        format!(
            "the name \"Name of {holder}\" belongs to the datasource with the uid {holder}, not {uid}"
        )
    );
    bed.delete(&format!("/api/datasources/uid/{holder}")).await;
}

fn dashboard(bed: &Bed, folder: &str, uid: &str) -> Dashboard {
    Dashboard {
        server: bed.server(),
        uid: uid.to_owned(),
        folder: folder.to_owned(),
        model: json!({
            "id": null,
            "title": format!("Title of {uid}"),
            "tags": ["test"],
            "panels": [{"id": 1, "type": "text", "title": "P", "gridPos": {"h": 3, "w": 4, "x": 0, "y": 0}}],
            "schemaVersion": 39,
        }),
    }
}

#[tokio::test]
async fn dashboard_laws() {
    let bed = Bed::new();
    let (folder, uid) = (unique("home"), unique("dashboard"));
    law::changes(Folder {
        server: bed.server(),
        uid: folder.clone(),
        title: folder.clone(),
        parent: None,
    })
    .await;
    let make = |uid: &str| dashboard(&bed, &folder, uid);
    let path = format!("/api/dashboards/uid/{uid}");
    law::fresh(make(&uid)).await;
    let changes = law::changes(make(&uid)).await;
    assert_eq!(changes, [format!("create dashboard {folder}/{uid}")]);
    let before = bed.get(&path).await;
    law::unchanged(make(&uid)).await;
    assert_eq!(
        before,
        bed.get(&path).await,
        "the version is that of before"
    );
    assert_eq!(before["dashboard"]["version"], 1);

    // Somebody adds a panel and, by leaving the folder out, moves the dashboard.
    let mut drifted = before["dashboard"].clone();
    let panel = json!({"id": 2, "type": "text", "title": "theirs"});
    drifted["panels"] = json!([drifted["panels"][0], panel]);
    let save = json!({"dashboard": drifted});
    bed.ask(Method::POST, "/api/dashboards/db", Some(save))
        .await;
    law::changes(make(&uid)).await;
    let after = bed.get(&path).await;
    assert_eq!(after["meta"]["folderUid"], folder.as_str());
    assert_eq!(
        after["dashboard"]["panels"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(after["dashboard"]["version"], 3);

    law::cut_short(|polls| make(&format!("{uid}-{polls}"))).await;
    law::two_at_once(|| make(&format!("{uid}-two"))).await;
    let two = bed.get(&format!("{path}-two")).await;
    assert_eq!(two["dashboard"]["version"], 1, "it was made once");

    let absent = Dashboard {
        folder: unique("nowhere"),
        ..make(&format!("{uid}-lost"))
    };
    let (class, said, _) = law::fails(absent).await;
    assert_eq!(class, Class::Invalid);
    assert!(said.contains("folder not found"), "{said}");
    bed.delete(&format!("/api/folders/{folder}")).await;
}

#[tokio::test]
async fn datasource_health() {
    let bed = Bed::new();
    let uid = unique("health");
    law::changes(datasource(&bed, &uid)).await;
    let health = || DatasourceHealth {
        server: bed.server(),
        uid: uid.clone(),
    };
    let (class, waits_for) = law::last_seen(health()).await;
    assert_eq!(class, Class::Unmet);
    assert!(
        waits_for.starts_with(&format!("datasource {uid} does not answer: ")),
        "{waits_for}"
    );
    assert!(waits_for.contains("connection refused"), "{waits_for}");
    bed.delete(&format!("/api/datasources/uid/{uid}")).await;
}

#[tokio::test]
async fn errors() {
    let bed = Bed::new();
    let address = bed.at.url.split_once("://").expect("a URL").1;
    let mut proxy = Proxy::start(address).await.expect("a proxy");
    let url = format!("http://{}", proxy.address());
    let server = Arc::new(connect(&url, &bed.at.user, &bed.at.password));
    let gate = || Gate {
        server: Arc::clone(&server),
    };
    law::unchanged(gate()).await;
    proxy.refuse().await;
    proxy.cut().await;
    law::waits(gate()).await;
    law::waits(Folder {
        server: Arc::clone(&server),
        uid: "any".to_owned(),
        title: "Any".to_owned(),
        parent: None,
    })
    .await;
    proxy.allow().await.expect("the port is still free");
    law::unchanged(gate()).await;

    // Not the administrator's name: a few wrong passwords would lock it.
    let gate = Gate {
        server: Arc::new(connect(&bed.at.url, &unique("nobody"), "wrong")),
    };
    let (class, said, hints) = law::fails(gate).await;
    assert_eq!(class, Class::Invalid);
    assert_eq!(said, format!("Grafana at {} refuses the login", bed.at.url));
    assert!(
        hints[0].starts_with("check the user and the values"),
        "{hints:?}"
    );
}
