//! Sizes and durations as people write them in a variable.

use serde::de::{Deserialize, Deserializer, Error};
use std::time::Duration;

/// The units of Kubernetes quantities that make sense for a folder.
const UNITS: [(&str, u64); 6] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
];

/// A size like `256Mi`.
pub(super) fn size<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(value)?;
    let wrong = || D::Error::custom(format!("{text:?} is no size like 256Mi or 1G"));
    bytes(text.trim()).map(Some).ok_or_else(wrong)
}

/// A duration like `30s` or `2m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(value)?;
    let parsed: Option<jiff::SignedDuration> = text.trim().parse().ok();
    let duration = parsed.and_then(|parsed| Duration::try_from(parsed).ok());
    let wrong = || D::Error::custom(format!("{text:?} is no duration like 30s or 2m"));
    duration.map(Some).ok_or_else(wrong)
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1,
        _ => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, wanted) in [
            ("1048576", Some(1_048_576)),
            ("256Mi", Some(256 << 20)),
            ("1G", Some(1_000_000_000)),
            ("", None),
            ("Mi", None),
            ("1.5Gi", None),
            ("12 apples", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }
}
