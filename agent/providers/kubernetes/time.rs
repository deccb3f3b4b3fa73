//! Moments as Kubernetes writes them.

use std::time::SystemTime;

use jiff::Timestamp;

/// `2026-01-31T08:00:00Z`
pub(super) fn rfc3339(at: SystemTime) -> String {
    format!("{:.0}", timestamp(at))
}

/// `2026-01-31T08:00:00.123456Z`
pub(super) fn rfc3339_micros(at: SystemTime) -> String {
    format!("{:.6}", timestamp(at))
}

/// None for what is not a moment.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().map(SystemTime::from)
}

/// A clock beyond the year 9999 is taken for one at the beginning of time.
fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_keep_their_form() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_769_846_400_000_120);
        assert_eq!(rfc3339(at), "2026-01-31T08:00:00Z");
        assert_eq!(rfc3339_micros(at), "2026-01-31T08:00:00.000120Z");
        assert_eq!(parse("2026-01-31T08:00:00.000120Z"), Some(at));
        assert_eq!(parse("yesterday"), None);
    }
}
