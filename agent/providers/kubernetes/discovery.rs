//! Which kinds the API server serves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;

use super::Error;
use super::client::Connection;
use super::flight::Flight;
use super::kind::{Kind, ServedKinds};
use super::request::Request;

/// The kinds, by API version. What is served is known from then on; what is not is asked anew
/// each time, because it may be served now.
#[derive(Default)]
pub(super) struct Discovery(Mutex<HashMap<String, Arc<Version>>>);

/// One API version.
#[derive(Default)]
struct Version {
    /// Never forgets: a kind that is gone answers 404, which is an answer too.
    kinds: Mutex<Arc<[Kind]>>,
    asking: Flight<Arc<[Kind]>>,
}

impl Discovery {
    /// How a kind is served; none if it is not, yet.
    pub(super) async fn kind(
        &self,
        connection: &Connection,
        api_version: &str,
        name: &str,
    ) -> Result<Option<Kind>, Error> {
        if let Some(kind) = Kind::everywhere(api_version, name) {
            return Ok(Some(kind));
        }
        let version = self.version(api_version);
        if let Some(kind) = find(&version.known(), name) {
            return Ok(Some(kind));
        }
        let ask = || ask(connection.clone(), Request::kinds(api_version)).boxed();
        let kinds = version.asking.join(ask).await?;
        let found = find(&kinds, name);
        *version.kinds.lock().unwrap_or_else(PoisonError::into_inner) = kinds;
        Ok(found)
    }

    fn version(&self, api_version: &str) -> Arc<Version> {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = versions.get(api_version) {
            return Arc::clone(version);
        }
        Arc::clone(versions.entry(api_version.to_owned()).or_default())
    }
}

impl Version {
    fn known(&self) -> Arc<[Kind]> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&kinds)
    }
}

async fn ask(connection: Connection, request: Request) -> Result<Arc<[Kind]>, Error> {
    let subject = request.to_string();
    match connection.send(request).await {
        Ok(answer) => {
            let served: ServedKinds =
                serde_json::from_value(answer).map_err(|source| Error::Unreadable {
                    request: subject,
                    source: source.into(),
                })?;
            Ok(served.into_kinds().into())
        }
        Err(Error::NotFound { .. }) => Ok(Arc::default()),
        Err(error) => Err(error),
    }
}

fn find(kinds: &[Kind], name: &str) -> Option<Kind> {
    kinds.iter().find(|kind| kind.name == name).cloned()
}
