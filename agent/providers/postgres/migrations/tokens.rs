//! The tokens of SQL, as far as its quoting goes: what is code, what is quoted, what is said beside.

use std::iter::{Filter, Peekable};

use super::super::statements::lexer::{self, Lexer};

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
pub(super) fn tokens(sql: &str) -> Tokens<'_> {
    Tokens {
        sql,
        lexer: Lexer::new(sql),
        behind: 0,
    }
}

/// The tokens of a text, one after the other.
pub(super) struct Tokens<'a> {
    sql: &'a str,
    lexer: Lexer<'a>,
    /// Where the last one ends.
    behind: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let behind = self.behind;
        let found = self.lexer.find(|token| token.start >= behind)?;
        let rest = &self.sql[found.start..];
        let (kind, length) = match (placeholder_end(rest), found.kind) {
            (Some(end), lexer::Kind::Sign | lexer::Kind::Other) => (Kind::Placeholder, end),
            (_, kind) => (meaning(kind, found.text), found.text.len()),
        };
        self.behind = found.start + length;
        Some(Token {
            kind,
            start: found.start,
            text: &rest[..length],
        })
    }
}

fn meaning(kind: lexer::Kind, text: &str) -> Kind {
    match kind {
        lexer::Kind::Blank if text.starts_with(char::is_whitespace) => Kind::Blank,
        lexer::Kind::Blank => Kind::Comment,
        lexer::Kind::Word => Kind::Word,
        lexer::Kind::Name => Kind::Name,
        lexer::Kind::Text => Kind::Text,
        lexer::Kind::Sign | lexer::Kind::Other => Kind::Sign,
    }
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

/// Reads a statement from its first token on, past blanks and comments, as far as it is asked.
pub(super) struct Parts<'a> {
    tokens: Peekable<Meant<'a>>,
}

/// Without blanks and comments.
type Meant<'a> = Filter<Tokens<'a>, fn(&Token<'a>) -> bool>;

impl<'a> Parts<'a> {
    pub(super) fn of(sql: &'a str) -> Self {
        let is_meant: fn(&Token<'a>) -> bool = Token::is_meant;
        Self {
            tokens: tokens(sql).filter(is_meant).peekable(),
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
                (Kind::Name, "\"b\"\"c\""),
                (Kind::Text, "'d''e'"),
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
