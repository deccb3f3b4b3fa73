//! What a file says of itself, in comments: `-- firstlight: transaction=none lock_timeout=10s`.

use super::script::Flaw;
use super::tokens::{Kind, Token};

/// How a file is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether all of it is one transaction.
    pub(super) transaction: bool,
    /// In milliseconds; none leaves it to what is usual.
    pub(super) lock_timeout: Option<u64>,
    /// In milliseconds; none leaves it to the step's timeout.
    pub(super) statement_timeout: Option<u64>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            transaction: true,
            lock_timeout: None,
            statement_timeout: None,
        }
    }
}

const KEYS: &str = "`transaction=none`, `lock_timeout=10s` and `statement_timeout=5min`";

/// What a comment to the agent has in it: without this, a text need not be taken apart for one.
pub(super) const MARK: &str = "firstlight:";

/// What a comment says to the agent: where that starts in the comment, in characters, and what.
pub(super) fn directive<'a>(token: &Token<'a>) -> Option<(usize, &'a str)> {
    if token.kind != Kind::Comment {
        return None;
    }
    let said = token.text.strip_prefix("--")?.trim_start();
    let said = said.strip_prefix(MARK)?;
    let before = token.text.len() - said.len();
    Some((before, said.trim_end()))
}

impl Header {
    /// Takes one directive into account; `offset` is where it starts in the file.
    pub(super) fn read(&mut self, offset: usize, said: &str, flaws: &mut Vec<Flaw>) {
        let mut rest = said;
        while !rest.is_empty() {
            let start = rest
                .find(|c: char| !c.is_whitespace())
                .unwrap_or(rest.len());
            rest = &rest[start..];
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (setting, after) = rest.split_at(end);
            if let Some((what, hint)) = self.set(setting) {
                let before = said.len() - rest.len();
                flaws.push(Flaw {
                    offset: offset + said[..before].chars().count(),
                    what,
                    hint,
                });
            }
            rest = after;
        }
    }

    /// Takes one `key=value`; a mistake and its hint if it is none.
    fn set(&mut self, setting: &str) -> Option<(String, String)> {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        let place = match key {
            "transaction" if value == "none" => {
                self.transaction = false;
                return None;
            }
            "transaction" => {
                let hint = "a file is one transaction, unless it says `transaction=none`";
                return Some((format!("`{setting}` is not known"), hint.to_owned()));
            }
            "lock_timeout" => &mut self.lock_timeout,
            "statement_timeout" => &mut self.statement_timeout,
            "verify" => {
                let hint = "`-- firstlight: verify` stands alone, after the statements";
                return Some(("`verify` is not at its place".to_owned(), hint.to_owned()));
            }
            _ => {
                let what = format!("`{key}` is not known to the header of a migration");
                return Some((what, format!("it may have {KEYS}")));
            }
        };
        *place = milliseconds(value);
        let hint = "write a number and a unit: 500ms, 10s, 5min, 1h; 0 for no limit";
        place
            .is_none()
            .then(|| (format!("`{setting}` is not a time"), hint.to_owned()))
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = match unit {
        "" if number == "0" => 1,
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // The server keeps it in 32 bits.
    let millis = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (millis <= u64::from(i32::MAX.unsigned_abs())).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let mut flaws = Vec::new();
        let mut header = Header::default();
        header.read(0, " transaction=none  lock_timeout=10s", &mut flaws);
        header.read(0, "statement_timeout=5m", &mut flaws);
        assert_eq!(flaws, []);
        let expected = Header {
            transaction: false,
            lock_timeout: Some(10_000),
            statement_timeout: Some(300_000),
        };
        assert_eq!(header, expected);
        for (text, millis) in [
            ("0", Some(0)),
            ("1h", Some(3_600_000)),
            ("5", None),
            ("9999h", None),
        ] {
            assert_eq!(milliseconds(text), millis, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_mistake_at_its_place() {
        let mut flaws = Vec::new();
        let said = " transaction=one lock_timout=3s lock_timeout=soon verify";
        Header::default().read(14, said, &mut flaws);
        let said: Vec<_> = flaws
            .iter()
            .map(|flaw| (flaw.offset, flaw.what.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (15, "`transaction=one` is not known"),
                (
                    31,
                    "`lock_timout` is not known to the header of a migration"
                ),
                (46, "`lock_timeout=soon` is not a time"),
                (64, "`verify` is not at its place"),
            ]
        );
    }
}
