//! The first step of a database: has anybody changed it behind our back?

use std::sync::Once;

use tracing::{info, warn};

use crate::engine::{Difference, Plan, Resource, Verb, Waiting};

use super::super::client::Server;
use super::super::conflict::Conflict;
use super::super::error::Error;
use super::difference::{Drifted, sentence, telling};
use super::store::{self, Known};

/// What becomes of a drift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDrift {
    /// It is named by every run until it is undone or accepted.
    #[default]
    Warn,
    /// The run ends before it changes anything.
    Fail,
    /// It is what is wanted from now on.
    Accept,
}

/// Compares a database with what the last run left. Changes nothing in it: what was found is
/// noted beside the fingerprint, so that it is not taken for our own work later.
#[derive(Debug)]
pub struct Drift {
    server: Server,
    database: String,
    on: OnDrift,
    /// What is none of our business: `lens.metrics_*`.
    ignored: Vec<String>,
    /// Whether the run only looks: then a drift is the answer, and nothing is noted.
    preview: bool,
    told: Once,
}

/// Notes what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    database: String,
    drifted: Vec<Drifted>,
}

impl Drift {
    /// Looks at a database.
    #[must_use]
    pub fn new(
        server: Server,
        database: impl Into<String>,
        on: OnDrift,
        ignored: Vec<String>,
        preview: bool,
    ) -> Self {
        Self {
            server,
            database: database.into(),
            on,
            ignored,
            preview,
            told: Once::new(),
        }
    }

    /// Whoever reads the log of a run hears of it once, however often it looks.
    fn tell(&self, known: &Known) {
        let Known::Taken { pending, drifted } = known else {
            return;
        };
        let database = self.database.as_str();
        self.told.call_once(|| {
            if *pending {
                info!(
                    db.namespace = database,
                    "the last run ended before it took note of its own changes: what others have \
                     changed since cannot be told apart"
                );
                return;
            }
            for one in telling(drifted) {
                warn!(db.namespace = database, "changed behind our back: {one}");
            }
        });
    }
}

impl Resource for Drift {
    type Observed = Known;
    type Change = Note;
    type Error = Error;

    async fn observe(&self) -> Result<Known, Error> {
        let known = store::look(&self.server, &self.database, &self.ignored).await?;
        if self.on == OnDrift::Warn && !self.preview {
            self.tell(&known);
        }
        Ok(known)
    }

    fn plan(&self, observed: &Known) -> Result<Plan<Note>, Error> {
        let Known::Taken {
            pending: false,
            drifted,
        } = observed
        else {
            return Ok(Plan::Current);
        };
        let told = telling(drifted);
        if self.on == OnDrift::Accept {
            return Ok(Plan::Current);
        }
        if !told.is_empty() && (self.on == OnDrift::Fail || self.preview) {
            let database = self.database.clone();
            let what = sentence(&told);
            let conflict = Conflict::Drifted { database, what };
            if self.on == OnDrift::Fail {
                return Err(conflict.into());
            }
            return Ok(Plan::InProgress(Waiting::unmet(conflict.to_string())));
        }
        let is_news = drifted.iter().any(|it| !it.differs || !it.noted);
        if self.preview || !is_news {
            return Ok(Plan::Current);
        }
        Ok(Plan::Change(vec![Note {
            database: self.database.clone(),
            drifted: told.into_iter().cloned().collect(),
        }]))
    }

    async fn apply(&self, change: Note) -> Result<(), Error> {
        store::note(&self.server, &change.database, &self.ignored).await
    }
}

impl From<Note> for Difference {
    fn from(note: Note) -> Self {
        Self {
            verb: Verb::Update,
            target: format!("note of what others changed in {}", note.database),
            fields: note.drifted.iter().map(Drifted::field).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::client::tests::nowhere;
    use super::{Drift, Drifted, Known, OnDrift};
    use crate::engine::{Class, Failure, Plan, Resource};

    fn known(differs: bool, noted: bool) -> Known {
        Known::Taken {
            pending: false,
            drifted: vec![Drifted {
                kind: "table".to_owned(),
                name: "lens.x".to_owned(),
                parent: "lens".to_owned(),
                before: None,
                after: Some("owner x".to_owned()),
                differs,
                noted,
            }],
        }
    }

    fn planned(on: OnDrift, preview: bool, observed: &Known) -> String {
        let drift = Drift::new(nowhere(), "lens", on, Vec::new(), preview);
        match drift.plan(observed) {
            Ok(Plan::Current) => "current".to_owned(),
            Ok(Plan::Change(_)) => "note".to_owned(),
            Ok(Plan::InProgress(waiting)) => {
                assert_eq!(waiting.class, Class::Unmet);
                waiting.what
            }
            Err(error) => {
                assert_eq!(error.class(), Class::Diverged);
                format!("error: {error}")
            }
        }
    }

    #[test]
    fn a_drift_is_noted_once_and_named_until_it_is_gone() {
        use OnDrift::{Accept, Fail, Warn};
        let said = "database lens was changed behind our back: table lens.x is new";
        let failed = format!("error: {said}");
        let unfinished = Known::Taken {
            pending: true,
            drifted: Vec::new(),
        };
        for (on, preview, observed, expected) in [
            (Warn, false, &known(true, false), "note"),
            (Warn, false, &known(true, true), "current"),
            (Warn, false, &known(false, true), "note"),
            (Warn, true, &known(true, true), said),
            (Warn, true, &known(false, true), "current"),
            (Fail, false, &known(true, true), failed.as_str()),
            (Fail, true, &known(true, false), failed.as_str()),
            (Accept, false, &known(true, false), "current"),
            (Warn, false, &unfinished, "current"),
            (Fail, false, &Known::Nothing, "current"),
            (Fail, false, &Known::NoDatabase, "current"),
        ] {
            assert_eq!(planned(on, preview, observed), expected, "{on:?} {preview}");
        }
    }
}
