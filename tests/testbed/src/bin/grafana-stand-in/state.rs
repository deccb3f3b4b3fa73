//! What the stand-in keeps, in memory and only while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::auth::User;
use crate::dashboards::Dashboard;
use crate::datasources::Datasource;
use crate::errors::Refusal;
use crate::folders::Folder;

/// The one state that all handlers share.
#[derive(Clone, Default)]
pub(crate) struct App(Arc<Mutex<Store>>);

impl App {
    /// Locks the store. No handler waits for anything while it holds this.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that was written to this server.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) users: Vec<User>,
    pub(crate) folders: Vec<Folder>,
    pub(crate) dashboards: Vec<Dashboard>,
    pub(crate) datasources: Vec<Datasource>,
    last_id: i64,
}

impl Store {
    /// The next number. One row of numbers serves all tables: ids only have to differ.
    pub(crate) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

/// The body of a POST or PUT, read as Grafana reads one.
pub(crate) struct Posted(Option<Bytes>);

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let json = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                let essence = value.split(';').next().unwrap_or_default().trim();
                essence.eq_ignore_ascii_case("application/json")
            });
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|_| Refusal::bad_request())?;
        Ok(Self(json.then_some(bytes)))
    }
}

impl Posted {
    /// Reads the first JSON value: keys match in any case (so `T` names them in lower case),
    /// null is as good as absent, and what follows the value is not looked at.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let bytes = self.0.as_ref().ok_or_else(Refusal::bad_request)?;
        let first = serde_json::Deserializer::from_slice(bytes)
            .into_iter::<Value>()
            .next();
        let object = match first {
            Some(Ok(Value::Object(object))) => object,
            Some(Ok(Value::Null)) => Map::new(),
            _ => return Err(Refusal::bad_request()),
        };
        let folded = object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.to_lowercase(), value))
            .collect();
        serde_json::from_value(Value::Object(folded)).map_err(|_| Refusal::bad_request())
    }
}

/// The time as Grafana writes it into folders.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// A number that no earlier call of this process gave.
fn fresh() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let start = elapsed.as_secs().wrapping_mul(1_000_000);
    start.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A uid for what was posted without one: a letter, then letters and digits.
pub(crate) fn new_uid() -> String {
    let mut number = fresh();
    let mut uid = String::from("s");
    while number > 0 {
        uid.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
    }
    uid
}

/// As many digits as asked for, other ones each time.
pub(crate) fn digits(count: usize) -> String {
    let text = format!("{:020}", fresh());
    text[text.len().saturating_sub(count)..].to_owned()
}

/// Says what is wrong with a uid of a folder or dashboard.
pub(crate) fn uid_mistake(uid: &str) -> Option<&'static str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if uid.len() > 40 {
        Some("uid too long, max 40 characters")
    } else if !uid.bytes().all(legal) {
        Some("uid contains illegal characters")
    } else {
        None
    }
}

/// The title as it stands in a URL. The rules for other than ASCII letters were read off recorded
/// answers; titles over 50 characters, which the real server hashes, are kept as they are.
pub(crate) fn slug(title: &str) -> String {
    let mut words = String::new();
    for letter in title.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => words.push(letter),
            'ä' | 'à' | 'á' | 'â' => words.push('a'),
            'ö' | 'ò' | 'ó' | 'ô' => words.push('o'),
            'ü' | 'ù' | 'ú' | 'û' => words.push('u'),
            'é' | 'è' | 'ê' | 'ë' => words.push('e'),
            'ß' => words.push_str("ss"),
            '&' => words.push_str("and"),
            '%' => {}
            ' ' | '-' | '_' | '/' | '.' | ',' => words.push('-'),
            _ if letter.is_ascii() => words.push_str(&hex(letter)),
            _ => words.extend(["-", &hex(letter), "-"]),
        }
    }
    let parts: Vec<&str> = words.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

fn hex(letter: char) -> String {
    let nibbles = letter
        .to_string()
        .into_bytes()
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}
