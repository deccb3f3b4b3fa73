//! What the catalog says of a statement that was run outside a transaction.

use super::super::client::Session;
use super::super::error::Error;
use super::outside::{Outside, Reindex, Shared};

/// What a statement has done, or an earlier try of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: it may be run.
    Nothing,
    /// All.
    Done,
    /// Indexes that are of no use, and in the way.
    Leftovers(Vec<String>),
    /// A part; this does the rest.
    Half(String),
    /// Another session is at it.
    Building(String),
    /// Nobody can tell.
    Unknown,
}

/// Looks; `begun` says whether the statement was run before. The names are looked up as the
/// session would find them.
pub(super) async fn look(
    session: &mut Session,
    outside: &Outside,
    begun: bool,
) -> Result<Found, Error> {
    match outside {
        Outside::CreateIndex { index, table } => {
            let index = index.as_deref().unwrap_or_default();
            created_index(session, index, table).await
        }
        Outside::DropIndex(index) => {
            let sql = "SELECT to_regclass($1) IS NULL";
            done_if(session, sql, index).await
        }
        Outside::Reindex(what) if begun => reindexed(session, what).await,
        Outside::Detach { table, partition } => detached(session, table, partition).await,
        Outside::Create(shared, name) => {
            let sql = format!("SELECT EXISTS ({})", row_of(*shared));
            done_if(session, &sql, name).await
        }
        Outside::Drop(shared, name) => {
            let sql = format!("SELECT NOT EXISTS ({})", row_of(*shared));
            done_if(session, &sql, name).await
        }
        Outside::Reindex(_) | Outside::Repeatable => Ok(Found::Nothing),
        Outside::Call => Ok(Found::Unknown),
    }
}

fn row_of(shared: Shared) -> &'static str {
    match shared {
        Shared::Database => "SELECT FROM pg_database WHERE datname = (parse_ident($1))[1]::name",
        Shared::Tablespace => {
            "SELECT FROM pg_tablespace WHERE spcname = (parse_ident($1))[1]::name"
        }
        Shared::Subscription => {
            "SELECT FROM pg_subscription WHERE subname = (parse_ident($1))[1]::name \
             AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        }
    }
}

async fn done_if(session: &mut Session, sql: &str, name: &str) -> Result<Found, Error> {
    let row = session.query_one("SELECT catalog", sql, &[name]).await?;
    Ok(if row.get(0)? {
        Found::Done
    } else {
        Found::Nothing
    })
}

async fn created_index(session: &mut Session, index: &str, table: &str) -> Result<Found, Error> {
    let rows = session
        .query(
            "SELECT pg_index",
            "SELECT format('%I.%I', nspname, class.relname), indisvalid, \
                    (SELECT format('process %s (%s)', pid, \
                                   coalesce(nullif(application_name, ''), backend_type)) \
                     FROM pg_stat_progress_create_index JOIN pg_stat_activity USING (pid) \
                     WHERE index_relid = indexrelid LIMIT 1) \
             FROM pg_index JOIN pg_class AS class ON class.oid = indexrelid \
                  JOIN pg_namespace AS schema ON schema.oid = class.relnamespace \
             WHERE indrelid = to_regclass($2) AND class.relname = (parse_ident($1))[1]::name",
            &[index, table],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(Found::Nothing);
    };
    let (name, valid, builder): (String, bool, Option<String>) =
        (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(match builder {
        _ if valid => Found::Done,
        Some(builder) => Found::Building(builder),
        None => Found::Leftovers(vec![name]),
    })
}

/// An interrupted REINDEX leaves the new index, or the old one; it can be run again without them.
async fn reindexed(session: &mut Session, what: &Reindex) -> Result<Found, Error> {
    let (of, name) = match what {
        Reindex::Index(name) => (
            "indrelid = (SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass($1))",
            name.as_str(),
        ),
        Reindex::Table(name) => (
            "(indrelid = to_regclass($1) \
              OR indrelid IN (SELECT relid FROM pg_partition_tree(to_regclass($1))))",
            name.as_str(),
        ),
        Reindex::Schema(name) => ("nspname = (parse_ident($1))[1]::name", name.as_str()),
        Reindex::Database => ("$1 = ''", ""),
    };
    let sql = format!(
        "SELECT format('%I.%I', nspname, relname) \
         FROM pg_index JOIN pg_class AS class ON class.oid = indexrelid \
              JOIN pg_namespace AS schema ON schema.oid = relnamespace \
         WHERE NOT indisvalid AND relname ~ '_cc(new|old)[0-9]*$' \
           AND nspname <> 'pg_toast' AND {of} ORDER BY 1"
    );
    let rows = session.query("SELECT pg_index", &sql, &[name]).await?;
    let names: Result<Vec<String>, Error> = rows.iter().map(|row| row.get(0)).collect();
    Ok(match names? {
        names if names.is_empty() => Found::Nothing,
        names => Found::Leftovers(names),
    })
}

async fn detached(session: &mut Session, table: &str, partition: &str) -> Result<Found, Error> {
    let rows = session
        .query(
            "SELECT pg_inherits",
            "SELECT inhdetachpending FROM pg_inherits \
             WHERE inhparent = to_regclass($1) AND inhrelid = to_regclass($2)",
            &[table, partition],
        )
        .await?;
    let pending: Option<bool> = rows.first().map(|row| row.get(0)).transpose()?;
    Ok(match pending {
        None => Found::Done,
        Some(false) => Found::Nothing,
        Some(true) => Found::Half(format!(
            "ALTER TABLE {table} DETACH PARTITION {partition} FINALIZE"
        )),
    })
}
