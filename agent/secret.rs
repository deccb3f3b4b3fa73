//! Reading a key of a Secret, for whoever needs credentials: a leaf that knows no backend.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::engine::{BoxError, Class};

/// Names one key of one Secret in the namespace of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// The Secret's name.
    pub secret: String,
    /// The key in its data.
    pub key: String,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of Secret {}", self.key, self.secret)
    }
}

/// A value that must not be shown: it has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(String);

impl Sensitive {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// Why a Secret's key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret is not there, yet.
    #[error("Secret {} does not exist", .0.secret)]
    Missing(SecretRef),
    /// The Secret is there and the key is not, yet.
    #[error("Secret {} has no key {}", .0.secret, .0.key)]
    MissingKey(SecretRef),
    /// The value is not text.
    #[error("{0} is not UTF-8 text")]
    NotText(SecretRef),
    /// The place where Secrets are kept did not answer.
    #[error("failed to read {reference}")]
    Unreadable {
        /// What was to be read.
        reference: SecretRef,
        /// What the failure means for the run.
        class: Class,
        /// Why.
        source: BoxError,
    },
}

impl SecretError {
    /// What this failure means for the run: what is missing may still appear.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Missing(_) | Self::MissingKey(_) => Class::Unavailable,
            Self::NotText(_) => Class::Invalid,
            Self::Unreadable { class, .. } => *class,
        }
    }
}

/// What [`Secrets::read`] returns; boxed because providers hold the reader as a trait object.
pub type ReadSecret<'a> = Pin<Box<dyn Future<Output = Result<Sensitive, SecretError>> + Send + 'a>>;

/// Reads keys of Secrets. The Kubernetes provider implements it.
pub trait Secrets: Send + Sync {
    /// Reads one key, anew at each call: a rotated password must be seen.
    fn read<'a>(&'a self, reference: &'a SecretRef) -> ReadSecret<'a>;

    /// What somebody else has written, a server's refusal most of all, without the values that were
    /// read so far: an error is read in logs, traces and reports. Who remembers none hides none.
    fn mask(&self, said: &str) -> String {
        said.to_owned()
    }
}

/// What is no secret and may all the same stand in one, as where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting<T> {
    /// Known already.
    Known(T),
    /// Read from a Secret when it is needed.
    Secret(SecretRef),
}

impl<T> Setting<T> {
    /// The key that it is read from.
    #[must_use]
    pub fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::Known(_) => None,
            Self::Secret(reference) => Some(reference),
        }
    }
}

impl<T> From<T> for Setting<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

/// A credential: either from a Secret or given in the values (for tests and tools, never in a bundle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Read from a Secret when it is needed.
    Secret(SecretRef),
    /// Known already.
    Plain(Sensitive),
}

impl Credential {
    /// The key that it is read from.
    #[must_use]
    pub fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::Secret(reference) => Some(reference),
            Self::Plain(_) => None,
        }
    }

    /// The value, read now.
    ///
    /// # Errors
    /// When the Secret or its key is not there or cannot be read.
    pub async fn resolve(&self, secrets: &Arc<dyn Secrets>) -> Result<Sensitive, SecretError> {
        match self {
            Self::Secret(reference) => secrets.read(reference).await,
            Self::Plain(value) => Ok(value.clone()),
        }
    }
}

/// Where the credential comes from, for hints.
impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(reference) => reference.fmt(f),
            Self::Plain(_) => f.write_str("the values"),
        }
    }
}

/// A user and a password, as they were read.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: Sensitive,
    /// The user's password.
    pub password: Sensitive,
}

impl Login {
    /// Reads both, anew: their Secret may have changed.
    ///
    /// # Errors
    /// See [`Credential::resolve`].
    pub async fn read(
        (user, password): &(Credential, Credential),
        secrets: &Arc<dyn Secrets>,
    ) -> Result<Self, SecretError> {
        let user = user.resolve(secrets).await?;
        let password = password.resolve(secrets).await?;
        Ok(Self { user, password })
    }

    /// What a server says, without this login as a header carries it.
    #[must_use]
    pub fn hide(&self, said: &str) -> String {
        let pair = format!("{}:{}", self.user.expose(), self.password.expose());
        said.replace(&STANDARD.encode(pair), "(sensitive)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_not_told_as_a_header_carries_it() {
        let login = Login {
            user: Sensitive::new("lens"),
            password: Sensitive::new("opensesame"),
        };
        let said = "no access with Basic bGVuczpvcGVuc2VzYW1l from here";
        assert_eq!(
            login.hide(said),
            "no access with Basic (sensitive) from here"
        );
    }
}
