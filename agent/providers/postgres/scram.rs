//! Passwords as Postgres keeps them (RFC 5802, SCRAM-SHA-256), so that one can be compared with
//! what the server has, and set without ever being sent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// What `pg_authid.rolpassword` holds of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// As many as Postgres itself takes.
const ITERATIONS: u32 = 4096;

impl Verifier {
    /// A verifier with a salt of its own.
    pub(super) fn new(password: &str) -> Self {
        Self::derive(password, &rand::random::<[u8; 16]>(), ITERATIONS)
    }

    fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        // As the server: a password that cannot be normalised is taken as it is.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let salted = salted(prepared.as_bytes(), salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Sha256::digest(hmac(&salted, &[b"Client Key"])).into(),
            server_key: hmac(&salted, &[b"Server Key"]),
        }
    }

    /// Whether the stored text, whatever its salt, is of this password.
    pub(super) fn matches(stored: &str, password: &str) -> bool {
        Self::parse(stored).is_some_and(|verifier| {
            Self::derive(password, &verifier.salt, verifier.iterations) == verifier
        })
    }

    fn parse(stored: &str) -> Option<Self> {
        let (head, keys) = stored.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text| STANDARD.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations: iterations.parse().ok()?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }
}

/// The form in which `CREATE ROLE … PASSWORD` takes it.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

/// PBKDF2 with one block.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    // The key is taken in once, and not once a round.
    let keyed = keyed(password);
    let mut round = code(keyed.clone(), &[salt, &1_u32.to_be_bytes()]);
    let mut sum = round;
    for _ in 1..iterations {
        round = code(keyed.clone(), &[&round]);
        for (sum, byte) in sum.iter_mut().zip(round) {
            *sum ^= byte;
        }
    }
    sum
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    code(keyed(key), parts)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn code(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::Verifier;

    /// The password `pencil` of RFC 7677, with its salt.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let salt = base64::Engine::decode(&super::STANDARD, "W22ZaJ0SNY7soEsUEjb6gQ==");
        let verifier = Verifier::derive("pencil", &salt.expect("base64"), 4096);
        assert_eq!(
            verifier.to_string(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_verifier_knows_its_password_only() {
        let stored = Verifier::new("p\u{e4}ss wörd").to_string();
        assert!(Verifier::matches(&stored, "p\u{e4}ss wörd"));
        assert!(!Verifier::matches(&stored, "p\u{e4}ss word"));
        assert_ne!(stored, Verifier::new("p\u{e4}ss wörd").to_string());
    }

    #[test]
    fn what_is_no_verifier_matches_nothing() {
        for stored in ["", "md5abc", "SCRAM-SHA-256$x:y$z:w", "pencil"] {
            assert!(!Verifier::matches(stored, "pencil"), "{stored}");
        }
    }
}
