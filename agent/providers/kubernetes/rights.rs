//! Whether we may do what we are about to do.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::kind::{Kind, SELF_SUBJECT_ACCESS_REVIEW};
use super::{Client, Error};

/// So many questions are under way at once: an answer costs the server less than a new connection.
const AT_ONCE: usize = 8;

/// One thing that may be allowed or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Right {
    /// `get`, `list`…
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: String,
    /// The plural, with the part of the object if there is one: `deployments`, `pods/log`.
    pub resource: String,
    /// None for the whole cluster.
    pub namespace: Option<String>,
    /// One object; none for all.
    pub name: Option<String>,
    /// API version and kind, if plural and namespace were guessed from them.
    pub guessed_from: Option<(String, String)>,
}

/// The rights that we do not have, each with its place in `rights`; a guess is put right first.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn missing(client: &Client, rights: &[Right]) -> Result<Vec<(usize, Right)>, Error> {
    // Collected first, because a stream that borrows across its closures does not compile.
    let questions: Vec<_> = rights
        .iter()
        .enumerate()
        .map(|(at, right)| question(client, at, right))
        .collect();
    let answers: Vec<Option<(usize, Right)>> = stream::iter(questions)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(answers.into_iter().flatten().collect())
}

async fn question(
    client: &Client,
    at: usize,
    right: &Right,
) -> Result<Option<(usize, Right)>, Error> {
    let served = match &right.guessed_from {
        Some((api_version, kind)) => client.kind(api_version, kind).await?,
        None => None,
    };
    let right = served.map_or_else(|| right.clone(), |kind| corrected(right, &kind));
    let answer = client
        .review(SELF_SUBJECT_ACCESS_REVIEW, &review(&right))
        .await?;
    let is_allowed = answer.at("/status/allowed") == Some(&Value::Bool(true));
    Ok((!is_allowed).then_some((at, right)))
}

fn corrected(right: &Right, kind: &Kind) -> Right {
    Right {
        resource: kind.plural.to_string(),
        namespace: right.namespace.clone().filter(|_| kind.namespaced),
        ..right.clone()
    }
}

fn review(right: &Right) -> Value {
    let (resource, part) = match right.resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part)),
        None => (right.resource.as_str(), None),
    };
    json!({
        "apiVersion": SELF_SUBJECT_ACCESS_REVIEW.api_version(),
        "kind": SELF_SUBJECT_ACCESS_REVIEW.name,
        "spec": { "resourceAttributes": {
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": part,
            "namespace": right.namespace,
            "name": right.name,
        } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(resource: &str) -> Right {
        Right {
            verb: "get",
            group: String::new(),
            resource: resource.to_owned(),
            namespace: Some("lens".to_owned()),
            name: None,
            guessed_from: None,
        }
    }

    #[test]
    fn a_part_of_an_object_is_asked_for_as_such() {
        let asked = review(&right("pods/log"));
        let asked = &asked["spec"]["resourceAttributes"];
        assert_eq!(asked["resource"], "pods");
        assert_eq!(asked["subresource"], "log");
    }

    #[test]
    fn a_guess_is_put_right() {
        let kind = Kind {
            plural: "geese".into(),
            namespaced: false,
            ..SELF_SUBJECT_ACCESS_REVIEW
        };
        let right = corrected(&right("gooses"), &kind);
        assert_eq!((right.resource.as_str(), right.namespace), ("geese", None));
    }
}
