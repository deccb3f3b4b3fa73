//! A server for table tests, which ask nothing.

use std::sync::Arc;

use super::Server;
use crate::secret::{ReadSecret, SecretError, SecretRef, Secrets};

struct NoSecrets;

impl Secrets for NoSecrets {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a> {
        Box::pin(async { Err(SecretError::Missing(reference.clone())) })
    }
}

/// A server that is never asked.
pub(super) fn nowhere() -> Arc<Server> {
    Arc::new(Server::new(
        "http://nowhere",
        None,
        None,
        Arc::new(NoSecrets),
    ))
}
