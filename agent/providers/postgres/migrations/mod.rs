//! The migrations of a folder: each file is run in order, and a versioned one never changes again.
//!
//! [`pending`] tells from the history what is to be run, [`running`] runs a file as one
//! transaction, and [`stepwise`] runs one that cannot be in a transaction, so that it can be taken
//! up where an earlier run has ended.

mod adopting;
mod catalog;
mod doubt;
mod error;
mod file;
mod header;
mod outside;
mod pending;
mod placeholders;
pub(super) mod progress;
mod running;
mod script;
mod stepwise;
mod tokens;

use std::sync::Arc;

use tracing::{Instrument, field, info_span};

use crate::engine::{
    Chain, Difference, Failure as _, Plan, Resource, Verb, Waiting, record_failure,
};

use super::adoption::{Adoption, Past};
use super::client::Server;
use super::error::Error;
use super::history;
use super::lock::Lock;
use doubt::Doubt;
use running::Running;

pub use error::MigrationError;
pub use file::{File, FileMistake, Order};
pub use pending::Observed;
pub use placeholders::{Placeholder, Placeholders};

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
    /// How a database comes by its first history; none for by running all files.
    pub adoption: Option<Adoption>,
    /// Whether somebody only looks: then it is told what each file does, and locks for how long.
    pub preview: bool,
    doubt: Doubt,
}

impl Migrations {
    /// The files for a database, as the connecting role.
    #[must_use]
    pub fn new(server: Server, database: impl Into<String>, files: Vec<File>) -> Self {
        Self {
            server,
            database: database.into(),
            owner: None,
            files,
            trace_id: None,
            adoption: None,
            preview: false,
            doubt: Doubt::default(),
        }
    }
}

/// Runs one file, or notes some that the database has had. All changes of one plan share the lock.
#[derive(Debug, Clone)]
pub struct Change {
    work: Work,
    lock: Arc<Lock>,
}

#[derive(Debug, Clone)]
enum Work {
    /// Once, before all else.
    Adopt {
        /// Where it is said what the database has had.
        source: String,
        files: Vec<File>,
    },
    Run {
        file: File,
        /// Which of the plan's files, from 1, and how many these are.
        place: (usize, usize),
        preview: bool,
    },
}

impl Resource for Migrations {
    type Observed = Observed;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Observed, Error> {
        let Some(mut session) = self.server.session_if_any(&self.database).await? else {
            return Ok(Observed::default());
        };
        // Asked before the history is read: a COMMIT may end in between.
        let in_doubt = self.doubt.ask(&mut session).await?;
        let applied = history::read(&mut session).await?;
        let begun = progress::read(&mut session).await?;
        let past = match &self.adoption {
            Some(adoption) if applied.is_empty() && begun.is_empty() => {
                adoption.look(&mut session).await?
            }
            _ => Past::Nothing,
        };
        Ok(Observed {
            applied,
            begun,
            in_doubt,
            past,
        })
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<Change>, Error> {
        if let Some(what) = &observed.in_doubt {
            return Ok(Plan::InProgress(Waiting::unavailable(what.clone())));
        }
        let adopted = self.adopted(&observed.past)?;
        let observed = &observed.with(&adopted);
        let pending = pending::pending(&self.database, &self.files, observed)?;
        let count = pending.len();
        let run = |(index, file): (usize, &File)| Work::Run {
            file: file.clone(),
            place: (index + 1, count),
            preview: self.preview,
        };
        let adopt = self.adoption.as_ref().filter(|_| !adopted.is_empty());
        let adopt = adopt.map(|adoption| Work::Adopt {
            source: adoption.source(),
            files: adopted,
        });
        let works = adopt
            .into_iter()
            .chain(pending.into_iter().enumerate().map(run));
        let lock = Arc::new(Lock::default());
        let change = |work| Change {
            work,
            lock: Arc::clone(&lock),
        };
        let changes: Vec<_> = works.map(change).collect();
        if changes.is_empty() {
            return Ok(Plan::Current);
        }
        Ok(Plan::Change(changes))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let mut held = change.lock.take(&self.server, &self.database).await?;
        let (file, (place, count)) = match &change.work {
            Work::Run { file, place, .. } => (file, *place),
            Work::Adopt { files, .. } => {
                self.adopt(files, &mut held.holder).await?;
                held.give_back();
                return Ok(());
            }
        };
        if pending::is_pending(&self.database, file, &held.holder.applied)? {
            let script = file.script()?;
            let running = Running {
                migrations: self,
                file,
                script,
                holder: &mut held.holder,
            };
            let span = info_span!(
                "migration",
                otel.name = file.name(),
                otel.status_code = field::Empty,
                otel.status_description = field::Empty,
                firstlight.migration.file = file.path,
                firstlight.migration.checksum = file.checksum,
                firstlight.migration.statements = script.pieces.len(),
                firstlight.migration.place = format!("{place}/{count}"),
                error.type = field::Empty,
            );
            let ran = running.run().instrument(span.clone()).await;
            ran.inspect_err(|error| {
                record_failure(&span, field::display(Chain(error)), error.kind());
            })?;
        }
        held.give_back();
        Ok(())
    }
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        match change.work {
            Work::Run { file, preview, .. } => Self {
                verb: Verb::Run,
                fields: if preview { file.preview() } else { Vec::new() },
                target: file.path,
            },
            Work::Adopt { source, files } => Self {
                verb: Verb::Create,
                target: format!("history {source}"),
                fields: files.into_iter().map(adopting::noted).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::progress::{Begun, State};
    use super::{File, Migrations, Observed, Order};
    use crate::engine::{Class, Difference, Failure, Plan, Resource};
    use crate::providers::postgres::client::tests::nowhere;
    use crate::providers::postgres::history::{Applied, checksum};

    fn file(version: u64, sql: &str) -> File {
        let path = format!("sql/V{version}__x.sql");
        File::new(version, "x", path, sql, &BTreeMap::new())
    }

    fn repeatable(name: &str, sql: &str) -> File {
        let path = format!("sql/R__{name}.sql");
        File::new(Order::Repeatable, "x", path, sql, &BTreeMap::new())
    }

    fn applied(file: &File) -> Applied {
        Applied {
            version: file.version(),
            file: file.name().to_owned(),
            checksum: file.checksum.clone(),
            when: "2026-11-21 17:00:00 UTC by firstlight 0.1.0".to_owned(),
        }
    }

    fn migrations(files: &[File]) -> Migrations {
        Migrations::new(nowhere(), "lens", files.to_vec())
    }

    fn had(applied: &[Applied]) -> Observed {
        Observed {
            applied: applied.to_vec(),
            ..Observed::default()
        }
    }

    fn begun(file: &File, number: usize, sql: &str, state: State) -> Observed {
        let row = Begun {
            file: file.name().to_owned(),
            number,
            checksum: checksum(sql),
            state,
        };
        Observed {
            begun: vec![row],
            ..Observed::default()
        }
    }

    fn targets(files: &[File], observed: &Observed) -> Vec<String> {
        match migrations(files).plan(observed) {
            Ok(Plan::Current) => vec!["current".to_owned()],
            Ok(Plan::Change(changes)) => {
                let targets = changes
                    .into_iter()
                    .map(|change| Difference::from(change).target);
                targets.collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_pending_is_planned_in_order() {
        let files = [file(10, "c"), file(1, "a"), file(2, "b")];
        assert_eq!(
            targets(&files, &had(&[])),
            ["sql/V1__x.sql", "sql/V2__x.sql", "sql/V10__x.sql"]
        );
        let two = [applied(&files[1]), applied(&files[2])];
        assert_eq!(targets(&files, &had(&two)), ["sql/V10__x.sql"]);
        let all = [&two[..], &[applied(&files[0])]].concat();
        assert_eq!(targets(&files, &had(&all)), ["current"]);
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
                "sql/V1__x.sql was changed after it was applied (2026-11-21 17:00:00 UTC by \
                 firstlight 0.1.0): its checksum is 1fb9f4097256, applied was ca978112ca1b",
            ),
            (
                vec![one.clone(), two.clone()],
                vec![first.clone(), second.clone(), third.clone()],
                "database lens has migration V3__x.sql, checksum 2e7d2c03a950, applied 2026-11-21 \
                 17:00:00 UTC by firstlight 0.1.0, which the bundle does not have",
            ),
            (
                vec![one.clone(), three.clone()],
                vec![first.clone(), second, third.clone()],
                "database lens has migration V2__x.sql, checksum 3e23e8160039, applied 2026-11-21 \
                 17:00:00 UTC by firstlight 0.1.0, which the bundle does not have",
            ),
            (
                vec![one.clone(), two.clone(), three.clone()],
                vec![first, third],
                "sql/V2__x.sql (checksum 3e23e8160039) is not applied, and V3__x.sql (checksum \
                 2e7d2c03a950, applied 2026-11-21 17:00:00 UTC by firstlight 0.1.0) after it is",
            ),
        ] {
            let error = migrations(&files)
                .plan(&had(&observed))
                .expect_err("diverged");
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.class(), Class::Diverged);
            assert_eq!(error.hints().len(), 1);
        }
    }

    #[test]
    fn one_version_is_one_file() {
        let files = [file(1, "a"), file(1, "b")];
        let error = migrations(&files).plan(&had(&[])).expect_err("twice");
        assert_eq!(error.class(), Class::Invalid);
    }

    #[test]
    fn a_file_that_ends_its_transaction_is_not_run() {
        let files = [
            file(1, "SELECT 1;"),
            file(2, "CREATE TABLE a ();\n  COMMIT;\n"),
        ];
        let error = migrations(&files).plan(&had(&[])).expect_err("refused");
        assert_eq!(error.class(), Class::Invalid);
        let said = format!("{error}\n{}", error.excerpt().unwrap_or_default());
        insta::assert_snapshot!(said, @r"
        sql/V2__x.sql:2:3: a migration must not begin or end a transaction
        2 |   COMMIT;
          |   ^
        ");
    }

    #[test]
    fn what_is_repeatable_comes_last_and_again_when_it_has_changed() {
        let files = [repeatable("b", "b"), file(2, "v"), repeatable("a", "a")];
        let every = ["sql/V2__x.sql", "sql/R__a.sql", "sql/R__b.sql"];
        assert_eq!(targets(&files, &had(&[])), every);
        let had_all: Vec<_> = files.iter().map(applied).collect();
        assert_eq!(targets(&files, &had(&had_all)), ["current"]);
        let changed = [repeatable("b", "other"), files[1].clone(), files[2].clone()];
        assert_eq!(targets(&changed, &had(&had_all)), ["sql/R__b.sql"]);
        // Only the last run of a file counts, and one that has left the bundle does not.
        let twice = [&had_all[..], &[applied(&changed[0])]].concat();
        assert_eq!(targets(&changed, &had(&twice)), ["current"]);
        assert_eq!(targets(&files, &had(&twice)), ["sql/R__b.sql"]);
        assert_eq!(targets(&files[1..], &had(&twice)), ["current"]);
        let error = migrations(&[files[0].clone(), changed[0].clone()]);
        let error = error.plan(&had(&[])).expect_err("one name");
        assert_eq!(
            error.to_string(),
            "sql/R__b.sql and sql/R__b.sql have the same name"
        );
    }

    #[test]
    fn a_file_that_was_begun_stays_as_it_was_run() {
        let sql = "-- firstlight: transaction=none\nSELECT 1;\nSELECT 2;";
        let one = file(5, sql);
        assert_eq!(
            targets(
                std::slice::from_ref(&one),
                &begun(&one, 1, "SELECT 1", State::Done)
            ),
            std::slice::from_ref(&one.path)
        );
        let said = |state| {
            let observed = begun(&one, 2, "SELECT 3", state);
            match migrations(std::slice::from_ref(&one)).plan(&observed) {
                Ok(_) => "it is run".to_owned(),
                Err(error) => {
                    assert_eq!(error.class(), Class::Diverged);
                    error.to_string()
                }
            }
        };
        assert_eq!(said(State::Failed), "it is run");
        assert_eq!(
            said(State::Done),
            "sql/V5__x.sql:3:1: the statement was changed after it had been run"
        );
        assert_eq!(
            said(State::Started),
            "sql/V5__x.sql:3:1: the statement was changed after it was begun, and what it has \
             done is not known"
        );
        let observed = begun(&one, 1, "SELECT 1", State::Done);
        let gone = migrations(&[file(4, "a")]).plan(&observed);
        assert_eq!(
            gone.expect_err("half done").to_string(),
            "database lens has V5__x.sql half done, which the bundle does not have to finish it"
        );
        let before = migrations(&[file(4, "a"), one.clone()]).plan(&observed);
        assert_eq!(
            before.expect_err("out of order").to_string(),
            "sql/V4__x.sql (checksum ca978112ca1b) is not applied, and V5__x.sql, which is half \
             done, after it is"
        );
    }

    #[test]
    fn a_commit_that_the_server_still_works_on_is_waited_for() {
        let observed = Observed {
            in_doubt: Some("a COMMIT".to_owned()),
            ..Observed::default()
        };
        let plan = migrations(&[file(1, "a")]).plan(&observed);
        assert!(matches!(plan, Ok(Plan::InProgress(_))), "{plan:?}");
    }
}
