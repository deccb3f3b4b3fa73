//! Names that no other test and no other run has.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A name for what a test makes in a shared server: a database, namespace, index prefix or folder.
///
/// It is `what` without signs, then some characters that no other call has, in this process or
/// another. It has at most 40 lower-case letters and digits and begins with a letter, so that
/// every server takes it as it is: a DNS label, an SQL identifier, an index, a Grafana uid.
#[must_use]
pub fn unique(what: &str) -> String {
    let mut name = String::from("t");
    name.extend(
        what.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .take(18),
    );
    let micros = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_micros() % (1 << 46));
    name.push('x');
    name.push_str(&base36(micros));
    name.push_str(&base36(u128::from(std::process::id() % (36 * 36 * 36))));
    name.push_str(&base36(u128::from(COUNTER.fetch_add(1, Ordering::Relaxed))));
    name
}

fn base36(mut number: u128) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unique;
    use std::collections::HashSet;

    #[test]
    fn every_server_takes_the_name() {
        let name = unique("2 Indices, with_a very long-winded name");
        assert!(name.starts_with("t2indices"), "{name}");
        assert!(name.len() <= 40, "{name}");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
            "{name}"
        );
    }

    #[test]
    fn no_two_calls_give_one_name() {
        let names: HashSet<_> = (0..1000).map(|_| unique("same")).collect();
        assert_eq!(names.len(), 1000);
    }
}
