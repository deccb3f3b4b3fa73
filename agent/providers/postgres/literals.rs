//! The strings of SQL are data, and one may be a password: wherever SQL is told they stand as `'…'`.

use std::ops::Range;

use super::statements::lexer::{Kind, Lexer, Token};

/// In place of a string.
const MASK: &str = "'…'";

/// A text of SQL without its strings.
pub(super) fn hidden(sql: &str) -> String {
    part(sql, 0..sql.len(), 0).0
}

/// A text of the server, which quotes SQL in double quotes, without the strings in that.
pub(super) fn quoted(said: &str) -> String {
    let strings = strings(&said.replace('"', " "), 0);
    without(said, strings, 0..said.len(), 0).0
}

/// A part of a text without its strings, and how many characters of it stand before a place; both
/// are given in bytes of the text.
pub(super) fn part(sql: &str, bytes: Range<usize>, place: usize) -> (String, usize) {
    without(sql, strings(sql, 0), bytes, place)
}

fn without(
    sql: &str,
    strings: Vec<Range<usize>>,
    bytes: Range<usize>,
    place: usize,
) -> (String, usize) {
    let (mut told, mut before, mut from) = (String::new(), None, bytes.start);
    for string in strings {
        let string = string.start.max(from)..string.end.min(bytes.end);
        if string.is_empty() {
            continue;
        }
        if place < string.start {
            before.get_or_insert_with(|| characters(&told) + characters(&sql[from..place]));
        }
        told.push_str(&sql[from..string.start]);
        if place < string.end {
            before.get_or_insert_with(|| characters(&told));
        }
        told.push_str(MASK);
        from = string.end;
    }
    let before =
        before.unwrap_or_else(|| characters(&told) + characters(&sql[from..place.max(from)]));
    told.push_str(&sql[from..bytes.end]);
    (told, before)
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

/// Where the strings are, each behind the one before. What is code in dollar quotes, as the body of
/// a function, is looked into.
fn strings(sql: &str, offset: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut last: [Option<Token<'_>>; 2] = [None, None];
    for token in Lexer::new(sql).filter(|token| token.kind != Kind::Blank) {
        let start = offset + token.start;
        match body(token.text).filter(|_| is_code(last)) {
            _ if token.kind != Kind::Text => {}
            Some(body) => found.extend(strings(&token.text[body.clone()], start + body.start)),
            None => found.push(start..start + token.text.len()),
        }
        last = [last[1], Some(token)];
    }
    found
}

/// Whether what comes next is code: `AS $$…$$`, `DO $$…$$` or `DO LANGUAGE plpgsql $$…$$`.
fn is_code([before, last]: [Option<Token<'_>>; 2]) -> bool {
    let is = |token: Option<Token<'_>>, word: &str| {
        token.is_some_and(|it| it.kind == Kind::Word && it.text.eq_ignore_ascii_case(word))
    };
    is(last, "AS") || is(last, "DO") || is(before, "LANGUAGE")
}

/// The bytes between dollar quotes.
fn body(text: &str) -> Option<Range<usize>> {
    let tag = text.strip_prefix('$')?.find('$')? + 2;
    let end = text.len().checked_sub(tag)?;
    (tag <= end && text.ends_with(&text[..tag])).then_some(tag..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_hidden_and_code_is_not() {
        for (sql, told) in [
            (
                "INSERT INTO \"it's\" VALUES (1, 'a''b', E'c\\'d') -- it's",
                "INSERT INTO \"it's\" VALUES (1, '…', '…') -- it's",
            ),
            ("SELECT $$ open $$, $1", "SELECT '…', $1"),
            ("SELECT 'cut off", "SELECT '…'"),
            (
                "DO LANGUAGE plpgsql $a$ BEGIN PERFORM f('x', $q$y$q$); END $a$; SELECT 'z'",
                "DO LANGUAGE plpgsql $a$ BEGIN PERFORM f('…', '…'); END $a$; SELECT '…'",
            ),
            (
                "CREATE FUNCTION f() RETURNS text AS $$ SELECT 'x' $$ LANGUAGE sql",
                "CREATE FUNCTION f() RETURNS text AS $$ SELECT '…' $$ LANGUAGE sql",
            ),
        ] {
            assert_eq!(hidden(sql), told);
        }
    }

    #[test]
    fn what_the_server_quotes_has_no_strings_either() {
        let said =
            "SQL statement \"INSERT INTO t VALUES ('x\n y', 1)\"\nPL/pgSQL function f() line 3";
        let told = "SQL statement \"INSERT INTO t VALUES ('…', 1)\"\nPL/pgSQL function f() line 3";
        assert_eq!(quoted(said), told);
    }

    #[test]
    fn a_place_keeps_its_distance_to_the_code_around_it() {
        let sql = "SELECT 'one\ntwo', nope('three'), 4";
        let at = |text: &str| sql.find(text).expect("it is there");
        let line = at("two")..sql.len();
        let told = "'…', nope('…'), 4";
        for (place, before) in [
            (at("two"), 0),
            (at("nope"), 5),
            (at("'three"), 10),
            (at("ree"), 10),
            (at("4"), 16),
            (sql.len(), 17),
        ] {
            assert_eq!(part(sql, line.clone(), place), (told.to_owned(), before));
        }
    }
}
