//! The record of the last run, kept in a `ConfigMap` for `firstlight status`.

use serde_json::json;

use super::fence::{Fence, State};
use super::{Client, Error, MANAGER};

const KEY: &str = "record.json";

/// Where the record of one bundle's runs is kept: `firstlight-BUNDLE`, a `ConfigMap`.
pub struct RunRecord(State);

impl RunRecord {
    /// The longest record, in bytes: a `ConfigMap` holds at most 1 MiB with its other fields.
    pub const LIMIT: usize = 900 * 1024;

    /// The record of a bundle in the client's namespace.
    #[must_use]
    pub fn new(client: Client, bundle: &str) -> Self {
        Self(State::new(client, &format!("{MANAGER}-{bundle}")))
    }

    /// Replaces the record, as the holder of the lock. Costs one request if it was read before.
    ///
    /// # Errors
    /// When it is too large, when a later holder of the lock has written one, or when the API
    /// server does not take it. [`Error::Conflict`] where somebody has edited it since it was read,
    /// who is overruled when it is written again.
    pub async fn write(&self, record: &str, fence: Fence) -> Result<(), Error> {
        if record.len() > Self::LIMIT {
            return Err(Error::TooLarge {
                bytes: record.len(),
                limit: Self::LIMIT,
            });
        }
        let fields = json!({ "data": { KEY: record } });
        self.0.write(fence, |_| fields).await
    }

    /// Takes the record away.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn remove(&self) -> Result<(), Error> {
        self.0.remove().await
    }

    /// The record; none if no run has left one.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn read(&self) -> Result<Option<String>, Error> {
        let found = self.0.read().await?;
        let record = found.as_ref().map(|found| found.texts("/data"));
        Ok(record.and_then(|data| data.get(KEY).map(|text| (*text).to_owned())))
    }
}
