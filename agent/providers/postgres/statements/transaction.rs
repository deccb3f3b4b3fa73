//! What a statement means for the transaction around it.

use super::{Head, Statement};

/// How a statement begins or ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// `BEGIN`, `START TRANSACTION`, whatever its options.
    Begin,
    /// `COMMIT` or `END`, and no more: the next statement is outside of a transaction.
    Commit,
    /// `ROLLBACK`, `COMMIT AND CHAIN`, `PREPARE TRANSACTION` and the like.
    Other,
}

impl Statement<'_> {
    /// Whether this begins or ends a transaction.
    #[must_use]
    pub fn control(&self) -> Option<Control> {
        let words = self.words(5);
        let is = |index: usize, word: &str| {
            let found: Option<&&str> = words.get(index);
            found.is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        let filler = usize::from(is(1, "WORK") || is(1, "TRANSACTION"));
        let first = words.first()?.to_ascii_uppercase();
        match first.as_str() {
            "BEGIN" => Some(Control::Begin),
            "START" if is(1, "TRANSACTION") => Some(Control::Begin),
            // `COMMIT AND NO CHAIN` is a plain commit.
            "COMMIT" | "END" if words.len() == 1 + filler => Some(Control::Commit),
            "COMMIT" | "END" if is(1 + filler, "AND") && is(2 + filler, "NO") => {
                Some(Control::Commit)
            }
            "COMMIT" | "END" | "ABORT" => Some(Control::Other),
            "PREPARE" if is(1, "TRANSACTION") => Some(Control::Other),
            // ROLLBACK TO goes back to a savepoint, inside the transaction.
            "ROLLBACK" if !is(1 + filler, "TO") => Some(Control::Other),
            _ => None,
        }
    }

    /// What this is, if the server refuses it inside a transaction (its code 25001).
    #[must_use]
    pub fn stands_alone(&self) -> Option<&'static str> {
        self.stands_alone_as(&self.head())
    }

    /// The same where the head is known already.
    pub(in super::super) fn stands_alone_as(&self, head: &Head) -> Option<&'static str> {
        let has = |words: &[&str]| self.has(words);
        match (head.verb.as_str(), head.object.as_str()) {
            ("CREATE", "INDEX") if has(&["INDEX", "CONCURRENTLY"]) => {
                Some("CREATE INDEX CONCURRENTLY")
            }
            ("DROP", "INDEX") if has(&["INDEX", "CONCURRENTLY"]) => Some("DROP INDEX CONCURRENTLY"),
            ("REINDEX", "SCHEMA") => Some("REINDEX SCHEMA"),
            ("REINDEX", "DATABASE") => Some("REINDEX DATABASE"),
            ("REINDEX", "SYSTEM") => Some("REINDEX SYSTEM"),
            ("REINDEX", _) if has(&["CONCURRENTLY"]) || self.has_option("CONCURRENTLY") => {
                Some("REINDEX CONCURRENTLY")
            }
            ("VACUUM", _) => Some("VACUUM"),
            ("CLUSTER", _) if head.name.is_none() => Some("CLUSTER without a table"),
            ("CREATE", "DATABASE") => Some("CREATE DATABASE"),
            ("DROP", "DATABASE") => Some("DROP DATABASE"),
            ("ALTER", "DATABASE") if has(&["SET", "TABLESPACE"]) => {
                Some("ALTER DATABASE SET TABLESPACE")
            }
            ("CREATE", "TABLESPACE") => Some("CREATE TABLESPACE"),
            ("DROP", "TABLESPACE") => Some("DROP TABLESPACE"),
            ("ALTER", "SYSTEM") => Some("ALTER SYSTEM"),
            ("CREATE", "SUBSCRIPTION") if !self.makes_no_slot() => Some("CREATE SUBSCRIPTION"),
            ("ALTER", "TABLE") if has(&["DETACH"]) && has(&["CONCURRENTLY"]) => {
                Some("DETACH PARTITION CONCURRENTLY")
            }
            ("DISCARD", _) if has(&["DISCARD", "ALL"]) => Some("DISCARD ALL"),
            _ => None,
        }
    }

    /// `CREATE SUBSCRIPTION … WITH (create_slot = false)`, which touches no other server's slots.
    fn makes_no_slot(&self) -> bool {
        let off = |value: &str| ["false", "off", "0"].contains(&value.trim_matches('\''));
        let mut tokens = self.tokens();
        while let Some(token) = tokens.next() {
            if (token.is_word("create_slot") || token.is_word("connect"))
                && tokens.next().is_some_and(|sign| sign.is_sign("="))
                && tokens
                    .next()
                    .is_some_and(|value| off(&value.text.to_ascii_lowercase()))
            {
                return true;
            }
        }
        false
    }

    /// Whether an option among parentheses is set: `REINDEX (VERBOSE, CONCURRENTLY) TABLE t`.
    pub(super) fn has_option(&self, option: &str) -> bool {
        let mut tokens = self.tokens();
        let off = ["false", "off", "0"];
        tokens.any(|token| token.is_word(option))
            && tokens
                .next()
                .is_none_or(|value| !off.contains(&value.text.to_ascii_lowercase().as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::split;
    use super::Control;

    #[test]
    fn control_of_the_transaction_is_seen() {
        use Control::{Begin, Commit, Other};
        for (sql, control) in [
            ("BEGIN", Some(Begin)),
            ("begin isolation level serializable", Some(Begin)),
            ("START TRANSACTION READ ONLY", Some(Begin)),
            ("COMMIT", Some(Commit)),
            ("END WORK", Some(Commit)),
            ("commit transaction and no chain", Some(Commit)),
            ("COMMIT AND CHAIN", Some(Other)),
            ("COMMIT PREPARED 'x'", Some(Other)),
            ("ROLLBACK", Some(Other)),
            ("ABORT", Some(Other)),
            ("PREPARE TRANSACTION 'x'", Some(Other)),
            ("ROLLBACK TO a", None),
            ("ROLLBACK WORK TO SAVEPOINT a", None),
            ("PREPARE p AS SELECT 1", None),
            ("SAVEPOINT a", None),
            ("SELECT begin", None),
        ] {
            assert_eq!(split(sql)[0].control(), control, "{sql}");
        }
    }

    #[test]
    fn what_stands_alone_is_told_from_its_like() {
        for sql in [
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "DROP INDEX CONCURRENTLY i",
            "REINDEX INDEX CONCURRENTLY i",
            "REINDEX (VERBOSE, CONCURRENTLY) TABLE t",
            "REINDEX SCHEMA s",
            "REINDEX DATABASE",
            "VACUUM",
            "VACUUM (ANALYZE) t",
            "CLUSTER",
            "CREATE DATABASE d",
            "DROP DATABASE IF EXISTS d",
            "ALTER DATABASE d SET TABLESPACE t",
            "CREATE TABLESPACE t LOCATION '/x'",
            "DROP TABLESPACE t",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
            "DISCARD ALL",
        ] {
            assert!(split(sql)[0].stands_alone().is_some(), "{sql}");
        }
        for sql in [
            "CREATE INDEX i ON t (a)",
            "CREATE TABLE concurrently_made (a int)",
            "REINDEX TABLE t",
            "REINDEX (CONCURRENTLY false) TABLE t",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
            "CLUSTER t",
            "ALTER DATABASE d SET work_mem = '1MB'",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = false)",
            "ALTER TABLE t DETACH PARTITION p",
            "ALTER TABLE t DETACH PARTITION p FINALIZE",
            "ALTER TYPE e ADD VALUE 'x'",
            "DISCARD TEMP",
            "ANALYZE",
            "DO $$ BEGIN EXECUTE 'VACUUM'; END $$",
        ] {
            assert_eq!(split(sql)[0].stands_alone(), None, "{sql}");
        }
    }
}
