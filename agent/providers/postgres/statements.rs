//! Where statements begin in a text of SQL, and which of them must not be sent.
//!
//! The server gets a text as a whole. This only has to know where one statement ends and the
//! next begins, as `psql` does: to name the one that failed, and to keep out those that would
//! end the transaction around the file, or wait for data that never comes.

/// One statement: where it begins, its text, and its bare words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    /// In characters, from 0.
    pub(super) start: usize,
    text: &'a str,
    words: Vec<&'a str>,
}

/// Why a statement must not be sent, and what to do instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: &'static str,
    pub(super) instead: &'static str,
}

/// The statements of a text, without the empty ones.
pub(super) fn split(sql: &str) -> Vec<Statement<'_>> {
    let mut lexer = Lexer {
        whole: sql,
        rest: sql,
        at: 0,
    };
    let mut statements = Vec::new();
    while let Some(statement) = lexer.statement() {
        statements.push(statement);
    }
    statements
}

impl<'a> Statement<'a> {
    /// Its text, without the semicolon.
    pub(super) fn sql(&self) -> &'a str {
        self.text
    }

    /// Why this must not be sent inside a transaction of ours.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        if self.controls_transaction() {
            return Some(Refusal {
                why: "a migration must not begin or end a transaction",
                instead: "remove the statement: each file is one transaction, together with its \
                          row in the history",
            });
        }
        let copies = self.is(0, "COPY");
        let waits = |pair: &[&str]| {
            pair[0].eq_ignore_ascii_case("FROM") && pair[1].eq_ignore_ascii_case("STDIN")
        };
        (copies && self.words.windows(2).any(waits)).then_some(Refusal {
            why: "COPY FROM STDIN has no data to read here",
            instead: "write the rows as INSERT",
        })
    }

    /// Whether it would begin or end a transaction.
    pub(super) fn controls_transaction(&self) -> bool {
        let Some(first) = self.words.first() else {
            return false;
        };
        match first.to_ascii_uppercase().as_str() {
            "BEGIN" | "COMMIT" | "END" | "ABORT" => true,
            "START" | "PREPARE" => self.is(1, "TRANSACTION"),
            // ROLLBACK TO goes back to a savepoint, inside the transaction.
            "ROLLBACK" => {
                let filler = usize::from(self.is(1, "WORK") || self.is(1, "TRANSACTION"));
                !self.is(1 + filler, "TO")
            }
            _ => false,
        }
    }

    /// Whether one of its bare words is this one.
    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.words
            .get(index)
            .is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    /// Whether semicolons may stand inside, between BEGIN ATOMIC and END.
    fn may_have_a_body(&self) -> bool {
        let name = if self.is(1, "OR") && self.is(2, "REPLACE") {
            3
        } else {
            1
        };
        self.is(0, "CREATE") && (self.is(name, "FUNCTION") || self.is(name, "PROCEDURE"))
    }
}

struct Lexer<'a> {
    whole: &'a str,
    rest: &'a str,
    /// How many characters are behind.
    at: usize,
}

impl<'a> Lexer<'a> {
    fn statement(&mut self) -> Option<Statement<'a>> {
        let mut statement = None;
        let (mut parentheses, mut bodies) = (0_usize, 0_usize);
        let mut from = 0;
        while let Some(next) = self.rest.chars().next() {
            if self.skip_blank(next) {
                continue;
            }
            if next == ';' && parentheses == 0 && bodies == 0 {
                let to = self.offset();
                self.take(1);
                if let Some(statement) = statement {
                    return Some(self.ended(statement, from, to));
                }
                continue;
            }
            if statement.is_none() {
                from = self.offset();
            }
            let current = statement.get_or_insert(Statement {
                start: self.at,
                text: "",
                words: Vec::new(),
            });
            match next {
                '(' => parentheses += 1,
                ')' => parentheses = parentheses.saturating_sub(1),
                _ if is_word_start(next) => {
                    self.word(current, &mut bodies);
                    continue;
                }
                _ => {}
            }
            self.token(next);
        }
        let to = self.offset();
        statement.map(|statement| self.ended(statement, from, to))
    }

    fn ended(&self, statement: Statement<'a>, from: usize, to: usize) -> Statement<'a> {
        let text = self.whole[from..to].trim_end();
        Statement { text, ..statement }
    }

    /// How many bytes are behind.
    fn offset(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    /// White space and comments.
    fn skip_blank(&mut self, next: char) -> bool {
        if next.is_whitespace() || next == '\u{feff}' {
            self.take(next.len_utf8());
        } else if self.rest.starts_with("--") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.take(comment_end(self.rest));
        } else {
            return false;
        }
        true
    }

    fn word(&mut self, statement: &mut Statement<'a>, bodies: &mut usize) {
        let end = self
            .rest
            .find(|c: char| !(is_word_start(c) || c.is_ascii_digit() || c == '$'))
            .unwrap_or(self.rest.len());
        let word = self.take(end);
        if word.eq_ignore_ascii_case("E") && self.rest.starts_with('\'') {
            self.take(escaped_string_end(self.rest));
            return;
        }
        let after_begin = statement
            .words
            .last()
            .is_some_and(|last| last.eq_ignore_ascii_case("BEGIN"));
        if statement.may_have_a_body() {
            if (after_begin && word.eq_ignore_ascii_case("ATOMIC"))
                || (*bodies > 0 && word.eq_ignore_ascii_case("CASE"))
            {
                *bodies += 1;
            } else if word.eq_ignore_ascii_case("END") {
                *bodies = bodies.saturating_sub(1);
            }
        }
        statement.words.push(word);
    }

    /// Anything but words, blanks and ends: a string, a quoted name, a number, a sign.
    fn token(&mut self, next: char) {
        let length = match next {
            '\'' | '"' => quoted_end(self.rest, next),
            '$' => dollar_quoted_end(self.rest).unwrap_or(1),
            '0'..='9' => self
                .rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(self.rest.len()),
            _ => next.len_utf8(),
        };
        self.take(length);
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.at += taken.chars().count();
        self.rest = rest;
        taken
    }
}

pub(super) fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

/// Comments nest.
pub(super) fn comment_end(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// A doubled quote is read as the end of one and the start of the next, which comes to the same.
pub(super) fn quoted_end(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

pub(super) fn escaped_string_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// `$$ … $$` or `$tag$ … $tag$`; none if this `$` begins no such string.
pub(super) fn dollar_quoted_end(text: &str) -> Option<usize> {
    let tag_end = text[1..].find('$')? + 2;
    let tag = &text[..tag_end];
    let name = &tag[1..tag_end - 1];
    let named = name.chars().next().is_none_or(is_word_start)
        && name.chars().all(|c| is_word_start(c) || c.is_ascii_digit());
    named.then(|| {
        text[tag_end..]
            .find(tag)
            .map_or(text.len(), |end| tag_end + end + tag_end)
    })
}

#[cfg(test)]
mod tests {
    use super::split;

    fn starts(sql: &str) -> Vec<usize> {
        split(sql).iter().map(|statement| statement.start).collect()
    }

    fn refused(sql: &str) -> Vec<usize> {
        split(sql)
            .iter()
            .filter(|statement| statement.refusal().is_some())
            .map(|statement| statement.start)
            .collect()
    }

    #[test]
    fn statements_begin_after_semicolons() {
        for (sql, expected) in [
            ("", vec![]),
            (" ;; -- nothing\n;/* ; */", vec![]),
            ("SELECT 1", vec![0]),
            ("SELECT 1;\nSELECT 2;\n", vec![0, 10]),
            ("-- ä;\nSELECT 1; SELECT 2", vec![6, 16]),
            ("/* /* ; */ ; */ SELECT 1", vec![16]),
            ("SELECT 'a;''b;'; SELECT 2", vec![0, 17]),
            (r"SELECT E'a\';'; SELECT 2", vec![0, 16]),
            (r"SELECT 'a\'; SELECT 2", vec![0, 13]),
            ("SELECT \"a;\"\"b\"; SELECT 2", vec![0, 16]),
            ("DO $$ BEGIN; END; $$; SELECT 2", vec![0, 22]),
            ("DO $a$ ; $$ ; $b$ ; $a$; SELECT 2", vec![0, 25]),
            ("SELECT $1; SELECT a$b$c; SELECT 3", vec![0, 11, 25]),
            (
                "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
                vec![0, 57],
            ),
            ("SELECT 'never ends; SELECT 2", vec![0]),
            ("SELECT $a$ never ends; SELECT 2", vec![0]),
            ("/* never ends; SELECT 2", vec![]),
        ] {
            assert_eq!(starts(sql), expected, "{sql}");
        }
    }

    #[test]
    fn the_body_of_a_function_is_one_with_it() {
        let sql = "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC \
                   SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 2; END; SELECT 3";
        assert_eq!(starts(sql), [0, sql.len() - 8]);
        let sql = "CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; COMMIT";
        assert_eq!(refused(sql), [sql.len() - 6]);
    }

    #[test]
    fn what_would_end_the_transaction_is_refused() {
        for sql in [
            "BEGIN",
            "begin transaction",
            "START TRANSACTION READ ONLY",
            "COMMIT",
            "commit and chain",
            "END",
            "ABORT",
            "ROLLBACK",
            "/* x */ ROLLBACK WORK",
            "PREPARE TRANSACTION 'x'",
            "COMMIT PREPARED 'x'",
            "COPY t (a, b) FROM STDIN WITH (FORMAT csv)",
        ] {
            assert_eq!(refused(sql).len(), 1, "{sql}");
        }
    }

    #[test]
    fn what_stays_inside_the_transaction_is_sent() {
        for sql in [
            "SAVEPOINT a; ROLLBACK TO a; ROLLBACK TRANSACTION TO SAVEPOINT a; RELEASE a",
            "PREPARE p AS SELECT 1; EXECUTE p",
            "DO $$ BEGIN PERFORM 1; END $$",
            "SELECT 'COMMIT'; -- COMMIT;\nSELECT 1",
            "COMMENT ON TABLE t IS 'begin; commit'",
            "COPY t FROM '/a/file'; COPY t TO STDOUT",
            "CREATE TABLE \"commit\" (\"end\" int)",
            "ALTER TABLE t ADD COLUMN begin int",
        ] {
            assert_eq!(refused(sql), [0_usize; 0], "{sql}");
        }
    }
}
