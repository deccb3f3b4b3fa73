//! Whether the API server takes the very objects that the bundle is going to write.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::super::document::Document;
use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error};

/// So many objects are tried at once.
const AT_ONCE: usize = 8;

/// The documents of kinds that one of the definitions defines.
pub(super) fn of_kinds<'a>(documents: &'a [Document], definition: &Live) -> Vec<&'a Document> {
    let group = definition.text("/spec/group");
    let kind = definition.text("/spec/names/kind");
    let is_of = |document: &&Document| {
        let api_version = document.api_version.as_str();
        let (own, _) = api_version.split_once('/').unwrap_or_default();
        own == group && document.kind == kind
    };
    documents.iter().filter(is_of).collect()
}

/// Tries each of them: a dry run passes admission as the real write will.
///
/// # Errors
/// What a webhook denies ends the gate with its own words; one that does not answer yet is
/// transient.
pub(super) async fn rehearse(client: &Client, documents: &[&Document]) -> Result<(), Error> {
    let tries: Vec<_> = documents
        .iter()
        .map(|it| rehearse_one(client, it))
        .collect();
    stream::iter(tries)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn rehearse_one(client: &Client, document: &Document) -> Result<(), Error> {
    let kind = client.kind(&document.api_version, &document.kind).await?;
    let Some(kind) = kind else {
        return Err(Error::NotServed {
            api_version: document.api_version.clone(),
            kind: document.kind.clone(),
        });
    };
    let namespace = document.namespace.as_deref().unwrap_or(client.namespace());
    let target = Target::new(kind, namespace, &document.name);
    let content: &Value = &document.content;
    match client.apply(&target, content, true, true).await {
        // A namespace that a later step makes; a field that this step may not change. The step
        // itself says so better.
        Ok(_) | Err(Error::NotFound { .. } | Error::Immutable { .. } | Error::Owned { .. }) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
