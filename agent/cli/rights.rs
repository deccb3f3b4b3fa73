//! Asks for all rights of a run before it begins, so that what is missing is said once.

use std::fmt;

use super::session::Session;
use super::{CliError, pruning};
use crate::providers::kubernetes::{self, Right};
use crate::rights::{self, Asked, Purpose, Subject};

/// The rights that a run would have missed, each as a line.
#[derive(Debug)]
pub(super) struct MissingRights(Vec<String>);

impl std::error::Error for MissingRights {}

impl fmt::Display for MissingRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.count(), self.0.join("; "))
    }
}

impl MissingRights {
    fn count(&self) -> String {
        match self.0.len() {
            1 => "a right is missing".to_owned(),
            count => format!("{count} rights are missing"),
        }
    }

    /// For a person: a line each.
    pub(super) fn lines(&self) -> String {
        format!("{}\n  {}", self.count(), self.0.join("\n  "))
    }
}

/// What has left the bundle is to be deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    /// Also what holds data.
    pub(super) with_data: bool,
}

/// Asks the API server for everything that it takes.
pub(super) async fn ask(
    session: &Session,
    purpose: Purpose,
    leaving: Option<Leaving>,
) -> Result<(), CliError> {
    let (client, bundle) = (&session.client, &session.bundle);
    let asked = rights::asked(&rights::needs(bundle, purpose));
    let questions: Vec<Right> = asked.iter().map(right).collect();
    let missing = kubernetes::missing_rights(client, &questions).await?;
    let lines = missing
        .into_iter()
        .map(|(at, right)| line(right, &rights::named(&asked[at].steps)));
    let mut lines: Vec<String> = lines.collect();
    if let Some(leaving) = leaving {
        let missing = deletions(session, leaving).await?.into_iter();
        lines.extend(missing.map(|right| line(right, "what has left the bundle")));
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(MissingRights(lines).into())
}

/// The rights that only the inventory knows to be needed.
async fn deletions(session: &Session, leaving: Leaving) -> Result<Vec<Right>, CliError> {
    let desired = pruning::desired(session);
    let inventory = &session.inventory;
    match inventory.missing_rights(&desired, leaving.with_data).await {
        // That it may not be read is among the others already.
        Err(kubernetes::Error::Forbidden { .. }) => Ok(Vec::new()),
        missing => Ok(missing?),
    }
}

fn right(asked: &Asked) -> Right {
    let Subject {
        namespace,
        group,
        resource,
        name,
    } = asked.subject.clone();
    let guess = asked.guess.clone();
    Right {
        verb: asked.verb.as_str(),
        group,
        resource,
        namespace,
        name,
        guessed_from: guess.map(|guess| (guess.api_version, guess.kind)),
    }
}

/// `get secrets login in namespace lens, for schema/role`
fn line(right: Right, what_for: &str) -> String {
    let subject = Subject {
        namespace: right.namespace,
        group: right.group,
        resource: right.resource,
        name: right.name,
    };
    format!("{} {subject}, for {what_for}", right.verb)
}
