//! What a statement locks, and what others cannot do meanwhile.
//!
//! From the server's manual (13.3 and each command's page), and compared with `pg_locks` of a real
//! server by `tests/laws/postgres/locks.rs`.

use super::head::{self, Head};
use super::lexer::Token;
use super::{Statement, actions};

/// How a table is locked, from the least to the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// For rows that are written.
    RowExclusive,
    /// Against changes of the schema, and VACUUM.
    ShareUpdateExclusive,
    /// Against writes.
    Share,
    /// Against writes, and others of its kind.
    ShareRowExclusive,
    /// Against all but plain reads.
    Exclusive,
    /// Against everything.
    AccessExclusive,
}

/// One lock that a statement takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// On what, as the statement writes it.
    pub on: String,
    /// How.
    pub mode: Mode,
    /// What is done while it is held, where that takes the longer the more rows there are.
    pub work: Option<Work>,
    /// What keeps fewer waiting, and comes to the same.
    pub instead: Option<&'static str>,
}

/// Work that grows with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Every row is read.
    Reads,
    /// An index over every row is made.
    Indexes,
    /// Every row is written anew.
    Rewrites,
}

impl Mode {
    /// As the server's manual calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Whom it keeps waiting.
    #[must_use]
    pub fn blocks(self) -> &'static str {
        match self {
            Self::RowExclusive | Self::ShareUpdateExclusive => "schema changes",
            Self::Share | Self::ShareRowExclusive | Self::Exclusive => "writes",
            Self::AccessExclusive => "reads and writes",
        }
    }
}

impl Work {
    /// What it does, as the end of a sentence.
    #[must_use]
    pub fn does(self) -> &'static str {
        match self {
            Self::Reads => "reads all rows",
            Self::Indexes => "makes an index over all rows",
            Self::Rewrites => "writes all rows anew",
        }
    }
}

pub(super) fn lock(on: impl Into<String>, mode: Mode, work: Option<Work>) -> Lock {
    Lock {
        on: on.into(),
        mode,
        work,
        instead: None,
    }
}

impl Statement<'_> {
    /// The locks that this takes on tables, views, indexes and sequences that are there before.
    ///
    /// What is inside functions and blocks is not seen, nor whom a CASCADE or a trigger reaches.
    #[must_use]
    pub fn locks(&self) -> Vec<Lock> {
        let head = self.head();
        let tokens: Vec<_> = self.outer().take(super::HEAD).collect();
        let mut locks = match (head.verb.as_str(), head.object.as_str()) {
            ("ALTER", "TABLE" | "FOREIGN TABLE") => actions::locks(&head, &tokens),
            ("CREATE", "TABLE") => created(self, &tokens),
            _ => one(self, &head, &tokens).into_iter().collect(),
        };
        for lock in &mut locks {
            lock.instead = lock.instead.or_else(|| gentler(&head, lock.mode));
        }
        locks.retain(|lock| !lock.on.is_empty());
        locks
    }
}

/// What does the same with a lesser lock.
fn gentler(head: &Head, mode: Mode) -> Option<&'static str> {
    match (head.verb.as_str(), head.object.as_str(), mode) {
        (_, _, Mode::RowExclusive | Mode::ShareUpdateExclusive) => None,
        ("CREATE", "INDEX", _) => Some(
            "CREATE INDEX CONCURRENTLY, alone in a file with `-- firstlight: transaction=none`",
        ),
        ("DROP", "INDEX", _) => {
            Some("DROP INDEX CONCURRENTLY, alone in a file with `-- firstlight: transaction=none`")
        }
        ("REINDEX", ..) => {
            Some("REINDEX … CONCURRENTLY, alone in a file with `-- firstlight: transaction=none`")
        }
        ("REFRESH", _, Mode::AccessExclusive) => {
            Some("REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on the view")
        }
        _ => None,
    }
}

/// The one lock of all but ALTER TABLE and CREATE TABLE.
fn one(statement: &Statement<'_>, head: &Head, tokens: &[Token<'_>]) -> Option<Lock> {
    use Mode::ShareUpdateExclusive;
    use Mode::{AccessExclusive, Exclusive, RowExclusive, Share, ShareRowExclusive};
    let after = |word: &str| head::name_after(tokens, word);
    let own = head.name.clone().unwrap_or_default();
    let concurrently = statement.has(&["CONCURRENTLY"]) || statement.has_option("CONCURRENTLY");
    let gently = |mode| {
        if concurrently {
            ShareUpdateExclusive
        } else {
            mode
        }
    };
    Some(match (head.verb.as_str(), head.object.as_str()) {
        ("INSERT" | "UPDATE" | "DELETE" | "MERGE", _) => lock(own, RowExclusive, None),
        ("COPY", _) if statement.has(&["FROM"]) => lock(own, RowExclusive, None),
        ("LOCK", _) => lock(own, said_mode(statement)?, None),
        ("CREATE", "INDEX") => lock(after("ON"), gently(Share), Some(Work::Indexes)),
        ("REINDEX", "TABLE" | "INDEX") => lock(own, gently(reindexed(head)), Some(Work::Indexes)),
        ("DROP", "INDEX") => lock(own, gently(AccessExclusive), None),
        ("ALTER", "INDEX") if statement.has(&["RENAME", "TO"]) || statement.has(&["SET"]) => {
            lock(own, ShareUpdateExclusive, None)
        }
        ("CREATE", "TRIGGER") => lock(after("ON"), ShareRowExclusive, None),
        ("CREATE", "RULE") => lock(after("TO"), AccessExclusive, None),
        ("CREATE" | "ALTER" | "DROP", "POLICY") | ("ALTER" | "DROP", "TRIGGER" | "RULE") => {
            lock(after("ON"), AccessExclusive, None)
        }
        ("CREATE", "STATISTICS") => lock(after("FROM"), ShareUpdateExclusive, None),
        ("VACUUM", _) if statement.has(&["FULL"]) || statement.has_option("FULL") => {
            lock(own, AccessExclusive, Some(Work::Rewrites))
        }
        ("VACUUM" | "ANALYZE" | "ANALYSE", _) => lock(own, ShareUpdateExclusive, Some(Work::Reads)),
        ("REFRESH", _) if concurrently => lock(own, Exclusive, Some(Work::Rewrites)),
        ("CLUSTER" | "REFRESH", _) => lock(own, AccessExclusive, Some(Work::Rewrites)),
        ("ALTER", "SEQUENCE") => lock(own, ShareRowExclusive, None),
        ("COMMENT", "TABLE") => lock(own, ShareUpdateExclusive, None),
        ("COMMENT", "COLUMN") => {
            let table = own.rsplit_once('.').map_or("", |(table, _)| table);
            lock(table, ShareUpdateExclusive, None)
        }
        ("TRUNCATE", _)
        | ("DROP", "TABLE" | "FOREIGN TABLE" | "VIEW" | "MATERIALIZED VIEW" | "SEQUENCE")
        | ("ALTER", "VIEW" | "MATERIALIZED VIEW" | "INDEX") => lock(own, AccessExclusive, None),
        ("CREATE", "VIEW") if statement.has(&["OR", "REPLACE"]) => lock(own, AccessExclusive, None),
        _ => return None,
    })
}

/// A new table is nobody else's yet; the ones that it refers to are.
fn created(statement: &Statement<'_>, outer: &[Token<'_>]) -> Vec<Lock> {
    let mut locks = Vec::new();
    if statement.has(&["PARTITION", "OF"]) {
        let parent = head::name_after(outer, "OF");
        locks.push(lock(parent, Mode::AccessExclusive, None));
    }
    let all: Vec<_> = statement.tokens().take(super::HEAD).collect();
    for (index, token) in all.iter().enumerate() {
        if token.is_word("REFERENCES") {
            let table = head::name_after(&all[index..], "REFERENCES");
            locks.push(lock(table, Mode::ShareRowExclusive, None));
        } else if token.is_word("INHERITS") {
            let table = head::name_after(&all[index..], "(");
            locks.push(lock(table, Mode::ShareUpdateExclusive, None));
        }
    }
    locks.dedup();
    locks
}

/// An index is taken away from readers while it is made anew, a table only from writers.
fn reindexed(head: &Head) -> Mode {
    if head.object == "INDEX" {
        Mode::AccessExclusive
    } else {
        Mode::Share
    }
}

/// `LOCK TABLE t IN SHARE MODE`; none for the modes of those who only read.
fn said_mode(statement: &Statement<'_>) -> Option<Mode> {
    let modes = [
        (&["IN", "ACCESS", "SHARE"][..], None),
        (&["IN", "ROW", "SHARE"], None),
        (&["IN", "ROW", "EXCLUSIVE"], Some(Mode::RowExclusive)),
        (&["IN", "SHARE", "UPDATE"], Some(Mode::ShareUpdateExclusive)),
        (&["IN", "SHARE", "ROW"], Some(Mode::ShareRowExclusive)),
        (&["IN", "SHARE", "MODE"], Some(Mode::Share)),
        (&["IN", "EXCLUSIVE"], Some(Mode::Exclusive)),
    ];
    let said = modes.iter().find(|(words, _)| statement.has(words));
    said.map_or(Some(Mode::AccessExclusive), |(_, mode)| *mode)
}
