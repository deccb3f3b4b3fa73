//! A folder of dashboards.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Difference, FieldChange, Plan, Resource, Verb};

/// A folder with a fixed uid. It is renamed and moved, never deleted: alert rules live in it too.
pub struct Folder {
    /// Where.
    pub server: Arc<Server>,
    /// Its uid.
    pub uid: String,
    /// What people see.
    pub title: String,
    /// The uid of the folder above; none for the root.
    pub parent: Option<String>,
}

/// The folder as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    title: String,
    parent: Option<String>,
    version: Option<u64>,
}

/// What is done to the folder.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is made.
    Create(Difference),
    /// It gets its title, unless it changed since.
    Rename(Difference, Option<u64>),
    /// It gets its place.
    Move(Difference),
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        match change {
            Change::Create(difference)
            | Change::Rename(difference, _)
            | Change::Move(difference) => difference,
        }
    }
}

impl Resource for Folder {
    type Observed = Option<Observed>;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Option<Observed>, Error> {
        let folder = Request::get("/api/folders/{uid}", &[&self.uid]);
        let Some(folder) = self.server.send(folder).await?.found() else {
            return Ok(None);
        };
        let text = |key: &str| folder[key].as_str().map(str::to_owned);
        Ok(Some(Observed {
            title: text("title").ok_or(Error::Unexpected { what: "title" })?,
            parent: text("parentUid").filter(|uid| !uid.is_empty()),
            version: folder["version"].as_u64(),
        }))
    }

    fn plan(&self, observed: &Option<Observed>) -> Result<Plan<Change>, Error> {
        let Some(folder) = observed else {
            let title = field("title", None, Some(&self.title));
            let parent = field("parentUid", None, self.parent.as_ref());
            let fields = [title, parent].into_iter().flatten().collect();
            let difference = self.difference(Verb::Create, fields);
            return Ok(Plan::Change(vec![Change::Create(difference)]));
        };
        let mut changes = Vec::new();
        let moved = field("parentUid", folder.parent.as_ref(), self.parent.as_ref());
        // The title may be free only in the new place.
        if let Some(moved) = moved {
            changes.push(Change::Move(self.difference(Verb::Update, vec![moved])));
        }
        if let Some(title) = field("title", Some(&folder.title), Some(&self.title)) {
            let difference = self.difference(Verb::Update, vec![title]);
            changes.push(Change::Rename(difference, folder.version));
        }
        Ok(if changes.is_empty() {
            Plan::Current
        } else {
            Plan::Change(changes)
        })
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let Self {
            uid, title, parent, ..
        } = self;
        let request = match change {
            Change::Create(_) => {
                let mut folder = json!({ "uid": uid, "title": title });
                if let Some(parent) = parent {
                    folder["parentUid"] = Value::from(parent.as_str());
                }
                Request::post("/api/folders", &[], folder)
            }
            Change::Rename(_, version) => {
                let folder = json!({ "title": title, "version": version });
                Request::put("/api/folders/{uid}", &[uid], folder)
            }
            Change::Move(_) => {
                let place = json!({ "parentUid": parent.as_deref().unwrap_or_default() });
                Request::post("/api/folders/{uid}/move", &[uid], place)
            }
        };
        self.server.send(request).await?;
        Ok(())
    }
}

impl Folder {
    fn difference(&self, verb: Verb, fields: Vec<FieldChange>) -> Difference {
        let target = format!("folder {}", self.uid);
        Difference {
            verb,
            target,
            fields,
        }
    }
}

fn field(path: &str, before: Option<&String>, after: Option<&String>) -> Option<FieldChange> {
    (before != after).then(|| FieldChange {
        path: path.to_owned(),
        before: before.cloned(),
        after: after.cloned(),
        sensitive: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::grafana::nowhere::nowhere;

    fn said(observed: Option<(&str, Option<&str>)>) -> Vec<String> {
        let folder = Folder {
            server: nowhere(),
            uid: "lens".to_owned(),
            title: "Lens".to_owned(),
            parent: Some("above".to_owned()),
        };
        let observed = observed.map(|(title, parent)| Observed {
            title: title.to_owned(),
            parent: parent.map(str::to_owned),
            version: Some(1),
        });
        let Ok(Plan::Change(changes)) = folder.plan(&observed) else {
            return Vec::new();
        };
        let changes = changes.into_iter().map(Difference::from);
        let line = |change: Difference| {
            let fields = change.fields.iter().map(|field| field.path.as_str());
            format!("{} {}", change.verb, fields.collect::<Vec<_>>().join(" "))
        };
        changes.map(line).collect()
    }

    #[test]
    fn it_is_made_moved_and_then_renamed() {
        assert_eq!(said(None), ["create title parentUid"]);
        assert_eq!(said(Some(("Lens", Some("above")))), [""; 0]);
        assert_eq!(said(Some(("Other", Some("above")))), ["update title"]);
        assert_eq!(
            said(Some(("Other", None))),
            ["update parentUid", "update title"]
        );
    }
}
