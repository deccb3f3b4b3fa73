//! The checksums of other tools, to see whether a file is still the one that they ran.

use sha2::{Digest as _, Sha384};

/// Flyway's: CRC-32 of the lines without their ends, as a signed number.
pub(super) fn flyway(text: &str) -> i32 {
    let mut register = u32::MAX;
    let bytes = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    for byte in bytes {
        register ^= u32::from(byte);
        for _ in 0..8 {
            let carry = register & 1;
            register >>= 1;
            if carry == 1 {
                register ^= 0xEDB8_8320;
            }
        }
    }
    (!register).cast_signed()
}

/// Whether this is what sqlx has noted of the text: SHA-384 of its bytes, whatever the ends of its
/// lines were and whether it had a byte order mark, which [`super::history::normalise`] forgets.
pub(super) fn is_sqlx(text: &str, noted: &str) -> bool {
    let lines = [text.to_owned(), text.replace('\n', "\r\n")];
    let marked = lines.clone().map(|text| format!("\u{feff}{text}"));
    lines
        .iter()
        .chain(&marked)
        .any(|text| hex(&Sha384::digest(text.as_bytes())) == noted)
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests {
    use super::{flyway, is_sqlx};

    /// What Flyway 11.8.2 itself has written for these texts.
    #[test]
    fn flyways_is_flyways() {
        for (text, noted) in [
            (
                "CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL);\n",
                -1_205_272_825,
            ),
            (
                "-- größer\nALTER TABLE people ADD COLUMN email text;\n",
                2_124_391_812,
            ),
            (
                "CREATE TABLE towns (name text PRIMARY KEY);\nINSERT INTO towns VALUES ('Ulm');",
                -1_411_519_323,
            ),
        ] {
            assert_eq!(flyway(text), noted, "{text}");
        }
    }

    #[test]
    fn sqlxs_is_of_the_bytes_as_they_were() {
        // sha384sum of "SELECT 1;\r\n".
        let windows = "17397e2e60835e677161a3f8f86849089bb0b9ac29484fca0511f769d62d8c2e143ab512c903b43a60a01ad7452c86c6";
        assert!(is_sqlx("SELECT 1;\n", windows));
        assert!(!is_sqlx("SELECT 2;\n", windows));
    }
}
