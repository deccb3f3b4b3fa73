//! A real OpenSearch, as the provider reaches it and as a test does behind its back.

use std::sync::Arc;
use std::time::Duration;

use firstlight::engine::Resource;
use firstlight::providers::opensearch::Server;
use serde_json::Value;
use testbed::{Attempt, Env, OpenSearch, eventually};

use crate::law;

/// A real server, as the provider reaches it and as the test does behind its back.
pub(crate) struct Bed {
    server: Arc<Server>,
    pub(crate) at: OpenSearch,
    http: reqwest::Client,
}

impl Bed {
    fn new(at: OpenSearch) -> Self {
        law::install_tls();
        let pem = at.ca_file.as_ref().map(|file| {
            std::fs::read_to_string(file).expect("the authority's certificate is readable")
        });
        let mut http = reqwest::Client::builder().no_proxy();
        if let Some(pem) = &pem {
            let authority = reqwest::Certificate::from_pem(pem.as_bytes()).expect("it is PEM");
            http = http.tls_certs_only([authority]);
        }
        Self {
            server: Arc::new(connect(&at, &at.url, at.password.as_deref())),
            http: http.build().expect("a client"),
            at,
        }
    }

    /// The one without and the one with users.
    pub(crate) fn both() -> [Self; 2] {
        let env = Env::load().expect("the test bed is up");
        let plain = env.opensearch().expect("OpenSearch 3 is up");
        let secure = env.opensearch_secure().expect("OpenSearch 2 is up");
        [Self::new(plain), Self::new(secure)]
    }

    /// The provider's way to it.
    pub(crate) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.server)
    }

    /// Does something behind the provider's back.
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.at.url));
        if let Some(user) = &self.at.user {
            request = request.basic_auth(user, self.at.password.as_ref());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the server answers");
        let status = response.status();
        let json: Value = response.json().await.expect("the answer is JSON");
        assert!(status.is_success(), "{path}: {status} {json}");
        json
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(reqwest::Method::GET, path, None).await
    }

    /// Writes behind the provider's back.
    pub(crate) async fn put(&self, path: &str, body: Value) {
        self.ask(reqwest::Method::PUT, path, Some(body)).await;
    }

    /// Changes something behind the provider's back.
    pub(crate) async fn post(&self, path: &str, body: Value) {
        self.ask(reqwest::Method::POST, path, Some(body)).await;
    }

    /// Deletes.
    pub(crate) async fn delete(&self, path: &str) {
        self.ask(reqwest::Method::DELETE, path, None).await;
    }

    /// Law 3 for what is in the cluster's state. Other tests write to the same server: the proof
    /// is a quiet moment, which never comes when this resource writes itself.
    pub(crate) async fn no_write<R: Resource>(&self, make: impl Fn() -> R) {
        let version = async || self.get("/_cluster/state/version").await["version"].clone();
        let quiet = eventually(
            "a look without a write",
            Duration::from_mins(1),
            async || {
                let before = version().await;
                law::unchanged(make()).await;
                let after = version().await;
                if before == after {
                    Attempt::Done(())
                } else {
                    Attempt::NotYet(format!("cluster state {before} became {after}"))
                }
            },
        );
        quiet.await.expect("the server sees no write");
    }
}

/// The provider's way to the same server, by another URL or with another password.
pub(crate) fn connect(at: &OpenSearch, url: &str, password: Option<&str>) -> Server {
    let login = at.user.as_deref().zip(password);
    let login = login.map(|(user, password)| (law::plain(user), law::plain(password)));
    let ca = at.ca_file.as_ref().map(|file| {
        let pem = std::fs::read_to_string(file).expect("the authority's certificate is readable");
        law::plain(&pem)
    });
    Server::new(url, login, ca, law::no_secrets())
}
