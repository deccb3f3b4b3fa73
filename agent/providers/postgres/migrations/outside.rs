//! Statements that no transaction may be around, and how to find out later what one has done.

use super::tokens::Parts;

/// A statement that runs outside any transaction, with the names as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outside {
    /// `CREATE INDEX CONCURRENTLY`; the name may be left to the server.
    CreateIndex {
        /// Without a schema: that of the table.
        index: Option<String>,
        /// What it is on.
        table: String,
    },
    /// `DROP INDEX CONCURRENTLY`
    DropIndex(String),
    /// `REINDEX … CONCURRENTLY`, or of more than one table.
    Reindex(Reindex),
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`
    Detach {
        /// From which table.
        table: String,
        /// Which partition.
        partition: String,
    },
    /// `CREATE DATABASE` and its like: one row of a catalog more.
    Create(Shared, String),
    /// `DROP DATABASE` and its like: one row of a catalog less.
    Drop(Shared, String),
    /// What does no harm a second time.
    Repeatable,
    /// A procedure, which may end transactions itself, or another statement of which nobody can tell
    /// what it has done.
    Call,
}

/// What is indexed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reindex {
    Index(String),
    Table(String),
    Schema(String),
    Database,
}

/// What belongs to the whole server, or to its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Database,
    Tablespace,
    Subscription,
}

const SHARED: [(&str, Shared); 3] = [
    ("DATABASE", Shared::Database),
    ("TABLESPACE", Shared::Tablespace),
    ("SUBSCRIPTION", Shared::Subscription),
];

impl Outside {
    /// What kind of statement this is; none for one that a transaction may be around.
    pub(super) fn of(sql: &str) -> Option<Self> {
        let mut parts = Parts::of(sql);
        if parts.eat("CREATE") {
            create(parts)
        } else if parts.eat("DROP") {
            drop(parts)
        } else if parts.eat("ALTER") {
            alter(parts)
        } else if parts.eat("REINDEX") {
            reindex(parts)
        } else if parts.eat("CALL") {
            Some(Self::Call)
        } else {
            let whole = parts.eat("CLUSTER")
                && (parts.is_over() || parts.eat("VERBOSE") && parts.is_over());
            (whole || parts.eat("VACUUM")).then_some(Self::Repeatable)
        }
    }

    /// The same for a statement of which is known whether the server takes it in no transaction.
    pub(super) fn find(sql: &str, alone: bool) -> Option<Self> {
        match Self::of(sql) {
            Some(Self::Call) => Some(Self::Call),
            // Whether these may be in one depends on the catalog, and without one all of them run.
            Some(known) if is_of_subscription(sql) => Some(known),
            known if alone => Some(known.unwrap_or(Self::Call)),
            _ => None,
        }
    }
}

fn is_of_subscription(sql: &str) -> bool {
    let mut parts = Parts::of(sql);
    (parts.eat("ALTER") || parts.eat("DROP")) && parts.at("SUBSCRIPTION")
}

fn create(mut parts: Parts<'_>) -> Option<Outside> {
    parts.eat("UNIQUE");
    if parts.eat("INDEX") {
        if !parts.eat("CONCURRENTLY") {
            return None;
        }
        parts.eat_all(&["IF", "NOT", "EXISTS"]);
        let index = if parts.at("ON") { None } else { parts.name() };
        parts.eat("ON");
        parts.eat("ONLY");
        let table = parts.name()?;
        return Some(Outside::CreateIndex { index, table });
    }
    let (_, shared) = SHARED.into_iter().find(|(word, _)| parts.eat(word))?;
    Some(Outside::Create(shared, parts.name()?))
}

fn drop(mut parts: Parts<'_>) -> Option<Outside> {
    if parts.eat("INDEX") {
        if !parts.eat("CONCURRENTLY") {
            return None;
        }
        parts.eat_all(&["IF", "EXISTS"]);
        return Some(Outside::DropIndex(parts.name()?));
    }
    let (_, shared) = SHARED.into_iter().find(|(word, _)| parts.eat(word))?;
    parts.eat_all(&["IF", "EXISTS"]);
    Some(Outside::Drop(shared, parts.name()?))
}

fn alter(mut parts: Parts<'_>) -> Option<Outside> {
    if parts.eat("SYSTEM") {
        return Some(Outside::Repeatable);
    }
    if parts.eat("DATABASE") {
        parts.name()?;
        return parts
            .eat_all(&["SET", "TABLESPACE"])
            .then_some(Outside::Repeatable);
    }
    if parts.eat("SUBSCRIPTION") {
        parts.name()?;
        return (parts.at("REFRESH") || parts.has("PUBLICATION")).then_some(Outside::Repeatable);
    }
    if !parts.eat("TABLE") {
        return None;
    }
    parts.eat_all(&["IF", "EXISTS"]);
    parts.eat("ONLY");
    let table = parts.name()?;
    if !parts.eat_all(&["DETACH", "PARTITION"]) {
        return None;
    }
    let partition = parts.name()?;
    parts
        .eat("CONCURRENTLY")
        .then_some(Outside::Detach { table, partition })
}

fn reindex(mut parts: Parts<'_>) -> Option<Outside> {
    let option = parts.parentheses_have("CONCURRENTLY");
    let kinds = ["INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM"];
    let kind = kinds.into_iter().find(|kind| parts.eat(kind))?;
    let concurrently = parts.eat("CONCURRENTLY") || option;
    let name = parts.name();
    let what = match (kind, name) {
        ("INDEX", Some(name)) => Reindex::Index(name),
        ("TABLE", Some(name)) => Reindex::Table(name),
        ("SCHEMA", Some(name)) => Reindex::Schema(name),
        _ => Reindex::Database,
    };
    let of_one = matches!(what, Reindex::Index(_) | Reindex::Table(_));
    (concurrently || !of_one).then_some(Outside::Reindex(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_transaction_may_be_around_is_known() {
        let name = str::to_owned;
        for (sql, expected) in [
            (
                "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY a.\"T\" (x)",
                Outside::CreateIndex {
                    index: Some(name("i")),
                    table: name("a.\"T\""),
                },
            ),
            (
                "create index concurrently on t using gin (x)",
                Outside::CreateIndex {
                    index: None,
                    table: name("t"),
                },
            ),
            (
                "DROP INDEX CONCURRENTLY IF EXISTS a.i",
                Outside::DropIndex(name("a.i")),
            ),
            (
                "REINDEX INDEX CONCURRENTLY i",
                Outside::Reindex(Reindex::Index(name("i"))),
            ),
            (
                "REINDEX (VERBOSE, CONCURRENTLY) TABLE t",
                Outside::Reindex(Reindex::Table(name("t"))),
            ),
            (
                "REINDEX SCHEMA s",
                Outside::Reindex(Reindex::Schema(name("s"))),
            ),
            (
                "REINDEX SYSTEM CONCURRENTLY d",
                Outside::Reindex(Reindex::Database),
            ),
            (
                "ALTER TABLE IF EXISTS ONLY t DETACH PARTITION p CONCURRENTLY",
                Outside::Detach {
                    table: name("t"),
                    partition: name("p"),
                },
            ),
            (
                "CREATE DATABASE d OWNER o",
                Outside::Create(Shared::Database, name("d")),
            ),
            (
                "DROP TABLESPACE IF EXISTS t",
                Outside::Drop(Shared::Tablespace, name("t")),
            ),
            ("VACUUM (ANALYZE) t", Outside::Repeatable),
            ("ALTER SYSTEM SET work_mem = '1GB'", Outside::Repeatable),
            ("ALTER DATABASE d SET TABLESPACE t", Outside::Repeatable),
            ("CLUSTER", Outside::Repeatable),
            ("CALL p()", Outside::Call),
        ] {
            assert_eq!(Outside::of(sql), Some(expected), "{sql}");
        }
    }

    #[test]
    fn what_drops_or_refreshes_a_subscription_runs_outside() {
        for (sql, expected) in [
            (
                "DROP SUBSCRIPTION IF EXISTS s",
                Some(Outside::Drop(Shared::Subscription, "s".to_owned())),
            ),
            (
                "ALTER SUBSCRIPTION s REFRESH PUBLICATION",
                Some(Outside::Repeatable),
            ),
            ("ALTER SUBSCRIPTION s DISABLE", None),
            ("REINDEX (CONCURRENTLY false) TABLE t", None),
        ] {
            assert_eq!(Outside::find(sql, false), expected, "{sql}");
        }
    }

    #[test]
    fn anything_else_stays_inside() {
        for sql in [
            "CREATE INDEX i ON t (x)",
            "CREATE TABLE concurrently ()",
            "DROP INDEX i",
            "REINDEX TABLE t",
            "ALTER TABLE t DETACH PARTITION p",
            "ALTER TABLE t DETACH PARTITION p FINALIZE",
            "ALTER DATABASE d SET work_mem = '1GB'",
            "ALTER TYPE t ADD VALUE 'x'",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
            "CLUSTER t USING i",
            "SELECT 'VACUUM'",
        ] {
            assert_eq!(Outside::of(sql), None, "{sql}");
        }
    }
}
