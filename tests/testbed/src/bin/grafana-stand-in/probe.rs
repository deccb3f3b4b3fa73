//! Asks a data source whether it is there, over the network, as its plugin in Grafana would.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio_postgres::NoTls;

use crate::datasources::Datasource;

/// What the source said, in words: good or bad.
pub(crate) type Verdict = Result<String, String>;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asks one source; `None` where this program does not know how to ask such a one.
pub(crate) async fn ask(source: &Datasource) -> Option<Verdict> {
    let verdict = match source.kind.as_str() {
        "prometheus" => prometheus(source).await,
        "grafana-postgresql-datasource" => postgres(source).await,
        "elasticsearch" => root(source, "Elasticsearch").await,
        "grafana-opensearch-datasource" => root(source, "OpenSearch").await,
        "jaeger" => jaeger(source).await,
        _ => return None,
    };
    Some(verdict)
}

#[derive(Deserialize)]
struct Answered {
    status: String,
}

async fn prometheus(source: &Datasource) -> Verdict {
    let get = source
        .option("httpMethod")
        .is_some_and(|it| it.eq_ignore_ascii_case("get"));
    let sent = if get {
        send(source, Method::GET, "/api/v1/query?query=1%2B1", None).await
    } else {
        send(source, Method::POST, "/api/v1/query", Some("query=1%2B1")).await
    };
    let failed =
        |why: String| format!("{why} - There was an error returned querying the Prometheus API.");
    let bytes = read(sent.map_err(failed)?).await.map_err(failed)?;
    match serde_json::from_slice::<Answered>(&bytes) {
        Ok(answered) if answered.status == "success" => {
            Ok("Successfully queried the Prometheus API.".to_owned())
        }
        Ok(answered) => Err(failed(format!(
            "the answer says status {}",
            answered.status
        ))),
        Err(error) => Err(failed(format!(
            "the answer is not one of Prometheus: {error}"
        ))),
    }
}

async fn root(source: &Datasource, name: &str) -> Verdict {
    read(send(source, Method::GET, "/", None).await?).await?;
    Ok(format!("{name} data source is healthy."))
}

/// An older Jaeger answers an unknown path with its web page: only JSON counts as an answer.
async fn jaeger(source: &Datasource) -> Verdict {
    let mut why = String::new();
    for path in ["/api/v3/services", "/api/services"] {
        let bytes = match read(send(source, Method::GET, path, None).await?).await {
            Ok(bytes) => bytes,
            Err(refused) => {
                why = refused;
                continue;
            }
        };
        match serde_json::from_slice::<IgnoredAny>(&bytes) {
            Ok(_) => return Ok("Data source is working".to_owned()),
            Err(error) => why = format!("the answer to {path} is not JSON: {error}"),
        }
    }
    Err(why)
}

async fn send(
    source: &Datasource,
    method: Method,
    path: &str,
    form: Option<&'static str>,
) -> Result<Response, String> {
    let url = format!("{}{path}", source.url.trim_end_matches('/'));
    let client = client(source).map_err(|error| {
        let why = cause(&error);
        format!(
            "no TLS for {url}: {why}; set jsonData.tlsAuthWithCACert and secureJsonData.tlsCACert"
        )
    })?;
    let mut request = client
        .request(method.clone(), &url)
        .headers(headers(source)?);
    if source.basic_auth {
        let password = source.secrets.get("basicAuthPassword");
        request = request.basic_auth(&source.basic_auth_user, password);
    }
    if let Some(form) = form {
        request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
    }
    request.send().await.map_err(|error| {
        let verb = if method == Method::POST {
            "Post"
        } else {
            "Get"
        };
        format!("{verb} \"{url}\": {}{}", dialled(&error), cause(&error))
    })
}

/// Where no connection came about, with whom not.
fn dialled(error: &reqwest::Error) -> String {
    let url = error.url().filter(|_| error.is_connect());
    let peer = url.and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    peer.map(|(host, port)| format!("dial tcp {host}:{port}: "))
        .unwrap_or_default()
}

/// Without TLS no certificates are loaded: the image this runs in has none.
fn client(source: &Datasource) -> Result<Client, reqwest::Error> {
    let flag = |key: &str| source.json_data.get(key).is_some_and(|value| value == true);
    let mut builder = Client::builder().timeout(PATIENCE).no_proxy();
    if let Some(pem) = source
        .secrets
        .get("tlsCACert")
        .filter(|_| flag("tlsAuthWithCACert"))
    {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?);
    } else if flag("tlsSkipVerify") {
        builder = builder
            .tls_certs_only([])
            .tls_danger_accept_invalid_certs(true);
    } else if !source.url.starts_with("https:") {
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// Pairs of `jsonData.httpHeaderName1` and `secureJsonData.httpHeaderValue1`, as in Grafana.
fn headers(source: &Datasource) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (key, secret) in &source.secrets {
        let Some(number) = key.strip_prefix("httpHeaderValue") else {
            continue;
        };
        let Some(name) = source.option(&format!("httpHeaderName{number}")) else {
            continue;
        };
        let parsed = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(secret),
        );
        let (Ok(name), Ok(value)) = parsed else {
            return Err(format!(
                "header {number} of the data source is not a valid HTTP header"
            ));
        };
        headers.insert(name, value);
    }
    Ok(headers)
}

async fn read(response: Response) -> Result<Vec<u8>, String> {
    let status = response.status();
    let url = response.url().clone();
    let bytes = response.bytes().await.map_err(|error| cause(&error))?;
    if status.is_success() {
        Ok(bytes.into())
    } else {
        Err(format!("{url} answered {status}"))
    }
}

async fn postgres(source: &Datasource) -> Verdict {
    let mode = source.option("sslmode").unwrap_or("disable");
    if !["disable", "allow", "prefer"].contains(&mode) {
        let why = "this stand-in for Grafana does not speak TLS to PostgreSQL";
        return Err(format!(
            "sslmode {mode} is unsupported: {why}; set jsonData.sslmode to disable"
        ));
    }
    let address = source.url.rsplit("://").next().unwrap_or_default();
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
    let port = port
        .parse()
        .map_err(|_| format!("{port} is not a port, in url {}", source.url))?;
    let named = source
        .option("database")
        .filter(|_| source.database.is_empty());
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port).user(&source.user);
    config.dbname(named.unwrap_or(&source.database));
    config.password(source.secrets.get("password").map_or("", String::as_str));
    let asked = tokio::time::timeout(PATIENCE, select_one(&config)).await;
    let answered = asked.map_err(|_| format!("{address} gave no answer in {PATIENCE:?}"))?;
    answered.map_err(|error| format!("{error}: {}", cause(&error)))?;
    Ok("Database Connection OK".to_owned())
}

async fn select_one(config: &tokio_postgres::Config) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    let asking = async move {
        let answered = client.simple_query("SELECT 1").await;
        drop(client);
        answered.map(drop)
    };
    let (answered, served) = tokio::join!(asking, connection);
    answered.and(served)
}

/// The innermost cause; a refused connection in the words of the real server.
fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connect: connection refused".to_owned(),
        _ => innermost.to_string(),
    }
}
