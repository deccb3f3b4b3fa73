//! What the servers of a bundle are logged in to with.

use crate::bundle::{HttpServer, PostgresTls, Servers};
use crate::secret::{Credential, SecretRef};

/// The keys of Secrets that a server is found and logged in to with.
pub(super) fn credentials<'a>(servers: &'a Servers, server: &str) -> Vec<&'a SecretRef> {
    let of_http = |server: Option<&'a HttpServer>| {
        let login = server.and_then(|server| server.login.as_ref());
        let login = login.into_iter().flat_map(|(user, word)| [user, word]);
        login
            .chain(server.and_then(|server| server.ca.as_ref()))
            .filter_map(Credential::reference)
            .collect()
    };
    match server {
        "opensearch" => of_http(servers.opensearch.as_ref()),
        "grafana" => of_http(servers.grafana.as_ref()),
        _ => {
            let Some(postgres) = &servers.postgres else {
                return Vec::new();
            };
            let ca = match &postgres.tls {
                PostgresTls::Disable => None,
                PostgresTls::VerifyCa { ca } => Some(ca),
                PostgresTls::VerifyFull { ca, .. } => ca.as_ref(),
            };
            let place = [postgres.host.reference(), postgres.port.reference()];
            let login = [&postgres.user, &postgres.password].into_iter().chain(ca);
            let login = login.filter_map(Credential::reference);
            place.into_iter().flatten().chain(login).collect()
        }
    }
}
