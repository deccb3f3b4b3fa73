//! Names and texts inside SQL, where a parameter cannot stand.

use super::error::Error;

/// Postgres cuts off a longer name with no more than a notice, and it would never be found again.
pub(super) fn check(what: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > 63 || name.contains('\0') {
        return Err(Error::Name {
            what,
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// A name as an identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal, whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') {
        format!(" E'{}'", text.replace('\\', "\\\\"))
    } else {
        format!("'{text}'")
    }
}

#[cfg(test)]
mod tests {
    use super::{check, identifier, literal};

    #[test]
    fn a_name_must_fit() {
        assert!(check("role", &"a".repeat(63)).is_ok());
        assert!(check("role", &"a".repeat(64)).is_err());
        assert!(check("role", &"ä".repeat(32)).is_err());
        assert!(check("role", "").is_err());
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(identifier("primus-lens"), r#""primus-lens""#);
        assert_eq!(identifier(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r" E'a\\''b'");
    }
}
