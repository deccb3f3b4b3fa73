//! The order of file names as people mean it: numbers by their value, everything else by letters.

use std::cmp::Ordering;
use std::str::CharIndices;

/// Compares two names.
///
/// Digits in a row are one number, so `2_towns` comes before `10_streets`, and a date sorts as a
/// date. An underscore comes before every other character, so `V1__a` comes before `V1.1__b`.
/// Names that differ in leading zeros alone are compared as they are.
#[must_use]
pub fn compare(one: &str, other: &str) -> Ordering {
    pieces(one).cmp(pieces(other)).then_with(|| one.cmp(other))
}

/// The first number in a name, which is its version to tools that count.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let start = name.find(|c: char| c.is_ascii_digit())?;
    digits(&name[start..]).parse().ok()
}

/// In this order: the end, an underscore, a number, anything else.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Underscore,
    /// Without leading zeros: the longer one is the greater.
    Number(usize, &'a str),
    Other(char),
}

fn pieces(name: &str) -> Pieces<'_> {
    Pieces {
        name,
        chars: name.char_indices(),
    }
}

struct Pieces<'a> {
    name: &'a str,
    chars: CharIndices<'a>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let (at, first) = self.chars.next()?;
        if first == '_' {
            return Some(Piece::Underscore);
        }
        if !first.is_ascii_digit() {
            return Some(Piece::Other(first));
        }
        let number = digits(&self.name[at..]);
        self.chars = self.name[at + number.len()..].char_indices();
        self.name = &self.name[at + number.len()..];
        let value = number.trim_start_matches('0');
        Some(Piece::Number(value.len(), value))
    }
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::{compare, number};

    #[test]
    fn names_are_in_the_order_that_people_mean() {
        for names in [
            &["001_a.sql", "2_b.sql", "10_c.sql"][..],
            &["patch9-z.sql", "patch042-y.sql", "patch100-a.sql"],
            &["2024-12-31-a.sql", "2025-01-01-a.sql", "2025-01-01-b.sql"],
            &[
                "20240501120000_a.sql",
                "20240501120001_a.sql",
                "99999999999999999999999_a.sql",
            ],
            &["V1__a.sql", "V1.1__b.sql", "V1.10__c.sql", "V2__d.sql"],
            &["V1__a.sql", "V1_1__b.sql", "V2__c.sql"],
            &["a_b.sql", "a.sql", "ab.sql"],
            &["01_a.sql", "1_a.sql", "1_b.sql"],
            &["a.sql", "ä.sql"],
        ] {
            let mut sorted = names.to_vec();
            sorted.reverse();
            sorted.sort_by(|one, other| compare(one, other));
            assert_eq!(sorted, names);
        }
    }

    #[test]
    fn the_first_number_is_the_version() {
        for (name, expected) in [
            ("000007_a.up.sql", Some(7)),
            ("patch042-y2.sql", Some(42)),
            ("20240501120000_a.sql", Some(20_240_501_120_000)),
            ("views.sql", None),
            ("99999999999999999999_a.sql", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}
