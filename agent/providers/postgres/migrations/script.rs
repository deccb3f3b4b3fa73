//! A migration as it will be run: its header, its statements, and the questions at its end.

use super::super::history;
use super::super::statements::{self, Control, Head, Statement};
use super::header::{Header, MARK, directive};
use super::outside::Outside;
use super::placeholders::{Placeholders, Resolved, resolve};
use super::tokens::{Parts, Token, tokens};

/// What is wrong with a file, before any server has seen it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flaw {
    /// In characters, from 0.
    pub(super) offset: usize,
    pub(super) what: String,
    pub(super) hint: String,
}

/// One statement of a file.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Where it starts in the file, in characters from 0.
    pub(super) start: usize,
    /// What is sent.
    pub(super) resolved: Resolved,
    /// What it is about.
    pub(super) summary: String,
    /// Of its text in the file.
    pub(super) checksum: String,
    /// None for one that a transaction may be around.
    pub(super) outside: Option<Outside>,
    /// Whether it only sets something for the session, which ends with it.
    pub(super) is_setting: bool,
}

/// A file, read.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) header: Header,
    /// How the file itself begins its transaction, if it does.
    pub(super) begin: Option<String>,
    pub(super) pieces: Vec<Piece>,
    /// Each must be answered with yes.
    pub(super) verify: Vec<Piece>,
    /// Whether it goes back to a savepoint, behind which a failed transaction goes on.
    pub(super) goes_back: bool,
}

impl Script {
    /// Reads a file, or says all that is wrong with it.
    pub(super) fn read(sql: &str, placeholders: &Placeholders) -> Result<Self, Vec<Flaw>> {
        let statements = statements::split(sql);
        let mut reader = Reader::default();
        if let Some(refusal) = statements::null_byte(sql) {
            reader.flaw(refusal.at, refusal.why, refusal.instead);
        }
        let mut place = Place::default();
        let mut questions = Vec::new();
        let mut changes = Vec::new();
        for statement in &statements {
            let gap = place.go_to(sql, statement.start());
            reader.gap(gap, changes.is_empty());
            reader.inside(place, statement.sql());
            if reader.verifying.is_some() {
                questions.push(statement);
            } else {
                changes.push(statement);
            }
            place.go_past(statement.sql());
        }
        reader.gap((place.chars, &sql[place.bytes..]), changes.is_empty());
        let begin = reader.unwrap(&mut changes);
        let known = |statements: Vec<_>| statements.into_iter().map(Known::new).collect();
        let (changes, questions): (Vec<Known<'_>>, Vec<Known<'_>>) =
            (known(changes), known(questions));
        reader.statements(&changes, &questions);
        let goes_back = changes.iter().any(|known| known.is(0, "ROLLBACK"));
        let mut piece = |known: &Known<'_>| reader.piece(known, placeholders);
        let pieces = changes.iter().map(&mut piece).collect();
        let verify = questions.iter().map(&mut piece).collect();
        if reader.flaws.is_empty() {
            let header = reader.header;
            return Ok(Self {
                header,
                begin,
                pieces,
                verify,
                goes_back,
            });
        }
        reader.flaws.sort();
        Err(reader.flaws)
    }
}

/// A statement, and what is asked of it more than once.
struct Known<'a> {
    statement: &'a Statement<'a>,
    head: Head,
    /// What it is, if no transaction may be around it.
    alone: Option<&'static str>,
    /// The first three, if they are bare.
    words: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn new(statement: &'a Statement<'a>) -> Self {
        let head = statement.head();
        Self {
            statement,
            alone: statement.stands_alone_as(&head),
            head,
            words: statement.words(3),
        }
    }

    /// Whether this is one of its first words.
    fn is(&self, at: usize, word: &str) -> bool {
        let found = self.words.get(at);
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    /// What to do instead, if it frees all locks of its session, ours among them.
    fn frees_our_lock(&self) -> Option<&'static str> {
        if self.is(0, "DISCARD") && self.is(1, "ALL") {
            return Some("leave it out: what one file sets the next does not see");
        }
        let frees = self.statement.calls("pg_advisory_unlock_all");
        frees.then_some("free the locks of your own one by one, with pg_advisory_unlock(key)")
    }

    /// Whether it only sets something for the session.
    fn is_setting(&self) -> bool {
        let local = ["LOCAL", "TRANSACTION", "CONSTRAINTS"];
        self.is(0, "RESET") || (self.is(0, "SET") && !local.iter().any(|word| self.is(1, word)))
    }
}

/// A place in the text, counted in both ways.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    bytes: usize,
    chars: usize,
}

impl Place {
    /// What is between here and the character, which becomes the place.
    fn go_to<'a>(&mut self, sql: &'a str, chars: usize) -> (usize, &'a str) {
        let (from, rest) = (*self, &sql[self.bytes..]);
        let mut indices = rest.char_indices();
        let length = indices
            .nth(chars - from.chars)
            .map_or(rest.len(), |(at, _)| at);
        *self = Self {
            bytes: from.bytes + length,
            chars,
        };
        (from.chars, &rest[..length])
    }

    fn go_past(&mut self, text: &str) {
        self.bytes += text.len();
        self.chars += text.chars().count();
    }
}

#[derive(Default)]
struct Reader {
    header: Header,
    /// Where the questions are announced.
    verifying: Option<usize>,
    flaws: Vec<Flaw>,
}

impl Reader {
    fn flaw(&mut self, offset: usize, what: impl Into<String>, hint: impl Into<String>) {
        self.flaws.push(Flaw {
            offset,
            what: what.into(),
            hint: hint.into(),
        });
    }

    /// What stands between statements: there a comment may be meant for the agent.
    fn gap(&mut self, (mut offset, gap): (usize, &str), at_the_top: bool) {
        if !gap.contains(MARK) {
            return;
        }
        for token in tokens(gap) {
            if let Some((before, said)) = directive(&token) {
                self.directive(offset + before, said, at_the_top);
            }
            offset += token.text.chars().count();
        }
    }

    fn directive(&mut self, offset: usize, said: &str, at_the_top: bool) {
        if at_the_top {
            self.header.read(offset, said, &mut self.flaws);
        } else if said.trim() == "verify" && self.verifying.is_none() {
            self.verifying = Some(offset);
        } else {
            self.flaw(
                offset,
                format!("`{}` is not at its place", said.trim()),
                "settings of a migration stand above its first statement; below it there is only \
                 one line `-- firstlight: verify`",
            );
        }
    }

    /// A comment inside a statement is meant for nobody.
    fn inside(&mut self, place: Place, sql: &str) {
        if !sql.contains(MARK) {
            return;
        }
        let is_directive = |token: &Token<'_>| directive(token).is_some();
        let Some(found) = tokens(sql).find(is_directive) else {
            return;
        };
        self.flaw(
            place.chars + sql[..found.start].chars().count(),
            "this line stands inside a statement",
            "end the statement before it with a semicolon",
        );
    }

    /// Takes the one BEGIN and the one COMMIT away that a file may have around all of it.
    fn unwrap(&mut self, statements: &mut Vec<&Statement<'_>>) -> Option<String> {
        let [first, .., last] = &statements[..] else {
            return None;
        };
        let around = (first.control(), last.control());
        if around != (Some(Control::Begin), Some(Control::Commit)) {
            return None;
        }
        if !self.header.transaction {
            let hint = "leave out BEGIN and COMMIT, or `transaction=none`";
            self.flaw(
                first.start(),
                "the file is to run outside a transaction",
                hint,
            );
        }
        let begin = first.sql().to_owned();
        statements.pop();
        statements.remove(0);
        Some(begin)
    }

    fn statements(&mut self, changes: &[Known<'_>], questions: &[Known<'_>]) {
        if changes.is_empty() {
            self.flaw(
                0,
                "there is no statement in this file",
                "write one, or remove the file",
            );
        }
        if let Some(at) = self.verifying.filter(|_| questions.is_empty()) {
            let hint = "write queries below it that must be answered with true";
            self.flaw(at, "no question follows", hint);
        }
        for known in changes.iter().chain(questions) {
            if let Some(refusal) = known.statement.refusal() {
                self.flaw(refusal.at, refusal.why, refusal.instead);
            } else {
                self.bounds(known);
            }
        }
        for question in questions {
            if !Parts::of(question.statement.sql()).ask() {
                self.flaw(
                    question.statement.start(),
                    "this is no question",
                    "below `-- firstlight: verify` are queries that must be answered with true",
                );
            }
        }
    }

    /// Whether a statement may be where it is: inside a transaction, or outside.
    fn bounds(&mut self, known: &Known<'_>) {
        let start = known.statement.start();
        if let Some(alone) = known.alone.filter(|_| self.header.transaction) {
            self.flaw(
                start,
                format!("{alone} cannot run inside a transaction"),
                "give it a file of its own with `-- firstlight: transaction=none` above it",
            );
        }
        let makes_index = known.head.object == "INDEX";
        let outside = makes_index.then(|| Outside::of(known.statement.sql()));
        if let Some(Some(Outside::CreateIndex { index: None, .. })) = outside {
            self.flaw(
                start,
                "the index has no name",
                "name it: after an interruption it could not be found again",
            );
        }
        if let Some(hint) = known.frees_our_lock() {
            let what = "this would free the lock that keeps other runs out";
            self.flaw(start, what, hint);
        }
        let temporary = ["TEMP", "TEMPORARY"]
            .iter()
            .any(|word| known.is(1, word) || known.is(2, word));
        if !self.header.transaction && known.is(0, "CREATE") && temporary {
            self.flaw(
                start,
                "a temporary table ends with the session, and the file may be finished by another",
                "make a plain table, and drop it in the end",
            );
        }
    }

    fn piece(&mut self, known: &Known<'_>, placeholders: &Placeholders) -> Piece {
        let statement = known.statement;
        let sql = statement.sql();
        let mut flaws = Vec::new();
        let resolved = resolve(sql, placeholders, &mut flaws);
        self.flaws.extend(flaws.into_iter().map(|flaw| Flaw {
            offset: statement.start() + flaw.offset,
            ..flaw
        }));
        Piece {
            start: statement.start(),
            summary: known.head.summary(),
            checksum: history::checksum(sql),
            outside: Outside::find(&resolved.sql, known.alone.is_some()),
            is_setting: known.is_setting(),
            resolved,
        }
    }
}

impl Parts<'_> {
    /// Whether this is a query.
    fn ask(mut self) -> bool {
        let asks = ["SELECT", "WITH", "VALUES", "TABLE", "("];
        asks.iter().any(|word| self.at(word))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(sql: &str) -> Script {
        Script::read(sql, &BTreeMap::new()).expect("nothing is wrong")
    }

    fn wrong(sql: &str) -> Vec<(usize, String)> {
        let flaws = Script::read(sql, &BTreeMap::new()).expect_err("something is wrong");
        flaws
            .into_iter()
            .map(|flaw| (flaw.offset, flaw.what))
            .collect()
    }

    fn texts(pieces: &[Piece]) -> Vec<&str> {
        pieces
            .iter()
            .map(|piece| piece.resolved.sql.as_str())
            .collect()
    }

    #[test]
    fn header_statements_and_questions_are_told_apart() {
        let script = read(
            "-- About nodes.\n-- firstlight: lock_timeout=10s\n\
             CREATE TABLE ä (id int);\nINSERT INTO ä VALUES (1);\n\
             -- firstlight: verify\nSELECT count(*) = 1 FROM ä;\n(SELECT true)",
        );
        assert_eq!(script.header.lock_timeout, Some(10_000));
        assert_eq!(
            texts(&script.pieces),
            ["CREATE TABLE ä (id int)", "INSERT INTO ä VALUES (1)"]
        );
        assert_eq!(
            texts(&script.verify),
            ["SELECT count(*) = 1 FROM ä", "(SELECT true)"]
        );
        assert_eq!(script.pieces[1].start, 73);
        assert_eq!(script.pieces[0].summary, "CREATE TABLE ä");
    }

    #[test]
    fn one_begin_and_one_commit_are_the_transaction_itself() {
        let script = read(
            "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nSELECT 2;\nCOMMIT;\n-- firstlight: verify\nSELECT true;",
        );
        assert_eq!(
            script.begin.as_deref(),
            Some("BEGIN ISOLATION LEVEL SERIALIZABLE")
        );
        assert_eq!(texts(&script.pieces), ["SELECT 1", "SELECT 2"]);
        assert_eq!(script.verify.len(), 1);
        assert_eq!(read("START TRANSACTION; SELECT 1; END").pieces.len(), 1);
        let refused = "a migration must not begin or end a transaction".to_owned();
        for (sql, offsets) in [
            ("BEGIN; SELECT 1;", vec![0]),
            ("SELECT 1; COMMIT;", vec![10]),
            ("BEGIN; SELECT 1; COMMIT; SELECT 2;", vec![0, 17]),
            (
                "BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT;",
                vec![17, 25],
            ),
            ("BEGIN; SELECT 1; COMMIT AND CHAIN", vec![0, 17]),
        ] {
            let expected: Vec<_> = offsets
                .into_iter()
                .map(|at| (at, refused.clone()))
                .collect();
            assert_eq!(wrong(sql), expected, "{sql}");
        }
        assert_eq!(
            wrong("BEGIN; COMMIT;"),
            [(0, "there is no statement in this file".to_owned())]
        );
    }

    #[test]
    fn what_cannot_be_run_is_a_mistake_at_its_place() {
        for (sql, offset, what) in [
            ("-- only words", 0, "there is no statement in this file"),
            (
                "SELECT 1; VACUUM t",
                10,
                "VACUUM cannot run inside a transaction",
            ),
            (
                "-- firstlight: transaction=none\nCREATE INDEX CONCURRENTLY ON t (x)",
                32,
                "the index has no name",
            ),
            (
                "-- firstlight: transaction=none\nBEGIN; SELECT 1; COMMIT",
                32,
                "the file is to run outside a transaction",
            ),
            (
                "-- firstlight: transaction=none\nCREATE TEMP TABLE t ()",
                32,
                "a temporary table ends with the session, and the file may be finished by another",
            ),
            (
                "-- firstlight: transaction=none\nDISCARD ALL",
                32,
                "this would free the lock that keeps other runs out",
            ),
            (
                "SELECT 1;\nSELECT pg_catalog.PG_advisory_unlock_all ()",
                10,
                "this would free the lock that keeps other runs out",
            ),
            (
                "DO $$ BEGIN PERFORM pg_advisory_unlock_all(); END $$",
                0,
                "this would free the lock that keeps other runs out",
            ),
            (
                "SELECT 1;\n-- firstlight: lock_timeout=1s\nSELECT 2",
                24,
                "`lock_timeout=1s` is not at its place",
            ),
            (
                "SELECT\n-- firstlight: verify\n1;",
                7,
                "this line stands inside a statement",
            ),
            (
                "SELECT 1\n-- firstlight: verify\n;",
                23,
                "no question follows",
            ),
            (
                "SELECT 1;\n-- firstlight: verify\nDELETE FROM t",
                32,
                "this is no question",
            ),
        ] {
            assert_eq!(wrong(sql), [(offset, what.to_owned())], "{sql}");
        }
    }

    #[test]
    fn settings_of_the_session_are_told_from_those_of_a_transaction() {
        let script =
            read("SET a.b = 1; SET LOCAL a.b = 1; RESET a.b; SET CONSTRAINTS ALL DEFERRED");
        let settings: Vec<_> = script.pieces.iter().map(|piece| piece.is_setting).collect();
        assert_eq!(settings, [true, false, true, false]);
    }
}
