//! Which semicolons end a statement.

use super::Statement;
use super::lexer::{Kind, Lexer, Token};

/// Gives the statements of a text one after the other.
pub(super) struct Splitter<'a> {
    sql: &'a str,
    lexer: Lexer<'a>,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        Self {
            sql,
            lexer: Lexer::new(sql),
        }
    }
}

impl<'a> Iterator for Splitter<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Statement<'a>> {
        let mut body = Body::default();
        let mut parentheses = 0_usize;
        // Bytes for the text, characters for the places.
        let mut found: Option<(usize, Statement<'a>)> = None;
        for token in self.lexer.by_ref() {
            if token.kind == Kind::Blank {
                continue;
            }
            if parentheses == 0 {
                if token.is_sign(";") && body.depth == 0 {
                    match found {
                        Some((_, statement)) => return Some(statement),
                        None => continue,
                    }
                }
                body.see(token);
            }
            if token.is_sign("(") {
                parentheses += 1;
            } else if token.is_sign(")") {
                parentheses = parentheses.saturating_sub(1);
            }
            let (start, at) = found.map_or((token.start, token.at), |(start, statement)| {
                (start, statement.start)
            });
            let statement = Statement {
                sql: &self.sql[start..token.start + token.text.len()],
                start: at,
                end: token.at + token.text.chars().count(),
            };
            found = Some((start, statement));
        }
        found.map(|(_, statement)| statement)
    }
}

/// Follows `CREATE FUNCTION … BEGIN ATOMIC …; …; END`, whose semicolons end no statement.
///
/// CASE has an END too, but one that no statement begins with: nothing has to be counted.
#[derive(Default)]
struct Body<'a> {
    depth: usize,
    /// The first tokens of the statement at hand: the outermost, or one in the body.
    head: Vec<Token<'a>>,
    /// Whether the token before was BEGIN.
    begun: bool,
}

impl<'a> Body<'a> {
    /// Takes the next token outside of parentheses.
    fn see(&mut self, token: Token<'a>) {
        let begun = std::mem::replace(&mut self.begun, token.is_word("BEGIN"));
        if token.is_sign(";") {
            self.head.clear();
            return;
        }
        if begun && token.is_word("ATOMIC") && self.is_routine() {
            self.depth += 1;
            self.head.clear();
            return;
        }
        if self.head.is_empty() && token.is_word("END") {
            self.depth = self.depth.saturating_sub(1);
        }
        if self.head.len() < HEAD {
            self.head.push(token);
        }
    }

    fn is_routine(&self) -> bool {
        let is = |index: usize, word: &str| {
            let found: Option<&Token<'_>> = self.head.get(index);
            found.is_some_and(|token| token.is_word(word))
        };
        let kind = if is(1, "OR") && is(2, "REPLACE") {
            3
        } else {
            1
        };
        is(0, "CREATE") && (is(kind, "FUNCTION") || is(kind, "PROCEDURE"))
    }
}

/// `CREATE OR REPLACE FUNCTION`
const HEAD: usize = 4;
