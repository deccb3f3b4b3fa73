//! Where the server is, looked up anew for each connection: an operator may write it late, or anew.

use std::fmt;
use std::sync::PoisonError;

use crate::secret::{SecretRef, Setting};

use super::super::error::Error;
use super::{Server, Settings};

/// Where a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Settings {
    /// Where the server is, if the bundle says so itself.
    fn address(&self) -> Option<Address> {
        match (&self.host, &self.port) {
            (Setting::Known(host), Setting::Known(port)) => Some(Address {
                host: host.clone(),
                port: *port,
            }),
            _ => None,
        }
    }
}

impl Server {
    /// `host:port`, as it is known: of a server that stands in a Secret, where it was found last.
    #[must_use]
    pub fn address(&self) -> String {
        let known = self.settings().address();
        let known = known.or_else(|| self.last_found().clone());
        known.map_or_else(|| "Postgres".to_owned(), |address| address.to_string())
    }

    /// Where the server is now.
    pub(super) async fn find(&self) -> Result<Address, Error> {
        let settings = self.settings();
        if let Some(address) = settings.address() {
            return Ok(address);
        }
        let host = match &settings.host {
            Setting::Known(host) => host.clone(),
            Setting::Secret(from) => {
                let text = self.place("the host", from).await?;
                is_host(&text).then_some(text).ok_or(Error::Place {
                    from: from.to_string(),
                    wanted: "the name or the address of a host",
                })?
            }
        };
        let port = match &settings.port {
            Setting::Known(port) => *port,
            Setting::Secret(from) => {
                let text = self.place("the port", from).await?;
                let port = text.parse().ok().filter(|port| *port != 0);
                port.ok_or(Error::Place {
                    from: from.to_string(),
                    wanted: "the number of a port",
                })?
            }
        };
        let address = Address { host, port };
        let before = self.last_found().replace(address.clone());
        if before.is_some_and(|before| before != address) {
            // What is open leads to where the server was.
            self.forget_idle();
        }
        Ok(address)
    }

    /// The text of a key, without the end of a line that whoever wrote it from a file has left.
    async fn place(&self, what: &'static str, from: &SecretRef) -> Result<String, Error> {
        let text = self.shared.secrets.read(from).await;
        let text = text.map_err(|source| Error::Secret {
            what,
            server: self.address(),
            source,
        })?;
        Ok(text.expose().trim().to_owned())
    }

    /// Whether it is there, as far as is known.
    pub(super) fn is_at(&self, address: &Address) -> bool {
        self.last_found().as_ref().is_none_or(|now| now == address)
    }

    fn last_found(&self) -> std::sync::MutexGuard<'_, Option<Address>> {
        let found = self.shared.found.lock();
        found.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text can be one host. The driver would take a path for that of a socket.
fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_host_is_a_name_or_an_address_alone() {
        for host in ["lens-primary.lens.svc", "10.0.0.1", "fd00::1", "my_host"] {
            assert!(is_host(host), "{host}");
        }
        for other in ["", "/run/postgresql", "a,b", "postgres://a", "a b", "p@ss"] {
            assert!(!is_host(other), "{other}");
        }
    }
}
