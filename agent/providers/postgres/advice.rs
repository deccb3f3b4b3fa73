//! What to do about the codes of the server that a reader of a migration meets most.

/// Where a code is advised upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Whoever sent the statement.
    Any,
    /// A statement of the bundle: the reader can change its text.
    Text,
}

/// What to do about a code that a statement of the bundle met.
pub(super) fn of_text(code: &str) -> Option<&'static str> {
    find(code, |_| true)
}

/// What to do about a code that a statement of our own met: its text is not the reader's to change.
pub(super) fn of_ours(code: &str) -> Option<&'static str> {
    find(code, |of| of == Of::Any)
}

fn find(code: &str, fits: impl Fn(Of) -> bool) -> Option<&'static str> {
    let mut all = ADVICE.iter();
    all.find_map(|(known, of, advice)| (*known == code && fits(*of)).then_some(*advice))
}

/// In the order of the codes, as the appendix of the server's manual has them.
const ADVICE: &[(&str, Of, &str)] = &[
    (
        "0A000",
        Of::Text,
        "the server does not have this: compare its version, and its packages, with what the statement needs",
    ),
    (
        "21000",
        Of::Text,
        "the inner query gave several rows where one may stand: narrow it, or take one with LIMIT 1",
    ),
    (
        "22001",
        Of::Text,
        "the text is longer than its column: shorten it, or make the column wider in an earlier statement",
    ),
    (
        "22003",
        Of::Text,
        "the number does not fit its type: use bigint or numeric",
    ),
    (
        "22007",
        Of::Text,
        "write dates as '2006-01-02' and times as '2006-01-02 15:04:05+00'",
    ),
    ("22012", Of::Text, "guard the divisor: nullif(divisor, 0)"),
    (
        "22P02",
        Of::Text,
        "the text is no value of that type: compare it with the type of its column, or with the values of the enum",
    ),
    (
        "23502",
        Of::Text,
        "give the column a value: fill old rows with UPDATE before SET NOT NULL, or add the column with a DEFAULT",
    ),
    (
        "23503",
        Of::Text,
        "the other table has no such row, or this one is still referred to: insert parents first, delete children first",
    ),
    (
        "23505",
        Of::Text,
        "the row is there already: say ON CONFLICT DO NOTHING, or remove the doubles before the index is made",
    ),
    (
        "23514",
        Of::Text,
        "there are rows against the check: mend them first, or add it as NOT VALID and validate it in a later migration",
    ),
    (
        "23P01",
        Of::Text,
        "the row overlaps one that is there: find both, and move or remove one",
    ),
    (
        "25001",
        Of::Text,
        "the server runs this outside of a transaction only: put it alone into a file with the first line \
                         `-- firstlight: transaction=none`",
    ),
    (
        "25006",
        Of::Text,
        "the transaction may only read: remove what made it so; else the server has become a standby, and it is tried again",
    ),
    (
        "25P02",
        Of::Text,
        "an earlier statement of this transaction failed, and something hid that: look at the first error",
    ),
    (
        "28000",
        Of::Any,
        "the server's pg_hba.conf has no line for this role from here, or the role may not log in: ALTER ROLE … LOGIN",
    ),
    (
        "28P01",
        Of::Any,
        "the password is not the role's: compare the Secret with the role",
    ),
    (
        "2BP01",
        Of::Text,
        "other objects need it, the detail above lists them: drop them first, or say CASCADE if they may go too",
    ),
    (
        "2D000",
        Of::Text,
        "a procedure or block here ends the transaction: remove its COMMIT or ROLLBACK, or give the file \
                         `-- firstlight: transaction=none`",
    ),
    (
        "3D000",
        Of::Any,
        "create the database first, with a `database` step that the migration needs",
    ),
    (
        "3F000",
        Of::Text,
        "create the schema in an earlier statement, or name an existing one before the object: schema.name",
    ),
    (
        "40001",
        Of::Any,
        "another transaction changed the same rows: nothing was changed, it is tried again",
    ),
    (
        "40P01",
        Of::Any,
        "two transactions waited for each other: nothing was changed, it is tried again; take locks in the same order everywhere",
    ),
    (
        "42501",
        Of::Text,
        "let a role that may do this run the migrations (`servers.postgres.user`), or let the owner GRANT it",
    ),
    (
        "42601",
        Of::Text,
        "the parser stopped at the caret: look before it for a missing comma, quote, parenthesis or keyword",
    ),
    (
        "42701",
        Of::Text,
        "the column is there already: say ADD COLUMN IF NOT EXISTS, if it is the one that is meant",
    ),
    (
        "42702",
        Of::Text,
        "several tables have that column: put the table's name or alias before it",
    ),
    (
        "42703",
        Of::Text,
        "compare the name with the table's columns; a name with capitals must stand in double quotes",
    ),
    (
        "42704",
        Of::Text,
        "create it in an earlier statement, or the extension that brings it (`extensions:` of the database step)",
    ),
    (
        "42710",
        Of::Text,
        "it is there already, made by other means: drop it first, or say IF NOT EXISTS where the statement has that",
    ),
    (
        "42723",
        Of::Text,
        "the function is there already: say CREATE OR REPLACE FUNCTION",
    ),
    (
        "42725",
        Of::Text,
        "several functions fit: cast the arguments to the types of the one that is meant",
    ),
    (
        "42804",
        Of::Text,
        "the types do not fit: cast with ::type, and in ALTER COLUMN … TYPE say USING column::type",
    ),
    (
        "42830",
        Of::Text,
        "a foreign key needs a primary key or unique constraint on exactly the columns it refers to: add that first",
    ),
    (
        "42846",
        Of::Text,
        "there is no cast between these types: go by text, as in column::text::type, or write a function",
    ),
    (
        "42883",
        Of::Text,
        "compare name and types of the arguments with the function's: cast them, or create the extension that brings it",
    ),
    (
        "42939",
        Of::Text,
        "names that begin with pg_ belong to the server: choose another one",
    ),
    (
        "42P01",
        Of::Text,
        "create it in an earlier migration, or write its schema before it: schema.name",
    ),
    (
        "42P06",
        Of::Text,
        "the schema is there already: say CREATE SCHEMA IF NOT EXISTS",
    ),
    (
        "42P07",
        Of::Text,
        "it is there already, made by other means: take that over as the baseline, or say IF NOT EXISTS",
    ),
    (
        "42P10",
        Of::Text,
        "ON CONFLICT needs a unique index on exactly these columns: create that first",
    ),
    (
        "42P16",
        Of::Text,
        "the definition contradicts itself or its parent table: a second primary key, or a view whose columns changed",
    ),
    (
        "42P17",
        Of::Text,
        "an expression there must always give the same: make its functions IMMUTABLE, and partitions not overlap",
    ),
    (
        "53100",
        Of::Any,
        "the server's disk is full: make its volume larger, then run again",
    ),
    (
        "53200",
        Of::Any,
        "the server is out of memory: lower work_mem or maintenance_work_mem, or do less at once",
    ),
    (
        "53300",
        Of::Any,
        "all connections of the server are in use: raise max_connections, or end clients that idle",
    ),
    (
        "54000",
        Of::Text,
        "a limit of the server is reached (columns, arguments, size of a row): split the statement or the table",
    ),
    (
        "54001",
        Of::Text,
        "it is nested too deep: split the expression, or look for a function or trigger that calls itself",
    ),
    (
        "55000",
        Of::Text,
        "the object is not in the state that this needs: the message above says which state that is",
    ),
    (
        "55006",
        Of::Any,
        "somebody uses it: end their sessions, or wait until they are done",
    ),
    (
        "55P03",
        Of::Any,
        "somebody else holds a lock on it for long: look at pg_stat_activity for what is idle in transaction, a dump or a vacuum",
    ),
    (
        "55P04",
        Of::Text,
        "a new value of an enum can be used once it is committed: put its use into the next migration",
    ),
    (
        "57014",
        Of::Text,
        "it took longer than the step's timeout, or somebody cancelled it: raise the timeout, or do less in one file",
    ),
    (
        "57P01",
        Of::Any,
        "somebody restarted the server or ended our session: nothing is half done, it is tried again",
    ),
    (
        "57P03",
        Of::Any,
        "the server is starting or stopping: it is waited for",
    ),
    (
        "P0001",
        Of::Text,
        "a function, a trigger or a block of the bundle raised this on purpose: the message is its own",
    ),
    (
        "XX000",
        Of::Any,
        "an internal error; two sessions that change one row of the catalog meet it too: it is tried again. If it stays, look into the server's log",
    ),
];

#[cfg(test)]
mod tests {
    use super::{ADVICE, Of, of_ours, of_text};

    /// What a migration meets most, by the codes of the server's manual.
    const COMMON: [&str; 47] = [
        "42P01", "42703", "42883", "42601", "42501", "42710", "42P07", "42701", "42P06", "42P16",
        "42804", "42846", "42830", "42939", "23505", "23503", "23502", "23514", "23P01", "22P02",
        "22001", "22003", "22007", "25001", "25006", "25P02", "28P01", "28000", "3D000", "3F000",
        "40001", "40P01", "42P17", "53100", "53200", "53300", "54000", "54001", "55000", "55006",
        "55P03", "55P04", "57014", "57P01", "57P03", "0A000", "2BP01",
    ];

    #[test]
    fn the_common_codes_are_all_advised_upon() {
        for code in COMMON.into_iter().chain(["XX000"]) {
            assert!(of_text(code).is_some(), "{code}");
        }
        assert_eq!(of_text("00000"), None);
        assert_eq!(of_ours("42P01"), None);
        assert_eq!(of_ours("53300"), of_text("53300"));
    }

    #[test]
    fn advice_is_short_and_each_code_has_one() {
        for (code, of, advice) in ADVICE {
            assert!(advice.len() <= 160, "{code}: {} bytes", advice.len());
            let same = ADVICE.iter().filter(|(other, ..)| other == code);
            assert_eq!(same.count(), 1, "{code} {of:?}");
        }
        assert!(ADVICE.is_sorted_by_key(|(code, ..)| *code));
        assert!(ADVICE.iter().any(|(_, of, _)| *of == Of::Any));
    }
}
