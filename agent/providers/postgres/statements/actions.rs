//! What the actions of ALTER TABLE lock. It takes the greatest lock of all its actions at once.

use super::head::{self, Head};
use super::lexer::Token;
use super::locks::{Lock, Mode, Work, lock};

/// The locks of all actions: one on the table, and one on each table that a foreign key or a
/// partition brings in.
pub(super) fn locks(head: &Head, tokens: &[Token<'_>]) -> Vec<Lock> {
    let table = head.name.clone().unwrap_or_default();
    let mut own = lock(table, Mode::ShareUpdateExclusive, None);
    let mut others = Vec::new();
    for action in tokens.split(|token| token.is_sign(",")) {
        let action = Action {
            tokens: action,
            words: behind_name(action),
        };
        own.mode = own.mode.max(action.mode());
        own.work = own.work.max(action.work());
        own.instead = own.instead.or_else(|| action.instead());
        others.extend(action.other());
    }
    others.insert(0, own);
    others
}

/// The words of the first action stand behind those that name the table.
fn behind_name<'a>(action: &'a [Token<'a>]) -> &'a [Token<'a>] {
    let verbs = [
        "ADD", "ALTER", "DROP", "VALIDATE", "SET", "RESET", "CLUSTER", "ENABLE", "DISABLE",
        "ATTACH", "DETACH", "RENAME", "OWNER", "REPLICA", "INHERIT", "NO", "FORCE", "OF", "NOT",
    ];
    let is = |index: usize, word: &str| {
        let found: Option<&Token<'_>> = action.get(index);
        found.is_some_and(|token| token.is_word(word))
    };
    let skipped = usize::from(is(0, "ALTER") && (is(1, "TABLE") || is(1, "FOREIGN")));
    let mut words = action[skipped..].iter();
    let at = words.position(|token| verbs.iter().any(|verb| token.is_word(verb)));
    &action[skipped + at.unwrap_or(0)..]
}

/// With one of these each row gets a value of its own, so a new column writes all of them.
const FILLED: [&str; 10] = [
    "SERIAL",
    "BIGSERIAL",
    "SMALLSERIAL",
    "GENERATED",
    "gen_random_uuid",
    "uuid_generate_v4",
    "random",
    "clock_timestamp",
    "timeofday",
    "nextval",
];

struct Action<'a> {
    tokens: &'a [Token<'a>],
    /// From its verb on.
    words: &'a [Token<'a>],
}

impl Action<'_> {
    fn is(&self, index: usize, word: &str) -> bool {
        self.words
            .get(index)
            .is_some_and(|token| token.is_word(word))
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|token| token.is_word(word))
    }

    /// The word behind `ALTER [COLUMN] name`.
    fn column_verb(&self) -> usize {
        2 + usize::from(self.is(1, "COLUMN"))
    }

    fn is_foreign_key(&self) -> bool {
        self.is(0, "ADD") && self.has("FOREIGN") && self.has("KEY")
    }

    /// As `AlterTableGetLockLevel` of the server has it.
    fn mode(&self) -> Mode {
        use Mode::{AccessExclusive, ShareRowExclusive, ShareUpdateExclusive};
        let column = self.column_verb();
        let gentle = self.is(0, "VALIDATE")
            || self.is(0, "ATTACH")
            || (self.is(0, "DETACH") && (self.has("CONCURRENTLY") || self.has("FINALIZE")))
            || (self.is(0, "CLUSTER") && self.is(1, "ON"))
            || (self.is(0, "SET") && self.is(1, "WITHOUT") && self.is(2, "CLUSTER"))
            // Options in parentheses, which are not among the words.
            || ((self.is(0, "SET") || self.is(0, "RESET")) && self.words.len() == 1)
            || (self.is(0, "ALTER") && self.is(column + 1, "STATISTICS"))
            || (self.is(0, "ALTER")
                && (self.is(column, "SET") || self.is(column, "RESET"))
                && self.words.len() == column + 1);
        if gentle {
            return ShareUpdateExclusive;
        }
        let trigger = (self.is(0, "ENABLE") || self.is(0, "DISABLE")) && self.has("TRIGGER");
        if trigger || self.is_foreign_key() {
            return ShareRowExclusive;
        }
        AccessExclusive
    }

    fn work(&self) -> Option<Work> {
        let column = self.column_verb();
        let put_off = self.has("NOT") && self.has("VALID");
        if self.is(0, "ALTER") && (self.is(column, "TYPE") || self.is(column + 2, "TYPE")) {
            return Some(Work::Rewrites);
        }
        if self.is(0, "SET") {
            let rewrites = ["LOGGED", "UNLOGGED", "TABLESPACE", "ACCESS"];
            return rewrites
                .iter()
                .any(|word| self.is(1, word))
                .then_some(Work::Rewrites);
        }
        if self.is(0, "ALTER") && self.is(column, "SET") && self.is(column + 1, "NOT") {
            return Some(Work::Reads);
        }
        if self.is(0, "VALIDATE") {
            return Some(Work::Reads);
        }
        if !self.is(0, "ADD") {
            return None;
        }
        if FILLED.iter().any(|word| self.has(word)) {
            return Some(Work::Rewrites);
        }
        let indexes = ["UNIQUE", "PRIMARY", "EXCLUDE"];
        if indexes.iter().any(|word| self.has(word)) && !(self.has("USING") && self.has("INDEX")) {
            return Some(Work::Indexes);
        }
        let reads = self.has("CHECK") || self.is_foreign_key();
        (reads && !put_off).then_some(Work::Reads)
    }

    /// What does the same and keeps fewer waiting.
    fn instead(&self) -> Option<&'static str> {
        let adds = self.is(0, "ADD");
        match self.work() {
            Some(Work::Reads) if adds => {
                Some("ADD … NOT VALID, and VALIDATE CONSTRAINT in a later migration")
            }
            Some(Work::Reads) if self.is(0, "ALTER") => Some(
                "ADD CHECK (… IS NOT NULL) NOT VALID, VALIDATE it in a later migration, and then \
                 SET NOT NULL reads no row",
            ),
            Some(Work::Indexes) => Some(
                "CREATE UNIQUE INDEX CONCURRENTLY in an earlier migration, and then ADD \
                 CONSTRAINT … USING INDEX",
            ),
            Some(Work::Rewrites) if adds => {
                Some("ADD COLUMN without a value, and fill it in parts in later migrations")
            }
            Some(Work::Rewrites) if self.is(0, "ALTER") => {
                Some("if the server must convert the values: a second column, filled in parts")
            }
            None if self.is(0, "DETACH") && self.mode() == Mode::AccessExclusive => Some(
                "DETACH PARTITION … CONCURRENTLY, alone in a file with \
                 `-- firstlight: transaction=none`",
            ),
            _ => None,
        }
    }

    /// The other table.
    fn other(&self) -> Option<Lock> {
        if self.is(0, "ADD") && self.has("REFERENCES") {
            let table = head::name_after(self.tokens, "REFERENCES");
            return Some(lock(table, Mode::ShareRowExclusive, None));
        }
        if self.is(0, "ATTACH") {
            let table = head::name_after(self.tokens, "PARTITION");
            return Some(lock(table, Mode::AccessExclusive, Some(Work::Reads)));
        }
        if self.is(0, "DETACH") {
            let table = head::name_after(self.tokens, "PARTITION");
            return Some(lock(table, Mode::AccessExclusive, None));
        }
        None
    }
}
