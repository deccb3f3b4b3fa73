//! Certificates of servers, for every client that speaks TLS: a leaf that knows no backend.

use std::error::Error;
use std::io;

/// Whether a call failed because the server's certificate was not accepted: that does not mend itself.
#[must_use]
pub fn is_refused(error: &(dyn Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    // An `io::Error` hides from `source` what it wraps.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => is_refused(wrapped),
        None => error.source().is_some_and(is_refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(error: rustls::Error) -> io::Error {
        io::Error::other(io::Error::other(error))
    }

    #[test]
    fn it_is_found_however_deep_and_told_from_other_failures() {
        let unknown = rustls::CertificateError::UnknownIssuer;
        assert!(is_refused(&wrapped(rustls::Error::InvalidCertificate(
            unknown
        ))));
        assert!(!is_refused(&wrapped(rustls::Error::DecryptError)));
        assert!(!is_refused(&io::Error::from(
            io::ErrorKind::ConnectionRefused
        )));
    }
}
