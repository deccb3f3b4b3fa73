//! Asks for what is needed next before anybody waits for it.

use std::collections::HashMap;

use futures::future::join_all;

use super::kind::Target;
use super::watches::Announced;
use super::{Client, Error};

/// Begins to list the kinds of which several objects are going to be looked at. Who looks joins the
/// list that is under way, and hears of it if it fails.
pub fn look_ahead(client: &Client) {
    let client = client.clone();
    tokio::spawn(async move {
        let several = several(client.watches().announced()).into_iter();
        let looks = several.map(|(kind, place)| look(&client, kind, place));
        join_all(looks).await;
    });
}

/// API version and kind.
type KindName = (String, String);
/// Namespace and name.
type Place = (String, String);

/// One object of each kind and namespace of which there are several.
fn several(announced: Announced) -> Vec<(KindName, Place)> {
    let mut found = Vec::new();
    for (kind, places) in announced {
        let mut namespaces: HashMap<String, Vec<String>> = HashMap::new();
        for (namespace, name) in places {
            namespaces.entry(namespace).or_default().push(name);
        }
        for (namespace, mut names) in namespaces {
            if let (Some(name), false) = (names.pop(), names.is_empty()) {
                found.push((kind.clone(), (namespace, name)));
            }
        }
    }
    found
}

async fn look(client: &Client, kind: KindName, place: Place) -> Result<(), Error> {
    let ((api_version, kind), (namespace, name)) = (kind, place);
    if let Some(kind) = client.kind(&api_version, &kind).await? {
        let target = Target::new(kind, &namespace, name);
        client.look(&target).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_object_alone_is_not_listed() {
        let kind = |name: &str| ("v1".to_owned(), name.to_owned());
        let at = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let announced = HashMap::from([
            (
                kind("Secret"),
                HashSet::from([at("lens", "a"), at("more", "b")]),
            ),
            (
                kind("ConfigMap"),
                HashSet::from([at("lens", "a"), at("lens", "b"), at("more", "c")]),
            ),
        ]);
        let found = several(announced);
        let found: Vec<_> = found
            .iter()
            .map(|((_, kind), (at, _))| (kind.as_str(), at.as_str()))
            .collect();
        assert_eq!(found, [("ConfigMap", "lens")]);
    }
}
