//! Asks for all rights of a run before it begins, so that what is missing is said once.

use std::fmt;

use super::CliError;
use crate::bundle::Bundle;
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

/// Asks the API server for everything that it takes.
pub(super) async fn ask(
    client: &kubernetes::Client,
    bundle: &Bundle,
    purpose: Purpose,
) -> Result<(), CliError> {
    let asked = rights::asked(&rights::needs(bundle, purpose));
    let questions: Vec<Right> = asked.iter().map(right).collect();
    let missing = kubernetes::missing_rights(client, &questions).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let lines = missing
        .into_iter()
        .map(|(at, right)| line(&asked[at], right));
    Err(MissingRights(lines.collect()).into())
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
fn line(asked: &Asked, right: Right) -> String {
    let subject = Subject {
        namespace: right.namespace,
        group: right.group,
        resource: right.resource,
        name: right.name,
    };
    let steps = rights::named(&asked.steps);
    format!("{} {subject}, for {steps}", right.verb)
}
