//! What a write of a document would change of an object.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::fingerprint::Fingerprint;
use super::kind::Target;
use super::live::Live;
use super::{Client, Error, fields};
use crate::engine::FieldChange;

/// Compares here what can be compared here, and asks the server only if it must.
#[derive(Default)]
pub(super) struct Comparison {
    /// The state in which the server last said that a write would change nothing of ours.
    equal: Mutex<Option<Fingerprint>>,
}

/// A write that is considered.
pub(super) struct Write<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) content: &'a Value,
    pub(super) force: bool,
}

impl Comparison {
    /// The fields of ours that it would change.
    pub(super) async fn changes(
        &self,
        write: &Write<'_>,
        live: &Live,
    ) -> Result<Vec<FieldChange>, Error> {
        let Write {
            client,
            target,
            content,
            force,
        } = *write;
        let now = Fingerprint::of(live, content);
        let known = {
            let equal = self.equal.lock().unwrap_or_else(PoisonError::into_inner);
            equal.as_ref() == Some(&now)
        };
        if known || fields::surely_same(content, live.value()) {
            return Ok(Vec::new());
        }
        let would_be = client.apply(target, content, force, true).await?;
        let changes = fields::changes(live.value(), would_be.value());
        if changes.is_empty() {
            *self.equal.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        Ok(changes)
    }
}
