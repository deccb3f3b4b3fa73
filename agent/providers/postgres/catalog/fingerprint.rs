//! The last step of a database: what it is like now.

use crate::engine::{Difference, Plan, Resource, Verb};

use super::super::client::Server;
use super::super::error::Error;
use super::store::{self, Known};

/// Takes note of what a database is like, if a run has changed it.
#[derive(Debug, Clone)]
pub struct Fingerprint {
    /// Where the database is.
    pub server: Server,
    /// Its name.
    pub database: String,
    /// What is none of our business: `lens.metrics_*`.
    pub ignored: Vec<String>,
    /// Whether what others have changed is what is wanted from now on.
    pub accept: bool,
}

/// Takes note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    database: String,
    is_new: bool,
}

impl Resource for Fingerprint {
    type Observed = Known;
    type Change = Take;
    type Error = Error;

    async fn observe(&self) -> Result<Known, Error> {
        store::look(&self.server, &self.database, &self.ignored).await
    }

    fn plan(&self, observed: &Known) -> Result<Plan<Take>, Error> {
        let is_new = !matches!(observed, Known::Taken { .. });
        if let Known::Taken { pending, drifted } = observed {
            // What is not ours is for the next run to name.
            let accepts = self.accept && !drifted.is_empty();
            if !pending && !accepts {
                return Ok(Plan::Current);
            }
        }
        let database = self.database.clone();
        Ok(Plan::Change(vec![Take { database, is_new }]))
    }

    async fn apply(&self, change: Take) -> Result<(), Error> {
        store::take(&self.server, &change.database, &self.ignored, self.accept).await
    }
}

impl From<Take> for Difference {
    fn from(take: Take) -> Self {
        Self {
            verb: if take.is_new {
                Verb::Create
            } else {
                Verb::Update
            },
            target: format!("fingerprint of database {}", take.database),
            fields: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::client::tests::nowhere;
    use super::{Fingerprint, Known};
    use crate::engine::{Plan, Resource};

    #[test]
    fn it_is_taken_when_we_have_changed_something() {
        let fingerprint = Fingerprint {
            server: nowhere(),
            database: "lens".to_owned(),
            ignored: Vec::new(),
            accept: false,
        };
        let taken = |pending| Known::Taken {
            pending,
            drifted: Vec::new(),
        };
        for (observed, is_taken) in [
            (Known::NoDatabase, true),
            (Known::Nothing, true),
            (taken(true), true),
            (taken(false), false),
        ] {
            let plan = fingerprint.plan(&observed).expect("a plan");
            assert_eq!(matches!(plan, Plan::Change(_)), is_taken, "{observed:?}");
        }
    }
}
