//! The tokens of SQL, as far as its quoting goes: what is code, what is quoted, what is said beside.

use super::super::statements::{
    comment_end, dollar_quoted_end, escaped_string_end, is_word_start, quoted_end,
};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// White space.
    Blank,
    /// `-- …` or `/* … */`
    Comment,
    /// A string, in whichever quotes.
    Text,
    /// `"…"`
    Name,
    /// A word that is not quoted.
    Word,
    /// `${…}`
    Placeholder,
    /// Anything else.
    Sign,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// In bytes, from 0.
    pub(super) start: usize,
    pub(super) text: &'a str,
}

impl Token<'_> {
    fn is_meant(&self) -> bool {
        !matches!(self.kind, Kind::Blank | Kind::Comment)
    }
}

/// All of a text: the tokens put together are the text again.
pub(super) fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &sql[start..];
        let (kind, length) = first(rest)?;
        let token = Token {
            kind,
            start,
            text: &rest[..length],
        };
        start += length;
        Some(token)
    })
}

fn first(rest: &str) -> Option<(Kind, usize)> {
    let next = rest.chars().next()?;
    let until = |stop: fn(char) -> bool| rest.find(stop).unwrap_or(rest.len());
    let found = match next {
        _ if is_blank(next) => (Kind::Blank, until(|c| !is_blank(c))),
        _ if rest.starts_with("--") => (Kind::Comment, until(|c| c == '\n')),
        _ if rest.starts_with("/*") => (Kind::Comment, comment_end(rest)),
        '\'' => (Kind::Text, quoted_end(rest, next)),
        '"' => (Kind::Name, quoted_end(rest, next)),
        '$' => match (placeholder_end(rest), dollar_quoted_end(rest)) {
            (Some(end), _) => (Kind::Placeholder, end),
            (None, Some(end)) => (Kind::Text, end),
            (None, None) => (Kind::Sign, 1),
        },
        _ if is_word_start(next) => word(rest),
        '0'..='9' => {
            let end = until(|c| !(c.is_ascii_alphanumeric() || c == '_'));
            (Kind::Sign, end)
        }
        _ => (Kind::Sign, next.len_utf8()),
    };
    Some(found)
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn word(rest: &str) -> (Kind, usize) {
    let inside = |c: char| is_word_start(c) || c.is_ascii_digit() || c == '$';
    let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
    let escaped = rest[..end].eq_ignore_ascii_case("E") && rest[end..].starts_with('\'');
    if escaped {
        return (Kind::Text, end + escaped_string_end(&rest[end..]));
    }
    (Kind::Word, end)
}

fn placeholder_end(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix("${")?;
    let end = inside.find('}')?;
    is_key(&inside[..end]).then_some(end + 3)
}

/// Whether a placeholder may have this name.
pub(super) fn is_key(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Reads a statement from its first token on, past blanks and comments.
pub(super) struct Parts<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'a>>>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(sql: &'a str) -> Self {
        let meant: Vec<_> = tokens(sql).filter(Token::is_meant).collect();
        Self {
            tokens: meant.into_iter().peekable(),
        }
    }

    /// Whether this word comes next.
    pub(super) fn at(&mut self, word: &str) -> bool {
        let next = self.tokens.peek();
        next.is_some_and(|next| next.text.eq_ignore_ascii_case(word))
    }

    /// Goes past this word, if it comes next.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.at(word);
        if found {
            self.tokens.next();
        }
        found
    }

    /// Goes past all of these words, of which the first decides.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let found = words.first().is_some_and(|first| self.at(first));
        found && words.iter().all(|word| self.eat(word))
    }

    /// Goes past what is in parentheses, and says whether this word was in them.
    pub(super) fn parentheses_have(&mut self, word: &str) -> bool {
        if !self.eat("(") {
            return false;
        }
        let mut found = false;
        for token in self.tokens.by_ref() {
            found |= token.text.eq_ignore_ascii_case(word);
            if token.text == ")" {
                break;
            }
        }
        found
    }

    /// The name that comes next, as it is written: `a."B"`.
    pub(super) fn name(&mut self) -> Option<String> {
        let mut name = self.part()?.to_owned();
        while self.eat(".") {
            name.push('.');
            name.push_str(self.part()?);
        }
        Some(name)
    }

    fn part(&mut self) -> Option<&'a str> {
        let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::Name);
        self.tokens.next_if(is_name).map(|token| token.text)
    }

    /// Whether nothing follows.
    pub(super) fn is_over(&mut self) -> bool {
        self.tokens.peek().is_none()
    }

    /// Whether any of what follows is this word.
    pub(super) fn has(mut self, word: &str) -> bool {
        self.tokens
            .any(|token| token.text.eq_ignore_ascii_case(word))
    }
}

/// The most words of a summary.
const WORDS: usize = 7;
/// Where a statement stops to say what it is about.
const ENOUGH: [&str; 5] = ["VALUES", "SELECT", "SET", "AS", "WHERE"];

/// What a statement is about, without any value in it: `CREATE TABLE nodes`.
pub(in super::super) fn summary(sql: &str) -> String {
    let mut summary = String::new();
    let mut words = 0;
    let mut glued = false;
    for token in tokens(sql).filter(Token::is_meant) {
        match token.kind {
            Kind::Word | Kind::Name if words < WORDS => {
                if words > 0
                    && ENOUGH
                        .iter()
                        .any(|word| token.text.eq_ignore_ascii_case(word))
                {
                    break;
                }
                // A query is told by its first word: the others are what it is made of.
                if words > 0 && !glued {
                    summary.push(' ');
                }
                words += 1;
                summary.push_str(token.text);
                if summary.eq_ignore_ascii_case("select") || summary.eq_ignore_ascii_case("with") {
                    break;
                }
                glued = false;
            }
            Kind::Sign if token.text == "." && words > 0 => {
                summary.push('.');
                glued = true;
            }
            _ => break,
        }
    }
    if summary.is_empty() {
        "a statement".to_owned()
    } else {
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<(Kind, &str)> {
        let meant = tokens(sql).filter(|token| token.kind != Kind::Blank);
        meant.map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn quoting_is_told_from_code() {
        assert_eq!(
            kinds(
                "a1 \"b\"\"c\" 'd''e' E'f\\'g' $$h$$ $i$ $$ $i$ -- j\n/* /* k */ */ ${l} ${M} 1e5;"
            ),
            [
                (Kind::Word, "a1"),
                (Kind::Name, "\"b\""),
                (Kind::Name, "\"c\""),
                (Kind::Text, "'d'"),
                (Kind::Text, "'e'"),
                (Kind::Text, "E'f\\'g'"),
                (Kind::Text, "$$h$$"),
                (Kind::Text, "$i$ $$ $i$"),
                (Kind::Comment, "-- j"),
                (Kind::Comment, "/* /* k */ */"),
                (Kind::Placeholder, "${l}"),
                (Kind::Sign, "$"),
                (Kind::Sign, "{"),
                (Kind::Word, "M"),
                (Kind::Sign, "}"),
                (Kind::Sign, "1e5"),
                (Kind::Sign, ";"),
            ]
        );
        let sql = "\u{feff}SELECT 'ä', \"ö\" ü$1 $ 'never ends";
        let again: String = tokens(sql).map(|token| token.text).collect();
        assert_eq!(again, sql);
    }

    #[test]
    fn a_summary_has_no_values() {
        for (sql, expected) in [
            ("CREATE TABLE nodes (id int)", "CREATE TABLE nodes"),
            (
                "INSERT INTO app.nodes VALUES ('secret')",
                "INSERT INTO app.nodes",
            ),
            (
                "-- x\nALTER ROLE a PASSWORD 'secret'",
                "ALTER ROLE a PASSWORD",
            ),
            ("SELECT a, b FROM c", "SELECT"),
            ("DO $$ BEGIN END $$", "DO"),
            (
                "CREATE INDEX CONCURRENTLY \"I\" ON nodes (name)",
                "CREATE INDEX CONCURRENTLY \"I\" ON nodes",
            ),
            ("(SELECT 1)", "a statement"),
        ] {
            assert_eq!(summary(sql), expected, "{sql}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let mut parts = Parts::of("DROP /* x */ index  if exists a . \"B c\" , d");
        assert!(parts.eat_all(&["DROP", "INDEX"]));
        assert!(!parts.eat("CONCURRENTLY"));
        assert!(parts.eat_all(&["IF", "EXISTS"]));
        assert_eq!(parts.name().as_deref(), Some("a.\"B c\""));
        assert!(!parts.is_over());
        assert!(parts.has("d"));
    }
}
