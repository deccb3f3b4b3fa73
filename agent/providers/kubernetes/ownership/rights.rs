//! Whether what is to go may be deleted, asked before one of it is.

use std::collections::HashSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::kind::Target;
use super::super::rights::{self, Right};
use super::super::{Client, Error};
use super::{AT_ONCE, Entry, Inventory};

/// The rights that lack to delete these, each with the place of its object.
///
/// One question for a kind in a namespace; only where all of it is denied, one for each name.
pub(super) async fn missing(
    client: &Client,
    targets: &[&Target],
) -> Result<Vec<(usize, Right)>, Error> {
    let kinds: HashSet<Right> = targets.iter().map(|it| deletion(it, None)).collect();
    let kinds: Vec<Right> = kinds.into_iter().collect();
    let denied = rights::missing(client, &kinds).await?;
    let denied: HashSet<Right> = denied.into_iter().map(|(_, right)| right).collect();
    let doubtful: Vec<usize> = (0..targets.len())
        .filter(|at| denied.contains(&deletion(targets[*at], None)))
        .collect();
    let names: Vec<Right> = doubtful
        .iter()
        .map(|at| deletion(targets[*at], Some(&targets[*at].name)))
        .collect();
    let missing = rights::missing(client, &names).await?;
    let at_place = |(at, right): (usize, Right)| (doubtful[at], right);
    Ok(missing.into_iter().map(at_place).collect())
}

fn deletion(target: &Target, name: Option<&str>) -> Right {
    Right {
        verb: "delete",
        group: target.kind.group.to_string(),
        resource: target.kind.plural.to_string(),
        namespace: target.namespace.clone(),
        name: name.map(str::to_owned),
        guessed_from: None,
    }
}

impl Inventory {
    /// The rights that lack to delete what has left the bundle: only the record knows of which
    /// kinds that is. What holds data is deleted only `with_data`.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn missing_rights(
        &self,
        desired: &[Entry],
        with_data: bool,
    ) -> Result<Vec<Right>, Error> {
        let goes = |entry: &Entry| !entry.adopted && (with_data || !entry.keep);
        let mut orphans = self.orphans(desired).await?;
        orphans.retain(goes);
        let places: Vec<_> = orphans
            .iter()
            .map(|entry| entry.target_of_any_version(self.client()))
            .collect();
        let places: Vec<Option<Target>> =
            stream::iter(places).buffered(AT_ONCE).try_collect().await?;
        let places: Vec<&Target> = places.iter().flatten().collect();
        let mut lacking = Vec::new();
        for (at, right) in missing(self.client(), &places).await? {
            // Somebody may have deleted it already.
            if !matches!(self.client().get(places[at]).await, Ok(None)) {
                lacking.push(right);
            }
        }
        Ok(lacking)
    }
}
