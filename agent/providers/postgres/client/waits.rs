//! A statement that takes long: is the server at work on it, or does it wait for others?

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::super::error::Error;
use super::super::statements::lexer::{Kind, Lexer};
use super::Server;
use super::answers::Row;
use super::connection::Connection;
use super::notices::Current;

/// How long after the look before a statement is looked at again. A second look tells whether
/// somebody else is in the way; later ones are for who reads along.
const LOOKS: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
];
/// How long a look may take.
const LOOK: Duration = Duration::from_secs(5);
/// How much of another session's statement is shown.
const WIDTH: usize = 80;

const BLOCKERS: &str = "\
SELECT coalesce(wanted.text, 'a lock'), blocker.pid::text, \
       coalesce(nullif(other.application_name, ''), other.backend_type, 'a prepared transaction'), \
       coalesce(other.usename, ''), coalesce(host(other.client_addr), ''), \
       coalesce(nullif(other.state, ''), 'active'), \
       coalesce(to_char(coalesce(other.xact_start, other.backend_start) AT TIME ZONE 'UTC', \
                        'YYYY-MM-DD HH24:MI:SS'), ''), \
       coalesce(other.query, '') \
FROM (SELECT DISTINCT unnest(pg_blocking_pids($1::int)) AS pid) AS blocker \
LEFT JOIN pg_stat_activity AS other USING (pid) \
LEFT JOIN LATERAL ( \
    SELECT mode || ' on ' || CASE \
        WHEN relation IS NOT NULL THEN \
            CASE WHEN locktype = 'relation' THEN '' ELSE locktype || ' of ' END \
            || relation::regclass::text \
        WHEN transactionid IS NOT NULL THEN 'transaction ' || transactionid::text \
        WHEN virtualxid IS NOT NULL THEN 'transaction ' || virtualxid \
        WHEN locktype = 'advisory' THEN 'advisory lock ' || classid || ', ' || objid \
        ELSE locktype END AS text \
    FROM pg_locks WHERE pid = $1::int AND NOT granted LIMIT 1 \
) AS wanted ON true \
ORDER BY blocker.pid";

/// A lock that a session waits for, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWait {
    /// Mode and object: `AccessExclusiveLock on nodes`.
    pub lock: String,
    /// Who is in the way, never empty.
    pub blockers: Vec<Blocker>,
}

/// A session that is in another's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Its process; 0 for a prepared transaction, which has none.
    pub pid: i32,
    /// What it calls itself, or what kind of process it is.
    pub application: String,
    /// As whom it is logged in; empty for the server itself.
    pub user: String,
    /// Its address; empty for the server itself.
    pub client: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// When its transaction began, in UTC.
    pub since: String,
    /// Its last statement, shortened and without the texts in it.
    pub query: String,
}

impl Server {
    /// Who is in the way of a session that waits for a lock; none if it does not wait.
    pub(in crate::providers::postgres) async fn blockers(
        &self,
        database: &str,
        pid: i32,
    ) -> Result<Option<LockWait>, Error> {
        let mut spare = self.spare(database).await?;
        let found = blockers(&mut spare, pid).await;
        self.keep(&self.pool(database), spare);
        found
    }
}

async fn blockers(connection: &mut Connection, pid: i32) -> Result<Option<LockWait>, Error> {
    let summary = "SELECT pg_blocking_pids";
    let rows = connection
        .query(summary, BLOCKERS, &[&pid.to_string()])
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(LockWait {
        lock: first.get(0)?,
        blockers: rows.iter().map(blocker).collect::<Result<_, _>>()?,
    }))
}

fn blocker(row: &Row) -> Result<Blocker, Error> {
    let text = |column| row.get::<String>(column);
    Ok(Blocker {
        pid: text(1)?.parse().unwrap_or_default(),
        application: text(2)?,
        user: text(3)?,
        client: text(4)?,
        state: text(5)?,
        since: text(6)?,
        query: shorten(&text(7)?),
    })
}

/// Somebody else's statement, of which only its beginning is told, and none of its texts: what is
/// one is the lexer's to say, for an apostrophe may also stand in a comment or behind a backslash.
fn shorten(query: &str) -> String {
    let mut told = String::new();
    for token in Lexer::new(query) {
        match token.kind {
            Kind::Text => told.push_str("'…'"),
            Kind::Blank if told.ends_with(' ') || told.is_empty() => {}
            Kind::Blank => told.push(' '),
            _ => told.push_str(token.text),
        }
    }
    let told = told.trim_end();
    match told.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &told[..end]),
        None => told.to_owned(),
    }
}

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held: Vec<String> = self.blockers.iter().map(ToString::to_string).collect();
        write!(f, "{}, held by {}", self.lock, held.join("; and by "))
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.application)?;
        if self.pid != 0 {
            write!(f, ", process {}", self.pid)?;
        }
        if !self.user.is_empty() {
            write!(f, " of {}", self.user)?;
        }
        if !self.client.is_empty() {
            write!(f, " from {}", self.client)?;
        }
        if !self.since.is_empty() {
            write!(f, ", {} since {} UTC", self.state, self.since)?;
        }
        if !self.query.is_empty() {
            write!(f, ": {}", self.query)?;
        }
        Ok(())
    }
}

/// What is told of one statement while it is carried out.
pub(super) struct Watch {
    pub(super) server: Server,
    pub(super) database: String,
    pub(super) pid: i32,
    pub(super) current: Current,
}

impl Watch {
    /// Waits for the answer, and tells at times why it does not come. Gives the last wait for a
    /// lock that was seen.
    pub(super) async fn over<T>(self, answer: impl Future<Output = T>) -> (T, Option<LockWait>) {
        let mut answer = pin!(answer);
        let mut seen = None;
        let mut passed = Duration::ZERO;
        for patience in LOOKS {
            if let Ok(answer) = timeout(patience, &mut answer).await {
                return (answer, seen);
            }
            passed += patience;
            // Whatever keeps us from looking is no matter of the statement.
            let look = timeout(LOOK, self.server.blockers(&self.database, self.pid));
            let found = tokio::select! {
                biased;
                answer = &mut answer => return (answer, seen),
                found = look => found.ok().and_then(Result::ok).flatten(),
            };
            self.tell(found.as_ref(), passed);
            seen = found.or(seen);
        }
        (answer.await, seen)
    }

    fn tell(&self, wait: Option<&LockWait>, passed: Duration) {
        let (summary, span) = self.current.get();
        span.in_scope(|| match wait {
            Some(wait) => {
                span.record("firstlight.waits_for", wait.lock.as_str());
                warn!(db.query.summary = summary, "Postgres waits for {wait}");
            }
            None if passed > LOOKS[2] => {
                let seconds = passed.as_secs();
                let text = "Postgres has been at work for";
                info!(db.query.summary = summary, "{text} {seconds}s");
            }
            None => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Blocker, LockWait, shorten};

    #[test]
    fn no_value_of_another_session_is_told() {
        assert_eq!(
            shorten("ALTER ROLE lens\n  PASSWORD 'geheim' VALID UNTIL 'infinity'"),
            "ALTER ROLE lens PASSWORD '…' VALID UNTIL '…'"
        );
        assert_eq!(shorten("SELECT 'cut off in the mid"), "SELECT '…'");
        assert_eq!(shorten("DO $$ secret $$"), "DO '…'");
        assert_eq!(shorten("DO $a$ cut off, secret"), "DO '…'");
        let masked = "ALTER ROLE lens PASSWORD '…'";
        for query in [
            "-- it's time\nALTER ROLE lens PASSWORD 'geheim'",
            "/* it's */ ALTER ROLE lens PASSWORD E'it\\'s geheim'",
            "ALTER ROLE lens PASSWORD 'it''s geheim'",
        ] {
            assert_eq!(shorten(query), masked, "{query}");
        }
        assert_eq!(
            shorten("ALTER ROLE \"o'brien\" PASSWORD 'geheim'"),
            "ALTER ROLE \"o'brien\" PASSWORD '…'"
        );
        assert_eq!(shorten("SELECT $1, $2"), "SELECT $1, $2");
        let long = shorten(&format!("SELECT {}", "ä".repeat(200)));
        assert_eq!(long.chars().count(), 81);
    }

    #[test]
    fn who_is_in_the_way_is_one_sentence() {
        let dump = Blocker {
            pid: 42,
            application: "pg_dump".to_owned(),
            user: "backup".to_owned(),
            client: "10.0.0.7".to_owned(),
            state: "idle in transaction".to_owned(),
            since: "2026-11-21 03:00:01".to_owned(),
            query: "LOCK TABLE nodes".to_owned(),
        };
        let prepared = Blocker {
            pid: 0,
            application: "a prepared transaction".to_owned(),
            user: String::new(),
            client: String::new(),
            state: "active".to_owned(),
            since: String::new(),
            query: String::new(),
        };
        let wait = LockWait {
            lock: "AccessExclusiveLock on nodes".to_owned(),
            blockers: vec![dump, prepared],
        };
        assert_eq!(
            wait.to_string(),
            "AccessExclusiveLock on nodes, held by pg_dump, process 42 of backup from 10.0.0.7, \
             idle in transaction since 2026-11-21 03:00:01 UTC: LOCK TABLE nodes; and by a \
             prepared transaction"
        );
    }
}
