//! A dashboard.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::client::{Request, Server};
use super::error::Error;
use crate::engine::{Difference, Extent, FieldChange, Plan, Resource, Verb, differences};

/// What Grafana counts itself.
const COUNTED: [&str; 3] = ["id", "version", "iteration"];

/// A dashboard with a fixed uid, as a whole ours. Every save makes a version, so an equal one is not sent.
pub struct Dashboard {
    /// Where.
    pub server: Arc<Server>,
    /// Its uid.
    pub uid: String,
    /// The uid of its folder.
    pub folder: String,
    /// The dashboard's JSON model.
    pub model: Value,
}

/// The dashboard as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    model: Map<String, Value>,
    folder: String,
    version: u64,
    is_provisioned: bool,
    is_folder: bool,
}

/// What is done to the dashboard.
#[derive(Debug, Clone)]
pub struct Change {
    difference: Difference,
    /// The version that is replaced; none to make it.
    version: Option<u64>,
}

impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        change.difference
    }
}

impl Resource for Dashboard {
    type Observed = Option<Observed>;
    type Change = Change;
    type Error = Error;

    async fn observe(&self) -> Result<Option<Observed>, Error> {
        let dashboard = Request::get("/api/dashboards/uid/{uid}", &[&self.uid]);
        let Some(mut found) = self.server.send(dashboard).await?.found() else {
            return Ok(None);
        };
        let Value::Object(model) = found["dashboard"].take() else {
            return Err(Error::Unexpected { what: "dashboard" });
        };
        let meta = &found["meta"];
        let version = model.get("version").and_then(Value::as_u64);
        let version = version.or_else(|| meta["version"].as_u64());
        Ok(Some(Observed {
            folder: meta["folderUid"].as_str().unwrap_or_default().to_owned(),
            version: version.ok_or(Error::Unexpected { what: "version" })?,
            is_provisioned: meta["provisioned"] == true,
            is_folder: meta["isFolder"] == true,
            model,
        }))
    }

    fn plan(&self, observed: &Option<Observed>) -> Result<Plan<Change>, Error> {
        let target = format!("dashboard {}/{}", self.folder, self.uid);
        let ours = Value::Object(self.document());
        let Some(found) = observed else {
            let difference = Difference {
                verb: Verb::Create,
                target,
                fields: title(&self.model),
            };
            let version = None;
            return Ok(Plan::Change(vec![Change {
                difference,
                version,
            }]));
        };
        if found.is_folder {
            let uid = self.uid.clone();
            return Err(Error::IsFolder { uid });
        }
        let fields = self.fields(&ours, found);
        if fields.is_empty() {
            return Ok(Plan::Current);
        }
        if found.is_provisioned {
            let paths: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
            let fields = paths.join(", ");
            return Err(Error::Provisioned {
                what: target,
                fields,
            });
        }
        let difference = Difference {
            verb: Verb::Update,
            target,
            fields,
        };
        let version = Some(found.version);
        Ok(Plan::Change(vec![Change {
            difference,
            version,
        }]))
    }

    async fn apply(&self, change: Change) -> Result<(), Error> {
        let mut document = self.document();
        if let Some(version) = change.version {
            document.insert("version".to_owned(), version.into());
        }
        let save = json!({
            "dashboard": document,
            "folderUid": self.folder,
            "message": "firstlight",
            "overwrite": false,
        });
        let save = Request::post("/api/dashboards/db", &[], save);
        let saved = self.server.send(save).await?.json;
        let saved = saved["uid"].as_str().unwrap_or_default();
        if saved != self.uid {
            return Err(Error::SavedElsewhere {
                uid: self.uid.clone(),
                saved: saved.to_owned(),
            });
        }
        Ok(())
    }
}

impl Dashboard {
    /// The model with its uid and without what Grafana counts.
    fn document(&self) -> Map<String, Value> {
        let mut document = self.model.as_object().cloned().unwrap_or_default();
        document.retain(|key, _| !COUNTED.contains(&key.as_str()));
        document.insert("uid".to_owned(), self.uid.as_str().into());
        document
    }

    fn fields(&self, ours: &Value, found: &Observed) -> Vec<FieldChange> {
        let mut theirs = found.model.clone();
        theirs.retain(|key, _| !COUNTED.contains(&key.as_str()));
        let mut fields = differences(ours, &Value::Object(theirs), Extent::Whole);
        if self.folder != found.folder {
            fields.push(FieldChange {
                path: "folderUid".to_owned(),
                before: Some(found.folder.clone()),
                after: Some(self.folder.clone()),
                sensitive: false,
            });
        }
        fields
    }
}

/// A new dashboard is named by its title: hundreds of fields would say less.
fn title(model: &Value) -> Vec<FieldChange> {
    let title = model["title"].as_str().map(str::to_owned);
    let title = title.map(|title| FieldChange {
        path: "title".to_owned(),
        before: None,
        after: Some(title),
        sensitive: false,
    });
    title.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::grafana::nowhere::nowhere;

    fn said(observed: Option<&Observed>) -> String {
        let dashboard = Dashboard {
            server: nowhere(),
            uid: "fleet".to_owned(),
            folder: "lens".to_owned(),
            model: json!({"id": null, "version": 9, "title": "Fleet", "panels": [{"id": 1}]}),
        };
        match dashboard.plan(&observed.cloned()) {
            Ok(Plan::Change(changes)) => {
                let Change {
                    difference,
                    version,
                } = &changes[0];
                let fields = difference.fields.iter().map(|field| field.path.as_str());
                let fields = fields.collect::<Vec<_>>().join(" ");
                format!("{} {fields}, version {version:?}", difference.verb)
            }
            Ok(plan) => format!("{plan:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn stored() -> Observed {
        let model = json!({"id": 4, "uid": "fleet", "version": 2, "title": "Fleet",
            "panels": [{"id": 1}]});
        Observed {
            model: model.as_object().cloned().unwrap_or_default(),
            folder: "lens".to_owned(),
            version: 2,
            is_provisioned: false,
            is_folder: false,
        }
    }

    #[test]
    fn every_state_has_its_plan() {
        assert_eq!(said(None), "create title, version None");
        assert_eq!(said(Some(&stored())), "Current");
        let mut drifted = Observed {
            folder: String::new(),
            ..stored()
        };
        drifted
            .model
            .insert("panels".to_owned(), json!([{"id": 1}, {"id": 2}]));
        let expected = "update panels[1].id folderUid, version Some(2)";
        assert_eq!(said(Some(&drifted)), expected);
        let provisioned = Observed {
            is_provisioned: true,
            ..drifted
        };
        assert_eq!(
            said(Some(&provisioned)),
            "dashboard lens/fleet is provisioned from files, and differs: panels[1].id, folderUid"
        );
        let folder = Observed {
            is_folder: true,
            ..stored()
        };
        let expected = "the uid fleet belongs to a folder, so no dashboard can have it";
        assert_eq!(said(Some(&folder)), expected);
    }
}
