//! The tokens of a text of SQL, as far as it matters here what they are.

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

/// What a token is to a reader that looks for statements and their first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::providers::postgres) enum Kind {
    /// White space, or a comment.
    Blank,
    /// A bare word: a keyword or a name.
    Word,
    /// A name in quotes.
    Name,
    /// A string, of any kind.
    Text,
    /// One sign, like `(` or `;`.
    Sign,
    /// A number, a parameter, and what is none of the others.
    Other,
}

/// One token, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::providers::postgres) struct Token<'a> {
    pub(in crate::providers::postgres) kind: Kind,
    pub(in crate::providers::postgres) text: &'a str,
    /// In bytes, from 0.
    pub(in crate::providers::postgres) start: usize,
    /// In characters, from 0.
    pub(super) at: usize,
}

impl Token<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }
}

/// The tokens of a text, one after the other, with nothing left out.
pub(in crate::providers::postgres) struct Lexer<'a> {
    sql: &'a str,
    start: usize,
    at: usize,
    tokens: Box<dyn Iterator<Item = squawk_lexer::Token> + 'a>,
}

impl<'a> Lexer<'a> {
    pub(in crate::providers::postgres) fn new(sql: &'a str) -> Self {
        Self {
            sql,
            start: 0,
            at: 0,
            tokens: Box::new(tokenize(sql)),
        }
    }

    /// An `E'…'` that goes on in a next line as `'…'` still knows backslashes there, which the
    /// lexer below does not know: it takes the second part for a plain string.
    fn continued(&mut self, mut length: usize) -> usize {
        let rest = &self.sql[self.start..];
        let first = length;
        while let Some(quote) = continuation(&rest[length..]) {
            length += quote;
            length += escaped_string_end(&rest[length..]);
        }
        if length > first {
            self.tokens = Box::new(tokenize(&rest[length..]));
        }
        length
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.next()?;
        let mut length = token.len as usize;
        if let TokenKind::Literal {
            kind: LiteralKind::EscStr { .. },
        } = token.kind
        {
            length = self.continued(length);
        }
        let (start, at) = (self.start, self.at);
        let text = &self.sql[start..start + length];
        self.start += length;
        self.at += text.chars().count();
        Some(Token {
            kind: kind(token.kind),
            text,
            start,
            at,
        })
    }
}

fn kind(kind: TokenKind) -> Kind {
    match kind {
        TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. } => {
            Kind::Blank
        }
        TokenKind::Ident => Kind::Word,
        TokenKind::QuotedIdent { .. } => Kind::Name,
        TokenKind::Literal {
            kind: LiteralKind::Int { .. } | LiteralKind::Numeric { .. },
        }
        | TokenKind::PositionalParam { .. }
        | TokenKind::DotDot
        | TokenKind::Eof => Kind::Other,
        TokenKind::Literal { .. } => Kind::Text,
        _ => Kind::Sign,
    }
}

/// How far it is to the quote with which a string goes on: only white space and comments of one
/// line may stand between, with the end of a line among them.
fn continuation(text: &str) -> Option<usize> {
    let ends = ['\n', '\r'];
    let mut broken = false;
    let mut rest = text;
    loop {
        let behind = rest.trim_start_matches([' ', '\t', '\u{b}', '\u{c}', '\n', '\r']);
        broken |= rest[..rest.len() - behind.len()].contains(ends);
        if behind.starts_with('\'') {
            return broken.then_some(text.len() - behind.len());
        }
        let comment = behind.strip_prefix("--")?;
        rest = &comment[comment.find(ends)?..];
    }
}

/// Behind the quote that ends a string with backslashes, which begins with a quote.
fn escaped_string_end(text: &str) -> usize {
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((index, c)) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            '\'' if rest.peek().is_some_and(|(_, next)| *next == '\'') => {
                rest.next();
            }
            '\'' => return index + 1,
            _ => {}
        }
    }
    text.len()
}
