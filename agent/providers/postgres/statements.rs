//! Where statements begin in a text of SQL, and which of them must not be sent.
//!
//! The server gets a text as a whole. This only has to know where one statement ends and the
//! next begins, as the server's own parser does: to name the one that failed, and to keep out
//! those that would end the transaction around the file, or wait for data that never comes.

mod actions;
mod head;
pub(super) mod lexer;
mod locks;
mod splitter;
mod transaction;

pub use head::Head;
pub use locks::{Lock, Mode, Work};
pub use transaction::Control;

use lexer::{Kind, Lexer, Token};
use splitter::Splitter;

/// One statement: its text, without the blanks around it and the semicolon behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    sql: &'a str,
    start: usize,
    end: usize,
}

/// Why a statement must not be sent, and what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Where in the whole text, in characters from 0.
    pub at: usize,
    /// Why not.
    pub why: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

/// The statements of a text, without the empty ones.
#[must_use]
pub fn split(sql: &str) -> Vec<Statement<'_>> {
    Splitter::new(sql).collect()
}

/// What no text that is sent may hold, wherever it stands: the protocol ends a text with it.
pub(super) fn null_byte(sql: &str) -> Option<Refusal> {
    let found = sql.find('\0')?;
    Some(Refusal {
        at: sql[..found].chars().count(),
        why: "there is a null byte, which Postgres cannot take",
        instead: "remove it; if the file is UTF-16, save it as UTF-8",
    })
}

impl<'a> Statement<'a> {
    /// Its text.
    #[must_use]
    pub fn sql(&self) -> &'a str {
        self.sql
    }

    /// Where it begins in the whole text, in characters from 0.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Behind its last character in the whole text, in characters from 0.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }

    /// What it does and to what, in few words: `CREATE TABLE nodes`, `INSERT nodes`.
    #[must_use]
    pub fn summary(&self) -> String {
        self.head().summary()
    }

    /// What it does and to what.
    #[must_use]
    pub fn head(&self) -> Head {
        Head::read(self.outer().take(HEAD))
    }

    /// The bare words that it begins with, up to that many.
    #[must_use]
    pub fn words(&self, most: usize) -> Vec<&'a str> {
        let words = self.tokens().take_while(|token| token.kind == Kind::Word);
        words.take(most).map(|token| token.text).collect()
    }

    /// Why this must not be sent inside a transaction of ours.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        if self.control().is_some() {
            return Some(Refusal {
                at: self.start,
                why: "a migration must not begin or end a transaction",
                instead: "remove the statement: each file is one transaction, together with its \
                          row in the history",
            });
        }
        self.unsendable()
    }

    /// Why this must not be sent at all.
    #[must_use]
    pub fn unsendable(&self) -> Option<Refusal> {
        let is_meta = |token: &Token<'_>| token.is_sign("\\");
        if self.sql.contains('\\')
            && let Some(meta) = self.tokens().find(is_meta)
        {
            return Some(Refusal {
                at: self.start + meta.at,
                why: "this is a command of psql, not SQL",
                instead: "write SQL: no psql is at work here",
            });
        }
        let refusal = |why, instead| Refusal {
            at: self.start,
            why,
            instead,
        };
        let first = self.words(1);
        let begins_with = |word| first.iter().any(|first| first.eq_ignore_ascii_case(word));
        let copies = begins_with("COPY");
        if copies && self.copies("FROM", "STDIN") {
            return Some(refusal(
                "COPY FROM STDIN has no data to read here",
                "write the rows as INSERT",
            ));
        }
        if copies && self.copies("TO", "STDOUT") {
            return Some(refusal(
                "COPY TO STDOUT has nobody to read it here",
                "remove the statement, or let a SELECT say what is to be seen",
            ));
        }
        (begins_with("SET") && self.changes_the_syntax()).then(|| {
            refusal(
                "without standard_conforming_strings the rest of the file reads differently",
                "write strings with backslashes as E'…', and remove the statement",
            )
        })
    }

    /// Whether a COPY goes this way.
    fn copies(&self, direction: &str, end: &str) -> bool {
        self.has(&[direction, end]) || self.has(&[direction, other_end(end)])
    }

    /// `SET standard_conforming_strings = off`: where statements end is no longer ours to say.
    fn changes_the_syntax(&self) -> bool {
        let tokens: Vec<_> = self.tokens().take(5).collect();
        let is = |index: usize, word: &str| {
            let found: Option<&Token<'_>> = tokens.get(index);
            found.is_some_and(|token| unquoted(token.text).eq_ignore_ascii_case(word))
        };
        let scope = usize::from(is(1, "LOCAL") || is(1, "SESSION"));
        let off = ["off", "false", "no", "0", "f", "n"];
        is(0, "SET")
            && is(1 + scope, "standard_conforming_strings")
            && off.iter().any(|value| is(3 + scope, value))
    }

    /// The text of the function or block that this makes or runs, as it stands in quotes, and where
    /// that begins in the whole text, in characters from 0.
    pub(super) fn body(&self) -> Option<(&'a str, usize)> {
        let token = self.tokens().find(|token| token.kind == Kind::Text)?;
        let quote = match token.text.strip_prefix('$') {
            Some(rest) => rest.find('$')? + 2,
            None => token.text.find('\'')? + 1,
        };
        let close = if token.text.starts_with('$') {
            quote
        } else {
            1
        };
        let body = token
            .text
            .get(quote..token.text.len().checked_sub(close)?)?;
        let before = token.text[..quote].chars().count();
        Some((body, self.start + token.at + before))
    }

    /// Whether it calls this function, be it in the text of a block. What a function that it calls
    /// does in turn is not seen.
    pub(super) fn calls(&self, function: &str) -> bool {
        if !mentions(self.sql, function) {
            return false;
        }
        let calls = |text| {
            let tokens = Lexer::new(text).filter(|token| token.kind != Kind::Blank);
            let tokens: Vec<Token<'_>> = tokens.collect();
            let quoted = format!("\"{function}\"");
            let is_it = |token: &Token<'_>| token.is_word(function) || token.text == quoted;
            tokens
                .array_windows()
                .any(|[name, open]| is_it(name) && open.is_sign("("))
        };
        let block = self
            .words(1)
            .iter()
            .any(|word| word.eq_ignore_ascii_case("DO"));
        calls(self.sql) || (block && self.body().is_some_and(|(body, _)| calls(body)))
    }

    /// Whether these bare words stand side by side, outside of parentheses.
    fn has(&self, words: &[&str]) -> bool {
        let mut met = 0;
        for token in self.outer() {
            if met < words.len() && token.is_word(words[met]) {
                met += 1;
            } else {
                met = usize::from(token.is_word(words[0]));
            }
            if met == words.len() {
                return true;
            }
        }
        false
    }

    /// Its tokens, without the blanks.
    fn tokens(&self) -> impl Iterator<Item = Token<'a>> + use<'a> {
        Lexer::new(self.sql).filter(|token| token.kind != Kind::Blank)
    }

    /// Its tokens outside of parentheses.
    fn outer(&self) -> impl Iterator<Item = Token<'a>> + use<'a> {
        let mut depth = 0_usize;
        self.tokens().filter(move |token| {
            let before = depth;
            if token.is_sign("(") {
                depth += 1;
            } else if token.is_sign(")") {
                depth = depth.saturating_sub(1);
            }
            before == 0 && depth == 0
        })
    }
}

/// How far into a statement its head may reach; a long list of values is none.
const HEAD: usize = 1000;

/// The server takes either word in either direction.
fn other_end(end: &str) -> &'static str {
    if end == "STDIN" { "STDOUT" } else { "STDIN" }
}

/// Whether a text has these letters in it at all, in capitals or not: cheaper than its tokens.
fn mentions(text: &str, word: &str) -> bool {
    let word = word.as_bytes();
    let mut places = text.as_bytes().windows(word.len());
    places.any(|place| place[0].eq_ignore_ascii_case(&word[0]) && place.eq_ignore_ascii_case(word))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['\'', '"'])
}

#[cfg(test)]
mod tests {
    use super::{Statement, null_byte, split};

    fn starts(sql: &str) -> Vec<usize> {
        split(sql).iter().map(Statement::start).collect()
    }

    fn refused(sql: &str) -> Vec<usize> {
        split(sql)
            .iter()
            .filter(|statement| statement.refusal().is_some())
            .map(Statement::start)
            .collect()
    }

    #[test]
    fn statements_begin_after_semicolons() {
        for (sql, expected) in [
            ("", vec![]),
            ("\u{feff}SELECT 1", vec![1]),
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
    fn a_semicolon_inside_a_token_ends_nothing() {
        for sql in [
            // A string goes on in the next line by its own rules.
            "SELECT 'a'\n'b;\\'",
            "SELECT E'a'\n'b\\';'",
            "SELECT E'a' -- c\r 'b\\'' \\';'",
            "SELECT E'a' -- c\n -- d\n\n 'b' -- e\n '\\';'",
            "SELECT E'a' 'b\\'",
            "SELECT E'a' /* c\n */ 'b\\'",
            "SELECT E'\\\\'",
            "SELECT U&'a\\'",
            "SELECT n';', b'0;', x'0;', U&\"a;\"\";\"",
            // A blank that is no ASCII is a letter to the server.
            "SELECT 1 AS\u{a0}",
            "SELECT 1 -- ;\r + 1",
            "SELECT 1 +-- ;\n 1",
            "SELECT 1 */* ; */ 1",
            "SELECT $ä$ ; $ä$",
            "SELECT $a$ ; $a ; $a$",
            "SELECT a$b$",
            "SELECT $1",
            "SELECT ARRAY[';'], (';')",
        ] {
            let two = format!("{sql}; SELECT 2");
            let found = split(&two);
            let texts: Vec<_> = found.iter().map(Statement::sql).collect();
            assert_eq!(texts, [sql, "SELECT 2"]);
        }
    }

    #[test]
    fn the_body_of_a_function_is_one_with_it() {
        let sql = "CREATE OR REPLACE FUNCTION f(a int) RETURNS int BEGIN ATOMIC \
                   SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; SELECT 2; END; SELECT 3";
        assert_eq!(starts(sql), [0, sql.len() - 8]);
        let sql = "CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; COMMIT";
        assert_eq!(refused(sql), [sql.len() - 6]);
        // Neither a column called end, nor words like these in an ordinary statement.
        let function = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end; \
                        SELECT 2 end; SELECT a.case FROM a; END";
        let nested = "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC CREATE FUNCTION f() RETURNS \
                      int BEGIN ATOMIC SELECT 1; END; SELECT begin atomic FROM a; END";
        let [column, table] = [
            "SELECT begin atomic FROM a",
            "CREATE TABLE a (begin atomic)",
        ];
        let all = [function, nested, column, table];
        let sql = all.join(";");
        let found = split(&sql);
        assert_eq!(found.iter().map(Statement::sql).collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_statement_is_its_text_without_the_blanks_around() {
        let sql = "-- ä\nSELECT /* b */ 'ö' -- c\n ; SELECT 2 ;";
        let found = split(sql);
        let texts: Vec<_> = found.iter().map(Statement::sql).collect();
        assert_eq!(texts, ["SELECT /* b */ 'ö'", "SELECT 2"]);
        for statement in found {
            let places = statement.start()..statement.end();
            let text: String = sql.chars().skip(places.start).take(places.len()).collect();
            assert_eq!(text, statement.sql());
        }
    }

    #[test]
    fn a_refusal_names_its_place() {
        for (sql, at) in [
            ("SELECT 1;\n\\connect lens\nSELECT 2", 10),
            ("SELECT 1 \\gset", 9),
            ("COPY a TO STDOUT", 0),
            ("COPY a FROM stdout", 0),
            ("SET standard_conforming_strings = off", 0),
            ("SET SESSION standard_conforming_strings TO 'off'", 0),
        ] {
            let places: Vec<_> = split(sql).iter().filter_map(Statement::refusal).collect();
            assert_eq!(places[0].at, at, "{sql}");
        }
        assert_eq!(null_byte("SELECT 'ä\0'").expect("refused").at, 9);
    }

    #[test]
    fn a_summary_names_what_is_done_to_what() {
        for (sql, summary) in [
            (
                "create /* x */ table if not exists Nodes (id int)",
                "CREATE TABLE Nodes",
            ),
            (
                "CREATE UNLOGGED TABLE a.\"b c\" ()",
                "CREATE TABLE a.\"b c\"",
            ),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
                "CREATE INDEX i",
            ),
            ("CREATE INDEX ON t (a)", "CREATE INDEX"),
            (
                "CREATE OR REPLACE FUNCTION f(a int) RETURNS int",
                "CREATE FUNCTION f",
            ),
            (
                "CREATE MATERIALIZED VIEW v AS SELECT 1",
                "CREATE MATERIALIZED VIEW v",
            ),
            ("DROP TABLE IF EXISTS a, b", "DROP TABLE a"),
            ("ALTER TABLE ONLY t ADD COLUMN a int", "ALTER TABLE t"),
            (
                "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO r",
                "ALTER DEFAULT PRIVILEGES",
            ),
            ("COMMENT ON COLUMN t.c IS 'x'", "COMMENT COLUMN t.c"),
            ("INSERT INTO nodes (a) VALUES (1)", "INSERT nodes"),
            (
                "WITH a AS (SELECT 1 FROM b) INSERT INTO nodes SELECT * FROM a",
                "INSERT nodes",
            ),
            ("DELETE FROM ONLY nodes", "DELETE nodes"),
            ("UPDATE nodes SET a = 1", "UPDATE nodes"),
            ("SELECT (SELECT 1 FROM a), b FROM nodes n", "SELECT nodes"),
            ("SELECT 1", "SELECT"),
            ("TRUNCATE TABLE nodes", "TRUNCATE nodes"),
            ("DO $$ BEGIN END $$", "DO"),
            ("GRANT SELECT ON a TO b", "GRANT"),
            ("SET LOCAL lock_timeout = 1", "SET lock_timeout"),
            (
                "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
                "REFRESH MATERIALIZED VIEW v",
            ),
            ("REINDEX (VERBOSE) TABLE CONCURRENTLY t", "REINDEX TABLE t"),
            ("VACUUM (FULL) t", "VACUUM t"),
        ] {
            assert_eq!(split(sql)[0].summary(), summary, "{sql}");
        }
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
            "COPY t FROM '/a/file'; COPY (SELECT 1 FROM stdin) TO PROGRAM 'cat'",
            "CREATE TABLE \"commit\" (\"end\" int)",
            "ALTER TABLE t ADD COLUMN begin int",
        ] {
            assert_eq!(refused(sql), [0_usize; 0], "{sql}");
        }
    }
}
