//! The format of the recorded exchanges, and how one is sent and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use axum::http::header::CONTENT_TYPE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, Url};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::Outcome;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(rename = "scenario")]
    pub(crate) name: String,
    pub(crate) exchanges: Vec<Exchange>,
    #[serde(rename = "title")]
    _title: IgnoredAny,
    #[serde(rename = "server")]
    _server: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    request: Request,
    response: Answer,
    #[serde(default)]
    volatile: BTreeSet<String>,
    #[serde(default)]
    same: BTreeMap<String, String>,
    #[serde(default)]
    sort: BTreeMap<String, String>,
    #[serde(default)]
    compare: Compare,
    #[serde(rename = "note", default)]
    _note: IgnoredAny,
    #[serde(rename = "tags", default)]
    _tags: IgnoredAny,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compare {
    #[default]
    Exact,
    Subset,
    Contains,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    method: String,
    path: Value,
    #[serde(default)]
    query: BTreeMap<String, Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    auth: String,
    #[serde(default, deserialize_with = "present")]
    body: Option<Value>,
    body_text: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A body of null is a body.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(input).map(Some)
}

pub(crate) fn scenarios() -> Outcome<Vec<Scenario>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana-contract");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    let read = |file: &PathBuf| {
        let parsed = serde_json::from_str(&std::fs::read_to_string(file)?);
        Ok(parsed.map_err(|error| format!("{}: {error}", file.display()))?)
    };
    files.iter().map(read).collect()
}

/// Plays one scenario: requests may hold values of earlier answers.
pub(crate) struct Player<'a> {
    pub(crate) client: &'a Client,
    pub(crate) base: &'a str,
    pub(crate) prometheus: &'a str,
    pub(crate) bodies: BTreeMap<String, Value>,
}

impl Player<'_> {
    fn lookup(&self, reference: &str) -> Result<&Value, String> {
        let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let body = self
            .bodies
            .get(name)
            .ok_or_else(|| format!("there is no answer {name}"))?;
        body.pointer(pointer)
            .ok_or_else(|| format!("{reference} is not in that answer"))
    }

    fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Value::Object(fields) if fields.len() == 1 => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    self.lookup(reference).cloned()
                } else if fields.get("$env") == Some(&json!("FAKE_PROMETHEUS")) {
                    Ok(json!(self.prometheus))
                } else if let Some([Value::String(text), count]) = fields
                    .get("$repeat")
                    .and_then(Value::as_array)
                    .map(Vec::as_slice)
                {
                    let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
                    Ok(json!(text.repeat(count.ok_or("$repeat needs a count")?)))
                } else {
                    self.resolve_fields(fields)
                }
            }
            Value::Object(fields) => self.resolve_fields(fields),
            plain => Ok(plain.clone()),
        }
    }

    fn resolve_fields(&self, fields: &serde_json::Map<String, Value>) -> Result<Value, String> {
        let resolved = fields
            .iter()
            .map(|(key, value)| Ok((key.clone(), self.resolve(value)?)));
        resolved.collect::<Result<_, String>>().map(Value::Object)
    }

    fn texts(&self, value: &Value) -> Result<Vec<String>, String> {
        let plain = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        Ok(match self.resolve(value)? {
            Value::Array(items) => items.iter().map(plain).collect(),
            single => vec![plain(&single)],
        })
    }

    fn authorization(&self, auth: &str) -> Result<Option<String>, String> {
        let basic = |pair: &str| Ok(Some(format!("Basic {}", STANDARD.encode(pair))));
        match auth {
            "none" => Ok(None),
            "admin" => basic("admin:admin"),
            "viewer" => basic("viewer:viewer-pass"),
            "bad" => basic("admin:wrong-password"),
            _ => match auth.split_once(':') {
                Some(("basic", pair)) => basic(pair),
                Some(("token", token)) if token.contains("#/") => Ok(Some(format!(
                    "Bearer {}",
                    self.texts(self.lookup(token)?)?.concat()
                ))),
                Some(("token", token)) => Ok(Some(format!("Bearer {token}"))),
                _ => Err(format!("auth {auth} is unknown")),
            },
        }
    }

    async fn send(&self, request: &Request) -> Outcome<(u16, BTreeMap<String, String>, Value)> {
        let path = self.texts(&request.path)?.concat();
        let mut url = Url::parse(&format!("{}{path}", self.base))?;
        for (key, value) in &request.query {
            for text in self.texts(value)? {
                url.query_pairs_mut().append_pair(key, &text);
            }
        }
        let mut sent = self
            .client
            .request(Method::from_bytes(request.method.as_bytes())?, url);
        for (name, value) in &request.headers {
            sent = sent.header(name, value);
        }
        if let Some(authorization) = self.authorization(&request.auth)? {
            sent = sent.header("authorization", authorization);
        }
        if let Some(text) = &request.body_text {
            sent = sent.body(text.clone());
        } else if let Some(body) = &request.body {
            let sent_json = request
                .headers
                .keys()
                .any(|name| name.eq_ignore_ascii_case("content-type"));
            sent = if sent_json {
                sent
            } else {
                sent.header(CONTENT_TYPE, "application/json")
            };
            sent = sent.body(self.resolve(body)?.to_string());
        }
        let got = sent.send().await?;
        let status = got.status().as_u16();
        let header = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or("").to_owned();
        let headers: BTreeMap<String, String> = got
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), header(value)))
            .collect();
        let json = headers
            .get("content-type")
            .is_some_and(|kind| kind.contains("json"));
        let text = got.text().await?;
        let parsed = serde_json::from_str(&text)
            .ok()
            .filter(|_| json && !text.is_empty());
        Ok((status, headers, parsed.unwrap_or(Value::String(text))))
    }

    /// Sends one request and lists how the answer differs from the recorded one.
    pub(crate) async fn play(&mut self, exchange: &Exchange) -> Vec<String> {
        let (status, headers, mut body) = match self.send(&exchange.request).await {
            Ok(got) => got,
            Err(error) => return vec![error.to_string()],
        };
        for (pointer, key) in &exchange.sort {
            if let Some(list) = body.pointer_mut(pointer).and_then(Value::as_array_mut) {
                list.sort_by_key(|member| member.get(key).map(Value::to_string));
            }
        }
        let want = &exchange.response;
        let mut found = Vec::new();
        if status != want.status {
            found.push(format!("status {status}, want {}", want.status));
        }
        let loose = |text: &str| text.replace(' ', "").to_lowercase();
        for (name, value) in &want.headers {
            let got = headers.get(&name.to_lowercase()).map_or("", String::as_str);
            if loose(got) != loose(value) {
                found.push(format!("header {name}: got {got}, want {value}"));
            }
        }
        if exchange.compare == Compare::Contains {
            let text = body.as_str().unwrap_or_default();
            let wanted = want
                .body
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            found.extend(
                wanted
                    .filter(|it| !text.contains(it))
                    .map(|it| format!("no {it} in it")),
            );
        } else {
            differences(exchange, &want.body, &body, "", &mut found);
        }
        self.bodies.insert(exchange.name.clone(), body.clone());
        for (pointer, reference) in &exchange.same {
            match self.lookup(reference) {
                Ok(value) if body.pointer(pointer) == Some(value) => {}
                Ok(value) => found.push(format!("{pointer}: want {value}, as in {reference}")),
                Err(why) => found.push(format!("{pointer}: {why}")),
            }
        }
        found
    }
}

fn differences(exchange: &Exchange, want: &Value, got: &Value, at: &str, found: &mut Vec<String>) {
    if std::mem::discriminant(want) != std::mem::discriminant(got) {
        return found.push(format!("{at}: got {got}, want {want}"));
    }
    if exchange.volatile.contains(at) {
        return;
    }
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (key, value) in want {
                match got.get(key) {
                    Some(got) => differences(exchange, value, got, &below(key), found),
                    None => found.push(format!("{}: missing, want {value}", below(key))),
                }
            }
            let extra = got.iter().filter(|(key, _)| !want.contains_key(*key));
            let extra = extra.filter(|_| exchange.compare == Compare::Exact);
            found.extend(extra.map(|(key, value)| format!("{}: {value} is extra", below(key))));
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (place, (want, got)) in want.iter().zip(got).enumerate() {
                differences(exchange, want, got, &below(&place.to_string()), found);
            }
        }
        (Value::Number(want), Value::Number(got)) if want.as_f64() == got.as_f64() => {}
        _ if want == got => {}
        _ => found.push(format!("{at}: got {got}, want {want}")),
    }
}
