//! Where the fingerprint of a database is kept: a table with a row for each object.
//!
//! `hash` is what an object is expected to be, and empty where there should be none. `drift` is
//! what it was found to be instead, and empty where it was not found; null while it is as expected.

use super::super::client::{Server, Session};
use super::super::error::Error;
use super::super::quote;
use super::difference::Drifted;
use super::query;

/// The pair of numbers that means "firstlight notes what the catalog is like" among advisory locks.
const KEY: &str = "1179210836, 3";

/// The right that all of this takes: nobody else is told what a database is like.
const OURS: &str = "to own the tables of the schema firstlight";

/// Notes that the catalog is being changed by us, in the transaction of that change. Without it
/// the run that comes after a crash would take our own changes for those of others.
pub(in crate::providers::postgres) const TOUCH: &str = "\
DO $$ BEGIN \
    IF coalesce(pg_catalog.has_table_privilege( \
           pg_catalog.to_regclass('firstlight.catalog_state'), 'UPDATE'), false) THEN \
        UPDATE firstlight.catalog_state SET pending = true WHERE NOT pending; \
    END IF; \
END $$";

const CREATE: &str = "\
CREATE SCHEMA IF NOT EXISTS firstlight; \
CREATE TABLE IF NOT EXISTS firstlight.catalog ( \
    kind       text NOT NULL, \
    name       text NOT NULL, \
    parent     text NOT NULL, \
    definition text NOT NULL, \
    hash       text NOT NULL, \
    drift      text, \
    PRIMARY KEY (kind, name) \
); \
CREATE TABLE IF NOT EXISTS firstlight.catalog_state ( \
    one      boolean PRIMARY KEY DEFAULT true CHECK (one), \
    format   text NOT NULL, \
    pending  boolean NOT NULL, \
    taken_at timestamptz NOT NULL \
); \
COMMENT ON TABLE firstlight.catalog IS \
    'What each object was like after the last run; drift is what somebody else has made of it.'; \
COMMENT ON TABLE firstlight.catalog_state IS \
    'Whether a run has changed something since then and did not get to say so.'";

/// What is known of the fingerprint of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// There is no such database.
    NoDatabase,
    /// There is none, or one that cannot be compared: of another version of the question or of
    /// the server.
    Nothing,
    /// It is there.
    Taken {
        /// Whether a run ended before it could note its own changes.
        pending: bool,
        /// What is not as it was, and what was so before.
        drifted: Vec<Drifted>,
    },
}

/// Reads it, and in the same question what is not so any more.
pub(super) async fn look(
    server: &Server,
    database: &str,
    ignored: &[String],
) -> Result<Known, Error> {
    let Some(mut session) = server.session_if_any(database).await? else {
        return Ok(Known::NoDatabase);
    };
    let Some(pending) = state(&mut session).await? else {
        return Ok(Known::Nothing);
    };
    let sql = format!(
        "{TERMS}; {live} \
         SELECT kind, name, coalesce(live.parent, stored.parent), stored.definition, \
                live.definition, coalesce(stored.hash, '') <> '', live.hash IS NOT NULL, \
                coalesce(live.hash, '') <> coalesce(stored.hash, ''), \
                coalesce(stored.drift = coalesce(live.hash, ''), false) \
         FROM live FULL JOIN firstlight.catalog AS stored USING (kind, name) \
         WHERE (coalesce(live.hash, '') <> coalesce(stored.hash, '') OR stored.drift IS NOT NULL) \
           AND NOT EXISTS (SELECT FROM ignored WHERE name LIKE pattern \
                              OR coalesce(stored.parent, '') LIKE pattern) \
         ORDER BY kind, name",
        live = query::live(&patterns(ignored)),
    );
    let rows = session.script("SELECT catalog", &sql).await;
    let rows = rows.map_err(|interrupted| interrupted.error.needing(OURS))?;
    Ok(Known::Taken {
        pending,
        drifted: rows.into_iter().filter_map(Drifted::read).collect(),
    })
}

/// Whether changes of ours are not noted; none where the fingerprint is of no use.
async fn state(session: &mut Session) -> Result<Option<bool>, Error> {
    let there = session
        .query_one(
            "SELECT to_regclass",
            "SELECT to_regclass('firstlight.catalog_state') IS NOT NULL",
            &[],
        )
        .await?;
    if !there.get(0)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT pending FROM firstlight.catalog_state WHERE format = {}",
        format()
    );
    let rows = session
        .query("SELECT firstlight.catalog_state", &sql, &[])
        .await
        .map_err(|error| error.needing(OURS))?;
    rows.first().map(|row| row.get(0)).transpose()
}

/// Notes what others have changed, so that it stays named however often we change something else;
/// and forgets what is as it should be again.
pub(super) async fn note(server: &Server, database: &str, ignored: &[String]) -> Result<(), Error> {
    let sql = format!(
        "{live}, seen AS ( \
             SELECT kind, name, coalesce(live.parent, stored.parent) AS parent, \
                    coalesce(live.hash, '') AS live, coalesce(stored.hash, '') AS stored, drift \
             FROM live FULL JOIN firstlight.catalog AS stored USING (kind, name) \
             WHERE NOT EXISTS (SELECT FROM ignored WHERE name LIKE pattern \
                                  OR coalesce(stored.parent, '') LIKE pattern) \
         ), noted AS ( \
             INSERT INTO firstlight.catalog (kind, name, parent, definition, hash, drift) \
             SELECT kind, name, parent, '', '', live FROM seen \
             WHERE live <> stored AND drift IS DISTINCT FROM live \
             ON CONFLICT (kind, name) DO UPDATE SET drift = excluded.drift \
         ), undone AS ( \
             UPDATE firstlight.catalog SET drift = NULL FROM seen \
             WHERE catalog.kind = seen.kind AND catalog.name = seen.name \
               AND live = stored AND stored <> '' AND catalog.drift IS NOT NULL \
         ) \
         DELETE FROM firstlight.catalog USING seen \
         WHERE catalog.kind = seen.kind AND catalog.name = seen.name AND live = '' AND stored = ''",
        live = query::live(&patterns(ignored)),
    );
    write(server, database, &sql).await
}

/// Takes the fingerprint. What is noted as the work of others keeps the row that it had, unless
/// that is `accepted`.
pub(super) async fn take(
    server: &Server,
    database: &str,
    ignored: &[String],
    accepted: bool,
) -> Result<(), Error> {
    let format = format();
    let sql = format!(
        "{CREATE}; {live}, terms AS ( \
             SELECT {accepted} OR NOT EXISTS (SELECT FROM firstlight.catalog_state \
                                              WHERE format = {format}) AS anew \
         ), put AS ( \
             INSERT INTO firstlight.catalog AS stored (kind, name, parent, definition, hash) \
             SELECT kind, name, live.parent, live.definition, live.hash \
             FROM terms, live LEFT JOIN firstlight.catalog AS old USING (kind, name) \
             WHERE (live.hash <> coalesce(old.hash, '') AND (anew OR old.drift IS DISTINCT FROM live.hash)) \
             ON CONFLICT (kind, name) DO UPDATE SET parent = excluded.parent, \
                 definition = excluded.definition, hash = excluded.hash, drift = NULL \
         ), gone AS ( \
             DELETE FROM firstlight.catalog AS stored USING terms \
             WHERE (anew OR stored.drift IS DISTINCT FROM '') AND NOT EXISTS ( \
                 SELECT FROM live WHERE live.kind = stored.kind AND live.name = stored.name) \
         ) \
         INSERT INTO firstlight.catalog_state (format, pending, taken_at) \
         VALUES ({format}, false, clock_timestamp()) \
         ON CONFLICT (one) DO UPDATE SET format = excluded.format, pending = false, \
             taken_at = excluded.taken_at",
        live = query::live(&patterns(ignored)),
    );
    write(server, database, &sql).await
}

/// One run after another, in one transaction.
async fn write(server: &Server, database: &str, sql: &str) -> Result<(), Error> {
    let mut session = server.session(database).await?;
    let sql = format!("{TERMS}; SELECT pg_advisory_xact_lock({KEY}); {sql}");
    let done = session.batch("UPDATE firstlight.catalog", &sql).await;
    done.map_err(|error| error.needing(OURS))
}

/// Definitions name everything with its schema. Compiling a question that is asked once takes
/// longer than asking it. Some definitions are read under a lock of their table. That a table of
/// ours is there already is not worth a notice.
const TERMS: &str = "\
SET LOCAL search_path = ''; SET LOCAL jit = off; SET LOCAL lock_timeout = '5s'; \
SET LOCAL client_min_messages = warning";

/// What must be equal for two fingerprints to be compared.
fn format() -> String {
    let version = query::VERSION;
    format!("'{version}/' || current_setting('server_version_num')::int / 10000")
}

/// `lens.metrics_*` as patterns of `LIKE`: for the thing itself, and for what is in it.
fn patterns(globs: &[String]) -> String {
    let patterns = globs.iter().flat_map(|glob| {
        let mut pattern = String::new();
        for c in glob.chars() {
            match c {
                '*' => pattern.push('%'),
                '%' | '_' | '\\' => pattern.extend(['\\', c]),
                c => pattern.push(c),
            }
        }
        let within = format!("{pattern}.%");
        [quote::literal(&pattern), quote::literal(&within)]
    });
    patterns.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::patterns;

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_does() {
        let globs = ["lens.metrics_*".to_owned(), "partman".to_owned()];
        assert_eq!(
            patterns(&globs),
            r" E'lens.metrics\\_%',  E'lens.metrics\\_%.%', 'partman', 'partman.%'"
        );
        assert_eq!(patterns(&[]), "");
    }
}
