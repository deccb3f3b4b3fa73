//! Certificate authorities of a test, and the certificates of its servers.

use crate::Error;
use crate::error::InFile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A server's certificate, as files with PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The authority that signed it.
    pub ca: PathBuf,
    /// The certificate; of [`certify`] it is for `localhost` and 127.0.0.1.
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

/// A server's certificate and its private key, as PEM.
#[derive(Clone)]
pub struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Signed {
    /// The certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key, as PEM.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// An authority of a test. All have one name, as those that an operator makes anew do.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, with a key that no other has.
    ///
    /// # Errors
    /// [`Error::Certificate`] when it cannot sign itself.
    pub fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        name(&mut params, "firstlight test bed");
        let issuer = KeyPair::generate()
            .and_then(|key| CertifiedIssuer::self_signed(params, key))
            .map_err(|source| Error::Certificate { source })?;
        Ok(Self { issuer })
    }

    /// Its own certificate, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names and addresses.
    ///
    /// # Errors
    /// [`Error::Certificate`] when it cannot be signed.
    pub fn sign(&self, names: &[&str]) -> Result<Signed, Error> {
        self.sign_as(names, |_| {})
    }

    /// The same, but it expired on 2 January 2020.
    ///
    /// # Errors
    /// [`Error::Certificate`] when it cannot be signed.
    pub fn sign_expired(&self, names: &[&str]) -> Result<Signed, Error> {
        self.sign_as(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 2);
        })
    }

    fn sign_as(
        &self,
        names: &[&str],
        with: impl FnOnce(&mut CertificateParams),
    ) -> Result<Signed, Error> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let signed = || {
            let first = names.first().cloned().unwrap_or_default();
            let mut params = CertificateParams::new(names)?;
            name(&mut params, &first);
            with(&mut params);
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(Signed {
                certificate: certificate.pem(),
                key: key.serialize_pem(),
            })
        };
        signed().map_err(|source| Error::Certificate { source })
    }
}

fn name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.push(DnType::CommonName, name);
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").finish_non_exhaustive()
    }
}

/// Makes an authority and a certificate for `localhost` and 127.0.0.1 in `folder`. The
/// authority's own key is not kept.
///
/// # Errors
/// When they cannot be signed, or the files cannot be written.
pub fn certify(folder: &Path) -> Result<Certificate, Error> {
    let authority = Authority::new()?;
    let signed = authority.sign(&["localhost", "127.0.0.1"])?;
    write(folder, &authority.pem(), &signed)
}

/// Writes them as the files of a server, over those that are there.
pub(crate) fn write(folder: &Path, ca: &str, signed: &Signed) -> Result<Certificate, Error> {
    let files = Certificate {
        ca: folder.join("ca.crt"),
        certificate: folder.join("server.crt"),
        key: folder.join("server.key"),
    };
    for (path, pem, mode) in [
        (&files.ca, ca, 0o644),
        (&files.certificate, signed.certificate.as_str(), 0o644),
        (&files.key, signed.key.as_str(), 0o600),
    ] {
        fs::write(path, pem).file("write", path)?;
        fs::set_permissions(path, Permissions::from_mode(mode)).file("protect", path)?;
        crate::room::give_away(path)?;
    }
    Ok(files)
}
