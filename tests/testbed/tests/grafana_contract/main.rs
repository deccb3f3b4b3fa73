//! Replays recorded exchanges of a real Grafana against the stand-in, or against the server that
//! `GRAFANA_URL` names; and shows that the stand-in really asks its data sources.

mod replay;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Stdio;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::any;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::replay::{Player, Scenario, scenarios};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The server under test; the stand-in ends with this value.
struct Server {
    url: String,
    _process: Option<Child>,
}

impl Server {
    async fn start(password: &str) -> Outcome<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_grafana-stand-in"))
            .envs([
                ("GF_SERVER_HTTP_ADDR", "127.0.0.1"),
                ("GF_SERVER_HTTP_PORT", "0"),
            ])
            .envs([
                ("GF_SECURITY_ADMIN_USER", "admin"),
                ("GF_SECURITY_ADMIN_PASSWORD", password),
            ])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("the stand-in has no stdout")?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .unwrap_or_default();
        let address = line.strip_prefix("listening on ");
        let address = address.ok_or_else(|| format!("the stand-in did not start: {line}"))?;
        Ok(Self {
            url: format!("http://{address}"),
            _process: Some(process),
        })
    }

    async fn named_or_started() -> Outcome<Self> {
        match std::env::var("GRAFANA_URL") {
            Ok(url) => Ok(Self {
                url: url.trim_end_matches('/').to_owned(),
                _process: None,
            }),
            Err(_) => Self::start("admin").await,
        }
    }
}

/// Serves one text for each path, and 404 for all others, until the test ends.
async fn serve(answers: &'static [(&'static str, &'static str)]) -> Outcome<String> {
    let mut router = Router::new();
    for (path, answer) in answers {
        let kind = if answer.starts_with('{') {
            "application/json"
        } else {
            "text/html"
        };
        router = router.route(path, any(async move || ([(CONTENT_TYPE, kind)], *answer)));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

const PROMETHEUS: &[(&str, &str)] = &[
    (
        "/api/v1/query",
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#,
    ),
    (
        "/api/v1/status/buildinfo",
        r#"{"status":"success","data":{"version":"2.50.0"}}"#,
    ),
];

fn client() -> Outcome<Client> {
    // Fails only where another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    Ok(builder.build()?)
}

#[tokio::test]
async fn answers_as_recorded() -> Outcome<()> {
    let (client, server) = (client()?, Server::named_or_started().await?);
    let prometheus = serve(PROMETHEUS).await?;
    let viewer = json!({
        "name": "Viewer", "login": "viewer", "email": "viewer@example.test",
        "password": "viewer-pass", "OrgId": 1
    });
    let made = post(&client, &server.url, "/api/admin/users", &viewer)
        .await?
        .0;
    assert!(
        [200, 412].contains(&made),
        "the user viewer could not be made: status {made}"
    );
    let (mut passed, mut failures) = (0, Vec::new());
    for Scenario {
        name, exchanges, ..
    } in scenarios()?
    {
        let (base, prometheus) = (server.url.as_str(), prometheus.as_str());
        let mut player = Player {
            client: &client,
            base,
            prometheus,
            bodies: BTreeMap::new(),
        };
        for exchange in &exchanges {
            let found = player.play(exchange).await;
            if found.is_empty() {
                passed += 1;
            } else {
                failures.push(format!(
                    "{name}/{}\n    {}",
                    exchange.name,
                    found.join("\n    ")
                ));
            }
        }
    }
    let all = passed + failures.len();
    println!(
        "{passed} of {all} recorded exchanges passed against {}, none skipped",
        server.url
    );
    assert!(
        all > 0,
        "there are no recorded exchanges in tests/testbed/grafana-contract"
    );
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    Ok(())
}

async fn post(client: &Client, base: &str, path: &str, body: &Value) -> Outcome<(u16, String)> {
    let sent = client
        .post(format!("{base}{path}"))
        .basic_auth("admin", Some("admin"))
        .json(body);
    let got = sent.send().await?;
    Ok((got.status().as_u16(), got.text().await?))
}

const OPENSEARCH: &[(&str, &str)] = &[("/", r#"{"version":{"distribution":"opensearch"}}"#)];
const JAEGER: &[(&str, &str)] = &[("/api/v3/services", r#"{"services":["agent"]}"#)];
/// Before the v3 API any unknown path was answered with the web page.
const OLD_JAEGER: &[(&str, &str)] = &[
    ("/api/v3/services", "<html>Jaeger</html>"),
    ("/api/services", r#"{"data":["agent"]}"#),
];
const WEB_PAGE: &[(&str, &str)] = &[("/api/v1/query", "<html>"), ("/api/v3/services", "<html>")];

/// A data source, and what its health must say.
struct Case {
    kind: &'static str,
    url: String,
    options: Value,
    status: &'static str,
    words: &'static str,
}

fn case(kind: &'static str, url: &str, status: &'static str, words: &'static str) -> Case {
    Case {
        kind,
        url: url.to_owned(),
        options: json!({}),
        status,
        words,
    }
}

async fn cases() -> Outcome<Vec<Case>> {
    let (dead, page, refused) = (
        "http://127.0.0.1:1",
        serve(WEB_PAGE).await?,
        "connection refused",
    );
    let with = |options: Value, case: Case| Case { options, ..case };
    let (get, tls) = (
        json!({"httpMethod": "GET"}),
        json!({"sslmode": "verify-full"}),
    );
    Ok(vec![
        with(
            get,
            case("prometheus", &serve(PROMETHEUS).await?, "OK", "queried"),
        ),
        case("prometheus", &page, "ERROR", "not one of Prometheus"),
        case(
            "grafana-opensearch-datasource",
            &serve(OPENSEARCH).await?,
            "OK",
            "healthy",
        ),
        case("elasticsearch", dead, "ERROR", refused),
        case("jaeger", &serve(JAEGER).await?, "OK", "working"),
        case("jaeger", &serve(OLD_JAEGER).await?, "OK", "working"),
        case("jaeger", &page, "ERROR", "404"),
        case("jaeger", dead, "ERROR", refused),
        case("postgres", "127.0.0.1:1", "ERROR", refused),
        with(
            tls,
            case(
                "postgres",
                "127.0.0.1:1",
                "ERROR",
                "verify-full is unsupported",
            ),
        ),
    ])
}

#[tokio::test]
async fn data_sources_are_really_asked() -> Outcome<()> {
    let (client, server) = (client()?, Server::start("admin").await?);
    for (number, case) in cases().await?.into_iter().enumerate() {
        let (name, uid) = (
            format!("<{}> {number}", case.kind),
            format!("source-{number}"),
        );
        let body = json!({
            "name": name, "uid": uid, "type": case.kind, "access": "proxy", "url": case.url,
            "jsonData": case.options
        });
        let (made, said) = post(&client, &server.url, "/api/datasources", &body).await?;
        assert_eq!(made, 200, "{said}");
        let path = format!("{}/api/datasources/uid/{uid}/health", server.url);
        let got = client
            .get(path)
            .basic_auth("admin", Some("admin"))
            .send()
            .await?;
        assert_eq!(got.status().is_success(), case.status == "OK", "{name}");
        let verdict: Value = serde_json::from_str(&got.text().await?)?;
        let message = verdict["message"].as_str().unwrap_or_default();
        let right = verdict["status"] == case.status && message.contains(case.words);
        assert!(right, "{name}: {verdict}");
    }
    let home = client
        .get(format!("{}/", server.url))
        .send()
        .await?
        .text()
        .await?;
    assert!(
        home.contains("This is a stand-in for Grafana used in tests and the demo"),
        "{home}"
    );
    assert!(
        home.contains("&lt;jaeger&gt; 7") && !home.contains("<jaeger>"),
        "{home}"
    );
    Ok(())
}

#[tokio::test]
async fn the_password_comes_from_the_environment() -> Outcome<()> {
    let (client, server) = (client()?, Server::start("first light").await?);
    for (password, status) in [("admin", 401), ("first light", 200)] {
        let asked = client.get(format!("{}/api/org", server.url));
        let got = asked.basic_auth("admin", Some(password)).send().await?;
        assert_eq!(got.status(), status, "with password {password}");
    }
    Ok(())
}
