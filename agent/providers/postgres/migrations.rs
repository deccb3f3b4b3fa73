//! The migrations of a folder: each file is applied once, in order, and never changes again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::{Difference, Plan, Resource, Verb};

use super::client::{Interrupted, Server, Session};
use super::error::Error;
use super::fault::Excerpt;
use super::history::{self, Applied, Entry, short};
use super::locate::{self, Sent};
use super::lock::Lock;
use super::statements::{self, Statement};
use super::{preview, quote};

/// Everything that a database is to have had.
#[derive(Debug, Clone)]
pub struct Migrations {
    /// Where the database is.
    pub server: Server,
    /// Its name.
    pub database: String,
    /// The role that is to own what the files make; none for the connecting one.
    pub owner: Option<String>,
    /// The files.
    pub files: Vec<File>,
    /// The trace that the history is to name.
    pub trace_id: Option<String>,
}

/// One file `V…__name.sql`.
#[derive(Debug, Clone)]
pub struct File {
    version: u64,
    description: String,
    path: String,
    sql: Arc<str>,
    checksum: String,
}

impl File {
    /// Takes the file's text as it is on the disk; `path` is relative to the bundle.
    #[must_use]
    pub fn new(
        version: u64,
        description: impl Into<String>,
        path: impl Into<String>,
        sql: &str,
    ) -> Self {
        let sql = history::normalise(sql);
        Self {
            version,
            description: description.into(),
            path: path.into(),
            checksum: history::checksum(&sql),
            sql: sql.into(),
        }
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn excerpt(&self, offset: usize) -> Excerpt {
        Excerpt::new(&self.path, &self.sql, offset)
    }
}

/// Applies one file. All changes of one plan share the lock.
#[derive(Debug, Clone)]
pub struct Change {
    file: File,
    lock: Arc<Lock>,
}

/// How long a statement may wait for a lock of others, before all of its file is tried again:
/// whoever comes after it would wait as well.
const LOCK_TIMEOUT: &str = "3s";

impl Resource for Migrations {
    type Observed = Vec<Applied>;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Vec<Applied>, Error> {
        match self.server.session(&self.database).await {
            Ok(mut session) => history::read(&mut session).await,
            Err(error) if error.is_no_database() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn plan(&self, observed: &Vec<Applied>) -> Result<Plan<Change>, Error> {
        let files = self.by_version()?;
        self.check_applied(&files, observed)?;
        let pending = files
            .values()
            .filter(|file| !observed.iter().any(|row| row.version == file.version));
        let lock = Arc::new(Lock::default());
        let mut changes = Vec::new();
        for &file in pending {
            check_order(file, observed)?;
            check_statements(file)?;
            changes.push(Change {
                file: file.clone(),
                lock: Arc::clone(&lock),
            });
        }
        if changes.is_empty() {
            return Ok(Plan::Current);
        }
        Ok(Plan::Change(changes))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let mut held = change.lock.take(&self.server, &self.database).await?;
        self.run(&mut held.session, &change.file).await?;
        held.give_back();
        Ok(())
    }
}

impl Migrations {
    fn by_version(&self) -> Result<BTreeMap<u64, &File>, Error> {
        let mut files = BTreeMap::new();
        for file in &self.files {
            if let Some(first) = files.insert(file.version, file) {
                return Err(Error::SameVersion {
                    first: first.path.clone(),
                    second: file.path.clone(),
                });
            }
        }
        Ok(files)
    }

    /// What was applied must be in the bundle, as it was.
    fn check_applied(
        &self,
        files: &BTreeMap<u64, &File>,
        observed: &[Applied],
    ) -> Result<(), Error> {
        let newest = files.keys().next_back();
        for row in observed {
            let Some(file) = files.get(&row.version) else {
                return Err(Error::Unknown {
                    database: self.database.clone(),
                    file: row.file.clone(),
                    applied: short(&row.checksum),
                    newer: newest.is_none_or(|newest| row.version > *newest),
                });
            };
            check_same(file, row)?;
        }
        Ok(())
    }

    /// One transaction: the file, and its row in the history.
    async fn run(&self, session: &mut Session, file: &File) -> Result<(), Error> {
        match history::at_or_newest(session, file.version).await? {
            Some(row) if row.version == file.version => return check_same(file, &row),
            Some(row) if row.version > file.version => {
                return Err(Error::Moved {
                    database: self.database.clone(),
                });
            }
            _ => {}
        }
        session.reset().await?;
        let role = self.owner.as_deref().map_or_else(String::new, |owner| {
            format!("; SET LOCAL ROLE {}", quote::identifier(owner))
        });
        let begin = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'{role}");
        session.begin(&begin).await?;
        let started = Instant::now();
        session
            .script(file.name(), &file.sql)
            .await
            .map_err(|interrupted| locate(file, interrupted))?;
        settle(session, file).await?;
        let entry = Entry {
            version: file.version,
            description: &file.description,
            file: file.name(),
            checksum: &file.checksum,
            duration_ms: started.elapsed().as_millis(),
            trace_id: self.trace_id.as_deref(),
        };
        history::write(session, &entry).await?;
        session.end("COMMIT").await
    }
}

/// Checks now what the file has put off, so that it is the file's error, and becomes ourselves
/// again, whoever the file has made us.
async fn settle(session: &mut Session, file: &File) -> Result<(), Error> {
    let sql = "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION; RESET ROLE";
    session
        .batch("SET CONSTRAINTS", sql)
        .await
        .map_err(|error| {
            let after = usize::MAX;
            locate(file, Interrupted { after, error })
        })
}

/// Where in the file it happened.
fn locate(file: &File, interrupted: Interrupted) -> Error {
    let Error::Statement { source, .. } = interrupted.error else {
        return interrupted.error;
    };
    let sent = Sent {
        file: &file.path,
        text: &file.sql,
        from: 0,
        after: interrupted.after,
    };
    locate::error(sent, source)
}

fn check_same(file: &File, row: &Applied) -> Result<(), Error> {
    if file.checksum == row.checksum {
        return Ok(());
    }
    Err(Error::Edited {
        file: file.path.clone(),
        now: short(&file.checksum),
        applied: short(&row.checksum),
    })
}

fn check_order(file: &File, observed: &[Applied]) -> Result<(), Error> {
    match observed.last() {
        Some(newest) if newest.version > file.version => Err(Error::OutOfOrder {
            file: file.path.clone(),
            now: short(&file.checksum),
            newest: newest.file.clone(),
            applied: short(&newest.checksum),
        }),
        _ => Ok(()),
    }
}

fn check_statements(file: &File) -> Result<(), Error> {
    let found = statements::split(&file.sql);
    let refused =
        statements::null_byte(&file.sql).or_else(|| found.iter().find_map(Statement::refusal));
    refused.map_or(Ok(()), |refusal| {
        Err(Error::Refused {
            excerpt: Box::new(file.excerpt(refusal.at)),
            why: refusal.why,
            instead: refusal.instead,
        })
    })
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        Self {
            verb: Verb::Run,
            fields: preview::fields(&change.file.sql),
            target: change.file.path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Applied, File, Migrations};
    use crate::engine::{Class, Difference, Failure, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;

    fn file(version: u64, sql: &str) -> File {
        let path = format!("sql/V{version}__x.sql");
        File::new(version, "x", path, sql)
    }

    fn applied(file: &File) -> Applied {
        Applied {
            version: file.version,
            file: file.name().to_owned(),
            checksum: file.checksum.clone(),
        }
    }

    fn migrations(files: &[File]) -> Migrations {
        Migrations {
            server: nowhere(),
            database: "lens".to_owned(),
            owner: None,
            files: files.to_vec(),
            trace_id: None,
        }
    }

    #[test]
    fn what_is_pending_is_planned_in_order() {
        let files = [file(10, "c"), file(1, "a"), file(2, "b")];
        let targets = |observed: &[Applied]| match migrations(&files).plan(&observed.to_vec()) {
            Ok(Plan::Current) => vec!["current".to_owned()],
            Ok(Plan::Change(changes)) => {
                let targets = changes
                    .into_iter()
                    .map(|change| Difference::from(change).target);
                targets.collect()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(
            targets(&[]),
            ["sql/V1__x.sql", "sql/V2__x.sql", "sql/V10__x.sql"]
        );
        let two = [applied(&files[1]), applied(&files[2])];
        assert_eq!(targets(&two), ["sql/V10__x.sql"]);
        let all = [&two[..], &[applied(&files[0])]].concat();
        assert_eq!(targets(&all), ["current"]);
    }

    #[test]
    fn a_history_that_is_not_the_bundles_is_named() {
        let [one, two, three] = [file(1, "a"), file(2, "b"), file(3, "c")];
        let edited = file(1, "edited");
        let (first, second, third) = (applied(&one), applied(&two), applied(&three));
        for (files, observed, expected) in [
            (
                vec![edited, two.clone()],
                vec![first.clone()],
                "sql/V1__x.sql was changed after it was applied: its checksum is 1fb9f4097256, \
                 applied was ca978112ca1b",
            ),
            (
                vec![one.clone(), two.clone()],
                vec![first.clone(), second.clone(), third.clone()],
                "database lens has migration V3__x.sql, checksum 2e7d2c03a950, which the bundle \
                 does not have",
            ),
            (
                vec![one.clone(), three.clone()],
                vec![first.clone(), second, third.clone()],
                "database lens has migration V2__x.sql, checksum 3e23e8160039, which the bundle \
                 does not have",
            ),
            (
                vec![one.clone(), two.clone(), three.clone()],
                vec![first, third],
                "sql/V2__x.sql (checksum 3e23e8160039) is not applied, and V3__x.sql (checksum \
                 2e7d2c03a950) after it is",
            ),
        ] {
            let error = migrations(&files).plan(&observed).expect_err("diverged");
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.class(), Class::Diverged);
            assert_eq!(error.hints().len(), 1);
        }
    }

    #[test]
    fn one_version_is_one_file() {
        let files = [file(1, "a"), file(1, "b")];
        let error = migrations(&files).plan(&vec![]).expect_err("twice");
        assert_eq!(error.class(), Class::Invalid);
    }

    #[test]
    fn a_file_that_ends_its_transaction_is_not_run() {
        let files = [
            file(1, "SELECT 1;"),
            file(2, "CREATE TABLE a ();\n  COMMIT;\n"),
        ];
        let error = migrations(&files).plan(&vec![]).expect_err("refused");
        assert_eq!(error.class(), Class::Invalid);
        let said = format!("{error}\n{}", error.excerpt().unwrap_or_default());
        insta::assert_snapshot!(said, @r"
        sql/V2__x.sql:2:3: a migration must not begin or end a transaction
        2 |   COMMIT;
          |   ^
        ");
    }
}
