//! A certificate authority for one server, and the server's certificate.

use crate::Error;
use crate::error::InFile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A server's certificate, as files with PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The authority that signed it.
    pub ca: PathBuf,
    /// For `localhost` and 127.0.0.1.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Certificate {
    /// The authority, as the `caBundle` of a webhook.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn authority(&self) -> Result<String, Error> {
        let pem = fs::read(&self.ca).file("read", &self.ca)?;
        Ok(STANDARD.encode(pem))
    }
}

/// Makes an authority and a certificate for `localhost` and 127.0.0.1 in `folder`. The
/// authority's own key is not kept.
///
/// # Errors
/// When they cannot be signed, or the files cannot be written.
pub fn certify(folder: &Path) -> Result<Certificate, Error> {
    let (ca, certificate, key) = sign()?;
    let files = Certificate {
        ca: folder.join("ca.crt"),
        certificate: folder.join("server.crt"),
        key: folder.join("server.key"),
    };
    for (path, pem, mode) in [
        (&files.ca, ca, 0o644),
        (&files.certificate, certificate, 0o644),
        (&files.key, key, 0o600),
    ] {
        fs::write(path, pem).file("write", path)?;
        fs::set_permissions(path, Permissions::from_mode(mode)).file("protect", path)?;
        crate::room::give_away(path)?;
    }
    Ok(files)
}

/// The authority, the certificate and its key, each as PEM.
pub(crate) fn sign() -> Result<(String, String, String), Error> {
    chain().map_err(|source| Error::Certificate { source })
}

fn chain() -> Result<(String, String, String), rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "firstlight test bed");
    let ca = authority.self_signed(&ca_key)?;
    let issuer = Issuer::new(authority, ca_key);

    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names)?;
    server
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    let certificate = server.signed_by(&key, &issuer)?;
    Ok((ca.pem(), certificate.pem(), key.serialize_pem()))
}
